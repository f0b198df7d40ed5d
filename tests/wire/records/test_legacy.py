"""Message formats 0 and 1: round trips, other libraries, conversion up and down."""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import Any

import aiokafka.record.legacy_records as aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import (
    BASE_TIMESTAMP,
    kafka_python_legacy,
    record_lists,
    some_records,
    without_headers,
)
from wire.errors import DecodeError, EncodeError
from wire.records.batch import (
    CREATE_TIME,
    LOG_APPEND_TIME,
    read_header,
    set_max_timestamp,
    verify_crc,
)
from wire.records.compression import Compression, compress
from wire.records.errors import CorruptBatch, UnsupportedCodec, UnsupportedMagic
from wire.records.legacy import (
    ZstdNotConvertible,
    convert_down,
    convert_up,
    decode_message_set,
    encode_message,
    encode_message_set,
    iter_messages,
    read_message,
    unwrap,
)
from wire.records.record import (
    ControlType,
    Record,
    build_batch,
    control_batch,
    decode_records,
)

MAGICS = [0, 1]
CODECS = [Compression.NONE, Compression.GZIP, Compression.SNAPPY, Compression.LZ4]

AIOKAFKA_HAS = [(m, c) for m in MAGICS for c in CODECS if (m, c) != (0, Compression.LZ4)]
"""It gave up on lz4 in format 0 (KAFKA-3160)."""


def as_read(records: list[Record], magic: int, at: int | None = None) -> list[Record]:
    """What is left of records in an old format."""
    return [
        Record(r.offset, -1 if magic == 0 else r.timestamp if at is None else at, r.key, r.value)
        for r in records
    ]


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists(gaps=True))
def test_what_is_encoded_is_read_again(
    magic: int, codec: Compression, records: list[Record]
) -> None:
    encoded = encode_message_set(records, magic, compression=codec)
    assert decode_message_set(memoryview(encoded)) == as_read(records, magic)


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists(), at=st.integers(0, 2**62))
def test_log_append_time_is_that_of_all_messages(
    magic: int, codec: Compression, records: list[Record], at: int
) -> None:
    encoded = encode_message_set(
        records, magic, compression=codec, timestamp_type=LOG_APPEND_TIME, log_append_time=at
    )
    assert decode_message_set(encoded) == as_read(records, magic, at)
    assert read_message(encoded).timestamp_type == (LOG_APPEND_TIME if magic else CREATE_TIME)


@pytest.mark.parametrize(("magic", "codec"), AIOKAFKA_HAS)
@given(records=record_lists(with_headers=False, timed=True))
def test_aiokafka_and_we_read_each_other(
    magic: int, codec: Compression, records: list[Record]
) -> None:
    ours = encode_message_set(records, magic, compression=codec)
    builder = aio.LegacyRecordBatchBuilder(magic=magic, compression_type=codec, batch_size=1 << 20)
    theirs = fill(builder, records)
    assert decode_message_set(theirs) == as_read(records, magic)
    if not codec:
        assert theirs == ours
    else:
        batch = aio.LegacyRecordBatch(ours, magic)
        assert batch.validate_crc()
        assert [(r.offset, r.key, r.value) for r in batch] == [
            (r.offset, r.key, r.value) for r in records
        ]


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("codec", [Compression.NONE, Compression.GZIP])
@given(records=record_lists(with_headers=False, timed=True))
def test_kafka_python_and_we_read_each_other(
    magic: int, codec: Compression, records: list[Record]
) -> None:
    ours = encode_message_set(records, magic, compression=codec)
    builder = kafka_python_legacy.LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    theirs = fill(builder, records)
    assert decode_message_set(theirs) == as_read(records, magic)
    if codec:
        batch = kafka_python_legacy.LegacyRecordBatch(ours, magic)
        assert batch.validate_crc()
        assert [r.offset for r in batch] == [r.offset for r in records]
    else:
        assert theirs == ours


def fill(builder: Any, records: list[Record]) -> bytes:
    for r in records:
        assert builder.append(r.offset, r.timestamp, r.key, r.value) is not None
    return bytes(builder.build())


def test_a_wrapper_has_the_offset_and_time_of_its_last_and_newest() -> None:
    records = [Record(7, 30), Record(9, 50), Record(12, 40)]
    wrapper = read_message(encode_message_set(records, 1, compression=Compression.GZIP))
    assert (wrapper.offset, wrapper.timestamp, wrapper.key) == (12, 50, None)
    inner = list(iter_messages(encode_message_set(records, 1)))
    assert [m.offset for m in inner] == [7, 9, 12]


def test_messages_inside_count_from_zero_in_format_1_alone() -> None:
    records = [Record(7, 30), Record(9, 50)]
    assert inner_offsets(encode_message_set(records, 1, compression=Compression.GZIP)) == [0, 2]
    assert inner_offsets(encode_message_set(records, 0, compression=Compression.GZIP)) == [7, 9]


def inner_offsets(encoded: bytes) -> list[int]:
    wrapper = read_message(encoded)
    assert wrapper.value is not None
    return [m.offset for m in iter_messages(zlib.decompress(wrapper.value, 31))]


def wrapped(offset: int, inner: bytes, magic: int = 1) -> bytes:
    """A gzip wrapper, whatever is in it."""
    packed = compress(Compression.GZIP, inner)
    return encode_message(magic, offset, 5, Compression.GZIP, None, packed)


def test_a_wrapper_at_offset_zero_leaves_those_inside_alone() -> None:
    """As some versions of librdkafka produce them."""
    inner = encode_message_set([Record(0), Record(1), Record(2)], 1)
    assert [r.offset for r in decode_message_set(wrapped(0, inner))] == [0, 1, 2]
    assert [r.offset for r in decode_message_set(wrapped(12, inner))] == [10, 11, 12]


def test_a_wrapper_below_those_inside_is_refused() -> None:
    inner = encode_message_set([Record(0), Record(5)], 1)
    with pytest.raises(CorruptBatch, match="below"):
        decode_message_set(wrapped(4, inner))


def test_wrappers_hold_plain_messages_of_their_own_format() -> None:
    one = [Record(0, 1, b"k", b"v")]
    for inner in (
        b"",
        encode_message_set(one, 0),
        encode_message_set(one, 1, compression=Compression.GZIP),
        bytes(build_batch(one)),
    ):
        with pytest.raises(CorruptBatch):
            decode_message_set(wrapped(0, inner))


def test_a_wrapper_without_a_value_is_refused() -> None:
    with pytest.raises(CorruptBatch, match="no value"):
        decode_message_set(encode_message(1, 0, 0, Compression.GZIP, None, None))


@pytest.mark.parametrize("codec", [4, 5, 7])
def test_no_old_message_holds_zstd_or_worse(codec: int) -> None:
    with pytest.raises(UnsupportedCodec):
        decode_message_set(encode_message(1, 0, 0, codec, None, b""))
    with pytest.raises(ZstdNotConvertible):
        encode_message_set([Record()], 1, compression=codec)


def test_lz4_of_format_0_is_written_as_its_clients_expect_it() -> None:
    records = some_records(20)
    old = read_message(encode_message_set(records, 0, compression=Compression.LZ4))
    new = read_message(encode_message_set(records, 1, compression=Compression.LZ4))
    assert old.value is not None
    assert new.value is not None
    assert (old.value[6], new.value[6]) == (0x1A, 0x82)


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("codec", CODECS)
def test_a_flip_of_any_bit_is_found_outside_the_offset(magic: int, codec: Compression) -> None:
    encoded = bytearray(encode_message_set(some_records(3)[:1], magic, compression=codec))
    unseen = set()
    for place in range(len(encoded)):
        for bit in range(8):
            encoded[place] ^= 1 << bit
            try:
                read_message(encoded)
            except CorruptBatch:
                pass
            else:
                unseen.add(place)
            encoded[place] ^= 1 << bit
    assert unseen == set(range(8))


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("verify", [True, False])
def test_a_set_cut_anywhere_is_refused(magic: int, verify: bool) -> None:
    encoded = encode_message_set(some_records(2), magic)
    whole = {0, read_message(encoded).size_in_bytes}
    for size in set(range(len(encoded))) - whole:
        with pytest.raises(CorruptBatch):
            decode_message_set(encoded[:size], verify=verify)


@pytest.mark.parametrize("magic", MAGICS)
def test_any_byte_changed_gives_messages_or_a_decode_error(magic: int) -> None:
    encoded = bytearray(encode_message_set(some_records(3), magic))
    for place in range(len(encoded)):
        for value in (0, 1, 0x7F, 0xFF):
            kept, encoded[place] = encoded[place], value
            with suppress(DecodeError):
                decode_message_set(encoded, verify=False)
            encoded[place] = kept


def test_a_key_that_leaves_no_room_for_the_value_is_refused() -> None:
    encoded = bytearray(encode_message_set([Record(0, 0, b"key", b"v")], 1))
    for size in (4, 8, 7):
        encoded[29] = size
        with pytest.raises(CorruptBatch):
            read_message(encoded, verify=False)


def test_format_2_is_no_message() -> None:
    with pytest.raises(UnsupportedMagic):
        read_message(build_batch(some_records()))


def test_a_field_that_does_not_fit_is_our_own_error() -> None:
    with pytest.raises(EncodeError):
        encode_message_set([Record(2**63)], 1)


# Up: what old producers send.


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists(gaps=True))
def test_a_set_becomes_one_batch(magic: int, codec: Compression, records: list[Record]) -> None:
    batch = convert_up(
        encode_message_set(records, magic, compression=codec),
        base_offset=500,
        partition_leader_epoch=4,
    )
    verify_crc(batch)
    header = read_header(batch)
    assert (header.base_offset, header.record_count) == (500, len(records))
    assert (header.compression, header.partition_leader_epoch) == (codec, 4)
    assert not header.has_producer_id
    read = decode_records(batch)
    assert [r.offset for r in read] == list(range(500, 500 + len(records)))
    assert [(r.timestamp, r.key, r.value) for r in read] == [
        (r.timestamp, r.key, r.value) for r in as_read(records, magic)
    ]


def test_up_conversion_takes_the_codec_of_the_topic() -> None:
    encoded = encode_message_set(some_records(), 1, compression=Compression.GZIP)
    batch = convert_up(encoded, compression=Compression.ZSTD, level=5)
    assert read_header(batch).compression == Compression.ZSTD
    assert decode_records(batch) == without_headers(some_records())


def test_up_conversion_sets_log_append_time() -> None:
    batch = convert_up(
        encode_message_set(some_records(), 0), timestamp_type=LOG_APPEND_TIME, log_append_time=77
    )
    assert {r.timestamp for r in decode_records(batch)} == {77}


def test_wrappers_and_plain_messages_may_be_mixed() -> None:
    encoded = encode_message_set(some_records(2), 1) + encode_message_set(
        some_records(3), 1, compression=Compression.SNAPPY
    )
    header = read_header(convert_up(encoded))
    assert (header.record_count, header.compression) == (5, Compression.SNAPPY)


def test_an_empty_or_corrupt_set_is_not_converted() -> None:
    encoded = bytearray(encode_message_set(some_records(), 1))
    encoded[-1] ^= 1
    for broken in (b"", encoded, build_batch(some_records())):
        with pytest.raises(CorruptBatch):
            convert_up(broken)


def test_up_conversion_is_bounded() -> None:
    encoded = encode_message_set(some_records(20), 1, compression=Compression.GZIP)
    with pytest.raises(CorruptBatch, match="more than"):
        convert_up(encoded, max_decompressed_bytes=100)


# Down: what old consumers fetch.


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists(gaps=True))
def test_a_batch_becomes_messages(magic: int, codec: Compression, records: list[Record]) -> None:
    batch = build_batch(
        records, base_offset=records[0].offset, compression=codec, keep_offsets=True
    )
    converted = convert_down(memoryview(batch), magic)
    assert decode_message_set(converted) == as_read(records, magic)
    shallow = list(iter_messages(converted))
    assert len(shallow) == (1 if codec else len(records))
    assert {m.compression for m in shallow} == {codec}


def test_down_and_up_again_loses_headers_alone() -> None:
    records = some_records(9)
    batch = build_batch(records)
    again = convert_up(convert_down(batch, 1))
    assert decode_records(again) == without_headers(records)


@pytest.mark.parametrize("codec", CODECS)
def test_log_append_time_is_kept_in_format_1(codec: Compression) -> None:
    batch = build_batch(some_records(), compression=codec)
    set_max_timestamp(batch, 0, 88)
    converted = convert_down(batch, 1)
    assert all(m.timestamp_type == LOG_APPEND_TIME for m in iter_messages(converted))
    assert {r.timestamp for r in decode_message_set(converted)} == {88}
    assert {r.timestamp for r in decode_message_set(convert_down(batch, 0))} == {-1}


def test_messages_below_the_offset_asked_for_are_dropped_where_not_compressed() -> None:
    records = some_records(6)
    plain, packed = build_batch(records), build_batch(records, compression=Compression.GZIP)
    assert [r.offset for r in decode_message_set(convert_down(plain, 1, 4))] == [4, 5]
    assert [r.offset for r in decode_message_set(convert_down(packed, 1, 4))] == [0, 1, 2, 3, 4, 5]
    assert convert_down(plain, 1, 6) == b""


def test_control_batches_and_headers_alone_are_left_out() -> None:
    log = (
        build_batch(some_records(2))
        + control_batch(ControlType.COMMIT, timestamp=1, producer_id=1, producer_epoch=0)
        + build_batch(some_records(2), base_offset=3)
    )
    assert [r.offset for r in decode_message_set(convert_down(log, 1))] == [0, 1, 3, 4]
    marker = control_batch(ControlType.ABORT, timestamp=1, producer_id=1, producer_epoch=0)
    assert convert_down(marker, 0) == b""


def test_zstd_is_not_converted_and_says_so() -> None:
    log = build_batch(some_records()) + build_batch(some_records(), compression=Compression.ZSTD)
    with pytest.raises(ZstdNotConvertible):
        convert_down(log, 1)


def test_what_is_old_enough_already_is_passed_on() -> None:
    log = encode_message_set(some_records(2), 0) + encode_message_set(
        some_records(2, base_offset=2), 1, compression=Compression.LZ4
    )
    assert convert_down(log, 1) == log
    down = convert_down(log, 0)
    assert {m.magic for m in iter_messages(down)} == {0}
    assert [r.offset for r in decode_message_set(down)] == [0, 1, 2, 3]
    plain = encode_message_set(some_records(3), 1)
    assert [r.offset for r in decode_message_set(convert_down(plain, 0, 2))] == [2]


def test_a_batch_cut_off_at_the_end_is_left_out() -> None:
    batch = bytes(build_batch(some_records()))
    for size in range(len(batch)):
        assert convert_down(batch + batch[:size], 1) == convert_down(batch, 1)


def test_down_conversion_is_bounded() -> None:
    batch = build_batch(some_records(20), compression=Compression.GZIP)
    with pytest.raises(CorruptBatch, match="more than"):
        convert_down(batch, 1, max_decompressed_bytes=100)


def test_unwrap_gives_a_plain_message_as_itself() -> None:
    (record,) = unwrap(read_message(encode_message_set([Record(3, BASE_TIMESTAMP, b"k")], 1)))
    assert record == Record(3, BASE_TIMESTAMP, b"k")
