"""The lag of groups in a cluster: complete, told once, wherever the records and the group are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from pykbroker.edges.workers import ThreadWorkers
from pykbroker.runtime.figures.broker import watch
from pykbroker.runtime.leader_ends import FRESH_MS, LeaderEnds
from pykbroker.runtime.pages import pages
from pykbroker.state.types import TopicPartition
from tests.support.brokers_in_process import LIVENESS_S, Cluster, brokers_in_process
from tests.support.scraped import read
from wire.errors import ErrorCode
from wire.messages.find_coordinator import FindCoordinatorRequest
from wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)

if TYPE_CHECKING:
    from tests.support.scraped import Found

pytestmark = pytest.mark.anyio
PARTITIONS = 9
GROUPS = ("g", "h", "i")
LAG = "kafka_consumergroup_lag"


class Scrapers:
    """One for each broker, as its HTTP endpoint has it."""

    def __init__(self, cluster: Cluster) -> None:
        self.pages = {}
        for node in cluster.running:
            services = cluster.services(node)
            connections = cluster.broker(node).connections
            made = pages(services, connections, watch(services, connections), ThreadWorkers())
            self.pages[node] = made["/metrics"]

    async def scrape(self, node: int) -> Found:
        page = await self.pages[node]({})
        return read(page.body.decode())


def lags(found: Found, name: str = LAG) -> dict[tuple[str, ...], float]:
    labels = ("consumergroup", "partition") if name == LAG else ("consumergroup",)
    return {
        tuple(dict(key[1])[label] for label in labels): number
        for key, number in found.items()
        if key[0] == name
    }


async def coordinator(cluster: Cluster, group: str) -> int:
    with anyio.fail_after(LIVENESS_S):
        while True:
            asked = FindCoordinatorRequest(coordinator_keys=[group])
            [told] = (await cluster.ask(1, asked)).coordinators
            if not told.error_code:
                return int(told.node_id)
            await anyio.sleep(0.05)


async def commit(cluster: Cluster, group: str, offset: int) -> int:
    """The node that coordinates the group. The same offset of every partition."""
    node = await coordinator(cluster, group)
    topic = cluster.services(node).images.current.topics["t"]
    request = OffsetCommitRequest(
        group_id=group,
        topics=[
            OffsetCommitRequestTopic(
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitRequestPartition(partition_index=index, committed_offset=offset)
                    for index in range(PARTITIONS)
                ],
            )
        ],
    )
    with anyio.fail_after(LIVENESS_S):
        while True:
            response = await cluster.ask(node, request)
            codes = {p.error_code for t in response.topics for p in t.partitions}
            if codes == {ErrorCode.NONE}:
                return node
            await anyio.sleep(0.05)


async def filled(cluster: Cluster) -> None:
    """Partition i has i + 1 records, on one broker alone."""
    await cluster.create("t", partitions=PARTITIONS, factor=1)
    for index in range(PARTITIONS):
        await cluster.produce_for_sure(*[b"x"] * (index + 1), index=index)


async def test_lag_is_complete_and_told_once_where_nothing_is_replicated() -> None:
    async with brokers_in_process(1, 2, 3, offsets_topic_replication_factor="1") as cluster:
        await filled(cluster)
        assert {cluster.leader("t", index) for index in range(PARTITIONS)} == {1, 2, 3}
        coordinators = {await commit(cluster, group, 1) for group in GROUPS}
        assert len(coordinators) > 1
        scrapers = Scrapers(cluster)
        told: list[tuple[str, ...]] = []
        sums: dict[tuple[str, ...], float] = {}
        for node in (1, 2, 3):
            found = await scrapers.scrape(node)
            own = lags(found)
            assert all(lag == int(index) for (_, index), lag in own.items())
            told += own
            sums |= lags(found, f"{LAG}_sum")
        assert sorted(told) == [(g, str(index)) for g in GROUPS for index in range(PARTITIONS)]
        assert sums == {(group,): sum(range(PARTITIONS)) for group in GROUPS}


async def test_a_leader_that_is_gone_takes_its_lag_along_and_nothing_else() -> None:
    async with brokers_in_process(1, 2, 3, offsets_topic_replication_factor="1") as cluster:
        await filled(cluster)
        node = await commit(cluster, "g", 0)
        victim = next(n for n in (1, 2, 3) if n != node)
        remain = {str(i) for i in range(PARTITIONS) if cluster.leader("t", i) != victim}
        await cluster.kill(victim)
        with anyio.fail_after(LIVENESS_S):
            found = await Scrapers(cluster).scrape(node)
        assert {index for _, index in lags(found)} == remain
        # A sum that lacks something would be a lie.
        assert lags(found, f"{LAG}_sum") == {}


async def test_leaders_are_not_asked_again_within_a_few_seconds() -> None:
    async with brokers_in_process(1, 2, 3, offsets_topic_replication_factor="1") as cluster:
        await filled(cluster)
        services = cluster.services(1)
        clock = Skipping(services.clock)
        ends = LeaderEnds(Seen(services, clock))  # type: ignore[arg-type]
        away = [i for i in range(PARTITIONS) if cluster.leader("t", i) != 1]
        places = [TopicPartition("t", i) for i in range(PARTITIONS)]
        await ends.refresh([*places, None, *places])
        assert [ends.end(TopicPartition("t", i)) for i in away] == [i + 1 for i in away]
        assert all(ends.end(place) is None for place in places if place.partition not in away)
        await cluster.produce_for_sure(b"x", index=away[0])
        await ends.refresh(places)
        assert ends.end(TopicPartition("t", away[0])) == away[0] + 1
        clock.ahead_ms = FRESH_MS
        await ends.refresh(places)
        assert ends.end(TopicPartition("t", away[0])) == away[0] + 2


class Skipping:
    """A clock that can be put forward."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.ahead_ms = 0

    def monotonic_ms(self) -> int:
        return int(self._clock.monotonic_ms()) + self.ahead_ms

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


class Seen:
    """A broker's services by another clock."""

    def __init__(self, services: Any, clock: Skipping) -> None:
        self._services = services
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._services, name)
