"""Records of format 2: round trips, other libraries' bytes, and broken ones."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import aiokafka.record.default_records as aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import (
    BASE_TIMESTAMP,
    CODECS,
    kafka_python,
    record_lists,
    some_records,
)
from wire.errors import DecodeError, EncodeError
from wire.records.batch import (
    CREATE_TIME,
    LOG_APPEND_TIME,
    RECORDS,
    patch,
    read_header,
    set_max_timestamp,
    verify_crc,
)
from wire.records.compression import Compression
from wire.records.errors import CorruptBatch, UnsupportedCodec
from wire.records.record import (
    ControlType,
    Record,
    RecordBatchBuilder,
    build_batch,
    control_batch,
    control_type,
    decode_records,
    iter_records,
    marker_coordinator_epoch,
    parse_records,
    read_uvarint,
    read_varint,
    varint,
)

# aiokafka's builder takes a first timestamp of -1 for none yet: its batches are compared timed.
KAFKA_PYTHON_HAS = [Compression.NONE, Compression.GZIP]
"""The rest needs packages that are not installed for it."""


def values(records: Any) -> list[tuple[Any, ...]]:
    """Any library's records, comparable."""
    return [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in records]


@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists(gaps=True))
def test_what_is_built_is_read_again(codec: Compression, records: list[Record]) -> None:
    base = records[0].offset
    batch = build_batch(records, base_offset=base, compression=codec, keep_offsets=True)
    verify_crc(batch)
    assert decode_records(batch) == records
    assert list(iter_records(memoryview(b"!" + batch).toreadonly(), 1)) == records
    header = read_header(batch)
    assert header.record_count == len(records)
    assert header.last_offset == records[-1].offset
    assert header.max_timestamp == max(r.timestamp for r in records)


@given(records=record_lists(), at=st.integers(0, 2**62))
def test_log_append_time_covers_all_records(records: list[Record], at: int) -> None:
    batch = build_batch(records, timestamp_type=LOG_APPEND_TIME, log_append_time=at)
    assert {record.timestamp for record in decode_records(batch)} == {at}
    # The records' own times are still there below the type's bit.
    set_max_timestamp(batch, 0, at, CREATE_TIME)
    assert decode_records(batch) == records


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints_round_trip(n: int) -> None:
    encoded = varint(n)
    assert read_varint(encoded + b"\xff", 0) == (n, len(encoded))


@pytest.mark.parametrize("n", [0, 63, 64, 8191, 8192, 2**20 - 1, 2**20, 2**31 - 1, 2**63 - 1])
def test_varints_are_as_short_as_can_be(n: int) -> None:
    for signed in (n, -n - 1):
        assert len(varint(signed)) == max(1, -(-(n * 2 + 1).bit_length() // 7))


def test_varints_have_an_end() -> None:
    with pytest.raises(CorruptBatch):
        read_uvarint(b"\x80" * 10 + b"\x01", 0)
    assert read_uvarint(b"\x80" * 9 + b"\x01", 0) == (2**63, 10)


def test_build_batch_numbers_records_unless_told_to_keep_offsets() -> None:
    records = [Record(key=b"a"), Record(key=b"b"), Record(7, key=b"c")]
    assert [r.offset for r in decode_records(build_batch(records, base_offset=5))] == [5, 6, 7]
    with pytest.raises(EncodeError):
        build_batch(records, keep_offsets=True)


def test_a_compacted_batch_keeps_its_last_offset() -> None:
    kept = [Record(12, 5, b"k", b"v")]
    batch = build_batch(kept, base_offset=10, last_offset_delta=9, keep_offsets=True)
    header = read_header(batch)
    assert (header.base_offset, header.last_offset, header.record_count) == (10, 19, 1)
    assert decode_records(batch) == kept
    with pytest.raises(EncodeError):
        build_batch(kept, base_offset=10, last_offset_delta=1, keep_offsets=True)


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_may_be_a_header_alone(codec: Compression) -> None:
    builder = RecordBatchBuilder(
        base_offset=10, last_offset_delta=4, producer_id=3, base_sequence=0, compression=codec
    )
    batch = builder.build()
    assert len(batch) == RECORDS
    assert read_header(batch).last_sequence == 4
    assert decode_records(batch) == []


def test_a_builder_without_records_needs_a_reason() -> None:
    with pytest.raises(EncodeError):
        build_batch([])


def test_a_builder_knows_its_size() -> None:
    builder = RecordBatchBuilder()
    for record in some_records(9):
        builder.append(record)
    assert len(builder) == 9
    assert builder.uncompressed_bytes == len(builder.build())


def test_log_append_time_needs_its_type_and_its_value() -> None:
    with pytest.raises(EncodeError):
        RecordBatchBuilder(timestamp_type=LOG_APPEND_TIME)
    with pytest.raises(EncodeError):
        RecordBatchBuilder(log_append_time=5)


def test_a_field_that_does_not_fit_is_our_own_error() -> None:
    with pytest.raises(EncodeError):
        build_batch(some_records(), producer_epoch=2**15)


@pytest.mark.parametrize("kind", [ControlType.ABORT, ControlType.COMMIT])
def test_markers_end_a_transaction(kind: ControlType) -> None:
    batch = control_batch(
        kind,
        timestamp=5,
        producer_id=7,
        producer_epoch=2,
        coordinator_epoch=11,
        base_offset=100,
        partition_leader_epoch=3,
    )
    verify_crc(batch)
    header = read_header(batch)
    assert header.is_control
    assert header.is_transactional
    assert header.base_sequence == -1
    assert (header.base_offset, header.record_count, header.partition_leader_epoch) == (100, 1, 3)
    (record,) = decode_records(batch)
    assert record.key == b"\0\0\0" + bytes((kind,))
    assert record.value == b"\0\0\0\0\0\x0b"
    assert control_type(record) == kind
    assert marker_coordinator_epoch(record) == 11
    theirs = next(iter(aio.DefaultRecordBatch(bytes(batch))))
    assert theirs.key == record.key
    (control,) = kafka_python.DefaultRecordBatch(bytes(batch))
    assert control.commit == (kind == ControlType.COMMIT)


def test_other_control_records_are_not_transactional() -> None:
    batch = control_batch(ControlType.LEADER_CHANGE, timestamp=1, value=b"\0\0body")
    assert not read_header(batch).is_transactional
    (record,) = decode_records(batch)
    assert control_type(record) == ControlType.LEADER_CHANGE
    assert record.value == b"\0\0body"


@pytest.mark.parametrize("key", [None, b"", b"\0\0\0", b"\xff\xff\0\1"])
def test_control_keys_are_checked(key: bytes | None) -> None:
    with pytest.raises(CorruptBatch):
        control_type(Record(key=key))


@pytest.mark.parametrize("value", [None, b"", b"\0\0\0\0\0", b"\xff\xff\0\0\0\0"])
def test_marker_values_are_checked(value: bytes | None) -> None:
    with pytest.raises(CorruptBatch):
        marker_coordinator_epoch(Record(value=value))


def filled(builder: Any, records: list[Record]) -> bytes:
    for i, r in enumerate(records):
        assert builder.append(i, r.timestamp, r.key, r.value, r.headers) is not None
    return bytes(builder.build())


@pytest.mark.parametrize("transactional", [False, True])
@given(records=record_lists(timed=True))
def test_plain_batches_are_byte_for_byte_those_of_other_libraries(
    transactional: bool, records: list[Record]
) -> None:
    ours = build_batch(
        records,
        producer_id=9,
        producer_epoch=1,
        base_sequence=5,
        is_transactional=transactional,
        partition_leader_epoch=0,
    )
    for library in (aio, kafka_python):
        builder = library.DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=transactional,
            producer_id=9,
            producer_epoch=1,
            base_sequence=5,
            batch_size=1 << 20,
        )
        theirs = bytearray(filled(builder, records))
        patch(theirs, 0, leader_epoch=0)
        assert theirs == ours


@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists(timed=True))
def test_aiokafka_and_we_read_each_other(codec: Compression, records: list[Record]) -> None:
    ours = build_batch(records, compression=codec)
    reader = aio.DefaultRecordBatch(bytes(ours))
    assert reader.validate_crc()
    assert values(reader) == values(records)
    builder = aio.DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    theirs = filled(builder, records)
    verify_crc(theirs)
    assert decode_records(theirs) == records


@pytest.mark.parametrize("codec", KAFKA_PYTHON_HAS)
@given(records=record_lists(timed=True))
def test_kafka_python_and_we_read_each_other(codec: Compression, records: list[Record]) -> None:
    ours = build_batch(records, compression=codec)
    reader = kafka_python.DefaultRecordBatch(bytes(ours))
    assert reader.validate_crc()
    assert values(reader) == values(records)
    builder = kafka_python.DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    assert decode_records(filled(builder, records)) == records


def body_of(records: list[Record]) -> bytes:
    return bytes(build_batch(records)[RECORDS:])


def parsed(body: bytes, count: int) -> list[Record]:
    return list(parse_records(body, count, 0, BASE_TIMESTAMP, None))


def test_a_body_cut_anywhere_is_refused() -> None:
    body = body_of(some_records(4))
    for size in range(len(body)):
        with pytest.raises(CorruptBatch):
            parsed(body[:size], 4)


def test_a_body_with_any_byte_changed_gives_records_or_a_decode_error() -> None:
    records = some_records(4)
    body = bytearray(body_of(records))
    for place in range(len(body)):
        for value in (0, 1, 0x7F, 0x80, 0xFF, body[place] ^ 1):
            kept, body[place] = body[place], value
            with suppress(DecodeError):
                assert len(parsed(bytes(body), 4)) == 4
            body[place] = kept
    assert parsed(bytes(body), 4) == records


@given(st.binary(max_size=60), st.integers(0, 5))
def test_noise_gives_records_or_a_decode_error(noise: bytes, count: int) -> None:
    with suppress(DecodeError):
        assert len(parsed(noise, count)) == count


@pytest.mark.parametrize("count", [0, 3, 5, 2**31 - 1])
def test_the_count_must_fit_the_records(count: int) -> None:
    with pytest.raises(CorruptBatch):
        parsed(body_of(some_records(4)), count)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0c\0\0\0\1\1\2",  # one header, and nothing there
        b"\x0c\0\0\0\1\1\1",  # minus one headers
        b"\x16\0\0\0\1\1\xfe\xff\xff\xff\x0f",  # two thousand million headers
        b"\x10\0\0\0\1\1\2\1\1",  # a header without a key
        b"\x10\0\0\0\1\1\2\x50\1",  # a header key past the end
        b"\x01\0\0\0\1\1\0",  # a negative length
        b"\x80" * 11,
    ],
)
def test_broken_records_are_refused(body: bytes) -> None:
    with pytest.raises(CorruptBatch):
        parsed(body, 1)


def test_any_negative_length_of_key_or_value_is_null() -> None:
    (record,) = parsed(b"\x0c\0\0\0\5\7\0", 1)
    assert record.key is None
    assert record.value is None


def test_header_names_that_are_not_utf8_come_through_unchanged() -> None:
    body = b"\x14\0\0\0\1\1\2\x04\xff\xfe\1"
    body = bytes((2 * (len(body) - 1),)) + body[1:]
    (record,) = parsed(body, 1)
    assert body_of([Record(0, BASE_TIMESTAMP, None, None, record.headers)]) == body


def test_an_unknown_codec_is_named() -> None:
    batch = build_batch(some_records())
    batch[22] |= 6
    with pytest.raises(UnsupportedCodec):
        decode_records(batch)


def test_records_show_and_compare_by_content() -> None:
    record = Record(1, 2, b"k", b"v", [("h", None)])
    assert record == Record(1, 2, b"k", b"v", [("h", None)])
    assert record != Record(1, 2, b"k", b"w", [("h", None)])
    assert record != "Record"
    assert (
        repr(record) == "Record(offset=1, timestamp=2, key=b'k', value=b'v', headers=[('h', None)])"
    )
