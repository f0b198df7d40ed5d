"""What followers are asked: consumers nearby, records deleted everywhere, syncs that count."""

from __future__ import annotations

import anyio
import pytest

from tests.support.brokers_in_process import agree, brokers_in_process
from wire.errors import ErrorCode
from wire.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio
ALL = (1, 2, 3)
RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"


async def test_a_consumer_reads_from_the_replica_in_its_rack():
    async with brokers_in_process(replica_selector_class=RACK_AWARE) as cluster:
        for node in ALL:
            await cluster.start(node, broker_rack=f"rack{node}")
        await cluster.create()
        await cluster.produce_for_sure(b"one")
        leader = cluster.leader()
        near = next(n for n in ALL if n != leader)
        await agree(cluster, *ALL)
        told = await cluster.fetch(leader, 0, rack_id=f"rack{near}")
        assert told.preferred_read_replica == near
        assert not told.records
        here = await cluster.fetch(leader, 0, rack_id=f"rack{leader}")
        assert here.preferred_read_replica == -1
        read = await cluster.fetch(near, 0, rack_id=f"rack{near}")
        assert read.error_code == ErrorCode.NONE
        assert bytes(read.records) == cluster.log_bytes(leader)


async def test_a_consumer_that_waits_at_a_follower_is_woken_by_the_high_watermark():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"one")
        await agree(cluster, *ALL)
        near = next(n for n in ALL if n != cluster.leader())
        found = []

        async def read() -> None:
            found.append(await cluster.fetch(near, 1, max_wait_ms=20_000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await cluster.until(lambda: cluster.partition(near)._fetches)
            await cluster.produce_for_sure(b"two")
        assert b"two" in bytes(found[0].records)


async def test_what_a_follower_does_not_have_yet_is_out_of_range_for_who_knows_epochs_alone():
    """Consumers without epochs, whose metadata are old, would begin anew else."""
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"one")
        await agree(cluster, *ALL)
        leader = cluster.leader()
        follower = next(n for n in ALL if n != leader)
        epoch = cluster.partition(leader).leader_epoch
        told = await cluster.fetch(follower, 99)
        assert (told.error_code, told.high_watermark, bytes(told.records)) == (
            ErrorCode.NONE,
            1,
            b"",
        )
        for node, known in ((follower, epoch), (leader, -1), (leader, epoch)):
            told = await cluster.fetch(node, 99, leader_epoch=known)
            assert told.error_code == ErrorCode.OFFSET_OUT_OF_RANGE


async def test_records_are_deleted_on_all_replicas_before_that_is_answered():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        for number in range(5):
            await cluster.produce_for_sure(b"%d" % number)
        request = DeleteRecordsRequest(
            topics=[
                DeleteRecordsTopic(
                    name="t", partitions=[DeleteRecordsPartition(partition_index=0, offset=3)]
                )
            ],
            timeout_ms=10_000,
        )
        response = await cluster.ask(cluster.leader(), request)
        result = response.topics[0].partitions[0]
        assert (result.error_code, result.low_watermark) == (ErrorCode.NONE, 3)
        assert [cluster.partition(n).log_start_offset for n in ALL] == [3, 3, 3]


async def test_a_replica_that_begins_within_a_batch_gets_it_whole():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        await cluster.produce_for_sure(*(b"%d" % n for n in range(10)))
        gone = next(n for n in ALL if n != cluster.leader())
        await cluster.stop(gone)
        request = DeleteRecordsRequest(
            topics=[
                DeleteRecordsTopic(
                    name="t", partitions=[DeleteRecordsPartition(partition_index=0, offset=4)]
                )
            ],
            timeout_ms=10_000,
        )
        response = await cluster.ask(cluster.leader(), request)
        assert response.topics[0].partitions[0].error_code == 0
        del cluster.disks[gone]
        await cluster.start(gone)
        await cluster.until(lambda: cluster.isr() == set(ALL))
        await cluster.until(lambda: cluster.partition(gone).log_start_offset == 4)
        assert cluster.partition(gone).log_end_offset == 10
        await cluster.produce_for_sure(b"more")
        await cluster.until(lambda: cluster.partition(gone).high_watermark == 11)


async def test_with_flush_messages_a_follower_holds_only_what_is_synced():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create(flush_messages=1)
        for number in range(20):
            code, _ = await cluster.produce(b"%d" % number)
            assert code is ErrorCode.NONE
            held = [cluster.partition(n).log.recovery_point for n in ALL]
            assert min(held) == number + 1
        await agree(cluster, *ALL)


async def test_a_new_leader_does_not_say_its_end_before_it_knows_what_is_committed():
    async with brokers_in_process(*ALL, leader_imbalance_check_interval_seconds="300") as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"one")
        old = cluster.leader()
        others = [n for n in ALL if n != old]
        for node in others:
            # No follower learns that "two" is committed, nor fetches from the next leader.
            partition = cluster.partition(node)
            await cluster.until(lambda p=partition: p.high_watermark == 1)
        await cluster.produce_for_sure(b"two")
        for node in others:
            cluster.services(node).replicas.stop_replicating()
        assert {cluster.partition(n).log_end_offset for n in others} == {2}
        lagging = [n for n in others if cluster.partition(n).high_watermark == 1]
        await cluster.kill(old)
        await cluster.until(lambda: cluster.leader() in others)
        leader = cluster.leader()
        request = ListOffsetsRequest(
            replica_id=-1,
            topics=[
                ListOffsetsTopic(
                    name="t", partitions=[ListOffsetsPartition(partition_index=0, timestamp=-1)]
                )
            ],
        )
        await cluster.until(lambda: cluster.partition(leader).is_leader)
        response = await cluster.ask(leader, request)
        found = response.topics[0].partitions[0]
        if leader in lagging:
            assert found.error_code == ErrorCode.OFFSET_NOT_AVAILABLE
        else:
            assert found.offset == 2
