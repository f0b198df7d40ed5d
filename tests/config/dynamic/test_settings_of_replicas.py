"""Settings that say who may lead and how many must have a record, changed in a cluster of two."""

from __future__ import annotations

import anyio
import pytest

from pykbroker.runtime.purgatory import FOLLOWER_FETCH
from pykbroker.state.follower import FetchPlan, Followed
from tests.support.dynamic_settings import NAME, Cluster, Member, Setting, changes, cluster, until
from wire.errors import ErrorCode
from wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponsePartition,
)

pytestmark = pytest.mark.anyio


async def partition(member: Member) -> MetadataResponsePartition:
    """The only one, as a client is told of it."""
    request = MetadataRequest(topics=[MetadataRequestTopic(name=NAME)])
    [topic] = (await member.ask(request, version=9)).topics
    [found] = topic.partitions
    return found  # type: ignore[no-any-return]


EVERYWHERE = ""
"""The cluster's default: this is the controller's business, whichever broker that is."""


@changes("min.insync.replicas", "min.insync.replicas")
async def test_too_few_replicas_in_sync_refuse_a_batch(setting: Setting) -> None:
    async with cluster() as brokers:
        first = await brokers.start(node=1)
        second = await brokers.start(node=2)
        await first.create(replicas=[1, 2])
        await second.stop()
        assert (await partition(first)).isr_nodes == [1]
        assert (await first.produce()).error_code == ErrorCode.NONE
        await first.alter(setting, 2, node=EVERYWHERE)
        assert (await first.produce()).error_code == ErrorCode.NOT_ENOUGH_REPLICAS
        await first.alter(setting, 1, node=EVERYWHERE)
        assert (await first.produce()).error_code == ErrorCode.NONE


@changes("unclean.leader.election.enable", "unclean.leader.election.enable")
async def test_a_replica_that_is_not_in_sync_may_lead(setting: Setting) -> None:
    async with cluster() as brokers:
        often = "unclean.leader.election.interval.ms=1000"
        first = await brokers.start(often, node=1)
        second = await brokers.start(often, node=2)
        await first.create(replicas=[1, 2])
        await second.stop()
        await first.produce()
        second = await brokers.start(often, node=2)
        await first.stop()
        assert (await partition(second)).leader_id == -1
        await second.alter(setting, "true", node=EVERYWHERE)
        while (await partition(second)).leader_id != 2:
            await anyio.sleep(0.01)


@changes(broker="num.replica.fetchers")
async def test_partitions_are_shared_by_more_fetchers(setting: Setting) -> None:
    async with cluster() as brokers:
        leader = await brokers.start(node=1)
        follower = await brokers.start(node=2)
        names = [NAME, chr(ord(NAME) + 1)]
        for name in names:
            await leader.create(name=name, replicas=[1, 2])
            await leader.produce(name=name)
        sessions = leader.broker.fetch_sessions
        assert len(sessions) == 1
        await follower.alter(setting, 2, node=EVERYWHERE)
        await until(lambda: len(sessions) == 2)
        for name in names:
            await leader.produce(name=name)
            assert follower.log(name).log_end_offset == 2


ONE_BATCH_A_FETCH = "replica.fetch.max.bytes=10"
LASTING = "replication.quota.window.size.seconds=1000"
"""What was sent once counts to the end of the test."""


async def behind_a_throttle(brokers: Cluster, setting: Setting) -> tuple[Member, Member]:
    """A leader with three batches, and a follower that may have the first of them."""
    leader = await brokers.start(LASTING, node=1)
    follower = await brokers.start(LASTING, ONE_BATCH_A_FETCH, node=2)
    await leader.create(replicas=[1, 2])
    await follower.stop()
    for _ in range(3):
        assert (await leader.produce()).error_code == ErrorCode.NONE
    for side in ("leader", "follower"):
        rate = Setting("broker", f"{side}.replication.throttled.rate")
        await leader.alter(rate, 0, node=EVERYWHERE)
    await leader.alter(setting, "0:1" if setting.name.startswith("leader") else "0:2")
    follower = await brokers.start(LASTING, ONE_BATCH_A_FETCH, node=2)
    await until(lambda: follower.log().log_end_offset == 1)
    return leader, follower


@changes("leader.replication.throttled.replicas")
async def test_a_throttled_leader_sends_a_late_follower_nothing(setting: Setting) -> None:
    async with cluster() as brokers:
        leader, follower = await behind_a_throttle(brokers, setting)
        expired = leader.broker.connections._broker.replicas.counts.expired
        before = expired[FOLLOWER_FETCH]
        await until(lambda: expired[FOLLOWER_FETCH] >= before + 3)
        assert follower.log().log_end_offset == 1
        await leader.alter(setting, "")
        await until(lambda: follower.log().log_end_offset == 3)


@changes("follower.replication.throttled.replicas")
async def test_a_throttled_follower_that_is_late_does_not_ask(setting: Setting) -> None:
    async with cluster() as brokers:
        leader, follower = await behind_a_throttle(brokers, setting)
        pauses: list[int] = []
        pause = FetchPlan.pause

        def noted(plan: FetchPlan, followed: Followed, until_ms: int) -> None:
            pauses.append(until_ms)
            pause(plan, followed, until_ms)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FetchPlan, "pause", noted)
            await until(lambda: len(pauses) >= 2)
        assert follower.log().log_end_offset == 1
        await leader.alter(setting, "")
        await until(lambda: follower.log().log_end_offset == 3)
