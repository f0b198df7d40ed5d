"""A partition moves under a throttle (KIP-73), in virtual time: as fast as it may, no faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.simulation.admin import Admin
from tests.simulation.clients import History
from tests.simulation.cluster import Cluster
from tests.simulation.loop import simulated
from tests.simulation.observer import Observer, observing
from wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreateTopicsRequest,
)
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.records.record import Record, build_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from wire.schema import Request

SOURCE, TARGET = 1, 2
VALUE = bytes(10_000)
BATCHES = 60
SIZE = BATCHES * len(VALUE)
RATE = 50_000
"""Bytes per second: the whole log takes more than ten of them."""
PATIENCE_S = 300.0
TOPIC, BROKER = 2, 4
DELETE = 1


class Tool(Admin):
    """What kafka-reassign-partitions does, in its order."""

    async def run(self) -> None:
        raise AssertionError("driven by the test")

    async def succeed(self, node: int, request: Request) -> Any:
        response = await self.ask(node, request)
        assert response is not None
        return response

    async def alter(self, kind: int, name: str, key: str, value: str | None) -> None:
        """None takes the setting away. Brokers are asked for their own."""
        config = AlterableConfig(name=key, value=value, config_operation=DELETE * (value is None))
        resource = AlterConfigsResource(resource_type=kind, resource_name=name, configs=[config])
        node = int(name) if kind == BROKER else SOURCE
        response = await self.succeed(node, IncrementalAlterConfigsRequest(resources=[resource]))
        assert [r.error_code for r in response.responses] == [0]

    async def throttle(self, side: str, node: int, rate: int | None) -> None:
        """The source leads, the target follows; the tool sets both sides' rates on both."""
        named = None if rate is None else f"0:{node}"
        await self.alter(TOPIC, "t", f"{side}.replication.throttled.replicas", named)
        limit = None if rate is None else str(rate)
        for broker in (SOURCE, TARGET):
            await self.alter(BROKER, str(broker), f"{side}.replication.throttled.rate", limit)

    async def fill(self) -> None:
        """A topic of one partition on the source, with so many batches."""
        assignment = CreatableReplicaAssignment(partition_index=0, broker_ids=[SOURCE])
        topic = CreatableTopic(
            name="t", num_partitions=-1, replication_factor=-1, assignments=[assignment]
        )
        await self.succeed(SOURCE, CreateTopicsRequest(topics=[topic], timeout_ms=10_000))
        for _ in range(BATCHES):
            data = PartitionProduceData(
                index=0, records=bytes(build_batch([Record(0, 0, None, VALUE)]))
            )
            topics = [TopicProduceData(name="t", partition_data=[data])]
            request = ProduceRequest(acks=-1, timeout_ms=2_000, topic_data=topics)
            response = await self.succeed(SOURCE, request)
            assert response.responses[0].partition_responses[0].error_code == 0

    async def reassign(self) -> None:
        wanted = ReassignablePartition(partition_index=0, replicas=[TARGET])
        topics = [ReassignableTopic(name="t", partitions=[wanted])]
        response = await self.succeed(SOURCE, AlterPartitionReassignmentsRequest(topics=topics))
        assert response.responses[0].partitions[0].error_code == 0


class Move:
    """Two brokers, and what is known of the partition at any time."""

    def __init__(self, cluster: Cluster, observer: Observer) -> None:
        self.cluster = cluster
        self.observer = observer
        self.tool = Tool(cluster, observer, History(), "tool", shared={})

    def copied(self) -> int:
        """Bytes of the log on the target."""
        replicas = self.cluster.node(TARGET).replicas
        for partition in replicas.partitions():
            return int(partition.log.size_in_bytes)
        return 0

    def is_done(self) -> bool:
        partition = self.observer.truth.image.topics["t"].partitions[0]
        return partition.replicas == (TARGET,) and not (partition.adding or partition.removing)

    async def until(self, condition: Callable[[], bool]) -> float:
        """Virtual seconds that it took."""
        loop = self.cluster.loop
        begun_s = loop.time()
        while not condition():
            assert loop.time() - begun_s < PATIENCE_S, f"{self.copied()} bytes copied"
            await anyio.sleep(0.05)
        return loop.time() - begun_s

    async def begin(self) -> None:
        self.cluster.start()
        await self.until(lambda: all(node.is_ready for node in self.cluster.nodes))
        await self.tool.fill()


def run(test: Callable[[Move], Coroutine[Any, Any, None]], seed: int = 1) -> None:
    with simulated() as loop:
        settings = {"replica.fetch.max.bytes": str(2 * len(VALUE)), "log.roll.ms": "600000"}
        cluster = Cluster(loop, seed, brokers=2, settings=settings)
        observer = Observer(cluster)
        loop.after_turn = cluster.check
        with observing(observer):
            loop.run_until_complete(test(Move(cluster, observer)))


async def unthrottled_s(move: Move) -> float:
    await move.begin()
    await move.tool.reassign()
    return await move.until(move.is_done)


@pytest.mark.parametrize("side", ["leader", "follower"])
def test_a_move_takes_as_long_as_its_throttle_makes_it(side: str) -> None:
    took: list[float] = []

    async def freely(move: Move) -> None:
        took.append(await unthrottled_s(move))

    async def throttled(move: Move) -> None:
        await move.begin()
        await move.tool.throttle(side, SOURCE if side == "leader" else TARGET, RATE)
        await move.tool.reassign()
        begun_s = move.cluster.loop.time()
        # One answer, of two batches, may always exceed it.
        while not move.is_done():
            passed_s = move.cluster.loop.time() - begun_s
            assert move.copied() <= RATE * (passed_s + 1) + 2.1 * len(VALUE)
            await anyio.sleep(0.05)
        took.append(move.cluster.loop.time() - begun_s)

    run(freely)
    run(throttled)
    without_s, with_s = took
    assert with_s >= SIZE / RATE - 2
    assert with_s <= 3 * SIZE / RATE
    assert with_s > 2 * without_s


@pytest.mark.parametrize("side", ["leader", "follower"])
def test_a_throttle_that_is_taken_away_lets_the_move_end(side: str) -> None:
    async def test(move: Move) -> None:
        node = SOURCE if side == "leader" else TARGET
        await move.begin()
        await move.tool.throttle(side, node, 0)
        await move.tool.reassign()
        await move.until(lambda: move.copied() > 0)
        copied = move.copied()
        # With a rate of nothing one answer passes whenever all windows are empty again.
        await anyio.sleep(9)
        assert move.copied() == copied < SIZE
        assert not move.is_done()
        going_on = {("t", 0): ((TARGET, SOURCE), (TARGET,), (SOURCE,))}
        assert move.tool.reassignments() == going_on
        assert await move.tool.is_listed()
        await move.tool.throttle(side, node, None)
        assert await move.until(move.is_done) < 9
        assert move.tool.reassignments() == {}
        assert await move.tool.is_listed()

    run(test)


def test_a_throttle_of_another_partition_is_none() -> None:
    async def test(move: Move) -> None:
        await move.begin()
        await move.tool.alter(TOPIC, "t", "leader.replication.throttled.replicas", "1:1,0:2")
        await move.tool.alter(TOPIC, "t", "follower.replication.throttled.replicas", "1:2,0:1")
        for broker in (SOURCE, TARGET):
            for side in ("leader", "follower"):
                await move.tool.alter(
                    BROKER, str(broker), f"{side}.replication.throttled.rate", "0"
                )
        await move.tool.reassign()
        assert await move.until(move.is_done) < 9

    run(test)
