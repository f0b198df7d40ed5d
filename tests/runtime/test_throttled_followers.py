"""KIP-73 as a follower: what is left out of the next fetch while the quota is exceeded."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from pykbroker.runtime.figures.rates import Rates
from pykbroker.runtime.figures.replication import replication_samples
from pykbroker.runtime.follower import Followers
from pykbroker.runtime.throttles import Throttles
from tests.support.data_path import ME, DataPath, batch, broker_image, partition_image
from tests.support.scraped import scrape, value
from wire.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wire.messages.fetch import FetchRequest

pytestmark = pytest.mark.anyio

LEADER = 2
VALUE = b"v" * 1_000
RATE = "follower.replication.throttled.rate"
BACKOFF_MS = 1_000
"""replica.fetch.backoff.ms"""


class Asked:
    """One fetch that waits for the test to answer it."""

    def __init__(self, request: FetchRequest) -> None:
        self.request = request
        self.response: FetchResponse | None = None
        self.answered = anyio.Event()

    @property
    def indexes(self) -> list[int]:
        return [p.partition for topic in self.request.topics for p in topic.partitions]

    @property
    def forgotten(self) -> list[int]:
        return [i for topic in self.request.forgotten_topics_data for i in topic.partitions]


class Link:
    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def call(self, request: FetchRequest, *, timeout_ms: int) -> FetchResponse:
        asked = Asked(request)
        self.asked.append(asked)
        await asked.answered.wait()
        assert asked.response is not None
        return asked.response

    def close(self) -> None:
        pass


class Links:
    def __init__(self) -> None:
        self.link = Link()

    def open(self, node_id: int, purpose: str) -> Any:
        assert node_id == LEADER
        return self.link


class Follower:
    """Of a topic with two partitions, the first of which is throttled here."""

    def __init__(self, throttled: str = "0:1", limit: int | None = 1_500) -> None:
        path = self.path = DataPath(brokers=[broker_image(1), broker_image(LEADER)])
        self.clock = path.clock
        images = [partition_image(leader=LEADER, replicas=(LEADER, 1)) for _ in range(2)]
        self.id = path.create("t", images, **{"follower.replication.throttled.replicas": throttled})
        self.throttles = Throttles(ME, cast("Any", path.clock), path.settings)
        if limit is not None:
            self.limit(limit)
        links = Links()
        self.link = links.link
        self.followers = Followers(
            node_id=ME,
            clock=cast("Any", path.clock),
            settings=path.settings,
            throttles=self.throttles,
            wakeups=path.replicas.wakeups,
            traffic=path.replicas.traffic,
            links=cast("Any", links),
            broker_epoch=lambda: 11,
        )

    def limit(self, rate: int | None) -> None:
        own = {} if rate is None else {RATE: str(rate)}
        assert self.path.settings.update(own, {}) == []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        for partition in self.path.replicas.partitions():
            self.followers.follow(partition)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.followers.run)
            yield
            tasks.cancel_scope.cancel()

    async def asks(self) -> Asked | None:
        """The fetch that waits now; None while it asks for nothing."""
        for _ in range(20):
            await checkpoint()
        waiting = [asked for asked in self.link.asked if not asked.answered.is_set()]
        assert len(waiting) <= 1
        return waiting[0] if waiting else None

    async def fetch(self) -> Asked:
        asked = await self.asks()
        assert asked is not None
        return asked

    def answer(self, asked: Asked, *partitions: PartitionData) -> None:
        topics = [FetchableTopicResponse(topic_id=self.id, partitions=list(partitions))]
        asked.response = FetchResponse(session_id=7, responses=topics if partitions else [])
        asked.answered.set()

    def data(self, index: int, *, committed: int, count: int = 0) -> PartitionData:
        """``count`` batches, from where the log ends; ``committed`` is the leader's word."""
        records = b""
        for offset in range(self.end(index), self.end(index) + count):
            one = batch(VALUE)
            one[:8] = offset.to_bytes(8, "big")
            one[12:16] = bytes(4)  # leader epoch
            records += bytes(one)
        return PartitionData(
            partition_index=index, high_watermark=committed, log_start_offset=0, records=records
        )

    def end(self, index: int) -> int:
        return self.path.partition("t", index).log_end_offset


async def exceeded(follower: Follower) -> None:
    """Two batches have come for partition 0, and more are there."""
    first = await follower.fetch()
    assert first.indexes == [0, 1]
    follower.answer(
        first, follower.data(0, committed=10, count=2), follower.data(1, committed=10, count=1)
    )


async def test_what_is_throttled_and_behind_is_left_out_and_the_rest_goes_on() -> None:
    follower = Follower()
    async with follower.running():
        await exceeded(follower)
        next_one = await follower.fetch()
        assert (next_one.indexes, next_one.forgotten) == ([1], [0])
        assert [follower.end(0), follower.end(1)] == [2, 1]
        follower.answer(next_one, follower.data(1, committed=10, count=1))
        another = await follower.fetch()
        assert another.indexes == [1]


async def test_it_is_asked_for_again_once_the_rate_has_fallen() -> None:
    follower = Follower()
    async with follower.running():
        await exceeded(follower)
        waiting = await follower.fetch()
        assert waiting.request.max_wait_ms <= BACKOFF_MS
        follower.clock.advance(BACKOFF_MS)
        follower.answer(waiting)
        waiting = await follower.fetch()
        assert waiting.indexes == [], "two batches in one second are too many still"
        follower.clock.advance(BACKOFF_MS)
        follower.answer(waiting)
        waiting = await follower.fetch()
        assert waiting.indexes == [0]


async def test_with_nothing_else_to_ask_for_it_asks_for_nothing_until_then() -> None:
    follower = Follower("*")
    async with follower.running():
        await exceeded(follower)
        # Three batches have come, which are too many for two seconds.
        for _ in range(3):
            assert await follower.asks() is None
            follower.clock.advance(BACKOFF_MS - 1)
            assert await follower.asks() is None
            follower.clock.advance(1)
        assert sorted((await follower.fetch()).indexes) == [0, 1]


async def test_who_has_all_that_is_committed_is_in_sync_and_not_left_out() -> None:
    follower = Follower()
    async with follower.running():
        first = await follower.fetch()
        follower.answer(first, follower.data(0, committed=2, count=2))
        assert 0 in (await follower.fetch()).indexes


async def test_an_empty_answer_changes_nothing_of_that() -> None:
    """As in Kafka: the first answer says how far behind it is, then those that bring records."""
    follower = Follower()
    async with follower.running():
        follower.answer(await follower.fetch(), follower.data(0, committed=2, count=2))
        follower.answer(await follower.fetch(), follower.data(0, committed=9))
        follower.throttles.received(10_000)
        asked = await follower.fetch()
        assert asked.forgotten == []
        follower.answer(asked, follower.data(0, committed=9, count=1))
        assert (await follower.fetch()).forgotten == [0]


async def test_before_the_first_answer_nobody_is_in_sync() -> None:
    follower = Follower()
    follower.throttles.received(10_000)
    async with follower.running():
        assert (await follower.fetch()).indexes == [1]


async def test_what_comes_for_replicas_in_sync_counts_as_well() -> None:
    follower = Follower()
    async with follower.running():
        follower.answer(
            await follower.fetch(),
            follower.data(0, committed=2, count=2),
            follower.data(1, committed=5, count=5),
        )
        await follower.fetch()
        rate = follower.throttles.follower.rate(follower.clock.now_ms)
        assert 2_000 < rate < 3_000, "and what is not throttled does not"


async def test_how_far_it_is_behind_is_told_by_partition() -> None:
    follower = Follower()
    async with follower.running():
        follower.answer(
            await follower.fetch(),
            follower.data(0, committed=9, count=2),
            follower.data(1, committed=5, count=5),
        )
        await follower.fetch()
        isr_updates = SimpleNamespace(shrinks=1, expansions=2, failures=3)
        replication = SimpleNamespace(
            isr_updates=isr_updates, throttles=follower.throttles, followers=follower.followers
        )
        broker: Any = SimpleNamespace(
            replicas=SimpleNamespace(replication=replication), clock=follower.clock
        )
        now_ms = follower.clock.now_ms
        found = scrape(replication_samples(broker, Rates(now_ms - 1_000)))
    lag, manager = (
        "kafka_server_fetcherlagmetrics_consumerlag",
        "kafka_server_replicafetchermanager_",
    )
    lags = {
        dict(labels)["partition"]: number for (name, labels), number in found.items() if name == lag
    }
    assert lags == {"0": 7, "1": 0}
    assert value(found, f"{manager}maxlag", clientId="Replica") == 7
    assert value(found, f"{manager}minfetchrate", clientId="Replica") == 1
    assert value(found, f"{manager}failedpartitionscount", clientId="Replica") == 0
    assert value(found, "kafka_server_replicamanager_isrexpands_total") == 2


async def test_all_that_comes_is_counted_throttled_or_not() -> None:
    follower = Follower()
    parts = [follower.data(0, committed=2, count=2), follower.data(1, committed=5, count=5)]
    async with follower.running():
        follower.answer(await follower.fetch(), *parts)
        await follower.fetch()
        traffic = follower.path.replicas.traffic
        assert traffic.replicated_in == sum(len(part.records or b"") for part in parts) > 0
        assert traffic.reassigned_in == 0


@pytest.mark.parametrize(
    ("throttled", "limit"), [("*", None), ("0:1", None), ("0:2,1:2", 1_500), ("", 1_500)]
)
async def test_without_a_rate_or_a_name_nothing_is_left_out(
    throttled: str, limit: int | None
) -> None:
    follower = Follower(throttled, limit)
    follower.throttles.received(10_000)
    async with follower.running():
        await exceeded(follower)
        assert (await follower.fetch()).indexes == [0, 1]


async def test_a_throttle_that_is_taken_away_ends_with_the_pause() -> None:
    follower = Follower("*", limit=1)
    async with follower.running():
        await exceeded(follower)
        assert await follower.asks() is None
        follower.limit(None)
        follower.clock.advance(BACKOFF_MS)
        assert (await follower.fetch()).indexes == [0, 1]
