"""Several brokers inside the test process: one metadata store in memory, real sockets, real time.

Their disks outlive them: a broker that was killed or stopped is started again with what it had.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.broker import Broker, World
from pykbroker.config.load import load_settings
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.state.types import NodeId, TopicPartition
from wire.errors import ErrorCode
from wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.records.record import Record, build_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from anyio.abc import TaskGroup

    from pykbroker.runtime.broker_link import BrokerLink
    from pykbroker.runtime.partition import Partition
    from wire.schema import Request

SETTINGS = {
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
    "replica.lag.time.max.ms": "1500",
    "offsets.topic.num.partitions": "3",
}
LIVENESS_S = 60


class Running:
    def __init__(self, broker: Broker, scope: anyio.CancelScope, done: anyio.Event) -> None:
        self.broker = broker
        self.scope = scope
        self.done = done


class Cluster:
    def __init__(self, tasks: TaskGroup, settings: dict[str, str]) -> None:
        self.clock = SystemClock()
        self.store = MemoryStore(self.clock)
        self.disks: dict[int, MemoryDisk] = {}
        self.running: dict[int, Running] = {}
        self.halted: dict[int, str] = {}
        """Who ended by itself, and why."""
        self._tasks = tasks
        self._lives = 0
        self._settings = {**SETTINGS, **settings}

    # Lives

    async def start(self, *nodes: int, **settings: str) -> None:
        async with anyio.create_task_group() as tasks:
            for node in nodes:
                tasks.start_soon(self._start, node, settings)

    async def _start(self, node: int, settings: dict[str, str]) -> None:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        options = [f"{k}={v}" for k, v in {**self._settings, **named}.items()]
        loaded = load_settings(options=[*options, f"node.id={node}"], port=0, brokers=3)
        disk = self.disks.setdefault(node, MemoryDisk())
        clock = self.clock

        @asynccontextmanager
        async def store() -> AsyncIterator[MemoryStore]:
            yield self.store

        self._lives += 1
        rng = random.Random(self._lives)

        def halt(problem: Exception) -> None:
            self.halted[node] = str(problem)
            self._tasks.start_soon(self.kill, node)

        world = World(clock, rng, disk, ThreadWorkers(), TcpNetwork(), store, halt=halt)
        broker = Broker(loaded, world, log_dirs=["/logs"])
        ready = anyio.Event()
        self.running[node] = Running(broker, anyio.CancelScope(), anyio.Event())
        self._tasks.start_soon(self._run, self.running[node], ready)
        with anyio.fail_after(LIVENESS_S):
            await ready.wait()

    async def _run(self, running: Running, ready: anyio.Event) -> None:
        try:
            with running.scope:
                await running.broker.run(lambda _: ready.set())
        finally:
            running.done.set()

    async def stop(self, node: int) -> None:
        """Cleanly."""
        running = self.running.pop(node)
        running.broker.stop()
        with anyio.fail_after(LIVENESS_S):
            await running.done.wait()

    async def kill(self, node: int) -> None:
        """Where it stands: nothing is written, nobody is told, its lease runs out."""
        running = self.running.pop(node)
        for listener in running.broker.listeners:
            listener.stop_accepting()
            listener.abort_connections()
        running.scope.cancel()
        with anyio.fail_after(LIVENESS_S), anyio.CancelScope(shield=True):
            await running.done.wait()

    def broker(self, node: int) -> Broker:
        return self.running[node].broker

    def services(self, node: int) -> Any:
        return self.broker(node).connections._broker

    # What is where

    def partition(self, node: int, topic: str = "t", index: int = 0) -> Partition:
        found: Partition = self.services(node).replicas.hosted(TopicPartition(topic, index))
        return found

    def leader(self, topic: str = "t", index: int = 0) -> int:
        """As any broker that runs knows it; -1 while there is none that runs."""
        for node in self.running:
            image = self.services(node).images.current
            if topic in image.topics:
                leader = image.topics[topic].partitions[index].leader
                return leader if leader in self.running else -1
        return -1

    def isr(self, topic: str = "t", index: int = 0) -> set[int]:
        node = next(iter(self.running))
        return set(self.services(node).images.current.topics[topic].partitions[index].isr)

    def log_bytes(self, node: int, topic: str = "t", index: int = 0) -> bytes:
        log = self.partition(node, topic, index).log
        found = b""
        offset = log.log_start_offset
        while offset < log.log_end_offset:
            records = bytes(log.read(offset, 1 << 20, min_one_batch=True).records)
            if not records:
                break
            found += records
            offset = _end_of(records)
        return found

    async def until(self, holds: Callable[[], bool], what: str = "") -> None:
        with anyio.move_on_after(LIVENESS_S):
            while True:
                try:
                    if holds():
                        return
                except Exception:
                    pass
                await anyio.sleep(0.01)
        raise AssertionError(f"never came true: {what or holds}")

    # Requests, as a client with one connection for each

    async def ask(self, node: int, request: Request, timeout_ms: int = 30_000) -> Any:
        services = self.services(node)
        link: BrokerLink = services.links.open(NodeId(node), "client")
        return await link.call(request, timeout_ms=timeout_ms)

    async def create(
        self,
        name: str = "t",
        *,
        partitions: int = 1,
        factor: int = 3,
        **configs: object,
    ) -> None:
        node = next(iter(self.running))
        request = CreateTopicsRequest(
            topics=[
                CreatableTopic(
                    name=name,
                    num_partitions=partitions,
                    replication_factor=factor,
                    configs=[
                        CreatableTopicConfig(name=k.replace("_", "."), value=str(v))
                        for k, v in configs.items()
                    ],
                )
            ],
            timeout_ms=30_000,
        )
        response = await self.ask(node, request)
        assert response.topics[0].error_code == 0, response.topics[0].error_message
        everywhere = list(self.running)
        await self.until(
            lambda: all(name in self.services(n).images.current.topics for n in everywhere)
        )

    async def produce(
        self,
        *values: bytes,
        topic: str = "t",
        index: int = 0,
        acks: int = -1,
        node: int | None = None,
        timeout_ms: int = 10_000,
    ) -> tuple[ErrorCode, int]:
        """(error, base offset)."""
        node = self.leader(topic, index) if node is None else node
        topic_id = self.services(node).images.current.topics[topic].topic_id
        records = [Record(i, 1_700_000_000_000, None, value) for i, value in enumerate(values)]
        request = ProduceRequest(
            acks=acks,
            timeout_ms=timeout_ms,
            topic_data=[
                TopicProduceData(
                    topic_id=topic_id,
                    partition_data=[
                        PartitionProduceData(index=index, records=build_batch(records))
                    ],
                )
            ],
        )
        response = await self.ask(node, request, timeout_ms + 5_000)
        data = response.responses[0].partition_responses[0]
        return ErrorCode(data.error_code), data.base_offset

    async def produce_for_sure(self, *values: bytes, topic: str = "t", index: int = 0) -> int:
        """Again and again, as clients do, until it is acknowledged by all in sync."""
        with anyio.fail_after(LIVENESS_S):
            while True:
                leader = self.leader(topic, index)
                if leader >= 0:
                    try:
                        code, offset = await self.produce(
                            *values, topic=topic, index=index, timeout_ms=2_000
                        )
                    except Exception:
                        code = ErrorCode.REQUEST_TIMED_OUT
                    if code is ErrorCode.NONE:
                        return offset
                await anyio.sleep(0.05)

    async def fetch(
        self, node: int, offset: int, *, topic: str = "t", index: int = 0, **options: Any
    ) -> Any:
        """A consumer's, which knows no epochs without ``leader_epoch``; the partition's answer."""
        leader_epoch = options.pop("leader_epoch", -1)
        topic_id = self.services(node).images.current.topics[topic].topic_id
        request = FetchRequest(
            max_wait_ms=options.pop("max_wait_ms", 0),
            min_bytes=1,
            topics=[
                FetchTopic(
                    topic_id=topic_id,
                    partitions=[
                        FetchPartition(
                            partition=index,
                            current_leader_epoch=leader_epoch,
                            fetch_offset=offset,
                            partition_max_bytes=1 << 20,
                        )
                    ],
                )
            ],
            **options,
        )
        response = await self.ask(node, request)
        return response.responses[0].partitions[0]

    def are_identical(self, nodes: Iterable[int], topic: str = "t", index: int = 0) -> bool:
        logs = {self.log_bytes(node, topic, index) for node in nodes}
        return len(logs) == 1


def _end_of(records: bytes) -> int:
    from wire.records.batch import iter_headers

    end = 0
    for _, header in iter_headers(records):
        end = header.next_offset
    return end


async def agree(cluster: Cluster, *nodes: int, topic: str = "t", index: int = 0) -> None:
    """The same up to the same end, and committed up to there."""

    def holds() -> bool:
        found = [cluster.partition(n, topic, index) for n in nodes]
        ends = {p.log_end_offset for p in found} | {p.high_watermark for p in found}
        return len(ends) == 1 and cluster.are_identical(nodes, topic, index)

    await cluster.until(holds, f"{topic}-{index} is the same on {nodes}")


@asynccontextmanager
async def brokers_in_process(*nodes: int, **settings: str) -> AsyncIterator[Cluster]:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    async with anyio.create_task_group() as tasks:
        cluster = Cluster(tasks, named)
        try:
            await cluster.start(*nodes)
            yield cluster
        finally:
            with anyio.CancelScope(shield=True):
                for node in list(cluster.running):
                    await cluster.kill(node)
            tasks.cancel_scope.cancel()
