"""What the controller elects without being asked, each kind at its own interval."""

from __future__ import annotations

import pytest

from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.ports import Put
from pykbroker.runtime.figures.cluster import controller_samples
from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import encode_value
from pykbroker.state.controller.image import ConfigResource
from pykbroker.state.controller.replay import partition_record
from tests.support.cluster_images import partition, topic_id
from tests.support.faulty_store import FaultyStore, Process, idle, running, until
from tests.support.manual_clock import ManualClock
from tests.support.scraped import scrape, value
from wire.messages.metadata_records import ConfigRecord, TopicRecord

pytestmark = pytest.mark.anyio

TOPIC = topic_id(1)
UNCLEAN, IMBALANCED = 0, 1
TICK_MS = 250


class World:
    """Broker 1, which follows partition 0, whose ISR is gone, and should lead partition 1."""

    def __init__(self, **settings: str) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        named = {name.replace("_", "."): value for name, value in settings.items()}
        self.broker = Process(1, FaultyStore(self.store), self.clock, settings=named)

    async def started(self) -> None:
        """And only then the partitions come, so that no registration elects for them."""
        await until(lambda: self.broker.is_unfenced)
        await self.store.transact(
            (),
            [
                Put(
                    keys.partition_key(TOPIC, UNCLEAN),
                    encode_value(
                        partition_record(TOPIC, UNCLEAN, partition([3, 1], leader=-1, isr=[3]))
                    ),
                ),
                Put(
                    keys.partition_key(TOPIC, IMBALANCED),
                    encode_value(
                        partition_record(TOPIC, IMBALANCED, partition([1, 3], leader=3, isr=[1, 3]))
                    ),
                ),
                Put(keys.topic_key("t"), encode_value(TopicRecord(name="t", topic_id=TOPIC))),
            ],
        )
        await until(lambda: "t" in self.broker.images.current.topics)

    async def allow_unclean(self) -> None:
        name = "unclean.leader.election.enable"
        record = ConfigRecord(resource_type=2, resource_name="t", name=name, value="true")
        await self.store.transact(
            (), [Put(keys.config_key(ConfigResource(2, "t"), name), encode_value(record))]
        )
        await idle()

    def leader(self, index: int) -> int:
        return self.broker.images.current.topics["t"].partitions[index].leader

    async def elected_after_ms(self, index: int, leader: int) -> int:
        start = self.clock.now_ms
        while self.leader(index) != leader:
            self.clock.advance(TICK_MS)
            await idle()
        return self.clock.now_ms - start


async def test_leaders_are_counted_and_those_that_may_lack_something() -> None:
    world = World()
    async with running(world.broker):
        await world.started()
        await world.allow_unclean()
        counts = world.broker.controller.counts
        await world.elected_after_ms(IMBALANCED, 1)
        await world.elected_after_ms(UNCLEAN, 1)
        await idle()
        found = scrape(controller_samples(counts))
        stats = "kafka_controller_controllerstats_"
        assert value(found, f"{stats}leaderelectionrateandtimems_count") == 2
        assert value(found, f"{stats}uncleanleaderelections_total") == 1
        assert value(found, f"{stats}leaderelectionrateandtimems", quantile="0.99") == 0


async def test_each_kind_has_its_interval() -> None:
    world = World(
        unclean_leader_election_interval_ms="8000", leader_imbalance_check_interval_seconds="3"
    )
    async with running(world.broker):
        await world.started()
        await world.allow_unclean()
        assert await world.elected_after_ms(IMBALANCED, 1) <= 3_000
        assert world.leader(UNCLEAN) == -1
        assert 4_000 <= await world.elected_after_ms(UNCLEAN, 1) <= 5_000 + TICK_MS


async def test_nobody_is_elected_uncleanly_until_that_is_allowed() -> None:
    world = World(
        unclean_leader_election_interval_ms="1000", leader_imbalance_check_interval_seconds="3600"
    )
    async with running(world.broker):
        await world.started()
        for _ in range(20):
            world.clock.advance(TICK_MS)
            await idle()
        assert world.leader(UNCLEAN) == -1
        await world.allow_unclean()
        assert await world.elected_after_ms(UNCLEAN, 1) <= 1_000 + TICK_MS
        assert world.leader(IMBALANCED) == 3


async def test_without_balancing_unclean_elections_go_on() -> None:
    world = World(
        unclean_leader_election_interval_ms="1000",
        leader_imbalance_check_interval_seconds="1",
        auto_leader_rebalance_enable="false",
    )
    async with running(world.broker):
        await world.started()
        await world.allow_unclean()
        assert await world.elected_after_ms(UNCLEAN, 1) <= 1_000 + TICK_MS
        assert world.leader(IMBALANCED) == 3
