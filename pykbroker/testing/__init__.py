"""Kafka for tests: brokers in memory, in this process or in a child of it.

    with Broker() as broker:
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        ...
        assert [r.value for r in broker.records("orders")] == [b"one"]
        broker.reset()

Ports are free ones, nothing is written to disk, and when it ends no thread, socket or file is left.
Importing this loads the broker; a start after that takes a few milliseconds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pykbroker.config.settings import ConfigError
from pykbroker.log import OFF, WARNING
from pykbroker.testing.actions import CLEAN
from pykbroker.testing.engine import Wrong
from pykbroker.testing.hosts import ProcessHost, ThreadHost
from pykbroker.testing.python_logging import LoggingSink
from pykbroker.testing.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from pykbroker.testing.hosts import Host

__all__ = ["Broker", "Cluster", "ConfigError", "Record", "Wrong"]


class Cluster:
    """Brokers 1 to ``brokers``, with everything in memory.

    ``settings`` are Kafka's by their names (``{"num.partitions": 3}``). ``process=True`` runs them
    in a child process. Log lines go to Python's logging under their own names (``pykbroker...``),
    those of a child to standard error. Raises ConfigError at the start for a wrong setting; what
    the helpers are asked and cannot do raises Wrong.
    """

    def __init__(
        self,
        brokers: int = 3,
        *,
        settings: Mapping[str, object] | None = None,
        process: bool = False,
        quiet: bool = False,
    ) -> None:
        self._brokers = brokers
        self._settings = dict(settings or {})
        self._process = process
        self._level = OFF if quiet else WARNING
        self._host: Host | None = None
        self._addresses: list[str] = []

    # Life

    def start(self) -> Self:
        if self._host is not None:
            raise Wrong("it runs already")
        if self._process:
            self._host = ProcessHost(self._brokers, self._settings, self._level)
        else:
            self._host = ThreadHost(self._brokers, self._settings, LoggingSink(), self._level)
        self._addresses = self._host.call("settled")
        return self

    def stop(self) -> None:
        """Does nothing when it does not run."""
        host, self._host = self._host, None
        if host is not None:
            host.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # In a thread: clients on this event loop may have to answer before it can end.
        await self.aio.stop()

    @property
    def bootstrap_servers(self) -> str:
        """``host:port,host:port,...`` of the brokers as they were started."""
        return ",".join(self._addresses)

    @property
    def aio(self) -> Any:
        """The same methods as coroutines, for tests whose clients share their event loop."""
        return _Async(self)

    def _call(self, action: str, *arguments: Any, **named: Any) -> Any:
        if self._host is None:
            raise Wrong("it does not run")
        return self._host.call(action, *arguments, **named)

    # Topics and records

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        replication_factor: int | None = None,
        configs: Mapping[str, str] | None = None,
    ) -> None:
        """Returns when it can be used; on up to three brokers, if not said otherwise."""
        self._call("create_topic", name, partitions, replication_factor, dict(configs or {}))

    def delete_topic(self, name: str) -> None:
        self._call("delete_topic", name)

    def topics(self) -> list[str]:
        """All but internal ones."""
        found: list[str] = self._call("topics")
        return found

    def records(
        self, topic: str, partition: int | None = None, *, at_least: int = 0
    ) -> list[Record]:
        """Everything that is in it, by partition and offset, once there are ``at_least`` so many
        (within a minute)."""
        found: list[Record] = self._call("records", topic, partition, at_least)
        return found

    # Groups

    def groups(self) -> list[str]:
        found: list[str] = self._call("groups")
        return found

    def wait_for_group(
        self, group: str, *, members: int = 1, state: str = "Stable"
    ) -> list[dict[str, Any]]:
        """Until it has that many members and is in that state (within a minute): each member's
        ``member_id``, ``client_id`` and ``group_instance_id``."""
        found: list[dict[str, Any]] = self._call("wait_for_group", group, members, state)
        return found

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """Committed offsets by topic and partition."""
        found: dict[tuple[str, int], int] = self._call("committed", group)
        return found

    # States

    def save(self, name: str) -> None:
        """What there is now, under a name: topics with their records, settings, quotas, committed
        offsets. Members of groups are not part of it."""
        self._call("save", name)

    def reset(self, name: str = CLEAN) -> None:
        """Back to how it started, or to what was saved, without a restart. Topic ids, producer ids
        and epochs are not used again: clients that stay connected notice as they would notice that
        a topic was deleted and made anew."""
        self._call("reset", name)

    # Brokers

    def kill_broker(self, node_id: int) -> None:
        """Where it stands; what it held is gone."""
        self._call("kill", node_id)

    def stop_broker(self, node_id: int) -> None:
        """Cleanly: it hands its partitions over first."""
        self._call("shut_down", node_id)

    def start_broker(self, node_id: int) -> None:
        """One that was killed or stopped, empty, on the port that it had."""
        self._call("start", node_id)


class Broker(Cluster):
    """A cluster of one."""

    def __init__(
        self,
        *,
        settings: Mapping[str, object] | None = None,
        process: bool = False,
        quiet: bool = False,
    ) -> None:
        super().__init__(1, settings=settings, process=process, quiet=quiet)


class _Async:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cluster, name)

        async def in_a_thread(*arguments: Any, **named: Any) -> Any:
            from anyio import to_thread

            return await to_thread.run_sync(
                partial(method, *arguments, **named), abandon_on_cancel=True
            )

        return in_a_thread
