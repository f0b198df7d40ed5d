"""What producers may send, and which error they get for what they may not."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import BASE_TIMESTAMP, CODECS, record_lists, some_records
from wire.errors import DecodeError, ErrorCode
from wire.records.batch import (
    ATTRIBUTES,
    CRC,
    LOG_APPEND_TIME,
    RECORDS,
    patch,
    read_header,
    set_max_timestamp,
    verify_crc,
)
from wire.records.compression import Compression, compress
from wire.records.crc import crc32c
from wire.records.errors import CorruptBatch
from wire.records.legacy import encode_message_set
from wire.records.record import (
    ControlType,
    Record,
    RecordBatchBuilder,
    build_batch,
    control_batch,
    decode_records,
    encode_record,
)
from wire.records.validate import (
    FEW_RECORDS,
    NEAR_MS,
    InvalidRecords,
    Rules,
    ValidBatch,
    in_format_2,
    newest_delta,
    plain_header,
    recompress,
    timestamp_of_max,
    walk_records,
)
from wire.records.validate import validate as fully_validate

NOW = BASE_TIMESTAMP + 1000
HOUR = 3_600_000
LENIENT = Rules()
WALKED = Rules(walk=True)
BOTH = pytest.mark.parametrize("rules", [LENIENT, WALKED], ids=["header", "walked"])


def validate(buf: Any, rules: Rules, now: int) -> list[ValidBatch]:
    """The short way comes to the same wherever it says anything."""
    plain = plain_header(buf, rules, now)
    found = fully_validate(buf, rules, now)
    if plain is not None:
        assert found == [ValidBatch(0, plain, plain.max_timestamp, None, None)]
    return found


def refused(buf: Any, rules: Rules = LENIENT, now: int = NOW) -> InvalidRecords:
    with pytest.raises(InvalidRecords) as caught:
        fully_validate(buf, rules, now)
    assert plain_header(buf, rules, now) is None
    return caught.value


def resealed(batch: bytearray) -> bytearray:
    """With a checksum that holds again."""
    batch[CRC : CRC + 4] = crc32c(memoryview(batch)[ATTRIBUTES:]).to_bytes(4, "big")
    return batch


def changed(place: int, value: bytes, **options: Any) -> bytearray:
    batch = build_batch(some_records(), **options)
    batch[place : place + len(value)] = value
    return resealed(batch)


@BOTH
@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists())
def test_what_is_built_is_valid(rules: Rules, codec: Compression, records: list[Record]) -> None:
    batch = build_batch(records, compression=codec)
    # Far ahead: records may come from any time.
    (valid,) = validate(memoryview(batch).toreadonly(), rules, 2**62)
    assert valid.pos == 0
    assert valid.header == read_header(batch)
    assert valid.max_timestamp == max(r.timestamp for r in records)
    if rules.walk:
        assert (valid.max_timestamp, valid.offset_delta_of_max) == timestamp_of_max(batch)
        assert valid.body is not None
    else:
        assert (valid.offset_delta_of_max, valid.body) == (None, None)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [1, FEW_RECORDS, FEW_RECORDS + 1])
def test_the_short_way_takes_what_producers_send(codec: Compression, count: int) -> None:
    records = [Record(index, BASE_TIMESTAMP + index, b"key", b"value") for index in range(count)]
    batch = build_batch(
        records, compression=codec, producer_id=7, producer_epoch=0, base_sequence=0
    )
    assert plain_header(memoryview(batch), LENIENT, NOW) == read_header(batch)
    assert plain_header(batch, Rules(compression=codec), NOW) == read_header(batch)
    for rules in (
        WALKED,
        Rules(compacted=True),
        Rules(timestamp_type=LOG_APPEND_TIME),
        Rules(before_max_ms=HOUR),
        Rules(compression=Compression.ZSTD if codec != Compression.ZSTD else Compression.GZIP),
        Rules(from_client=False),
    ):
        assert plain_header(batch, rules, NOW) is None


@given(
    place=st.integers(0, RECORDS - 1),
    value=st.binary(min_size=1, max_size=4),
    count=st.sampled_from([1, 3, FEW_RECORDS + 1]),
    rules=st.sampled_from([LENIENT, Rules(after_max_ms=HOUR), Rules(compression=0)]),
    codec=st.sampled_from([Compression.NONE, Compression.GZIP]),
)
def test_the_short_way_comes_to_the_same_for_any_header(
    place: int, value: bytes, count: int, rules: Rules, codec: Compression
) -> None:
    records = [Record(index, BASE_TIMESTAMP + index, b"key", b"value") for index in range(count)]
    batch = build_batch(records, compression=codec)
    batch[place : place + len(value)] = value
    resealed(batch)
    try:
        validate(batch, rules, NOW)
    except InvalidRecords:
        assert plain_header(batch, rules, NOW) is None


@BOTH
def test_a_producer_with_an_id_is_valid(rules: Rules) -> None:
    batch = build_batch(
        some_records(), producer_id=0, producer_epoch=0, base_sequence=0, is_transactional=True
    )
    assert len(validate(batch, rules, NOW)) == 1


@BOTH
def test_a_cut_batch_is_corrupt(rules: Rules) -> None:
    batch = bytes(build_batch(some_records()))
    for size in range(1, len(batch)):
        assert refused(batch[:size], rules).error_code == ErrorCode.CORRUPT_MESSAGE


@BOTH
def test_a_flip_of_any_byte_is_refused_but_in_the_leader_epoch(rules: Rules) -> None:
    batch = build_batch(some_records())
    for place in range(len(batch)):
        batch[place] ^= 1
        if 12 <= place < 16:
            validate(batch, rules, NOW)
        else:
            assert refused(batch, rules).error_code in (
                ErrorCode.CORRUPT_MESSAGE,
                ErrorCode.INVALID_RECORD,
            )
        batch[place] ^= 1


def test_a_wrong_checksum_is_corrupt() -> None:
    batch = build_batch(some_records())
    batch[-1] ^= 1
    assert refused(batch).error_code == ErrorCode.CORRUPT_MESSAGE


@BOTH
def test_no_batch_is_invalid(rules: Rules) -> None:
    assert refused(b"", rules).error_code == ErrorCode.INVALID_RECORD


def test_a_client_sends_one_batch_a_broker_many() -> None:
    batches = build_batch(some_records()) + build_batch(some_records(3), base_offset=5)
    assert refused(build_batch(some_records()) * 2).error_code == ErrorCode.INVALID_RECORD
    found = validate(batches, Rules(from_client=False), NOW)
    assert [(v.pos > 0, v.header.record_count) for v in found] == [(False, 5), (True, 3)]


@BOTH
def test_a_client_counts_from_zero(rules: Rules) -> None:
    batch = build_batch(some_records(), base_offset=1)
    assert refused(batch, rules).error_code == ErrorCode.INVALID_RECORD
    batch[-1] ^= 1
    assert refused(batch, rules).error_code == ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("magic", [0, 1])
def test_old_formats_are_invalid_where_format_2_is_asked_for(magic: int) -> None:
    encoded = encode_message_set(some_records(1), magic)
    assert refused(encoded).error_code == ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("magic", [3, 255])
def test_unknown_formats_are_corrupt(magic: int) -> None:
    assert refused(changed(16, bytes((magic,)))).error_code == ErrorCode.CORRUPT_MESSAGE


@BOTH
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (57, b"\0\0\0\4"),  # fewer records than offsets
        (57, b"\0\0\0\6"),
        (57, b"\0\0\0\0"),
        (57, b"\xff\xff\xff\xff"),
        (23, b"\0\0\0\7"),
        (23, b"\xff\xff\xff\xff"),
    ],
)
def test_the_count_must_be_that_of_the_offsets(rules: Rules, place: int, value: bytes) -> None:
    assert refused(changed(place, value), rules).error_code == ErrorCode.INVALID_RECORD


def test_a_header_alone_is_no_produced_batch() -> None:
    batch = RecordBatchBuilder(last_offset_delta=0).build()
    assert refused(batch).error_code == ErrorCode.INVALID_RECORD


@BOTH
@pytest.mark.parametrize("codec", [5, 6, 7])
def test_unknown_compression_is_unsupported(rules: Rules, codec: int) -> None:
    batch = changed(22, bytes((codec,)))
    assert refused(batch, rules).error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def test_control_records_are_for_brokers() -> None:
    marker = control_batch(ControlType.COMMIT, timestamp=NOW, producer_id=1, producer_epoch=0)
    assert refused(marker).error_code == ErrorCode.INVALID_RECORD
    for walk in (True, False):
        assert validate(marker, Rules(from_client=False, walk=walk), NOW)


@BOTH
@pytest.mark.parametrize(
    "producer",
    [
        {"producer_id": 5, "producer_epoch": 0},
        {"is_transactional": True},
        {"producer_id": -2, "is_transactional": True},
    ],
)
def test_producer_fields_go_together(rules: Rules, producer: dict[str, Any]) -> None:
    batch = build_batch(some_records(), **producer)
    assert refused(batch, rules).error_code == ErrorCode.INVALID_RECORD


@BOTH
@pytest.mark.parametrize(
    "producer",
    [
        {"producer_id": 5, "base_sequence": 0},
        {"producer_id": 5, "producer_epoch": -2, "base_sequence": 0},
        {"producer_id": -2, "producer_epoch": 0, "base_sequence": 0},
    ],
)
def test_the_epoch_is_for_the_log_to_judge(rules: Rules, producer: dict[str, Any]) -> None:
    assert validate(build_batch(some_records(), **producer), rules, NOW)


@BOTH
def test_producers_do_not_set_log_append_time(rules: Rules) -> None:
    batch = build_batch(some_records(), timestamp_type=LOG_APPEND_TIME, log_append_time=NOW)
    error = refused(batch, rules)
    assert error.error_code == ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in error.record_errors] == [0]


@pytest.mark.parametrize("walk", [True, False])
def test_the_future_is_limited(walk: bool) -> None:
    rules = Rules(after_max_ms=HOUR, walk=walk)
    for ahead, fits in ((HOUR, True), (HOUR + 1, False)):
        batch = build_batch([Record(timestamp=NOW), Record(timestamp=NOW + ahead)])
        if fits:
            assert validate(batch, rules, NOW)
        else:
            error = refused(batch, rules)
            assert error.error_code == ErrorCode.INVALID_TIMESTAMP
            assert [index for index, _ in error.record_errors] == [1 if walk else 0]
            assert str(NOW + ahead) in error.record_errors[0][1]


def test_the_past_is_limited_record_by_record() -> None:
    rules = Rules(before_max_ms=HOUR)
    assert rules.walk
    times = [NOW - HOUR, NOW - HOUR - 1, -1, NOW, 0]
    error = refused(build_batch([Record(timestamp=t) for t in times]), rules)
    assert error.error_code == ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in error.record_errors] == [1, 4]


@BOTH
def test_no_timestamp_is_never_out_of_range(rules: Rules) -> None:
    strict = Rules(before_max_ms=HOUR, after_max_ms=HOUR, walk=rules.walk)
    assert validate(build_batch([Record(), Record()]), strict, NOW)


@BOTH
def test_a_negative_newest_timestamp_is_refused(rules: Rules) -> None:
    batch = build_batch([Record(timestamp=-2)])
    assert refused(batch, rules).error_code == ErrorCode.INVALID_TIMESTAMP


def timed(*timestamps: int, codec: int = 0, newest: int) -> bytearray:
    """A batch of such records, whose header says ``newest``."""
    records = [Record(i, at, value=b"v") for i, at in enumerate(timestamps)]
    batch = build_batch(records, compression=codec)
    set_max_timestamp(batch, 0, newest, 0)
    return batch


@BOTH
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("distance", [-HOUR, HOUR])
def test_a_wrong_newest_timestamp_is_seen_where_it_is_far_from_now(
    rules: Rules, codec: int, distance: int
) -> None:
    then = NOW + distance
    for first, second in ((then + 5, then), (then, then + 70), (then, then + 10**6), (then, 0)):
        for newest in (then - 1, then + 1, first - 1, 0):
            batch = timed(first, second, codec=codec, newest=newest)
            (valid,) = validate(batch, rules, NOW)
            assert valid.max_timestamp == max(first, second)
            assert valid.header.max_timestamp == newest


def test_a_few_records_are_always_looked_at() -> None:
    (valid,) = validate(timed(NOW, NOW - 5, newest=NOW - 5), LENIENT, NOW)
    assert valid.max_timestamp == NOW


@pytest.mark.parametrize(("codec", "count"), [(0, FEW_RECORDS + 1), (Compression.LZ4, 2)])
def test_a_header_near_to_now_may_stand(codec: int, count: int) -> None:
    records = [NOW, *[NOW - NEAR_MS] * (count - 1)]
    near, far = NOW - NEAR_MS, NOW - NEAR_MS - 1
    # Where its base is later than its newest, the header is wrong for certain.
    for newest, found in ((near, NOW), (far, NOW), (NOW, NOW), (NOW + 1, NOW + 1)):
        batch = timed(*records, codec=codec, newest=newest)
        assert validate(batch, LENIENT, NOW)[0].max_timestamp == found
        assert validate(batch, WALKED, NOW)[0].max_timestamp == NOW
    early = timed(*reversed(records), codec=codec, newest=near)
    assert validate(early, LENIENT, NOW)[0].max_timestamp == near
    assert validate(early, LENIENT, NOW + 1)[0].max_timestamp == NOW


def test_the_future_is_limited_for_what_records_say() -> None:
    strict = Rules(after_max_ms=HOUR)
    batch = timed(NOW + HOUR + 1, NOW, newest=NOW)
    assert refused(batch, strict).error_code == ErrorCode.INVALID_TIMESTAMP
    assert validate(timed(NOW, NOW - 1, newest=NOW + HOUR + 1), strict, NOW)


def test_coordinators_are_believed() -> None:
    batch = timed(5, 4, newest=4)
    assert validate(batch, Rules(from_client=False), NOW)[0].max_timestamp == 4


def test_timestamps_do_not_matter_where_the_broker_sets_them() -> None:
    for walk in (True, False):
        rules = Rules(timestamp_type=LOG_APPEND_TIME, before_max_ms=1, after_max_ms=1, walk=walk)
        assert validate(build_batch([Record(timestamp=0)]), rules, NOW)


def test_compacted_topics_want_keys() -> None:
    rules = Rules(compacted=True)
    assert rules.walk
    keyed = [Record(key=b""), Record(key=b"k", value=None)]
    assert validate(build_batch(keyed), rules, NOW)
    error = refused(build_batch([*keyed, Record(value=b"v"), Record()]), rules)
    assert error.error_code == ErrorCode.INVALID_RECORD
    assert [index for index, _ in error.record_errors] == [2, 3]


def test_a_topic_with_its_own_compression_has_the_records_walked() -> None:
    rules = Rules(compression=Compression.ZSTD)
    (other,) = validate(build_batch(some_records(), compression=Compression.GZIP), rules, NOW)
    (same,) = validate(build_batch(some_records(), compression=Compression.ZSTD), rules, NOW)
    assert other.body is not None
    assert same.body is None


def with_body(body: bytes, count: int, codec: int = 0) -> bytearray:
    batch = bytearray(build_batch(some_records(count))[:RECORDS])
    batch += compress(codec, body)
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[22] = codec
    return resealed(batch)


def encoded(*records: Record) -> bytes:
    return b"".join(encode_record(r, 0, BASE_TIMESTAMP) for r in records)


@pytest.mark.parametrize("codec", CODECS)
def test_only_the_walk_sees_broken_records_below_a_sound_checksum(codec: int) -> None:
    one, two = Record(0, BASE_TIMESTAMP, b"k"), Record(1, BASE_TIMESTAMP, b"k")
    for body in (
        b"",
        encoded(one),
        encoded(one, two)[:-1],
        encoded(one, two) + b"\0",
        encoded(one, two, Record(2, BASE_TIMESTAMP)),
        encoded(one, Record(2, BASE_TIMESTAMP)),  # offset deltas 0, 2
        encoded(two, one),
    ):
        batch = with_body(body, 2, codec)
        # A producer of today and many records: nothing of them is looked at.
        if codec:
            assert validate(batch, LENIENT, NOW)
        assert refused(batch, WALKED).error_code == ErrorCode.INVALID_RECORD
    assert validate(with_body(encoded(one, two), 2, codec), WALKED, NOW)


def test_numbers_longer_than_need_be_are_still_read() -> None:
    parts = b"\0" + b"\x80\x80\0" * 3 + b"\x80\x80\x80\0" + b"\0"
    body = bytes((2 * len(parts) | 0x80, 0x80, 0)) + parts
    assert walk_records(body, 1) == ([0], [])
    assert decode_records(with_body(body, 1)) == [Record(0, BASE_TIMESTAMP, b"", b"")]


def test_what_does_not_decompress_is_invalid() -> None:
    for codec in CODECS[1:]:
        batch = bytearray(build_batch(some_records(), compression=codec))
        batch[RECORDS:] = bytes(len(batch) - RECORDS)
        assert refused(resealed(batch), WALKED).error_code == ErrorCode.INVALID_RECORD


def test_the_walk_is_bounded() -> None:
    batch = build_batch(some_records(20), compression=Compression.ZSTD)
    rules = Rules(walk=True, max_decompressed_bytes=100)
    assert refused(batch, rules).error_code == ErrorCode.INVALID_RECORD


def test_long_and_headed_records_are_walked_like_short_ones() -> None:
    records = [
        Record(i, BASE_TIMESTAMP + i * 10**6, b"k" * i * 40, b"v" * i * 900, [("h" * i, None)])
        for i in range(100)
    ]
    body = encoded(*records)
    deltas, keyless = walk_records(body, 100)
    assert deltas == [i * 10**6 for i in range(100)]
    assert keyless == []

    packed = b"before" + body
    assert newest_delta(packed, 6, len(packed), 100) == 99 * 10**6


@pytest.mark.parametrize(
    ("deltas", "newest"),
    [((0, 5, 3), 5), ((0, 63, 64), 64), ((-1, -5), -1), ((-1, 0), 0), ((0, 8191, 8192), 8192)],
)
def test_the_newest_is_found_whatever_its_length_and_sign(
    deltas: tuple[int, ...], newest: int
) -> None:
    records = [Record(i, BASE_TIMESTAMP + delta) for i, delta in enumerate(deltas)]
    body = encoded(*records)
    assert newest_delta(body, 0, len(body), len(records)) == newest


@given(records=record_lists())
def test_all_ways_find_the_same_newest_timestamp(records: list[Record]) -> None:
    batch = build_batch(records)
    deltas, _ = walk_records(bytes(batch[RECORDS:]), len(records))
    assert newest_delta(batch, RECORDS, len(batch), len(records)) == max(deltas)


@given(place=st.integers(RECORDS, 400), value=st.integers(0, 255))
def test_what_is_whole_to_the_walk_is_whole_to_the_search_for_the_newest(
    place: int, value: int
) -> None:
    batch = build_batch(some_records())
    batch[min(place, len(batch) - 1)] = value
    try:
        deltas, _ = walk_records(bytes(batch[RECORDS:]), 5)
    except CorruptBatch:
        with contextlib.suppress(CorruptBatch):
            newest_delta(batch, RECORDS, len(batch), 5)
        return
    assert newest_delta(batch, RECORDS, len(batch), 5) == max(deltas)


@given(st.binary(max_size=60), st.integers(1, 4))
def test_noise_is_refused_or_holds_records(noise: bytes, count: int) -> None:
    try:
        deltas, _ = walk_records(noise, count)
    except DecodeError:
        with contextlib.suppress(CorruptBatch):
            newest_delta(noise, 0, len(noise), count)
        return
    assert len(deltas) == count
    assert newest_delta(noise, 0, len(noise), count) == max(deltas)


def test_a_length_that_is_negative_ends_the_search() -> None:
    body = bytearray(encoded(Record(0, BASE_TIMESTAMP), Record(1, BASE_TIMESTAMP)))
    body[0] |= 1
    with pytest.raises(CorruptBatch):
        newest_delta(body, 0, len(body), 2)


@given(place=st.integers(RECORDS, 150), value=st.integers(0, 255))
def test_walk_and_reader_agree_on_what_is_broken(place: int, value: int) -> None:
    """But for offset deltas, which the reader takes as they are."""
    batch = build_batch(some_records())
    batch[min(place, len(batch) - 1)] = value
    try:
        records = decode_records(batch)
        expected = [r.offset for r in records] == list(range(5))
    except CorruptBatch:
        expected = False
    try:
        walk_records(bytes(batch[RECORDS:]), 5)
        found = True
    except CorruptBatch:
        found = False
    assert found == expected


@pytest.mark.parametrize("codec", CODECS)
def test_the_newest_timestamp_is_that_of_the_first_record_with_it(codec: int) -> None:
    times = [5, 9, 7, 9, 1]
    records = [Record(timestamp=t) for t in times]
    batch = b"??" + build_batch(records, base_offset=40, compression=codec)
    assert timestamp_of_max(batch, 2) == (9, 41)


def test_under_log_append_time_the_first_record_is_the_newest() -> None:
    batch = build_batch(some_records(), base_offset=40)
    set_max_timestamp(batch, 0, 3)
    assert timestamp_of_max(batch) == (3, 40)


def test_records_without_timestamps_have_a_newest_too() -> None:
    assert timestamp_of_max(build_batch([Record(), Record()], base_offset=4)) == (-1, 4)
    empty = RecordBatchBuilder(last_offset_delta=0).build()
    assert timestamp_of_max(empty) == (-1, -1)


@pytest.mark.parametrize("source", CODECS)
@pytest.mark.parametrize("target", CODECS)
def test_recompression_changes_the_codec_alone(source: Compression, target: Compression) -> None:
    batch = b"??" + build_batch(
        some_records(50),
        base_offset=3,
        compression=source,
        producer_id=4,
        producer_epoch=5,
        base_sequence=6,
        is_transactional=True,
        partition_leader_epoch=7,
    )
    new = recompress(batch, 2, target)
    verify_crc(new)
    before, after = read_header(batch, 2), read_header(new)
    assert after.compression == target
    assert after.attributes & ~7 == before.attributes & ~7
    kept = [f for f in before._fields if f not in ("batch_length", "crc", "attributes")]
    assert [getattr(before, f) for f in kept] == [getattr(after, f) for f in kept]
    assert decode_records(new) == decode_records(batch, 2)


def test_recompression_takes_what_validation_has_read() -> None:
    batch = build_batch(some_records(), compression=Compression.GZIP)
    (valid,) = validate(batch, Rules(compression=Compression.LZ4), NOW)
    new = recompress(batch, valid.pos, Compression.LZ4, body=valid.body)
    assert new == recompress(batch, 0, Compression.LZ4)
    patch(new, 0, base_offset=9)
    assert decode_records(new)[0].offset == 9


def test_a_header_alone_stays_one_when_recompressed() -> None:
    empty = RecordBatchBuilder(last_offset_delta=3, compression=Compression.GZIP).build()
    new = recompress(empty, 0, Compression.LZ4, body=b"")
    assert len(new) == RECORDS
    verify_crc(new)


@pytest.mark.parametrize("magic", [0, 1])
def test_old_producers_are_converted_and_then_validated(magic: int) -> None:
    encoded = encode_message_set(some_records(), magic, compression=Compression.GZIP)
    (valid,) = validate(in_format_2(encoded, WALKED), WALKED, NOW)
    assert (valid.header.record_count, valid.header.compression) == (5, Compression.GZIP)
    rules = Rules(compression=Compression.LZ4, compacted=True)
    error = refused(in_format_2(encoded, rules), rules)
    assert [index for index, _ in error.record_errors] == [2]


def test_old_requests_may_hold_the_new_format() -> None:
    batch = build_batch(some_records())
    assert in_format_2(batch, LENIENT) is batch


@pytest.mark.parametrize("broken", [b"", b"\0" * 40])
def test_broken_old_sets_are_corrupt(broken: bytes) -> None:
    with pytest.raises(InvalidRecords) as caught:
        in_format_2(broken, LENIENT)
    assert caught.value.error_code == ErrorCode.CORRUPT_MESSAGE


def test_refusals_are_decode_errors_with_kafka_s_code() -> None:
    error = refused(b"")
    assert isinstance(error, DecodeError)
    assert error.message == str(error)
    assert error.record_errors == []
