"""What compaction leaves of single batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.log.cleaning import OffsetMap
from pykbroker.state.log.compaction import BatchFilter, LastRecord
from pykbroker.state.log.producers import AbortedTxn
from wire.records.batch import LOG_APPEND_TIME, read_header, verify_crc
from wire.records.record import ControlType, Record, build_batch, control_batch, decode_records

if TYPE_CHECKING:
    from wire.schema import Buffer

NOW_MS = 1_000_000
RETENTION_MS = 500


def records(start: int, *pairs: tuple[bytes | None, bytes | None]) -> bytes:
    found = [Record(start + i, 100 + i, key, value) for i, (key, value) in enumerate(pairs)]
    return bytes(build_batch(found, base_offset=start, partition_leader_epoch=3))


def latest(**offsets: int) -> OffsetMap:
    found = OffsetMap(10**6, 0.9)
    for key, offset in offsets.items():
        found.put(key.encode(), offset)
    found.latest_offset = 99
    return found


def cleaner(
    offsets: OffsetMap,
    producers: dict[int, LastRecord] | None = None,
    *,
    now_ms: int = NOW_MS,
    end: int = 1000,
) -> BatchFilter:
    return BatchFilter(
        offsets, producers or {}, end, now_ms=now_ms, delete_retention_ms=RETENTION_MS
    )


def run(filter_: BatchFilter, batch: Buffer) -> Buffer | None:
    return filter_.filter(read_header(batch), batch)


def kept(filter_: BatchFilter, batch: Buffer) -> list[tuple[int, bytes | None]]:
    found = run(filter_, batch)
    if found is None:
        return []
    verify_crc(found)
    return [(record.offset, record.value) for record in decode_records(found)]


def test_a_batch_of_latest_records_is_left_as_it_is() -> None:
    batch = records(10, (b"a", b"1"), (b"b", b"2"))
    assert run(cleaner(latest(a=10, b=11)), batch) is batch


def test_records_that_were_followed_go_and_offsets_stay() -> None:
    batch = records(10, (b"a", b"1"), (b"b", b"2"), (b"a", b"3"))
    filter_ = cleaner(latest(a=12, b=50))
    found = run(filter_, batch)
    assert found is not None
    header = read_header(found)
    assert [(r.offset, r.key, r.value, r.timestamp) for r in decode_records(found)] == [
        (12, b"a", b"3", 102)
    ]
    assert (header.base_offset, header.last_offset) == (10, 12)
    assert header.partition_leader_epoch == 3


def test_a_batch_with_nothing_left_goes() -> None:
    assert run(cleaner(latest(a=50)), records(10, (b"a", b"1"))) is None


def test_records_beyond_the_mapped_part_stay() -> None:
    offsets = latest(a=150)
    batch = records(99, (b"a", b"1"), (b"a", b"2"))
    assert kept(cleaner(offsets), batch) == [(100, b"2")]


def test_a_record_without_a_key_goes() -> None:
    assert run(cleaner(latest()), records(10, (None, b"1"))) is None


def test_a_tombstone_first_gets_its_horizon_and_then_goes() -> None:
    batch = records(10, (b"a", None), (b"b", b"2"))
    offsets = latest(a=10, b=11)
    first = run(cleaner(offsets), batch)
    assert first is not None
    assert read_header(first).delete_horizon == NOW_MS + RETENTION_MS
    verify_crc(first)
    assert [(r.offset, r.timestamp) for r in decode_records(first)] == [(10, 100), (11, 101)]
    assert read_header(first).max_timestamp == 101
    before = cleaner(offsets, now_ms=NOW_MS + RETENTION_MS - 1)
    assert run(before, first) is first
    after = run(cleaner(offsets, now_ms=NOW_MS + RETENTION_MS), first)
    assert after is not None
    assert [r.offset for r in decode_records(after)] == [11]
    assert read_header(after).delete_horizon == NOW_MS + RETENTION_MS


def test_a_tombstone_that_was_followed_goes_at_once() -> None:
    assert run(cleaner(latest(a=20)), records(10, (b"a", None))) is None


@pytest.mark.parametrize("codec", range(5))
def test_what_remains_has_the_compression_of_the_batch(codec: int) -> None:
    batch = build_batch(
        [Record(i, 5, b"k%d" % (i % 3), b"v" * 50) for i in range(9)], compression=codec
    )
    found = run(cleaner(latest(k0=6, k1=7, k2=8)), batch)
    assert found is not None
    assert read_header(found).compression == codec
    assert [r.offset for r in decode_records(found)] == [6, 7, 8]


def test_a_stamped_batch_keeps_its_time() -> None:
    batch = build_batch(
        [Record(0, 5, b"a", b"1"), Record(1, 5, b"b", b"2")],
        timestamp_type=LOG_APPEND_TIME,
        log_append_time=777,
    )
    found = run(cleaner(latest(a=0, b=50)), batch)
    assert found is not None
    header = read_header(found)
    assert (header.timestamp_type, header.max_timestamp) == (LOG_APPEND_TIME, 777)
    assert decode_records(found)[0].timestamp == 777


def idempotent(start: int, key: bytes, **options: Any) -> bytes:
    return bytes(
        build_batch(
            [Record(start, 5, key, b"1")],
            base_offset=start,
            producer_id=7,
            producer_epoch=2,
            base_sequence=30,
            **options,
        )
    )


def test_the_batch_with_a_producers_last_sequence_stays_without_records() -> None:
    """Else the next start would forget the sequence and refuse, or repeat, what follows."""
    batch = idempotent(10, b"a")
    found = run(cleaner(latest(a=50), {7: LastRecord(10, 2)}), batch)
    assert found is not None
    verify_crc(found)
    header = read_header(found)
    assert (header.record_count, header.producer_id, header.producer_epoch) == (0, 7, 2)
    assert (header.last_sequence, header.base_offset, header.last_offset) == (30, 10, 10)
    assert header.max_timestamp == 5
    # And so does what is left of it, next time.
    again = run(cleaner(latest(a=50), {7: LastRecord(10, 2)}), found)
    assert again is not None
    assert read_header(again)[:5] == header[:5]
    assert run(cleaner(latest(a=50), {7: LastRecord(11, 2)}), found) is None
    assert run(cleaner(latest(a=50)), found) is None


def test_the_last_batch_of_a_round_stays_without_records() -> None:
    found = run(cleaner(latest(a=50), end=11), records(10, (b"a", b"1")))
    assert found is not None
    assert read_header(found).record_count == 0
    assert run(cleaner(latest(a=50), end=12), records(10, (b"a", b"1"))) is None


def marker(offset: int, kind: ControlType, producer_id: int = 7) -> bytes:
    return bytes(
        control_batch(
            kind, timestamp=9, producer_id=producer_id, producer_epoch=2, base_offset=offset
        )
    )


def test_aborted_records_go_and_their_marker_stays_until_they_are_gone() -> None:
    filter_ = cleaner(latest(a=10))
    aborted = AbortedTxn(7, 10, 11, 10)
    filter_.transactions.add_aborted([aborted])
    assert run(filter_, idempotent(10, b"a", is_transactional=True)) is None
    mark = marker(11, ControlType.ABORT)
    assert run(filter_, mark) is mark
    assert filter_.transactions.kept == [aborted]


def test_a_marker_of_nothing_gets_a_horizon_and_then_goes() -> None:
    for kind in (ControlType.ABORT, ControlType.COMMIT):
        first = run(cleaner(latest()), marker(11, kind))
        assert first is not None
        assert read_header(first).delete_horizon == NOW_MS + RETENTION_MS
        assert decode_records(first)[0].timestamp == 9
        early = cleaner(latest(), now_ms=NOW_MS + RETENTION_MS - 1)
        assert run(early, first) is first
        assert run(cleaner(latest(), now_ms=NOW_MS + RETENTION_MS), first) is None


def test_a_producers_last_marker_stays_for_its_epoch() -> None:
    first = run(cleaner(latest()), marker(11, ControlType.COMMIT))
    assert first is not None
    later = NOW_MS + RETENTION_MS
    found = run(cleaner(latest(), {7: LastRecord(-1, 2)}, now_ms=later), first)
    assert found is not None
    assert read_header(found).is_control
    assert read_header(found).record_count == 0
    assert run(cleaner(latest(), {7: LastRecord(-1, 3)}, now_ms=later), first) is None


def test_committed_records_are_compacted_like_others() -> None:
    filter_ = cleaner(latest(a=10))
    batch = idempotent(10, b"a", is_transactional=True)
    assert run(filter_, batch) is batch
    mark = marker(11, ControlType.COMMIT)
    assert run(filter_, mark) is mark


def test_a_transaction_that_follows_an_aborted_one_is_not_taken_for_it() -> None:
    filter_ = cleaner(latest(a=12))
    filter_.transactions.add_aborted([AbortedTxn(7, 10, 11, 10)])
    assert run(filter_, idempotent(10, b"a", is_transactional=True)) is None
    run(filter_, marker(11, ControlType.ABORT))
    batch = idempotent(12, b"a", is_transactional=True)
    assert run(filter_, batch) is batch


def test_other_producers_of_the_time_are_not_touched() -> None:
    filter_ = cleaner(latest(a=10))
    filter_.transactions.add_aborted([AbortedTxn(8, 5, 20, 5)])
    batch = idempotent(10, b"a", is_transactional=True)
    assert run(filter_, batch) is batch
    plain = records(11, (b"b", b"1"))
    assert run(filter_, plain) is plain


def test_other_control_batches_stay() -> None:
    batch = control_batch(ControlType.LEADER_CHANGE, timestamp=1, value=b"\0\0", base_offset=4)
    assert run(cleaner(latest()), batch) is batch


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([b"a", b"b", b"c", b"d"]), st.one_of(st.none(), st.just(b"v"))
            ),
            min_size=1,
            max_size=5,
        ),
        max_size=8,
    )
)
def test_of_each_key_the_last_record_remains(
    batches: list[list[tuple[bytes, bytes | None]]],
) -> None:
    offsets = OffsetMap(10**6, 0.9)
    expected: dict[bytes, tuple[int, bytes | None]] = {}
    stored = []
    offset = 0
    for pairs in batches:
        stored.append(records(offset, *pairs))
        for key, value in pairs:
            offsets.put(key, offset)
            expected[key] = (offset, value)
            offset += 1
    offsets.latest_offset = offset - 1
    filter_ = cleaner(offsets)
    found = [entry for batch in stored for entry in kept(filter_, batch)]
    assert found == sorted(expected.values(), key=lambda entry: entry[0])
