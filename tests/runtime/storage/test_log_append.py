"""What a leader's log takes, refuses and makes of produced batches; what a follower's takes."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pykbroker.state.errors import KafkaError
from pykbroker.state.log.errors import RecordsRefused
from pykbroker.state.log.producers import AppendOrigin
from tests.support.faulty_disk import FaultyDisk
from tests.support.storage import START_MS, LogBox, batch, read_all
from wire.errors import ErrorCode
from wire.records.batch import (
    CRC,
    LOG_APPEND_TIME,
    iter_headers,
    read_header,
    set_max_timestamp,
    verify_crc,
)
from wire.records.legacy import encode_message_set
from wire.records.record import ControlType, Record, build_batch, control_batch, decode_records

DAY_MS = 86_400_000


def refused(box: LogBox, data: bytes | bytearray, **options: Any) -> KafkaError:
    """The batch is refused and nothing is written."""
    end, size = box.log.log_end_offset, box.log.size_in_bytes
    with pytest.raises(KafkaError) as error:
        box.log.append_as_leader(data, 0, box.clock.now_ms, **options)
    assert (box.log.log_end_offset, box.log.size_in_bytes) == (end, size)
    return error.value


def stored(box: LogBox) -> memoryview:
    records = box.log.read(box.log.log_start_offset, 1 << 20, min_one_batch=True).records
    for position, _ in iter_headers(records):
        verify_crc(records, position)
    return memoryview(records)


def test_a_batch_is_numbered_and_stamped_with_the_epoch_in_place() -> None:
    box = LogBox()
    box.append(b"first", b"second")
    data = batch(b"third")
    info = box.log.append_as_leader(data, 4, START_MS)
    assert (info.first_offset, info.last_offset, info.leader_epoch) == (2, 2, 4)
    assert (info.log_append_time, info.log_start_offset, info.duplicate) == (-1, 0, False)
    assert (info.record_count, info.size_in_bytes) == (1, len(data))
    header = read_header(data)
    assert (header.base_offset, header.partition_leader_epoch) == (2, 4)
    assert bytes(stored(box)).endswith(data)


def test_a_batch_that_cannot_be_patched_is_copied() -> None:
    box = LogBox()
    data = bytes(batch(b"x"))
    box.log.append_as_leader(data, 3, START_MS)
    box.log.append_as_leader(memoryview(data), 3, START_MS)
    assert read_header(data).partition_leader_epoch == -1
    assert [h.base_offset for _, h in iter_headers(stored(box))] == [0, 1]


def test_nothing_exists_on_disk_before_the_first_append() -> None:
    box = LogBox()
    assert box.disk.listdir("/logs") == []
    assert box.log.read(0, 100).records == b""
    assert box.log.offset_for_timestamp(-1).offset == 0
    box.append(b"x")
    assert box.disk.listdir("/logs") == ["t-0"]
    metadata = box.disk.read_bytes("/logs/t-0/partition.metadata")
    assert metadata.startswith(b"version: 0\ntopic_id: ")


@pytest.mark.parametrize(
    ("settings", "size", "code"),
    [
        ({"max_message_bytes": 100}, 100, ErrorCode.MESSAGE_TOO_LARGE),
        ({"internal_segment_bytes": 100}, 100, ErrorCode.RECORD_LIST_TOO_LARGE),
    ],
)
def test_a_batch_may_be_too_large(settings: dict[str, Any], size: int, code: ErrorCode) -> None:
    box = LogBox(**settings)
    assert refused(box, batch(bytes(size))).code is code
    box.append(bytes(10))


def test_a_batch_may_not_grow_too_large_by_recompression() -> None:
    data = batch(b"x" * 2000, compression=1)
    box = LogBox(max_message_bytes=len(data) + 10, compression_type="uncompressed")
    assert refused(box, data).code is ErrorCode.MESSAGE_TOO_LARGE


def test_a_damaged_batch_is_refused_as_corrupt() -> None:
    data = batch(b"x")
    data[CRC] ^= 1
    assert refused(LogBox(), data).code is ErrorCode.CORRUPT_MESSAGE
    assert refused(LogBox(), batch(b"x")[:-1]).code is ErrorCode.CORRUPT_MESSAGE
    assert refused(LogBox(), b"").code in (ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD)


def test_clients_may_not_write_markers_or_several_batches() -> None:
    box = LogBox()
    marker = control_batch(ControlType.COMMIT, timestamp=1, producer_id=1, producer_epoch=0)
    assert refused(box, marker).code is ErrorCode.INVALID_RECORD
    assert refused(box, batch(b"a") + batch(b"b")).code is ErrorCode.INVALID_RECORD
    assert refused(box, batch(b"a", base_offset=5)).code is ErrorCode.INVALID_RECORD


def test_records_without_a_key_are_named_on_a_compacted_topic() -> None:
    box = LogBox(cleanup_policy="compact")
    error = refused(box, batch(b"a", b"b", b"c", keys=[b"k", None, None]))
    assert isinstance(error, RecordsRefused)
    assert error.code is ErrorCode.INVALID_RECORD
    assert [index for index, _ in error.record_errors] == [1, 2]
    box.append(b"a", key=b"k")


@pytest.mark.parametrize(
    ("timestamp", "passes"),
    [
        (START_MS - DAY_MS, True),
        (START_MS - DAY_MS - 1, False),
        (START_MS + 1000, True),
        (START_MS + 1001, False),
        (-1, True),
    ],
)
def test_timestamps_must_be_near_the_present(timestamp: int, passes: bool) -> None:
    box = LogBox(message_timestamp_before_max_ms=DAY_MS, message_timestamp_after_max_ms=1000)
    if passes:
        box.log.append_as_leader(batch(b"x", timestamp=timestamp), 0, START_MS)
        return
    error = refused(box, batch(b"x", timestamp=timestamp))
    assert isinstance(error, RecordsRefused)
    assert error.code is ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in error.record_errors] == [0]


def test_the_broker_stamps_where_the_topic_says_so() -> None:
    box = LogBox(message_timestamp_type="LogAppendTime")
    info = box.append(b"x", b"y")
    assert info.log_append_time == START_MS
    box.clock.now_ms += 5
    info = box.log.append_as_leader(batch(b"z", timestamp=3), 0, box.clock.now_ms)
    assert info.log_append_time == info.max_timestamp == START_MS + 5
    headers = [h for _, h in iter_headers(stored(box))]
    assert {h.timestamp_type for h in headers} == {LOG_APPEND_TIME}
    assert [r.timestamp for r in read_all(box.log)] == [START_MS, START_MS, START_MS + 5]
    assert box.log.offset_for_timestamp(START_MS + 1).offset == 2


def test_a_header_that_lies_about_its_newest_timestamp_is_set_right() -> None:
    data = batch(b"x", key=b"k")
    set_max_timestamp(data, 0, START_MS + 500, 0)
    box = LogBox(cleanup_policy="compact")
    assert box.log.append_as_leader(data, 0, START_MS).max_timestamp == START_MS
    assert read_header(stored(box)).max_timestamp == START_MS


@pytest.mark.parametrize("codec", range(5))
def test_the_last_records_time_in_the_header_misleads_no_search_by_time(codec: int) -> None:
    early = START_MS - 3_600_000
    times = (early, early + 500, early + 100)
    records = [Record(i, at, value=b"v") for i, at in enumerate(times)]
    data = build_batch(records, compression=codec)
    set_max_timestamp(data, 0, early + 100, 0)
    box = LogBox()
    assert box.log.append_as_leader(data, 0, START_MS).max_timestamp == early + 500
    verify_crc(stored(box))
    found = box.log.offset_for_timestamp(early + 200)
    assert (found.offset, found.timestamp) == (1, early + 500)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd", "uncompressed"])
@pytest.mark.parametrize("sent", range(5))
def test_a_topics_compression_is_applied(codec: str, sent: int) -> None:
    box = LogBox(compression_type=codec)
    box.append(b"a" * 100, b"b" * 100, key=b"k", compression=sent)
    names = ["uncompressed", "gzip", "snappy", "lz4", "zstd"]
    assert read_header(stored(box)).compression == names.index(codec)
    assert [(r.offset, r.key, r.value) for r in read_all(box.log)] == [
        (0, b"k", b"a" * 100),
        (1, b"k", b"b" * 100),
    ]


def test_the_producers_compression_is_kept_where_the_topic_says_so() -> None:
    box = LogBox()
    data = batch(b"a" * 100, compression=4)
    box.log.append_as_leader(data, 0, START_MS)
    assert bytes(stored(box)) == bytes(data)


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("compression", [0, 1, 2])
def test_older_message_formats_become_batches(magic: int, compression: int) -> None:
    records = [Record(i, START_MS if magic else -1, b"k", b"v%d" % i) for i in range(3)]
    box = LogBox()
    box.append(b"first")
    data = encode_message_set(records, magic, compression=compression)
    info = box.log.append_as_leader(data, 2, START_MS)
    assert (info.first_offset, info.last_offset) == (1, 3)
    found = read_all(box.log)[1:]
    assert [(r.offset, r.key, r.value) for r in found] == [
        (i + 1, b"k", b"v%d" % i) for i in range(3)
    ]
    assert {r.timestamp for r in found} == {START_MS if magic else -1}
    header = [h for _, h in iter_headers(stored(box))][1]
    assert (header.magic, header.partition_leader_epoch) == (2, 2)
    assert header.compression == compression


def test_older_message_formats_are_stamped_and_checked_like_others() -> None:
    data = encode_message_set([Record(0, -1, None, b"v")], 0)
    box = LogBox(message_timestamp_type="LogAppendTime", compression_type="gzip")
    assert box.log.append_as_leader(data, 0, START_MS).log_append_time == START_MS
    assert refused(LogBox(cleanup_policy="compact"), data).code is ErrorCode.INVALID_RECORD
    broken = bytearray(data)
    broken[-1] ^= 1
    assert refused(LogBox(), broken).code is ErrorCode.CORRUPT_MESSAGE


def test_a_duplicate_answers_with_the_first_offset_and_time() -> None:
    """As Kafka's: of records that were not stamped, the newest timestamp they came with."""
    created = START_MS - 7
    for kind, time in (("CreateTime", created), ("LogAppendTime", START_MS)):
        box = LogBox(message_timestamp_type=kind)
        options: dict[str, Any] = {"producer_id": 1, "producer_epoch": 0, "base_sequence": 0}
        options["timestamp"] = created
        box.append(b"before")
        first = box.append(b"a", b"b", **options)
        assert first.log_append_time == (-1 if kind == "CreateTime" else START_MS)
        box.clock.now_ms += 1000
        again = box.append(b"a", b"b", **options)
        assert again.duplicate
        assert (again.first_offset, again.last_offset) == (first.first_offset, first.last_offset)
        assert again.log_append_time == time
        assert box.log.log_end_offset == 3


def test_a_refused_sequence_leaves_the_batch_unnumbered_and_may_come_again() -> None:
    box = LogBox()
    options: dict[str, Any] = {"producer_id": 1, "producer_epoch": 0}
    box.append(b"a", base_sequence=0, **options)
    early = batch(b"c", base_sequence=2, **options)
    assert refused(box, early).code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    box.append(b"b", base_sequence=1, **options)
    assert box.log.append_as_leader(early, 0, START_MS).first_offset == 2


def test_a_producer_without_an_epoch_is_known_by_its_sequences_alone() -> None:
    """Kafka asks for a sequence; with epoch -1 any one follows any other."""
    box = LogBox()
    options: dict[str, Any] = {"producer_id": 1, "producer_epoch": -1}
    for offset, sequence in enumerate((0, 7, 2)):
        assert box.append(b"x", base_sequence=sequence, **options).first_offset == offset
    assert box.append(b"x", base_sequence=7, **options).duplicate
    assert refused(box, batch(b"x", **options)).code is ErrorCode.INVALID_RECORD
    box.append(b"x", producer_id=1, producer_epoch=0, base_sequence=5)
    late = batch(b"x", base_sequence=6, **options)
    assert refused(box, late).code is ErrorCode.INVALID_PRODUCER_EPOCH


@pytest.mark.parametrize("producer_id", [1, 2], ids=["a known producer", "a new one"])
def test_an_epoch_below_none_is_fenced(producer_id: int) -> None:
    box = LogBox()
    box.append(b"x", producer_id=1, producer_epoch=-1, base_sequence=0)
    below = batch(b"x", producer_id=producer_id, producer_epoch=-2, base_sequence=0)
    assert refused(box, below).code is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_negative_producer_id_is_none_at_all() -> None:
    box = LogBox()
    for _ in range(2):
        info = box.append(b"x", producer_id=-5, producer_epoch=3, base_sequence=4)
        assert not info.duplicate
    assert box.log.log_end_offset == 2
    assert not box.log.producers.entries


def test_other_settings_take_effect_with_the_next_append() -> None:
    box = LogBox()
    box.append(b"x" * 200)
    from tests.support.storage import config

    box.log.config = config(max_message_bytes=100)
    assert refused(box, batch(b"x" * 200)).code is ErrorCode.MESSAGE_TOO_LARGE


def test_coordinators_write_markers_and_records_without_keys() -> None:
    box = LogBox(cleanup_policy="compact")
    coordinator = AppendOrigin.COORDINATOR
    box.append(
        b"x", key=b"k", producer_id=5, producer_epoch=0, base_sequence=0, is_transactional=True
    )
    box.log.update_high_watermark(1)
    assert box.log.last_stable_offset == 0
    marker = control_batch(ControlType.ABORT, timestamp=1, producer_id=5, producer_epoch=0)
    box.log.append_as_leader(marker, 0, START_MS, origin=coordinator)
    assert box.log.last_stable_offset == 0
    box.log.update_high_watermark(2)
    assert box.log.last_stable_offset == 2
    found = box.log.read(0, 1000, upper_bound=2, with_aborted=True)
    assert found.aborted is not None
    assert [a[:3] for a in found.aborted] == [(5, 0, 1)]
    assert box.log.read(0, 1000).aborted is None


def test_the_log_rolls_by_size_and_by_the_records_time() -> None:
    box = LogBox(internal_segment_bytes=300, segment_ms=1000)
    box.append(bytes(100))
    box.append(bytes(100))
    assert [s.base_offset for s in box.log.segments] == [0, 1]
    box.clock.now_ms += 1000
    box.append(b"x")
    assert len(box.log.segments) == 2
    box.clock.now_ms += 1
    box.append(b"x")
    assert [s.base_offset for s in box.log.segments] == [0, 1, 3]


def test_the_log_rolls_by_its_own_time_where_records_have_none() -> None:
    box = LogBox(segment_ms=1000)
    for later_ms, count in ((0, 1), (1000, 1), (1, 2)):
        box.clock.now_ms += later_ms
        box.log.append_as_leader(batch(b"x", timestamp=-1), 0, box.clock.now_ms)
        assert len(box.log.segments) == count


def test_the_log_rolls_when_its_index_is_full() -> None:
    box = LogBox(segment_index_bytes=48, index_interval_bytes=0)
    for _ in range(20):
        box.clock.now_ms += 1
        box.append(b"x")
    assert all(len(s.time_index) <= 4 for s in box.log.segments)
    assert len(box.log.segments) > 4
    assert len(read_all(box.log)) == 20


def test_jitter_spreads_the_rolls() -> None:
    box = LogBox(segment_ms=1000, segment_jitter_ms=900)
    waits = {box.log.files.new_segment(0).roll_jitter_ms for _ in range(20)}
    assert len(waits) > 5
    assert all(0 <= wait < 900 for wait in waits)


@pytest.mark.parametrize("operation", ["append", "create"])
def test_without_room_nothing_is_written_and_later_all_goes_on(operation: str) -> None:
    disk = FaultyDisk()
    box = LogBox(disk, internal_segment_bytes=300)
    box.append(bytes(100))
    disk.refusals[operation] = errno.ENOSPC
    assert refused(box, batch(bytes(100))).code is ErrorCode.KAFKA_STORAGE_ERROR
    disk.refusals.clear()
    assert not box.log.is_failed
    assert box.upkeep.failures == []
    assert box.append(bytes(100)).first_offset == 1
    assert len(read_all(box.log)) == 2
    log = box.open(recover=True)
    assert len(read_all(log)) == 2


def test_an_error_of_the_disk_fails_the_directory() -> None:
    disk = FaultyDisk()
    box = LogBox(disk)
    box.append(b"x")
    disk.refusals["append"] = errno.EIO
    assert refused(box, batch(b"y")).code is ErrorCode.KAFKA_STORAGE_ERROR
    disk.refusals.clear()
    assert box.log.is_failed
    assert [error.errno for error in box.upkeep.failures] == [errno.EIO]
    assert refused(box, batch(b"y")).code is ErrorCode.KAFKA_STORAGE_ERROR


class TestFollower:
    def test_batches_are_taken_byte_for_byte(self) -> None:
        leader, follower = LogBox(), LogBox()
        for number in range(5):
            leader.append(b"v%d" % number, epoch=number // 2)
        data = bytes(leader.log.read(0, 1 << 20).records)
        info = follower.log.append_as_follower(data)
        assert (info.first_offset, info.last_offset, info.record_count) == (0, 4, 5)
        assert bytes(follower.log.read(0, 1 << 20).records) == data
        assert follower.log.leader_epochs.entries == leader.log.leader_epochs.entries

    def test_what_is_cut_off_at_the_end_is_left_out(self) -> None:
        leader, follower = LogBox(), LogBox()
        leader.append(b"a")
        leader.append(b"b")
        data = bytes(leader.log.read(0, 1 << 20).records)
        assert follower.log.append_as_follower(data[:-3]).last_offset == 0
        assert follower.log.append_as_follower(b"").last_offset == 0

    def test_a_damaged_batch_brings_nothing_in(self) -> None:
        leader, follower = LogBox(), LogBox()
        leader.append(b"a")
        leader.append(b"b")
        data = bytearray(leader.log.read(0, 1 << 20).records)
        data[-1] ^= 1
        with pytest.raises(KafkaError) as error:
            follower.log.append_as_follower(data)
        assert error.value.code is ErrorCode.CORRUPT_MESSAGE
        assert follower.log.log_end_offset == 0

    def test_offsets_do_not_fall_but_may_have_gaps(self) -> None:
        follower = LogBox(cleanup_policy="compact")
        follower.log.append_as_follower(batch(b"a", base_offset=10, partition_leader_epoch=0))
        assert follower.log.log_end_offset == 11
        with pytest.raises(KafkaError):
            follower.log.append_as_follower(batch(b"b", base_offset=10, partition_leader_epoch=0))
        follower.log.append_as_follower(batch(b"b", base_offset=20, partition_leader_epoch=0))
        assert [r.offset for r in read_all(follower.log)] == [10, 20]

    def test_offsets_too_far_apart_for_one_segment_begin_another(self) -> None:
        follower = LogBox(cleanup_policy="compact")
        log = follower.log
        log.append_as_follower(batch(b"a", base_offset=2**31, partition_leader_epoch=0))
        assert [s.base_offset for s in log.segments] == [2**31]
        log.append_as_follower(batch(b"b", base_offset=2**33, partition_leader_epoch=0))
        assert [s.base_offset for s in log.segments] == [2**31, 2**33]
        assert [r.offset for r in read_all(log)] == [2**31, 2**33]

    def test_batches_of_an_epoch_not_followed_yet_are_left_out(self) -> None:
        follower = LogBox()
        data = batch(b"a", partition_leader_epoch=1) + batch(
            b"b", base_offset=1, partition_leader_epoch=2
        )
        assert follower.log.append_as_follower(data, 1).last_offset == 0

    def test_producers_are_taken_over_without_being_checked(self) -> None:
        leader, follower = LogBox(), LogBox()
        leader.append(b"a", producer_id=1, producer_epoch=0, base_sequence=5)
        leader.append(b"b", producer_id=1, producer_epoch=0, base_sequence=6)
        data = bytes(leader.log.read(0, 1 << 20).records)
        follower.log.append_as_follower(data)
        again = follower.append(b"b", producer_id=1, producer_epoch=0, base_sequence=6)
        assert (again.duplicate, again.first_offset) == (True, 1)

    def test_aborted_transactions_are_indexed(self) -> None:
        leader, follower = LogBox(), LogBox()
        leader.append(b"a", producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
        marker = control_batch(ControlType.ABORT, timestamp=1, producer_id=1, producer_epoch=0)
        leader.log.append_as_leader(marker, 0, START_MS, origin=AppendOrigin.COORDINATOR)
        follower.log.append_as_follower(leader.log.read(0, 1 << 20).records)
        assert follower.log.aborted_between(0, 2) == leader.log.aborted_between(0, 2)
        assert len(follower.log.aborted_between(0, 2)) == 1

    def test_more_than_a_segment_holds_is_spread_over_several(self) -> None:
        leader = LogBox()
        follower = LogBox(internal_segment_bytes=300)
        for _ in range(10):
            leader.append(bytes(100))
        follower.log.append_as_follower(leader.log.read(0, 1 << 20).records)
        assert len(follower.log.segments) == 10
        assert len(read_all(follower.log)) == 10


def test_records_of_every_batch_decode_after_a_restart() -> None:
    box = LogBox()
    for codec in range(5):
        box.append(b"v%d" % codec, compression=codec)
    box.log.close()
    log = box.open()
    assert [r.value for r in decode_all(log.read(0, 1 << 20).records)] == [
        b"v%d" % codec for codec in range(5)
    ]


def decode_all(records: Any) -> list[Record]:
    return [r for at, _ in iter_headers(records) for r in decode_records(records, at)]


def test_a_coordinator_too_writes_one_batch_at_a_time() -> None:
    error = refused(LogBox(), batch(b"a") + batch(b"b"), origin=AppendOrigin.COORDINATOR)
    assert error.code is ErrorCode.INVALID_RECORD
