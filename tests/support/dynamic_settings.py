"""Brokers in the test's process whose settings are changed while they run, and who tests which.

``@changes("segment.ms", "log.roll.ms")`` runs a test once for the topic's setting and once for the
broker's that it falls back to; ``TESTED`` holds what was claimed so.
"""

from __future__ import annotations

import random
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from pykbroker.broker import Broker, World
from pykbroker.config.load import load_settings
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import InlineWorkers
from pykbroker.runtime.controller_client import ControllerClient
from pykbroker.state.types import TopicPartition
from tests.support.in_process import Wire
from wire.apis import API_BY_KEY, request_header_version, response_header_version
from wire.codec import decode_exact, encode_bytes
from wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.records.batch import iter_headers
from wire.records.record import Record, build_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import TaskGroup

    from pykbroker.ports import MetadataStore
    from pykbroker.runtime.controller import Controller
    from pykbroker.runtime.metadata import Images
    from pykbroker.runtime.services import Services
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.state.fetch_session import FetchSessionCache
    from wire.messages.produce import PartitionProduceResponse
    from wire.records.batch import BatchHeader
    from wire.schema import Request

TOPIC, BROKER = 2, 4
"""Resource types."""
NAME = "t"
VALUE = b"v" * 100
ONE_BATCH = 300
"""As internal.segment.bytes: two batches of one VALUE do not fit."""
NEVER = str(2**63 - 1)


class Setting:
    """One that a test is to change, of a topic or of the broker."""

    def __init__(self, scope: str, name: str) -> None:
        self.scope = scope
        self.name = name
        self.was_altered = False

    def __repr__(self) -> str:
        return f"{self.scope}:{self.name}"


TESTED: dict[tuple[str, str], list[str]] = {}
"""(scope, name) -> the tests that change it."""


def changes(
    topic: str | None = None, broker: str | None = None, listener: str | None = None
) -> Callable[[Any], Any]:
    """The test gets each of them in turn as ``setting``, and must alter it.

    ``listener`` is a setting of the broker with a listener's prefix.
    """
    settings = [Setting("topic", topic)] if topic else []
    settings += [Setting("broker", name) for name in (broker, listener) if name]

    def mark(test: Any) -> Any:
        for setting in settings:
            TESTED.setdefault((setting.scope, setting.name), []).append(test.__name__)
        return pytest.mark.parametrize("setting", settings, ids=repr)(test)

    return mark


class TravelClock(SystemClock):
    """The real clock, except that its wall time may jump ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_ms = 0
        self.sleeps = 0
        self.asleep_ms: list[int] = []
        """Who sleeps now, and for how long."""

    def wall_ms(self) -> int:
        return super().wall_ms() + self.ahead_ms

    async def sleep(self, delay_ms: int) -> None:
        self.sleeps += 1
        self.asleep_ms.append(delay_ms)
        try:
            await super().sleep(delay_ms)
        finally:
            self.asleep_ms.remove(delay_ms)


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.001)


class Client:
    def __init__(self, broker: Broker) -> None:
        self.wire = Wire(broker)
        self._number = 0

    async def ask(self, request: Request, version: int | None = None) -> Any:
        """As bytes, in and out; the newest version unless told."""
        api = API_BY_KEY[request.api_key]
        version = api.max_version if version is None else version
        self._number += 1
        frame = struct.pack(">hhih", api.key, version, self._number, -1)
        frame += b"\0" if request_header_version(api.key, version) >= 2 else b""
        frame += encode_bytes(request, version)
        self.wire.send(struct.pack(">i", len(frame)) + frame)
        answers: list[bytes] = []
        await until(lambda: answers.extend(self.wire.take_responses()) or answers)
        [answer] = answers
        assert answer[:4] == self._number.to_bytes(4, "big")
        start = 4 + response_header_version(api.key, version)
        return decode_exact(api.response, version, answer[start:])


class Member(Client):
    """One broker, and a client of it."""

    def __init__(self, broker: Neighbour, clock: TravelClock, ended: anyio.Event) -> None:
        super().__init__(broker)
        self.broker = broker
        self.clock = clock
        self.logs = broker.logs
        self.ended = ended

    async def stop(self) -> None:
        self.broker.stop()
        await self.ended.wait()

    async def create(
        self, *, name: str = NAME, replicas: list[int] | None = None, **configs: Any
    ) -> None:
        """``configs`` with underscores for dots."""
        made = CreatableTopic(name=name, num_partitions=1, replication_factor=1)
        if replicas:
            made.num_partitions = made.replication_factor = -1
            made.assignments = [CreatableReplicaAssignment(broker_ids=replicas)]
        made.configs = [
            CreatableTopicConfig(name=key.replace("_", "."), value=str(value))
            for key, value in configs.items()
        ]
        answer = await self.ask(CreateTopicsRequest(topics=[made]))
        assert [(t.error_code, t.error_message) for t in answer.topics] == [(0, None)]

    async def alter(self, setting: Setting, value: object, *, node: str = "1") -> None:
        """``node`` "" is the cluster's default."""
        resource = AlterConfigsResource(
            resource_type=TOPIC if setting.scope == "topic" else BROKER,
            resource_name=NAME if setting.scope == "topic" else node,
            configs=[AlterableConfig(name=setting.name, value=str(value))],
        )
        answer = await self.ask(IncrementalAlterConfigsRequest(resources=[resource]))
        assert [(r.error_code, r.error_message) for r in answer.responses] == [(0, None)]
        setting.was_altered = True

    async def produce(
        self,
        *values: bytes | None,
        keys: list[bytes] | None = None,
        timestamp: int | None = None,
        data: bytes | None = None,
        name: str = NAME,
        **options: Any,
    ) -> PartitionProduceResponse:
        """One batch, acknowledged by all in sync; of VALUE unless told."""
        if data is None:
            values = values or (VALUE,)
            now_ms = self.clock.wall_ms() if timestamp is None else timestamp
            pairs = zip(keys or [b"k"] * len(values), values, strict=True)
            data = bytes(build_batch([Record(0, now_ms, k, v) for k, v in pairs], **options))
        parts = [PartitionProduceData(index=0, records=data)]
        topics = [TopicProduceData(name=name, partition_data=parts)]
        request = ProduceRequest(acks=-1, timeout_ms=60_000, topic_data=topics)
        answer = await self.ask(request, version=12)
        return answer.responses[0].partition_responses[0]  # type: ignore[no-any-return]

    def log(self, name: str = NAME) -> PartitionLog:
        return self.logs.logs[TopicPartition(name, 0)]

    def headers(self) -> list[BatchHeader]:
        """Of every stored batch."""
        log = self.log()
        found: list[BatchHeader] = []
        offset = log.log_start_offset
        while offset < log.log_end_offset:
            records = log.read(offset, 1 << 20).records
            found += [header for _, header in iter_headers(records)]
            offset = found[-1].next_offset
        return found

    def files(self, ending: str) -> list[str]:
        """Of the topic's only partition."""
        folder = self.log().directory
        return [name for name in self.broker.logs.disk.listdir(folder) if name.endswith(ending)]


class Neighbour(Broker):
    """Asks the controller wherever in the process it is."""

    peers: list[Neighbour]
    controller: Controller | None = None
    images: Images
    fetch_sessions: FetchSessionCache

    def _build(self, *args: Any) -> tuple[Services, Controller]:
        services, controller = super()._build(*args)
        self.controller = controller
        own_call = services.controller.call

        async def call(request: Request, **options: Any) -> Any:
            for peer in self.peers:
                found = peer.controller
                if found is not None and found is not controller and found.is_active:
                    response = await ControllerClient(found, self._world.clock).call(
                        request, **options
                    )
                    await services.images.wait_for(peer.images.current.revision)
                    return response
            return await own_call(request, **options)

        services.controller.call = call  # type: ignore[method-assign]
        self.images = services.images
        self.fetch_sessions = services.fetch_sessions
        return services, controller


class Cluster:
    """Brokers that share a metadata store, each with a disk that outlives it."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.clock = TravelClock()
        self._tasks = tasks
        self._store = MemoryStore(self.clock)
        self._disks: dict[int, MemoryDisk] = {}
        self._members: list[Member] = []
        self._brokers: list[Neighbour] = []

    async def start(self, *options: str, node: int = 1) -> Member:
        @asynccontextmanager
        async def store() -> AsyncIterator[MetadataStore]:
            yield self._store

        disk = self._disks.setdefault(node, MemoryDisk(self.clock.wall_ms))
        loaded = load_settings(options=[f"node.id={node}", *options], port=0)
        world = World(self.clock, random.Random(node), disk, InlineWorkers(), TcpNetwork(), store)
        broker = Neighbour(loaded, world, log_dirs=["/memory"])
        self._brokers.append(broker)
        broker.peers = self._brokers
        ready, ended = anyio.Event(), anyio.Event()

        async def run() -> None:
            try:
                await broker.run(lambda _: ready.set())
            finally:
                self._brokers.remove(broker)
                ended.set()

        self._tasks.start_soon(run)
        await ready.wait()
        member = Member(broker, self.clock, ended)
        self._members.append(member)
        return member

    async def stop(self) -> None:
        for member in self._members:
            await member.stop()
        await self._store.close()


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    async with anyio.create_task_group() as tasks:
        made = Cluster(tasks)
        yield made
        await made.stop()


@asynccontextmanager
async def one_broker(*options: str) -> AsyncIterator[Member]:
    async with cluster() as made:
        yield await made.start(*options)
