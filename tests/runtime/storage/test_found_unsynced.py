"""What a killed process left in the page cache is held once it is synced, no sooner."""

from __future__ import annotations

from random import Random

import pytest

from pykbroker.state.log.checkpoints import Checkpoint
from pykbroker.state.log.names import LOG, segment_file
from tests.simulation.disk import SimDisk
from tests.support.faulty_disk import FaultyDisk
from tests.support.storage import LogBox, read_all


def killed(disk: FaultyDisk | SimDisk, **settings: object) -> LogBox:
    """Four records, the first two of them synced."""
    box = LogBox(disk, **settings)
    box.append(b"one")
    box.append(b"two")
    box.log.flush()
    box.append(b"three")
    box.append(b"four")
    disk.kill()
    return box


def test_with_flush_messages_only_what_was_synced_counts_after_a_crash() -> None:
    box = killed(FaultyDisk(), flush_messages=1)
    log = box.open(recover=True, checkpoint=Checkpoint(recovery_point=2))
    assert (log.log_end_offset, log.recovery_point, log.durable_end_offset) == (4, 2, 2)
    told: list[int] = []
    log.on_synced = lambda: told.append(log.durable_end_offset)
    assert box.upkeep.to_flush == [log], "a sync is asked for at once"
    box.upkeep.flush_all()
    assert (log.recovery_point, log.durable_end_offset, told) == (4, 4, [4])


def test_what_may_be_lost_by_the_setting_counts_unsynced() -> None:
    box = killed(FaultyDisk(), flush_messages=3)
    log = box.open(recover=True, checkpoint=Checkpoint(recovery_point=2))
    assert (log.log_end_offset, log.durable_end_offset) == (4, 4)
    assert box.upkeep.to_flush == []


def test_without_flush_messages_everything_found_counts() -> None:
    box = killed(FaultyDisk())
    assert box.open(recover=True).durable_end_offset == 4


def test_after_a_clean_stop_everything_found_counts_at_once() -> None:
    box = LogBox(FaultyDisk(), flush_messages=1)
    box.append(b"one")
    box.log.close()
    log = box.open(checkpoint=Checkpoint(recovery_point=1))
    assert (log.durable_end_offset, box.upkeep.to_flush) == (1, [])


def test_a_lost_recovery_point_never_counts_below_the_log_start() -> None:
    box = LogBox(FaultyDisk(), flush_messages=1, internal_segment_bytes=200)
    for _ in range(6):
        box.append(b"value")
    box.log.update_high_watermark(6)
    box.log.advance_log_start_offset(4)
    box.disk.kill()  # type: ignore[attr-defined]
    log = box.open(recover=True, checkpoint=Checkpoint(log_start_offset=4))
    assert (log.log_start_offset, log.recovery_point, log.durable_end_offset) == (4, 0, 4)


@pytest.mark.parametrize("seed", range(20))
def test_what_counts_survives_a_power_cut_right_after_a_crash(seed: int) -> None:
    """Also where the segment was new, and its name had not been synced either."""
    disk = SimDisk()
    box = killed(disk, flush_messages=1)
    box.log.roll()
    box.append(b"five")
    disk.kill()
    log = box.open(recover=True, checkpoint=Checkpoint(recovery_point=2))
    box.upkeep.flush_all()
    held = log.durable_end_offset
    assert held == 5
    disk.lose_power(Random(seed))
    assert disk.exists(f"{box.root}/t-0/{segment_file(4, LOG)}")
    assert box.open(recover=True).log_end_offset == held


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_counts_is_lost_when_the_power_goes_before_the_sync(seed: int) -> None:
    disk = SimDisk()
    box = killed(disk, flush_messages=1)
    held = box.open(recover=True, checkpoint=Checkpoint(recovery_point=2)).durable_end_offset
    disk.lose_power(Random(seed))
    assert box.open(recover=True).log_end_offset >= held


def truncated_and_gone_on(disk: SimDisk, *, in_new_segment: bool, killed: bool) -> LogBox:
    """Synced records of one leader are cut off, and synced ones of the next stand there."""
    box = LogBox(disk, flush_messages=1)
    for value in (b"one", b"two", b"three"):
        box.append(value)
    box.log.roll()
    box.append(b"four")
    box.append(b"five")
    box.log.flush()
    box.log.truncate_to(1)
    if in_new_segment:
        box.log.roll()
    if killed:
        disk.kill()
        box.open(recover=True, checkpoint=Checkpoint(recovery_point=1))
    for value in (b"TWO", b"THREE", b"FOUR"):
        box.append(value)
    box.log.flush()
    return box


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("in_new_segment", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_what_was_cut_off_does_not_come_back(seed: int, in_new_segment: bool, killed: bool) -> None:
    """Not in the segment that was cut and is written to no more, nor with one that was removed."""
    disk = SimDisk()
    box = truncated_and_gone_on(disk, in_new_segment=in_new_segment, killed=killed)
    disk.lose_power(Random(seed))
    box.open(recover=True, checkpoint=Checkpoint(recovery_point=4))
    assert [r.value for r in read_all(box.log)] == [b"one", b"TWO", b"THREE", b"FOUR"]
