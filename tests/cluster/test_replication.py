"""Three brokers in one interpreter: what is acknowledged by all is on all of them, and stays."""

from __future__ import annotations

import pytest

from tests.support.brokers_in_process import agree, brokers_in_process
from wire.errors import ErrorCode


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio
ALL = (1, 2, 3)


async def test_what_all_in_sync_acknowledge_is_the_same_on_every_replica():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create(partitions=3)
        for index in range(3):
            for number in range(5):
                code, offset = await cluster.produce(b"%d" % number, b"x" * 100, index=index)
                assert (code, offset) == (ErrorCode.NONE, 2 * number)
        for index in range(3):
            assert len(cluster.log_bytes(1, index=index)) > 500
            assert cluster.are_identical(ALL, index=index)
            await agree(cluster, *ALL, index=index)


async def test_a_killed_leader_loses_nothing_that_was_acknowledged_and_joins_again():
    async with brokers_in_process(*ALL, min_insync_replicas="2") as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"before")
        first = cluster.leader()
        others = [n for n in ALL if n != first]
        await cluster.kill(first)
        await cluster.until(lambda: cluster.leader() in others, "another leader")
        await cluster.produce_for_sure(b"after")
        await agree(cluster, *others)
        assert cluster.isr() == set(others)
        await cluster.start(first)
        await cluster.until(lambda: cluster.isr() == set(ALL), "back in the ISR")
        await cluster.produce_for_sure(b"together")
        await agree(cluster, *ALL)
        assert cluster.log_bytes(first).count(b"before") == 1


async def test_a_clean_stop_hands_leadership_on_and_loses_no_time():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"one")
        first = cluster.leader()
        await cluster.stop(first)
        assert cluster.leader() not in (first, -1)
        assert first not in cluster.isr()
        await cluster.produce_for_sure(b"two")
        await cluster.start(first)
        await cluster.until(lambda: cluster.isr() == set(ALL), "back in the ISR")
        await agree(cluster, *ALL)


async def test_what_only_a_deposed_leader_had_is_cut_off():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"common")
        first = cluster.leader()
        # As if it had been cut off: nobody fetches this from it any more.
        for node in ALL:
            cluster.services(node).replicas.stop_replicating()
        code, _ = await cluster.produce(b"never replicated", acks=1)
        assert code is ErrorCode.NONE
        await cluster.kill(first)
        others = [n for n in ALL if n != first]
        for node in others:
            await cluster.stop(node)
        await cluster.start(*others)
        await cluster.until(lambda: cluster.leader() in others, "another leader")
        await cluster.produce_for_sure(b"instead")
        await cluster.start(first)
        await cluster.until(lambda: cluster.isr() == set(ALL), "back in the ISR")
        await agree(cluster, *ALL)
        assert b"never replicated" not in cluster.log_bytes(first)
        assert b"instead" in cluster.log_bytes(first)


async def test_a_follower_that_stops_fetching_leaves_the_isr_and_comes_back():
    async with brokers_in_process(*ALL, replica_lag_time_max_ms="500") as cluster:
        await cluster.create()
        await cluster.produce_for_sure(b"one")
        leader = cluster.leader()
        lazy = next(n for n in ALL if n != leader)
        manager = cluster.services(lazy).replicas
        make = manager._make_replication
        manager.stop_replicating()
        await cluster.produce_for_sure(b"two")
        assert cluster.isr() == set(ALL) - {lazy}
        assert cluster.partition(lazy).log_end_offset == 1
        manager.replicate(make)
        await cluster.until(lambda: cluster.isr() == set(ALL), "back in the ISR")
        await agree(cluster, *ALL)


async def test_too_few_in_sync_and_nothing_is_written():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create(min_insync_replicas=3)
        await cluster.produce_for_sure(b"one")
        gone = next(n for n in ALL if n != cluster.leader())
        await cluster.stop(gone)
        code, _ = await cluster.produce(b"two")
        assert code is ErrorCode.NOT_ENOUGH_REPLICAS
        assert cluster.partition(cluster.leader()).log_end_offset == 1
        await cluster.start(gone)
        await cluster.produce_for_sure(b"three")
        await agree(cluster, *ALL)


async def test_a_broker_that_forgets_everything_is_filled_again():
    async with brokers_in_process(*ALL) as cluster:
        await cluster.create()
        for number in range(10):
            await cluster.produce_for_sure(b"%d" % number)
        gone = cluster.leader()
        await cluster.kill(gone)
        del cluster.disks[gone]
        await cluster.start(gone)
        await cluster.until(lambda: cluster.isr() == set(ALL), "back in the ISR")
        await agree(cluster, *ALL)
        assert cluster.partition(gone).log_end_offset == 10
