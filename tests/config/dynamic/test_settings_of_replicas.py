"""Settings that say who may lead and how many must have a record, changed in a cluster of two."""

from __future__ import annotations

import anyio
import pytest

from tests.support.dynamic_settings import NAME, Member, Setting, changes, cluster, until
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
