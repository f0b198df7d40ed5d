"""A broker's data path alone: replica manager, logs in memory, handlers, a clock to set.

Topics come and go, and leaders change, through ``DataPath.change``, as the metadata would say it.
"""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pykbroker.config.settings import DynamicSettings, Settings
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.handlers.api import HANDLERS, Connection, Context
from pykbroker.ports import Peer
from pykbroker.runtime.quotas import Quotas
from pykbroker.runtime.replica_manager import ReplicaManager
from pykbroker.runtime.storage.manager import LogManager
from pykbroker.runtime.waiters import Deferral
from pykbroker.state.controller.image import (
    BrokerImage,
    ConfigResource,
    Endpoint,
    MetadataDelta,
    MetadataImage,
    PartitionImage,
    TopicImage,
    replace,
)
from pykbroker.state.fetch_session import FetchSessionCache
from pykbroker.state.types import NodeId, TopicId, TopicPartition
from tests.support.manual_clock import START_WALL_MS, ManualClock
from wire.apis import API_BY_KEY
from wire.codec import decode_exact, decode_request, encode_bytes, encode_response
from wire.records.record import Record, build_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pykbroker.ports import Disk
    from pykbroker.runtime.partition import Partition
    from wire.schema import Request, Response

ME = NodeId(1)
LISTENER = "PLAINTEXT"


class InlineWorkers:
    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


class FakeImages:
    def __init__(self, image: MetadataImage) -> None:
        self.current = image
        self.subscribers: list[Callable[[MetadataDelta], None]] = []

    def subscribe(self, callback: Callable[[MetadataDelta], None]) -> None:
        self.subscribers.append(callback)


def broker_image(node: int, *, rack: str | None = None, **options: Any) -> BrokerImage:
    endpoints = (Endpoint(LISTENER, f"host{node}", 9000 + node, 0),)
    return BrokerImage(NodeId(node), 10 + node, bytes(16), endpoints, rack, **options)


def partition_image(
    leader: int = 1,
    *,
    epoch: int = 0,
    version: int = 0,
    replicas: Iterable[int] = (1,),
    isr: Iterable[int] | None = None,
) -> PartitionImage:
    nodes = tuple(NodeId(node) for node in replicas)
    in_sync = nodes if isr is None else tuple(NodeId(node) for node in isr)
    return PartitionImage(NodeId(leader), epoch, version, nodes, in_sync)


def topic_id(number: int) -> TopicId:
    return TopicId(number.to_bytes(16, "big"))


def batch(*values: bytes | None, timestamp: int = START_WALL_MS, **options: Any) -> bytearray:
    records = [Record(i, timestamp, None, value) for i, value in enumerate(values)]
    return build_batch(records, **options)


class DataPath:
    def __init__(
        self,
        *,
        disk: Disk | None = None,
        brokers: Iterable[BrokerImage] = (broker_image(1),),
        log_dirs: Iterable[str] = ("/logs",),
        **settings: Any,
    ) -> None:
        self.clock = ManualClock()
        self.disk = disk or MemoryDisk(self.clock.wall_ms)
        static = {name.replace("_", "."): str(value) for name, value in settings.items()}
        self.settings = DynamicSettings(Settings(static))
        image = MetadataImage(brokers={b.node_id: b for b in brokers})
        self.images = FakeImages(image)
        clock = cast("Any", self.clock)
        self.logs = LogManager(
            self.disk, clock, InlineWorkers(), Random(1), self.settings, tuple(log_dirs)
        )
        self.logs.acquire()
        for directory in self.logs.directories:
            directory.open("cluster", 1)
        self.replicas = ReplicaManager(
            node_id=ME,
            clock=clock,
            settings=self.settings,
            images=cast("Any", self.images),
            logs=self.logs,
        )
        self.images.subscribe(self.replicas.apply)
        self.sessions = FetchSessionCache(
            Random(2),
            lambda: self.settings.current.int("max.incremental.fetch.session.cache.slots"),
            self.replicas.traffic.count_fetches,
        )
        self.spawned: list[Any] = []
        self.services = cast(
            "Any",
            SimpleNamespace(
                node_id=ME,
                clock=clock,
                rng=Random(3),
                settings=self.settings,
                images=self.images,
                replicas=self.replicas,
                quotas=Quotas(self.settings.current, clock),
                fetch_sessions=self.sessions,
                spawn=lambda function, *args: self.spawned.append(function(*args)),
            ),
        )
        self._next_id = 1

    # Metadata

    def change(self, **delta: Any) -> MetadataDelta:
        """``after`` is the new image; the rest is as in MetadataDelta."""
        change = MetadataDelta(before=self.images.current, **delta)
        self.images.current = change.after
        for callback in self.images.subscribers:
            callback(change)
        return change

    def create(
        self, name: str = "t", partitions: int | list[PartitionImage] = 1, **configs: Any
    ) -> TopicId:
        if isinstance(partitions, int):
            partitions = [partition_image() for _ in range(partitions)]
        made = TopicImage(name, topic_id(self._next_id), tuple(partitions))
        self._next_id += 1
        before = self.images.current
        settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.change(
            after=replace(
                before,
                topics={**before.topics, name: made},
                topic_names={**before.topic_names, made.topic_id: name},
                configs={**before.configs, ConfigResource(2, name): settings},
            ),
            topics_created=frozenset((name,)),
        )
        return made.topic_id

    def delete(self, name: str) -> None:
        before = self.images.current
        gone = before.topics[name]
        self.change(
            after=replace(
                before,
                topics={n: t for n, t in before.topics.items() if n != name},
                topic_names={i: n for i, n in before.topic_names.items() if n != name},
            ),
            topics_deleted={gone.topic_id: name},
        )

    def elect(self, name: str, *partitions: PartitionImage) -> None:
        before = self.images.current
        changed = replace(before.topics[name], partitions=tuple(partitions))
        self.change(
            after=replace(before, topics={**before.topics, name: changed}),
            topics_changed=frozenset((name,)),
        )

    def configure(self, name: str, **configs: Any) -> None:
        before = self.images.current
        resource = ConfigResource(2, name)
        settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.change(
            after=replace(before, configs={**before.configs, resource: settings}),
            configs_changed=frozenset((resource,)),
        )

    def brokers(self, *brokers: BrokerImage) -> None:
        after = replace(self.images.current, brokers={b.node_id: b for b in brokers})
        self.change(after=after, brokers_changed=True)

    # The data

    def partition(self, name: str = "t", index: int = 0) -> Partition:
        return self.replicas.hosted(TopicPartition(name, index))

    def append(self, *values: bytes, name: str = "t", index: int = 0, **options: Any) -> int:
        """The offset of the first record."""
        info = self.partition(name, index).append_as_leader(batch(*values, **options))
        self.replicas.wakeups.run()
        return info.first_offset

    # Requests

    def context(
        self, request: Request, version: int, *, client_id: str = "client", listener: str = LISTENER
    ) -> Context:
        connection = Connection(Peer(listener, "PLAINTEXT", "127.0.0.1", 1), 1)
        now_ms = self.clock.monotonic_ms()
        return Context(self.services, connection, request.api_key, version, client_id, 1, now_ms)

    def call(self, request: Request, version: int, **options: Any) -> Any:
        """The response, a Deferral, or None; as the handler gives it, for the request as it
        arrives in that version."""
        api = API_BY_KEY[request.api_key]
        arrived = decode_request(api, version, bytearray(encode_bytes(request, version)))
        return HANDLERS[request.api_key](arrived, self.context(request, version, **options))

    def answer(self, request: Request, version: int, **options: Any) -> Any:
        """The response as its client sees it, which must be there at once."""
        response = self.call(request, version, **options)
        assert not isinstance(response, Deferral), "the request waits"
        return seen(response, version)

    def wait(self, request: Request, version: int, **options: Any) -> Waiting:
        """The same for a request that must wait."""
        deferral = self.call(request, version, **options)
        assert isinstance(deferral, Deferral), f"answered at once: {deferral}"
        return Waiting(deferral, version)


def seen(response: Response, version: int) -> Any:
    data = b"".join(encode_response(response, version))
    return decode_exact(type(response), version, data)


class Waiting:
    def __init__(self, deferral: Deferral[Any], version: int) -> None:
        self.deferral = deferral
        self.answers: list[Any] = []
        deferral.when_done(lambda response: self.answers.append(seen(response, version)))

    @property
    def answer(self) -> Any:
        assert len(self.answers) == 1
        return self.answers[0]
