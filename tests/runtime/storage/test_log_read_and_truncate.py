from __future__ import annotations

import errno
from typing import Any

import pytest

from pykbroker.runtime.storage.lookup import (
    EARLIEST,
    EARLIEST_LOCAL,
    EARLIEST_PENDING_UPLOAD,
    LATEST,
    LATEST_TIERED,
    MAX_TIMESTAMP,
)
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.checkpoints import Checkpoint
from tests.support.faulty_disk import Crash, FaultyDisk
from tests.support.storage import START_MS, LogBox, batch, config, read_all
from wire.errors import ErrorCode
from wire.records.batch import BATCH_LENGTH, iter_headers


def bases(records: Any) -> list[int]:
    return [header.base_offset for _, header in iter_headers(records)]


@pytest.fixture
def box() -> LogBox:
    """Ten batches of two records, 172 bytes each."""
    box = LogBox(FaultyDisk(), index_interval_bytes=400)
    for number in range(10):
        box.clock.now_ms += 10
        box.append(b"v%d" % number, bytes(100))
    return box


def test_a_read_begins_with_the_batch_that_holds_the_offset(box: LogBox) -> None:
    for offset in range(20):
        assert bases(box.log.read(offset, 1 << 20).records)[0] == offset - offset % 2


def test_a_read_brings_whole_batches_of_at_most_the_bytes_asked_for(box: LogBox) -> None:
    size = len(box.log.read(0, 1 << 20).records) // 10
    for limit in range(0, 5 * size, 7):
        assert len(box.log.read(4, limit).records) == limit // size * size


@pytest.fixture
def positions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where the files of logs are read."""
    found: list[int] = []
    kind = type(FaultyDisk().open("/file", create=True))
    pread = kind.pread

    def noted(self: Any, at: int, count: int) -> bytes:
        found.append(at)
        return pread(self, at, count)

    monkeypatch.setattr(kind, "pread", noted)
    return found


@pytest.mark.parametrize("interval", [1, 200, 400, 1 << 20])
@pytest.mark.parametrize("spare", [0, 1, 60, 171])
def test_whoever_reads_on_is_not_looked_up_again(
    positions: list[int], interval: int, spare: int
) -> None:
    """However many of the batches are in the index, and wherever in a batch the limit lies; and
    though others read elsewhere meanwhile."""
    box = LogBox(FaultyDisk(), index_interval_bytes=interval)
    for number in range(20):
        box.append(b"v%02d" % number, bytes(100))
    size = len(box.log.read(0, 1 << 20).records) // 20
    box.open()
    limit = 2 * size + spare
    for offset in (0, 12):
        assert bases(box.log.read(offset, limit).records) == [offset, offset + 2]
    positions.clear()
    for offset in (4, 16, 8, 20):
        assert bases(box.log.read(offset, limit).records) == [offset, offset + 2]
    assert positions == [2 * size, 8 * size, 4 * size, 10 * size], "records only"


def test_whoever_takes_batches_larger_than_the_limit_is_not_looked_up_again(
    box: LogBox, positions: list[int]
) -> None:
    size = len(box.log.read(0, 1 << 20).records) // 10
    box.open()
    for offset in range(0, 10, 2):
        positions.clear()
        assert bases(box.log.read(offset, 60, min_one_batch=True).records) == [offset]
    assert set(positions) == {4 * size}, "the records and what tells their size"


def test_where_a_read_ended_is_forgotten_when_the_log_is_cut(box: LogBox) -> None:
    size = len(box.log.read(0, 1 << 20).records) // 10
    assert bases(box.log.read(4, 4 * size).records) == [4, 6, 8, 10]
    box.log.truncate_to(7)
    for number in range(8):
        box.append(b"other%d" % number, bytes(300))
    assert bases(box.log.read(12, 1 << 20, min_one_batch=True).records)[0] == 12


def test_one_batch_comes_however_small_the_limit(box: LogBox) -> None:
    for limit in (0, 1, 26, 27, 60, 100):
        assert bases(box.log.read(5, limit, min_one_batch=True).records) == [4]


@pytest.mark.parametrize(
    ("bound", "last"), [(20, 18), (12, 10), (11, 8), (5, 2), (4, 2), (3, None)]
)
def test_nothing_beyond_the_bound_is_read(box: LogBox, bound: int, last: int | None) -> None:
    found = bases(box.log.read(2, 1 << 20, upper_bound=bound, min_one_batch=True).records)
    assert found[-1:] == ([] if last is None else [last])
    reopened = box.open(recover=True)
    again = reopened.read(2, 1 << 20, upper_bound=bound, min_one_batch=True).records
    assert bases(again) == found


def test_the_end_of_the_log_is_empty_and_what_is_beyond_is_refused(box: LogBox) -> None:
    assert box.log.read(20, 100, min_one_batch=True).records == b""
    for offset in (-1, 21):
        with pytest.raises(KafkaError) as error:
            box.log.read(offset, 100)
        assert error.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


def test_deleted_records_are_out_of_range(box: LogBox) -> None:
    box.log.update_high_watermark(20)
    assert box.log.advance_log_start_offset(7)
    assert box.upkeep.moved_starts == 1
    assert box.log.leader_epochs.entries == ((0, 7),)
    with pytest.raises(KafkaError) as error:
        box.log.read(6, 100)
    assert error.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
    found = box.log.read(7, 100, min_one_batch=True)
    assert (bases(found.records), found.log_start_offset) == ([6], 7)
    assert not box.log.advance_log_start_offset(7)
    assert not box.log.advance_log_start_offset(3)


def test_records_above_the_high_watermark_cannot_be_deleted(box: LogBox) -> None:
    box.log.update_high_watermark(5)
    with pytest.raises(KafkaError) as error:
        box.log.advance_log_start_offset(6)
    assert error.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
    assert box.log.log_start_offset == 0


def test_a_read_says_where_the_log_stands(box: LogBox) -> None:
    box.log.update_high_watermark(8)
    found = box.log.read(0, 10)
    assert (found.high_watermark, found.last_stable_offset, found.log_end_offset) == (8, 8, 20)


def test_the_high_watermark_stays_within_the_log(box: LogBox) -> None:
    assert box.log.update_high_watermark(99) == 20
    box.log.advance_log_start_offset(6)
    assert box.log.update_high_watermark(2) == 6


def test_a_damaged_length_in_the_middle_is_an_error_not_garbage(box: LogBox) -> None:
    records = bytes(box.log.read(0, 1 << 20).records)
    size = len(records) // 10
    box.log.close()
    path = f"/logs/t-0/{0:020d}.log"
    file = box.disk.open(path)
    file.pwrite(4 * size + BATCH_LENGTH, b"\x7f")
    log = box.open()
    with pytest.raises(KafkaError) as error:
        bases(b"".join(log.read(offset, 10, min_one_batch=True).records for offset in range(9)))
    assert error.value.code is ErrorCode.CORRUPT_MESSAGE


def test_an_error_while_reading_fails_the_directory(
    box: LogBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, offset: int, size: int) -> bytes:
        raise OSError(errno.EIO, "broken")

    from tests.support.faulty_disk import FaultyFile

    monkeypatch.setattr(FaultyFile, "pread", broken)
    with pytest.raises(KafkaError) as error:
        box.log.read(0, 100)
    assert error.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert box.log.is_failed


class TestTimes:
    def test_the_ends_of_the_log(self, box: LogBox) -> None:
        log = box.log
        log.begin_epoch(7)
        assert log.offset_for_timestamp(LATEST) == (-1, 20, 7)
        assert log.offset_for_timestamp(EARLIEST) == (-1, 0, 0)
        log.update_high_watermark(20)
        log.advance_log_start_offset(5)
        assert log.offset_for_timestamp(EARLIEST) == (-1, 5, 0)
        assert log.offset_for_timestamp(EARLIEST_LOCAL) == (-1, 5, 0)

    def test_nothing_is_tiered(self, box: LogBox) -> None:
        assert box.log.offset_for_timestamp(LATEST_TIERED) == (-1, -1, -1)
        assert box.log.offset_for_timestamp(EARLIEST_PENDING_UPLOAD) == (-1, -1, -1)

    def test_the_first_record_at_or_after_a_time(self, box: LogBox) -> None:
        for number in range(10):
            at = START_MS + 10 * (number + 1)
            assert box.log.offset_for_timestamp(at) == (at, 2 * number, 0)
            assert box.log.offset_for_timestamp(at - 9).offset == 2 * number
        assert box.log.offset_for_timestamp(START_MS + 101) == (-1, -1, -1)
        assert box.log.offset_for_timestamp(0).offset == 0

    def test_a_time_is_found_within_a_batch(self) -> None:
        from wire.records.record import Record, build_batch

        box = LogBox()
        times = [30, 10, 20, 40]
        data = build_batch([Record(i, START_MS + t, None, b"x") for i, t in enumerate(times)])
        box.log.append_as_leader(data, 0, START_MS)
        for asked, offset in ((5, 0), (30, 0), (31, 3), (40, 3), (41, -1)):
            assert box.log.offset_for_timestamp(START_MS + asked).offset == offset
        box.log.update_high_watermark(4)
        box.log.advance_log_start_offset(1)
        assert box.log.offset_for_timestamp(START_MS + 5).offset == 1
        assert box.log.offset_for_timestamp(START_MS + 30).offset == 3

    def test_the_largest_time_of_all(self, box: LogBox) -> None:
        log = box.log
        log.append_as_leader(batch(b"old", timestamp=5), 0, START_MS)
        assert log.offset_for_timestamp(MAX_TIMESTAMP) == (START_MS + 100, 18, 0)
        log.roll()
        log.append_as_leader(batch(b"older", timestamp=4), 0, START_MS)
        assert log.offset_for_timestamp(MAX_TIMESTAMP).offset == 18
        assert box.open(recover=True).offset_for_timestamp(MAX_TIMESTAMP).offset == 18
        assert LogBox().log.offset_for_timestamp(MAX_TIMESTAMP) == (-1, -1, -1)

    def test_records_without_a_time_have_the_time_minus_one(self) -> None:
        box = LogBox()
        for _ in range(2):
            box.log.append_as_leader(batch(b"x", timestamp=-1), 0, START_MS)
        assert box.log.offset_for_timestamp(MAX_TIMESTAMP) == (-1, 0, 0)
        assert box.log.offset_for_timestamp(0) == (-1, -1, -1)


class TestTruncation:
    def test_everything_from_the_offset_on_goes(self, box: LogBox) -> None:
        log = box.log
        log.update_high_watermark(20)
        log.flush()
        assert log.truncate_to(8)
        assert (log.log_end_offset, log.high_watermark, log.recovery_point) == (8, 8, 8)
        assert log.durable_end_offset == 8
        assert [r.offset for r in read_all(log)] == list(range(8))
        assert box.upkeep.truncations == 1
        assert box.append(b"new").first_offset == 8
        assert box.open(recover=True).log_end_offset == 9

    def test_at_the_end_there_is_nothing_to_do(self, box: LogBox) -> None:
        assert not box.log.truncate_to(20)
        assert not box.log.truncate_to(30)
        assert box.upkeep.truncations == 0

    def test_a_batch_in_the_way_goes_whole(self, box: LogBox) -> None:
        box.log.truncate_to(9)
        assert box.log.log_end_offset == 8

    def test_segments_behind_go_with_their_snapshots(self) -> None:
        box = LogBox(FaultyDisk(), internal_segment_bytes=300)
        for number in range(10):
            box.append(bytes(100), producer_id=1, producer_epoch=0, base_sequence=number)
        log = box.log
        log.truncate_to(4)
        assert [s.base_offset for s in log.segments] == [0, 1, 2, 3, 4]
        assert log.segments[-1].size == 0
        names = box.disk.listdir("/logs/t-0")
        assert max(n for n in names if n.endswith(".log")).startswith(f"{4:020d}")
        assert not [n for n in names if n.endswith(".deleted")]
        assert log.producers.entries[1].last_sequence == 3
        assert all(offset <= 4 for offset in log.files.snapshots)

    def test_epochs_and_producers_are_those_of_what_remains(self) -> None:
        box = LogBox(FaultyDisk())
        for number in range(6):
            box.append(
                b"x", epoch=number // 2, producer_id=1, producer_epoch=0, base_sequence=number
            )
        log = box.log
        log.truncate_to(3)
        assert log.leader_epochs.latest_epoch == 1
        assert log.producers.entries[1].last_sequence == 2
        again = box.append(b"x", epoch=9, producer_id=1, producer_epoch=0, base_sequence=3)
        assert again.first_offset == 3

    def test_an_open_transaction_that_is_cut_off_is_gone(self) -> None:
        box = LogBox(FaultyDisk())
        box.append(b"x")
        box.append(b"x", producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        box.log.update_high_watermark(2)
        assert box.log.last_stable_offset == 1
        box.log.truncate_to(1)
        assert box.log.producers.first_unstable_offset is None

    def test_a_log_may_begin_anew_elsewhere(self, box: LogBox) -> None:
        log = box.log
        box.append(b"x", producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        log.flush()
        log.truncate_fully_and_start_at(100)
        assert (log.recovery_point, log.durable_end_offset) == (21, 100)
        assert (log.producers.entries, log.last_stable_offset) == ({}, 100)
        assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (100, 100, 100)
        assert box.append(b"x").first_offset == 100
        reopened = box.open(recover=True, checkpoint=log.checkpoint())
        assert (reopened.log_start_offset, reopened.log_end_offset) == (100, 101)

    def test_an_empty_log_that_begins_elsewhere_remembers_where(self) -> None:
        box = LogBox(FaultyDisk())
        box.log.truncate_fully_and_start_at(50)
        assert box.open(recover=True).log_end_offset == 50

    def test_below_the_log_start_nothing_remains(self, box: LogBox) -> None:
        log = box.log
        log.update_high_watermark(20)
        log.advance_log_start_offset(6)
        log.flush()
        log.truncate_to(4)
        assert (log.log_start_offset, log.log_end_offset) == (4, 4)
        assert log.recovery_point == 4

    def test_a_sync_that_began_before_does_not_count_for_what_came_after(self, box: LogBox) -> None:
        from pykbroker.runtime.storage.flush import FlushJob

        job = FlushJob(box.log)
        job.run()
        box.log.truncate_to(4)
        for _ in range(20):
            box.append(b"other")
        job.finish()
        assert box.log.recovery_point == 0


class TestRetention:
    def test_deleted_segments_leave_readers_a_clear_answer(self) -> None:
        box = LogBox(FaultyDisk(), internal_segment_bytes=300, retention_bytes=250)
        for _ in range(10):
            box.append(bytes(100))
        log = box.log
        assert log.delete_old_segments(box.clock.now_ms) == 0, "nothing is committed yet"
        log.update_high_watermark(10)
        assert log.delete_old_segments(box.clock.now_ms) == 8
        assert log.log_start_offset == 8
        assert [r.offset for r in read_all(log)] == [8, 9]
        with pytest.raises(KafkaError):
            log.read(7, 100)
        assert box.open(recover=True).log_start_offset == 8

    def test_a_log_all_of_which_is_old_becomes_empty(self) -> None:
        box = LogBox(FaultyDisk(), retention_ms=1000)
        box.append(b"x", producer_id=1, producer_epoch=0, base_sequence=0)
        log = box.log
        log.update_high_watermark(1)
        box.clock.now_ms += 1001
        assert log.delete_old_segments(box.clock.now_ms) == 1
        assert (log.log_start_offset, log.log_end_offset) == (1, 1)
        assert log.delete_old_segments(box.clock.now_ms) == 0
        assert box.append(b"y").first_offset == 1
        # The producer is still known, though its records are gone.
        again = box.append(b"x", producer_id=1, producer_epoch=0, base_sequence=0)
        assert again.duplicate
        reopened = box.open(recover=True, checkpoint=Checkpoint(1, 1, 1))
        assert reopened.producers.entries[1].last_sequence == 0

    def test_records_without_a_time_go_by_that_of_their_file(self) -> None:
        box = LogBox(retention_ms=1000)
        box.log.append_as_leader(batch(b"x", timestamp=-1), 0, START_MS)
        box.log.update_high_watermark(1)
        assert box.log.delete_old_segments(START_MS + 1000) == 0
        assert box.log.delete_old_segments(START_MS + 1001) == 1

    def test_other_limits_take_effect_at_once(self) -> None:
        box = LogBox(internal_segment_bytes=300)
        for _ in range(5):
            box.append(bytes(100))
        box.log.update_high_watermark(5)
        assert box.log.delete_old_segments(box.clock.now_ms) == 0
        box.log.config = config(internal_segment_bytes=300, retention_bytes=0)
        assert box.log.delete_old_segments(box.clock.now_ms) == 5


class TestDurability:
    def test_without_a_setting_the_end_of_the_log_counts(self) -> None:
        box = LogBox(FaultyDisk())
        box.append(b"x")
        assert (box.log.durable_end_offset, box.log.synced_end_offset) == (1, 0)

    def test_with_flush_messages_1_only_what_is_synced_counts(self) -> None:
        box = LogBox(FaultyDisk(), flush_messages=1)
        told: list[int] = []
        box.log.on_synced = lambda: told.append(box.log.durable_end_offset)
        box.append(b"x")
        box.append(b"y")
        assert box.log.durable_end_offset == 0
        box.upkeep.flush_all()
        assert box.log.durable_end_offset == 2
        assert told[-1] == 2

    def test_with_a_higher_count_as_much_may_be_unsynced(self) -> None:
        box = LogBox(FaultyDisk(), flush_messages=3)
        ends = []
        for _ in range(4):
            box.append(b"x")
            ends.append(box.log.durable_end_offset)
        assert ends == [1, 2, 2, 2]
        box.upkeep.flush_all()
        assert box.log.durable_end_offset == 4

    def test_a_failed_sync_fails_the_log_and_nothing_counts(self) -> None:
        disk = FaultyDisk()
        box = LogBox(disk, flush_messages=1)
        box.append(b"x")
        disk.refusals["sync"] = errno.EIO
        box.upkeep.flush_all()
        disk.refusals.clear()
        assert box.log.durable_end_offset == 0
        assert box.log.is_failed
        assert refused_storage(box)

    def test_flush_ms_asks_for_one_sync_within_its_time(self) -> None:
        box = LogBox(FaultyDisk(), flush_ms=500)
        box.append(b"x")
        box.append(b"y")
        assert box.upkeep.flush_delays == [500]
        assert box.log.durable_end_offset == 2
        box.log.flush()
        box.append(b"z")
        assert box.upkeep.flush_delays == [500, 500]

    def test_a_stricter_setting_covers_what_is_there_already(self) -> None:
        box = LogBox(FaultyDisk())
        box.append(b"x")
        box.upkeep.to_flush.clear()
        box.log.config = config(flush_messages=1)
        assert box.upkeep.to_flush == [box.log]


def refused_storage(box: LogBox) -> bool:
    with pytest.raises(KafkaError) as error:
        box.append(b"x")
    return error.value.code is ErrorCode.KAFKA_STORAGE_ERROR


def test_a_log_whose_start_nobody_has_looked_at_is_not_loaded() -> None:
    box = LogBox(FaultyDisk())
    box.append(b"x")
    box.log.close()
    from pykbroker.runtime.storage.log import PartitionLog

    log = PartitionLog(
        box.context, box.upkeep, "/logs", box.log.topic_partition, box.log.topic_id, box.config
    )
    assert not log.is_loaded
    assert log.may_have_files()
    assert not log.is_loaded
    log.begin_epoch(3)
    assert not log.is_loaded
    assert log.log_end_offset == 1
    assert log.is_loaded
    assert log.leader_epochs.latest_epoch == 3
    with pytest.raises(AttributeError):
        _ = log.no_such_thing


def test_a_truncation_broken_off_leaves_no_hole() -> None:
    """Segments go from the end: whatever is left is a prefix."""

    def filled() -> LogBox:
        box = LogBox(FaultyDisk(), internal_segment_bytes=300)
        for _ in range(6):
            box.append(bytes(100))
        box.log.flush()
        return box

    box = filled()
    start = box.disk.steps
    box.log.truncate_to(2)
    steps = box.disk.steps - start
    assert steps > 10
    for crash_at in range(steps):
        box = filled()
        box.disk.crash_at = start + crash_at
        with pytest.raises(Crash):
            box.log.truncate_to(2)
        box.disk.kill()
        log = box.open(recover=True, checkpoint=Checkpoint(recovery_point=6))
        offsets = [record.offset for record in read_all(log)]
        assert offsets == list(range(len(offsets)))
        assert log.log_end_offset == len(offsets) >= 2
