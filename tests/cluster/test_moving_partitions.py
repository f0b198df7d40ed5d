"""Replicas that move, leaders that change, elections that lose data only where that is allowed."""

from __future__ import annotations

import pytest

from tests.support.brokers_in_process import Cluster, agree, brokers_in_process
from wire.errors import ErrorCode
from wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio
ALL = (1, 2, 3)


async def reassign(cluster: Cluster, *replicas: int) -> None:
    request = AlterPartitionReassignmentsRequest(
        topics=[
            ReassignableTopic(
                name="t",
                partitions=[ReassignablePartition(partition_index=0, replicas=list(replicas))],
            )
        ]
    )
    response = await cluster.ask(next(iter(cluster.running)), request)
    assert response.responses[0].partitions[0].error_code == 0


def image_of(cluster: Cluster):
    node = next(iter(cluster.running))
    return cluster.services(node).images.current.topics["t"].partitions[0]


async def test_a_partition_moves_to_brokers_that_did_not_hold_it():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create(factor=1)
        for number in range(20):
            await cluster.produce_for_sure(b"%d" % number)
        held_by = cluster.leader()
        data = cluster.log_bytes(held_by)
        wanted = [n for n in ALL if n != held_by]
        await reassign(cluster, *wanted)
        await cluster.until(
            lambda: (
                image_of(cluster).replicas == tuple(wanted)
                and not image_of(cluster).adding
                and not image_of(cluster).removing
            ),
            "moved",
        )
        assert cluster.isr() == set(wanted)
        await cluster.until(lambda: cluster.leader() in wanted)
        await agree(cluster, *wanted)
        assert cluster.log_bytes(wanted[0]) == data
        disk = cluster.disks[held_by]
        await cluster.until(lambda: "t-0" not in disk.listdir("/logs"), "the old log is gone")
        assert await cluster.produce_for_sure(b"after") == 20


async def test_leadership_goes_back_to_the_preferred_replica():
    async with brokers_in_process(*ALL, leader_imbalance_check_interval_seconds="1") as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"one")
        preferred = cluster.leader()
        await cluster.stop(preferred)
        await cluster.produce_for_sure(b"two")
        assert cluster.leader() != preferred
        await cluster.start(preferred)
        await cluster.until(lambda: cluster.leader() == preferred, "the preferred leader")
        await cluster.produce_for_sure(b"three")
        await agree(cluster, *ALL)


async def test_without_anybody_in_sync_there_is_no_leader_until_one_comes_back():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"all have this")
        late, *rest = (n for n in ALL if n != cluster.leader())
        await cluster.stop(late)
        await cluster.produce_for_sure(b"two have this")
        await cluster.stop(rest[0])
        await cluster.produce_for_sure(b"one has this")
        last = cluster.leader()
        await cluster.stop(last)
        await cluster.start(late)
        assert cluster.leader() == -1
        await cluster.start(last)
        await cluster.until(lambda: cluster.leader() == last, "the one that has everything")
        await cluster.until(lambda: cluster.isr() == {late, last})
        await agree(cluster, late, last)
        assert b"one has this" in cluster.log_bytes(late)


async def test_an_unclean_election_makes_the_others_forget_what_its_leader_never_had():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create(unclean_leader_election_enable="false")
        await cluster.produce_for_sure(b"all have this")
        late, other = (n for n in ALL if n != cluster.leader())
        await cluster.stop(late)
        await cluster.stop(other)
        await cluster.produce_for_sure(b"the leader alone", b"has these")
        last = cluster.leader()
        await cluster.stop(last)
        await cluster.start(late)
        assert cluster.leader() == -1
        response = await cluster.ask(
            late,
            ElectLeadersRequest(
                election_type=1,
                topic_partitions=[TopicPartitions(topic="t", partitions=[0])],
                timeout_ms=10_000,
            ),
        )
        assert response.replica_election_results[0].partition_result[0].error_code == 0
        await cluster.until(lambda: cluster.leader() == late)
        await cluster.produce_for_sure(b"instead")
        await cluster.start(last)
        await cluster.until(lambda: cluster.isr() == {late, last})
        await agree(cluster, late, last)
        assert not image_of(cluster).recovering
        assert b"has these" not in cluster.log_bytes(last)
        assert b"instead" in cluster.log_bytes(last)


async def test_a_topic_deleted_while_it_is_fetched_leaves_nothing_behind():
    async with brokers_in_process(*ALL, log_segment_delete_delay_ms="0") as cluster:
        from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

        await cluster.create()
        await cluster.produce_for_sure(b"old")
        response = await cluster.ask(
            1, DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], timeout_ms=10_000)
        )
        assert response.responses[0].error_code == 0
        await cluster.until(
            lambda: all(
                "t" not in cluster.services(n).images.current.topics
                and not any(name.startswith("t-0") for name in disk.listdir("/logs"))
                for n, disk in cluster.disks.items()
            ),
            "gone everywhere",
        )
        await cluster.create()
        assert await cluster.produce_for_sure(b"new") == 0
        await agree(cluster, *ALL)
        code, offset = await cluster.produce(b"newer")
        assert (code, offset) == (ErrorCode.NONE, 1)
