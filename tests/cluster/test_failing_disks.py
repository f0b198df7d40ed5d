"""A broker whose last log directory has failed halts, and others lead what it led."""

from __future__ import annotations

import errno

import pytest

from tests.support.brokers_in_process import Cluster, agree, brokers_in_process
from tests.support.faulty_disk import FaultyDisk
from wire.errors import ErrorCode

pytestmark = pytest.mark.anyio
ALL = (1, 2, 3)


async def three_brokers(cluster: Cluster) -> dict[int, FaultyDisk]:
    """With one record in all three; their disks."""
    disks = {node: FaultyDisk() for node in ALL}
    cluster.disks.update(disks)
    await cluster.start(*ALL)
    await cluster.create()
    await cluster.produce_for_sure(b"before")
    return disks


async def test_others_lead_what_a_broker_without_a_log_directory_led():
    async with brokers_in_process(min_insync_replicas="2") as cluster:
        disks = await three_brokers(cluster)
        first = cluster.leader()
        others = [node for node in ALL if node != first]
        disks[first].refusals["append"] = errno.EIO
        code, _ = await cluster.produce(b"refused", node=first)
        assert code is ErrorCode.KAFKA_STORAGE_ERROR
        await cluster.until(lambda: first not in cluster.running, "it has halted")
        assert cluster.halted == {
            first: "Shutdown broker because all log dirs in /logs have failed"
        }
        # Nobody was told, as with a crash: its session has to end.
        assert not disks[first].exists("/logs/.kafka_cleanshutdown")
        await cluster.until(lambda: cluster.leader() in others, "another leader")
        await cluster.produce_for_sure(b"after")
        await agree(cluster, *others)
        disks[first].refusals.clear()
        disks[first].kill()
        await cluster.start(first)
        await cluster.until(lambda: cluster.isr() == set(ALL), "back in the ISR")
        await agree(cluster, *ALL)
        assert b"refused" not in cluster.log_bytes(first)


async def test_a_follower_without_a_log_directory_halts_and_leaves_the_isr():
    async with brokers_in_process(min_insync_replicas="2") as cluster:
        disks = await three_brokers(cluster)
        first = cluster.leader()
        follower = next(node for node in ALL if node != first)
        disks[follower].refusals["append"] = errno.EIO
        await cluster.produce_for_sure(b"after")
        await cluster.until(lambda: follower in cluster.halted, "it has halted")
        await cluster.until(lambda: cluster.isr() == set(ALL) - {follower}, "out of the ISR")
        assert cluster.leader() == first


async def test_a_clean_stop_that_cannot_write_is_not_called_one(monkeypatch: pytest.MonkeyPatch):
    disk = FaultyDisk()
    async with brokers_in_process() as cluster:
        cluster.disks[1] = disk
        await cluster.start(1)
        await cluster.create(factor=1)
        await cluster.produce_for_sure(b"one")
        logs = cluster.broker(1).logs
        close = logs.close

        async def close_on_a_broken_disk(broker_epoch: int) -> None:
            disk.refusals["sync"] = errno.EIO
            await close(broker_epoch)

        monkeypatch.setattr(logs, "close", close_on_a_broken_disk)
        await cluster.stop(1)
        assert not any(logs.live_directories())
        assert cluster.halted == {}
        assert not disk.exists("/logs/.kafka_cleanshutdown")
