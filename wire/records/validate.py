"""What a broker asks of the records that a producer sends, before it appends them.

Three levels. The header of every batch is always checked, and the checksum. The timestamps of the
records are looked at unless the header is as good (``_is_near``): some clients write the last
one into it, not the newest. The records are walked only where more hangs on them: keys on a
compacted topic, each timestamp where the past is limited, the contents before recompression, or
where the rules ask for it. Nothing is changed here: offsets, leader epoch and timestamps are the
caller's to set.

Errors are Kafka's: CORRUPT_MESSAGE, which producers retry, while the bytes are not what was sent;
INVALID_RECORD and others, which they do not, once the checksum holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from wire.errors import DecodeError, ErrorCode
from wire.records.batch import (
    ATTRIBUTES,
    BATCH_LENGTH,
    COMPRESSION_MASK,
    CONTROL_BIT,
    CRC,
    CREATE_TIME,
    HEADER,
    INT16,
    INT32,
    LOG_OVERHEAD,
    NO_PRODUCER_ID,
    NO_TIMESTAMP,
    RECORDS,
    TIMESTAMP_TYPE_BIT,
    TRANSACTIONAL_BIT,
    UINT32,
    BatchHeader,
    magic_of,
    read_header,
    verify_crc,
)
from wire.records.compression import MAX_DECOMPRESSED_BYTES, Compression, compress
from wire.records.crc import crc32c
from wire.records.errors import CorruptBatch, InvalidHeader, UnsupportedMagic
from wire.records.legacy import convert_up
from wire.records.record import iter_records, read_body, read_headers, read_uvarint
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from wire.schema import Buffer

_read_header = HEADER.unpack_from
_new = tuple.__new__
_LAST_CODEC = int(Compression.ZSTD)

NO_LIMIT_MS = 0x7FFFFFFFFFFFFFFF

FEW_RECORDS = 32
"""So many are looked at in any case: it costs nothing beside the rest of the request."""
NEAR_MS = 10_000
"""A header's newest timestamp that is as near to now is wrong by no more than that, unless a record
is from the future."""


class InvalidRecords(DecodeError):
    """Produced records that are refused, with what Produce answers.

    ``record_errors`` names single records by their place in the batch (KIP-467). ``kind`` is what
    brokers count: crc, magic, offset (counts and sequences as well), keyless, or nothing.
    """

    def __init__(
        self,
        error_code: ErrorCode,
        message: str,
        record_errors: list[tuple[int, str]] | None = None,
        kind: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.error_code = error_code
        self.message = message
        self.record_errors = record_errors or []


class Rules:
    """A topic's settings as far as they bind its producers. Made once, not for each request."""

    __slots__ = (
        "after_max_ms",
        "before_max_ms",
        "compacted",
        "compression",
        "from_client",
        "keeps_plain",
        "max_decompressed_bytes",
        "timestamp_type",
        "walk",
    )

    def __init__(
        self,
        *,
        compacted: bool = False,
        compression: int | None = None,
        timestamp_type: int = CREATE_TIME,
        before_max_ms: int = NO_LIMIT_MS,
        after_max_ms: int = NO_LIMIT_MS,
        walk: bool = False,
        from_client: bool = True,
        max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
    ) -> None:
        """``compression`` is the topic's own, None where it keeps the producer's. With
        ``from_client`` off, as for what coordinators write, control batches may pass, base
        offsets are free and there may be several batches.
        """
        self.compacted = compacted
        self.compression = compression
        self.timestamp_type = timestamp_type
        self.before_max_ms = before_max_ms
        self.after_max_ms = after_max_ms
        # A header knows its newest timestamp only.
        limits_past = timestamp_type == CREATE_TIME and before_max_ms != NO_LIMIT_MS
        self.walk = walk or compacted or limits_past
        self.from_client = from_client
        self.keeps_plain = from_client and timestamp_type == CREATE_TIME and not self.walk
        """Whether a batch may pass as it is, by its header."""
        self.max_decompressed_bytes = max_decompressed_bytes


class ValidBatch(NamedTuple):
    """One batch that may be appended. What only the walk finds out is None without it."""

    pos: int
    header: BatchHeader
    max_timestamp: int
    """Of the records where they were walked. Where the header says otherwise, the header is to be
    set right, as Kafka does."""
    offset_delta_of_max: int | None
    """Of the first record with that timestamp."""
    body: bytes | None
    """The records, decompressed."""


def plain_header(buf: Buffer, rules: Rules, now_ms: int) -> BatchHeader | None:
    """The header of what nearly every producer sends: one batch in order, whose records need not be
    walked and which stays as it is. None is no judgement: ask ``validate``.

    What it gives a header for, ``validate`` lets pass, unchanged.
    """
    if not rules.keeps_plain or len(buf) < RECORDS:
        return None
    header = _new(BatchHeader, _read_header(buf))
    (base, length, _, magic, crc, attributes, last, first_ms, newest, producer, _, seq, count) = (
        header
    )
    if (
        magic != 2
        or base
        or length + LOG_OVERHEAD != len(buf)
        or not 0 <= attributes <= _LAST_CODEC
        or last + 1 != count
        or count <= 0
        or (producer > NO_PRODUCER_ID and seq < 0)
        or not 0 <= newest <= now_ms + rules.after_max_ms
        or (rules.compression is not None and rules.compression != attributes)
        or crc32c(memoryview(buf)[ATTRIBUTES:]) != crc
    ):
        return None
    if count > FEW_RECORDS or attributes:
        return header if _is_near(header, now_ms) else None
    try:
        is_right = first_ms + newest_delta(buf, RECORDS, len(buf), count) == newest
    except CorruptBatch:
        return None
    return header if is_right else None


def validate(buf: Buffer, rules: Rules, now_ms: int) -> list[ValidBatch]:
    """Every batch of one partition's produced records, or InvalidRecords for all of them."""
    found: list[ValidBatch] = []
    pos, end = 0, len(buf)
    while pos < end:
        header = _checked_header(buf, pos, rules)
        compression = rules.compression
        if rules.walk or (compression is not None and compression != header.compression):
            found.append(_walked(buf, pos, header, rules, now_ms))
        else:
            newest = header.max_timestamp
            if rules.timestamp_type == CREATE_TIME:
                if rules.from_client and not _is_near(header, now_ms):
                    newest = _newest_timestamp(buf, pos, header, rules)
                _check_newest_timestamp(newest, rules, now_ms)
            found.append(ValidBatch(pos, header, newest, None, None))
        pos += LOG_OVERHEAD + header.batch_length
    if not found:
        raise _invalid("no record batch at all")
    if len(found) > 1 and rules.from_client:
        raise _invalid(f"{len(found)} record batches where one is allowed")
    return found


def in_format_2(buf: Buffer, rules: Rules) -> Buffer:
    """What a Produce request of version 0 to 2 holds, converted if it must be; to be validated
    then like any other.
    """
    try:
        if magic_of(buf) == 2:
            return buf
        return convert_up(
            buf, compression=rules.compression, max_decompressed_bytes=rules.max_decompressed_bytes
        )
    except CorruptBatch as problem:
        raise InvalidRecords(ErrorCode.CORRUPT_MESSAGE, str(problem)) from None


def _invalid(message: str, kind: str = "") -> InvalidRecords:
    return InvalidRecords(ErrorCode.INVALID_RECORD, message, kind=kind)


def _checked_header(buf: Buffer, pos: int, rules: Rules) -> BatchHeader:
    try:
        header = read_header(buf, pos)
        if header.base_offset and rules.from_client:
            raise _invalid(f"base offset {header.base_offset} where producers must send 0")
        verify_crc(buf, pos, header)
    except CorruptBatch as problem:
        _refuse_unreadable(buf, pos, problem)
    attributes, count, producer_id = header.attributes, header.record_count, header.producer_id
    if count <= 0 or header.last_offset_delta + 1 != count:
        message = f"{count} records with a last offset delta of {header.last_offset_delta}"
        raise _invalid(message, "offset")
    if attributes & COMPRESSION_MASK > _LAST_CODEC:
        raise InvalidRecords(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"{header.compression} is no compression"
        )
    if attributes & TIMESTAMP_TYPE_BIT:
        message = "producers must not set the timestamp type LogAppendTime"
        raise InvalidRecords(ErrorCode.INVALID_TIMESTAMP, message, [(0, message)])
    if attributes & CONTROL_BIT and rules.from_client:
        raise _invalid("clients must not write control records")
    if producer_id > NO_PRODUCER_ID:  # Of lower ids Kafka asks nothing; of epochs, the log does.
        if header.base_sequence < 0 and not attributes & CONTROL_BIT:
            raise _invalid(f"sequence {header.base_sequence} of producer {producer_id}", "offset")
    elif attributes & TRANSACTIONAL_BIT:
        raise _invalid("a transactional batch has no producer id")
    return header


def _refuse_unreadable(buf: Buffer, pos: int, problem: CorruptBatch) -> NoReturn:
    code, kind = ErrorCode.CORRUPT_MESSAGE, "crc"
    if isinstance(problem, InvalidHeader):
        code, kind = ErrorCode.INVALID_RECORD, "offset"
    elif isinstance(problem, UnsupportedMagic):
        kind = "magic"
        try:
            magic_of(buf, pos)
        except UnsupportedMagic:
            pass
        else:  # A format that exists, in a request that may not hold it.
            code = ErrorCode.INVALID_RECORD
    raise InvalidRecords(code, str(problem), kind=kind) from None


def _is_near(header: BatchHeader, now_ms: int) -> bool:
    """Whether the header's newest timestamp may stand, records unseen (decisions/0009)."""
    newest = header.max_timestamp
    return (
        -NEAR_MS <= now_ms - newest <= NEAR_MS
        and header.base_timestamp <= newest
        and (header.record_count > FEW_RECORDS or header.attributes & COMPRESSION_MASK != 0)
    )


def _newest_timestamp(buf: Buffer, pos: int, header: BatchHeader, rules: Rules) -> int:
    body: Buffer = buf
    start, end = pos + RECORDS, pos + LOG_OVERHEAD + header.batch_length
    try:
        if header.attributes & COMPRESSION_MASK:
            body = read_body(buf, pos, header, rules.max_decompressed_bytes)
            start, end = 0, len(body)
        return header.base_timestamp + newest_delta(body, start, end, header.record_count)
    except CorruptBatch as problem:
        raise _invalid(str(problem)) from None


def _check_newest_timestamp(newest: int, rules: Rules, now_ms: int) -> None:
    if newest != NO_TIMESTAMP and (newest < 0 or newest - now_ms > rules.after_max_ms):
        message = _out_of_range(newest, rules, now_ms)
        raise InvalidRecords(ErrorCode.INVALID_TIMESTAMP, message, [(0, message)])


def _earliest(rules: Rules, now_ms: int) -> int:
    return max(0, now_ms - rules.before_max_ms)


def _out_of_range(timestamp: int, rules: Rules, now_ms: int) -> str:
    latest = now_ms + rules.after_max_ms
    return f"timestamp {timestamp} is not within [{_earliest(rules, now_ms)}, {latest}]"


def _walked(buf: Buffer, pos: int, header: BatchHeader, rules: Rules, now_ms: int) -> ValidBatch:
    try:
        body = read_body(buf, pos, header, rules.max_decompressed_bytes)
        deltas, keyless = walk_records(body, header.record_count)
    except CorruptBatch as problem:
        raise _invalid(str(problem)) from None
    if rules.compacted and keyless:
        message = "a compacted topic takes no record without a key"
        errors = [(index, message) for index in keyless]
        raise InvalidRecords(ErrorCode.INVALID_RECORD, message, errors, "keyless")
    largest = max(deltas)
    newest = header.base_timestamp + largest
    if rules.timestamp_type == CREATE_TIME:
        oldest = header.base_timestamp + min(deltas)
        if newest - now_ms > rules.after_max_ms or oldest < _earliest(rules, now_ms):
            _refuse_timestamps(header.base_timestamp, deltas, rules, now_ms)
    return ValidBatch(pos, header, newest, deltas.index(largest), body)


def _refuse_timestamps(base: int, deltas: list[int], rules: Rules, now_ms: int) -> None:
    earliest, latest = _earliest(rules, now_ms), now_ms + rules.after_max_ms
    errors = [
        (index, _out_of_range(timestamp, rules, now_ms))
        for index, delta in enumerate(deltas)
        if (timestamp := base + delta) != NO_TIMESTAMP and not earliest <= timestamp <= latest
    ]
    if errors:  # A record may have no timestamp, and that is never out of range.
        message = f"{len(errors)} records have a timestamp out of range"
        raise InvalidRecords(ErrorCode.INVALID_TIMESTAMP, message, errors)


def newest_delta(data: Buffer, start: int, end: int, count: int) -> int:
    """The largest timestamp delta of ``count`` records that fill ``data`` from ``start`` to
    ``end``. It reads two fields of each record and follows the lengths, nothing else."""
    view: Any = data
    pos, newest, signs = start, -1, 0
    try:
        for _ in range(count):
            if (n := view[pos]) > 127:
                if (more := view[pos + 1]) < 128:
                    n += (more << 7) - 128
                    pos += 1
                else:
                    n, pos = read_uvarint(view, pos)
                    pos -= 1
            if (delta := view[pos + 2]) > 127:  # behind the attributes
                if (more := view[pos + 3]) < 128:
                    delta += (more << 7) - 128
                else:
                    delta = read_uvarint(view, pos + 2)[0]
            if delta > newest and not delta & 1:
                newest = delta
            signs |= n
            pos += 1 + (n >> 1)
    except IndexError:
        raise CorruptBatch("a record reaches past the end of its batch") from None
    if pos != end or signs & 1:
        raise CorruptBatch(f"the last record ends at {pos - start}, the batch at {end - start}")
    if newest < 0:  # None is as late as the base, which is usual for the first one at least.
        return max(walk_records(bytes(view[start:end]), count)[0])
    return newest >> 1


def walk_records(data: bytes, count: int) -> tuple[list[int], list[int]]:
    """The timestamp deltas of ``count`` records, and which of them have no key.

    Every length is checked, and that offset deltas count from 0; keys and values are not copied.
    """
    deltas: list[int] = []
    keyless: list[int] = []
    pos, size = 0, len(data)
    try:
        for index in range(count):
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            end = pos + ((n >> 1) ^ -(n & 1))
            pos += 1  # the attributes, of which no bit is in use
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            deltas.append((n >> 1) ^ -(n & 1))
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            if n != index << 1:
                raise CorruptBatch(f"offset delta {(n >> 1) ^ -(n & 1)} in place {index}")
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            if n & 1:  # negative: null
                keyless.append(index)
            else:
                pos += n >> 1
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            if not n & 1:
                pos += n >> 1
            pos = read_headers(data, pos, end)[1] if data[pos] else pos + 1
            if pos != end:
                raise CorruptBatch(f"record {index} is longer or shorter than its length says")
    except IndexError:
        raise CorruptBatch("a record reaches past the end of its batch") from None
    if pos != size:
        raise CorruptBatch(f"the last record ends at {pos}, the batch at {size}")
    return deltas, keyless


def timestamp_of_max(
    buf: Buffer, pos: int = 0, *, max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES
) -> tuple[int, int]:
    """The newest timestamp of the batch at ``pos``, and the offset of the first record with it."""
    newest, offset = NO_TIMESTAMP, -1
    for record in iter_records(buf, pos, max_decompressed_bytes=max_decompressed_bytes):
        if offset < 0 or record.timestamp > newest:
            newest, offset = record.timestamp, record.offset
    return newest, offset


def recompress(
    buf: Buffer,
    pos: int,
    codec: int,
    level: int | None = None,
    *,
    body: bytes | None = None,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
) -> bytearray:
    """The batch at ``pos`` under another codec, all else as it was. ``body`` spares
    decompressing again what validation has just read.
    """
    header = read_header(buf, pos)
    if body is None:
        body = read_body(buf, pos, header, max_decompressed_bytes)
    batch = bytearray(memoryview(buf)[pos : pos + RECORDS])
    batch += compress(codec, body, level) if header.record_count else b""
    INT32.pack_into(batch, BATCH_LENGTH, len(batch) - LOG_OVERHEAD)
    INT16.pack_into(batch, ATTRIBUTES, header.attributes & ~COMPRESSION_MASK | codec)
    UINT32.pack_into(batch, CRC, crc32c(memoryview(batch)[ATTRIBUTES:]))
    return batch
