"""Brokers in memory on the running event loop: how they live, and what tests do to them.

One metadata store and, for each broker, a disk of its own, all in RAM. A broker that is killed is
fenced at once and comes back empty, as with ``pykbroker serve --memory``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.broker import Broker, World
from pykbroker.config.load import IGNORED, load_settings
from pykbroker.config.settings import ConfigError
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.entropy import SystemRandom
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.log import get_logger
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_LEADER, TopicPartition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from anyio.abc import TaskGroup

    from pykbroker.broker import Ready
    from pykbroker.ports import MetadataStore
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.services import Services
    from pykbroker.state.controller.image import MetadataImage, TopicImage
    from wire.schema import Request

logger = get_logger("pykbroker.testing")

DEFAULTS = {"offsets.topic.num.partitions": "1"}
"""Fewer than Kafka has: a test waits for each of them. Any setting given wins."""
PATIENCE_S = 60.0
LOG_DIR = "/logs"


class Wrong(Exception):
    """What was asked of the brokers cannot be done; the text says why."""


class _LeasingStore:
    """The shared store as one broker sees it; knows the leases that end with that broker."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store
        self.leases: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def grant_lease(self, ttl_ms: int) -> int:
        lease = await self._store.grant_lease(ttl_ms)
        self.leases.append(lease)
        return lease


class _Life:
    """One broker from its start to its end."""

    def __init__(self, broker: Broker, store: _LeasingStore) -> None:
        self.broker = broker
        self.store = store
        self.scope = anyio.CancelScope()
        self.ready = anyio.Event()
        self.done = anyio.Event()
        self.address = ""

    def is_ready(self, ready: Ready) -> None:
        self.address = ready.bootstrap[0]
        self.ready.set()


class Engine:
    """``run`` in a task; the rest once ``started`` has been called, on the same event loop."""

    def __init__(self, brokers: int = 1, settings: Mapping[str, object] | None = None) -> None:
        """Raises ConfigError for a setting that is wrong."""
        self.count = brokers
        self._settings = DEFAULTS | {name: _text(v) for name, v in (settings or {}).items()}
        self._ports: dict[int, int] = {}
        self._lives: dict[int, _Life] = {}
        self._stop = anyio.Event()
        self._tasks: TaskGroup
        self.saved: dict[str, Any] = {}
        """States by their names (``pykbroker.testing.states``)."""
        for node_id in range(1, brokers + 1):
            self._loaded(node_id)

    # Lives

    async def run(self, started: Callable[[], None]) -> None:
        """Until ``stop``."""
        self.clock = SystemClock()
        self.store = MemoryStore(self.clock)
        async with anyio.create_task_group() as self._tasks:
            try:
                async with anyio.create_task_group() as starting:
                    for node_id in range(1, self.count + 1):
                        starting.start_soon(self.start, node_id)
                started()
                await self._stop.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    for node_id in list(self._lives):
                        await self.kill(node_id)
                    await self.store.close()
            self._tasks.cancel_scope.cancel()

    def stop(self) -> None:
        self._stop.set()

    def _loaded(self, node_id: int) -> Any:
        options = [f"{name}={value}" for name, value in self._settings.items()]
        loaded = load_settings(
            options=options,
            port=self._ports.get(node_id, 0) if "listeners" not in self._settings else None,
            brokers=self.count,
            node_id=node_id,
        )
        for warning in loaded.warnings:
            raise ConfigError(warning.removesuffix(IGNORED))
        return loaded

    async def start(self, node_id: int) -> None:
        """A broker that does not run; on the port that it had before."""
        if node_id in self._lives:
            raise Wrong(f"broker {node_id} runs already")
        if not 1 <= node_id <= self.count:
            raise Wrong(f"there is no broker {node_id}, only 1 to {self.count}")
        store = _LeasingStore(self.store)

        @asynccontextmanager
        async def open_store() -> AsyncIterator[Any]:
            yield store

        world = World(
            self.clock,
            SystemRandom(),
            MemoryDisk(self.clock.wall_ms),
            ThreadWorkers(),
            TcpNetwork(),
            open_store,
            halt=lambda problem: self._halt(life, problem),
        )
        life = _Life(Broker(self._loaded(node_id), world, log_dirs=[LOG_DIR]), store)
        self._lives[node_id] = life
        self._tasks.start_soon(self._live, life)
        with anyio.fail_after(PATIENCE_S):
            await life.ready.wait()
        self._ports[node_id] = int(life.address.rpartition(":")[2])

    async def _live(self, life: _Life) -> None:
        try:
            with life.scope:
                await life.broker.run(life.is_ready)
        finally:
            life.done.set()

    def _halt(self, life: _Life, problem: Exception) -> None:
        """As a process would end by itself."""
        logger.error("broker has halted", node_id=life.broker.node_id, reason=str(problem))
        self._tasks.start_soon(self._end, life)

    async def shut_down(self, node_id: int) -> None:
        """A clean stop: leaderships are handed over. What it held is gone all the same."""
        life = self._life(node_id)
        life.broker.stop()
        with anyio.fail_after(PATIENCE_S):
            await life.done.wait()
        del self._lives[node_id]

    async def kill(self, node_id: int) -> None:
        """Where it stands; the others see it go at once."""
        await self._end(self._life(node_id))

    async def _end(self, life: _Life) -> None:
        if self._lives.get(life.broker.node_id) is life:
            del self._lives[life.broker.node_id]
        for listener in life.broker.listeners:
            listener.stop_accepting()
            listener.abort_connections()
        life.scope.cancel()
        with anyio.CancelScope(shield=True):
            await life.done.wait()
            for lease in life.store.leases:
                await self.store.revoke_lease(lease)

    def _life(self, node_id: int) -> _Life:
        if node_id not in self._lives:
            raise Wrong(f"broker {node_id} does not run")
        return self._lives[node_id]

    # What is there

    def bootstrap(self) -> list[str]:
        return [self._lives[node_id].address for node_id in sorted(self._lives)]

    def services(self, node_id: int | None = None) -> Services:
        """Of any broker, if none is named."""
        return self._life(min(self._lives) if node_id is None else node_id).broker.services

    @property
    def image(self) -> MetadataImage:
        return self.services().images.current

    def topic(self, name: str) -> TopicImage:
        found = self.image.topics.get(name)
        if found is None:
            raise Wrong(f"there is no topic {name!r}")
        return found

    def leader(self, topic: str, index: int) -> Partition | None:
        """As its broker has it; None while there is none."""
        node_id = self.topic(topic).partitions[index].leader
        life = self._lives.get(node_id)
        if node_id == NO_LEADER or life is None:
            return None
        try:
            return life.broker.services.replicas.leader(TopicPartition(topic, index))
        except KafkaError:
            return None

    async def ask_controller(self, request: Request) -> Any:
        """The controller's answer, once every broker knows of what it did."""
        response = await self.services().controller.call(request)
        await self.settle()
        return response

    async def settle(self) -> None:
        """Every broker has seen everything that the metadata store holds now."""
        revision = (await self.store.read("/cluster_id")).revision
        for life in list(self._lives.values()):
            await life.broker.services.images.wait_for(revision)

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """What ``holds`` returns once it is true. Raises Wrong if that does not come."""
        with anyio.move_on_after(PATIENCE_S):
            while True:
                found = holds()
                if found:
                    return found
                await anyio.sleep(0.002)
        raise Wrong(f"did not come within {PATIENCE_S:g} s: {what}")

    async def leader_of(self, topic: str, index: int) -> Partition:
        found: Partition = await self.until(
            partial(self.leader, topic, index), f"a leader of {topic}-{index}"
        )
        return found


def _text(value: object) -> str:
    """A setting as it would be written in a file."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
