"""Batch headers: read, checked and patched in place."""

from __future__ import annotations

import pytest

from tests.support.records import BASE_TIMESTAMP, CODECS, some_records
from wire.errors import DecodeError, EncodeError
from wire.records.batch import (
    CREATE_TIME,
    LOG_APPEND_TIME,
    MAGIC,
    MAX_INT32,
    RECORDS,
    entry_size,
    iter_headers,
    magic_of,
    patch,
    read_header,
    set_max_timestamp,
    verify_crc,
)
from wire.records.compression import Compression
from wire.records.errors import CorruptBatch, InvalidHeader, UnsupportedMagic
from wire.records.legacy import encode_message_set
from wire.records.record import build_batch, decode_records

NOT_COVERED_BY_THE_CHECKSUM = {*range(8), *range(12, 16)}
"""Base offset and leader epoch: the broker sets both."""


def test_a_header_says_what_was_built() -> None:
    batch = build_batch(
        some_records(),
        base_offset=1000,
        compression=Compression.LZ4,
        producer_id=7,
        producer_epoch=3,
        base_sequence=40,
        is_transactional=True,
        partition_leader_epoch=9,
    )
    header = read_header(batch)
    assert header.size_in_bytes == len(batch)
    assert (header.base_offset, header.last_offset, header.next_offset) == (1000, 1004, 1005)
    assert (header.record_count, header.last_offset_delta) == (5, 4)
    assert (header.producer_id, header.producer_epoch) == (7, 3)
    assert (header.base_sequence, header.last_sequence) == (40, 44)
    assert (header.base_timestamp, header.max_timestamp) == (BASE_TIMESTAMP, BASE_TIMESTAMP + 400)
    assert header.partition_leader_epoch == 9
    assert header.compression == Compression.LZ4
    assert header.timestamp_type == CREATE_TIME
    assert header.is_transactional
    assert header.has_producer_id
    assert not header.is_control
    assert header.delete_horizon is None


def test_a_batch_of_no_producer_has_no_sequence() -> None:
    header = read_header(build_batch(some_records()))
    assert not header.has_producer_id
    assert header.last_sequence == -1


def test_sequences_wrap_to_zero() -> None:
    header = read_header(build_batch(some_records(3), producer_id=1, base_sequence=MAX_INT32 - 1))
    assert header.last_sequence == 0


def test_the_delete_horizon_stands_in_the_base_timestamp() -> None:
    records = some_records()
    batch = build_batch(records, delete_horizon=123_456)
    header = read_header(batch)
    assert header.delete_horizon == 123_456
    assert decode_records(batch) == records


@pytest.mark.parametrize("codec", CODECS)
def test_what_a_broker_patches_leaves_checksum_and_records_alone(codec: Compression) -> None:
    batch = build_batch(some_records(), compression=codec)
    before = bytes(batch)
    frame = bytearray(b"\xff" * 3 + before)
    patch(memoryview(frame), 3, base_offset=2**40, leader_epoch=17)
    verify_crc(frame, 3)
    header = read_header(frame, 3)
    assert (header.base_offset, header.partition_leader_epoch) == (2**40, 17)
    assert decode_records(frame, 3)[-1].offset == 2**40 + 4
    changed = {i for i, byte in enumerate(before) if frame[3 + i] != byte}
    assert changed <= NOT_COVERED_BY_THE_CHECKSUM


def test_patching_sets_only_what_is_given() -> None:
    batch = build_batch(some_records(), base_offset=5, partition_leader_epoch=6)
    patch(batch, 0, leader_epoch=7)
    assert read_header(batch)[:3] == (5, len(batch) - 12, 7)
    patch(batch, 0, base_offset=8)
    assert read_header(batch)[:3] == (8, len(batch) - 12, 7)


def test_a_read_only_buffer_cannot_be_patched() -> None:
    batch = memoryview(build_batch(some_records())).toreadonly()
    with pytest.raises(TypeError):
        patch(batch, 0, base_offset=1)


def test_a_value_that_does_not_fit_is_our_own_error() -> None:
    batch = build_batch(some_records())
    with pytest.raises(EncodeError):
        patch(batch, 0, leader_epoch=2**31)
    with pytest.raises(EncodeError):
        patch(batch, len(batch), base_offset=1)
    with pytest.raises(EncodeError):
        set_max_timestamp(batch, 0, 2**63)


def test_log_append_time_is_the_timestamp_of_every_record() -> None:
    batch = bytearray(b"xx") + build_batch(some_records())
    set_max_timestamp(batch, 2, 99)
    verify_crc(batch, 2)
    header = read_header(batch, 2)
    assert (header.timestamp_type, header.max_timestamp) == (LOG_APPEND_TIME, 99)
    assert header.base_timestamp == BASE_TIMESTAMP
    assert {record.timestamp for record in decode_records(batch, 2)} == {99}


def test_a_wrong_maximum_can_be_set_right_without_changing_the_type() -> None:
    batch = build_batch(some_records())
    set_max_timestamp(batch, 0, 5, CREATE_TIME)
    verify_crc(batch)
    assert read_header(batch).timestamp_type == CREATE_TIME
    assert decode_records(batch) == some_records()


@pytest.mark.parametrize("codec", CODECS)
def test_a_flip_of_any_bit_is_found_or_named_as_not_covered(codec: Compression) -> None:
    batch = build_batch(some_records(3), compression=codec)
    unseen = set()
    for place in range(len(batch)):
        for bit in range(8):
            batch[place] ^= 1 << bit
            try:
                verify_crc(batch)
            except CorruptBatch:
                pass
            else:
                unseen.add(place)
            batch[place] ^= 1 << bit
    assert unseen == NOT_COVERED_BY_THE_CHECKSUM


@pytest.mark.parametrize("read", [read_header, verify_crc, decode_records])
def test_a_batch_cut_anywhere_is_refused(read: object) -> None:
    batch = bytes(build_batch(some_records()))
    for size in range(len(batch)):
        with pytest.raises(CorruptBatch):
            read(batch[:size])  # type: ignore[operator]


def test_a_header_alone_can_be_read_where_that_is_meant() -> None:
    batch = build_batch(some_records())
    assert read_header(batch[:RECORDS], whole=False) == read_header(batch)
    with pytest.raises(CorruptBatch):
        read_header(batch[: RECORDS - 1], whole=False)


@pytest.mark.parametrize(
    ("place", "field"),
    [(8, b"\0\0\0\x30"), (8, b"\xff\xff\xff\xff"), (8, b"\x7f\xff\xff\xff"), (8, b"\0\0\0\0")],
)
def test_impossible_lengths_are_refused(place: int, field: bytes) -> None:
    batch = build_batch(some_records())
    batch[place : place + 4] = field
    for read in (read_header, verify_crc):
        with pytest.raises(CorruptBatch):
            read(batch)


@pytest.mark.parametrize("place", [23, 57])
def test_negative_counts_are_refused(place: int) -> None:
    batch = build_batch(some_records())
    batch[place] = 0xFF
    with pytest.raises(InvalidHeader):
        read_header(batch)


def test_other_formats_are_named_as_such() -> None:
    old = encode_message_set(some_records(1), 1)
    for read in (read_header, verify_crc):
        with pytest.raises(UnsupportedMagic):
            read(old)
        with pytest.raises(UnsupportedMagic):
            read(old + bytes(60))


def test_headers_are_walked_in_order() -> None:
    batches = [build_batch(some_records(n), base_offset=100 * n) for n in (1, 2, 3)]
    found = list(iter_headers(b"".join(batches)))
    starts = [0, len(batches[0]), len(batches[0]) + len(batches[1])]
    assert [pos for pos, _ in found] == starts
    assert [header.base_offset for _, header in found] == [100, 200, 300]
    assert list(iter_headers(b"")) == []
    assert [pos for pos, _ in iter_headers(b"".join(batches), starts[2])] == starts[2:]


def test_a_walk_ends_at_a_partial_batch_only_where_one_may_stand() -> None:
    batch = bytes(build_batch(some_records()))
    for size in range(1, len(batch)):
        assert len(list(iter_headers(batch + batch[:size], partial=True))) == 1
        with pytest.raises(CorruptBatch):
            list(iter_headers(batch + batch[:size]))


def test_a_wrong_length_is_no_partial_batch() -> None:
    batch = build_batch(some_records())
    batch[8] = 0xFF
    with pytest.raises(CorruptBatch):
        list(iter_headers(batch, partial=True))


@pytest.mark.parametrize("magic", [0, 1, 2])
def test_magic_and_size_of_every_format(magic: int) -> None:
    if magic == 2:
        entry = bytes(build_batch(some_records(1)))
    else:
        entry = encode_message_set(some_records(1), magic)
    buf = b"???" + entry + b"next"
    assert magic_of(buf, 3) == magic
    assert entry_size(buf, 3) == len(entry)
    with pytest.raises(CorruptBatch):
        entry_size(entry[:MAGIC])
    with pytest.raises(CorruptBatch):
        entry_size(entry[:8] + b"\0\0\0\x0d" + entry[12:])


@pytest.mark.parametrize("magic", [3, 127, 128, 255])
def test_unknown_formats_are_refused(magic: int) -> None:
    batch = build_batch(some_records())
    batch[MAGIC] = magic
    for read in (magic_of, entry_size, read_header, verify_crc):
        with pytest.raises(UnsupportedMagic):
            read(batch)


def test_all_of_it_is_one_family() -> None:
    assert issubclass(CorruptBatch, DecodeError)
    assert issubclass(UnsupportedMagic, CorruptBatch)
