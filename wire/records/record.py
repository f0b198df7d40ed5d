"""The records inside a batch of format 2: reading and building them.

A record is ``length, attributes int8, timestamp delta, offset delta, key length, key, value
length, value, header count, headers``, where every number but the attributes is a zigzag varint.
Both loops spell the varints out: nearly all of them are one or two bytes, and a call for each
would cost more than everything else.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from wire.errors import EncodeError
from wire.records.batch import (
    ATTRIBUTES,
    CONTROL_BIT,
    CRC,
    CREATE_TIME,
    DELETE_HORIZON_BIT,
    HEADER,
    LOG_APPEND_TIME,
    LOG_OVERHEAD,
    NO_LEADER_EPOCH,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    RECORDS,
    TIMESTAMP_TYPE_BIT,
    TRANSACTIONAL_BIT,
    UINT32,
    BatchHeader,
    read_header,
)
from wire.records.compression import (
    MAX_DECOMPRESSED_BYTES,
    Compression,
    compress,
    decompress,
)
from wire.records.crc import crc32c
from wire.records.errors import CorruptBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from wire.schema import Buffer

    Headers: TypeAlias = list[tuple[str, bytes | None]]


class Record:
    """One record, by its absolute offset and timestamp."""

    __slots__ = ("attributes", "headers", "key", "offset", "timestamp", "value")

    def __init__(
        self,
        offset: int = 0,
        timestamp: int = NO_TIMESTAMP,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Headers | None = None,
        attributes: int = 0,
    ) -> None:
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = [] if headers is None else headers
        self.attributes = attributes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Record(offset={self.offset}, timestamp={self.timestamp}, key={self.key!r}, "
            f"value={self.value!r}, headers={self.headers!r})"
        )


def read_uvarint(data: bytes, pos: int) -> tuple[int, int]:
    """An unsigned varint of at most ten bytes, and the position behind it."""
    result = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, pos
        shift += 7
        if shift > 63:
            raise CorruptBatch("a varint is longer than ten bytes")


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """The same in zigzag, for signed numbers."""
    n, pos = read_uvarint(data, pos)
    return (n >> 1) ^ -(n & 1), pos


def decode_records(
    buf: Buffer, pos: int = 0, *, max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES
) -> list[Record]:
    """Every record of the batch at ``pos``. The checksum is the caller's to verify."""
    return list(iter_records(buf, pos, max_decompressed_bytes=max_decompressed_bytes))


def iter_records(
    buf: Buffer, pos: int = 0, *, max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES
) -> Iterator[Record]:
    """The records one by one; a broken one raises when it is reached."""
    header = read_header(buf, pos)
    body = read_body(buf, pos, header, max_decompressed_bytes)
    fixed = header.max_timestamp if header.timestamp_type == LOG_APPEND_TIME else None
    return parse_records(
        body, header.record_count, header.base_offset, header.base_timestamp, fixed
    )


def read_body(
    buf: Buffer,
    pos: int,
    header: BatchHeader,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
) -> bytes:
    """What follows the header, decompressed."""
    raw = memoryview(buf)[pos + RECORDS : pos + LOG_OVERHEAD + header.batch_length]
    # Slices of bytes are the keys and values themselves: one copy here saves one for each.
    codec = header.compression
    # Compaction leaves batches without records, and without a compressed nothing either.
    return decompress(codec, raw, max_decompressed_bytes) if codec and raw else bytes(raw)


def parse_records(
    data: bytes, count: int, base_offset: int, base_timestamp: int, fixed_timestamp: int | None
) -> Iterator[Record]:
    """``count`` records that fill ``data`` exactly, as a generator.

    Slices past the end come out short without a word, so lengths are not checked one by one: a
    record whose parts do not end where its own length says, or beyond the data, is refused.
    """
    pos, size = 0, len(data)
    timestamp = NO_TIMESTAMP if fixed_timestamp is None else fixed_timestamp
    try:
        for _ in range(count):
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            end = pos + ((n >> 1) ^ -(n & 1))
            attributes = data[pos]
            pos += 1
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            if fixed_timestamp is None:
                timestamp = base_timestamp + ((n >> 1) ^ -(n & 1))
            if (delta := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                delta, pos = delta + (more << 7) - 128, pos + 2
            else:
                delta, pos = read_uvarint(data, pos)
            key = value = None
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            if not n & 1:  # odd is negative: null
                key = data[pos : pos + (n >> 1)]
                pos += n >> 1
            if (n := data[pos]) < 128:
                pos += 1
            elif (more := data[pos + 1]) < 128:
                n, pos = n + (more << 7) - 128, pos + 2
            else:
                n, pos = read_uvarint(data, pos)
            if not n & 1:
                value = data[pos : pos + (n >> 1)]
                pos += n >> 1
            headers = None
            if data[pos]:
                headers, pos = read_headers(data, pos, end)
            else:
                pos += 1
            if pos != end or end > size:
                raise CorruptBatch("a record is longer or shorter than its length says")
            offset = base_offset + ((delta >> 1) ^ -(delta & 1))
            yield Record(offset, timestamp, key, value, headers, attributes)
    except IndexError:
        raise CorruptBatch("a record reaches past the end of its batch") from None
    if pos != size:
        raise CorruptBatch(f"{size - pos} bytes are left behind the last record")


def read_headers(data: bytes, pos: int, end: int) -> tuple[Headers, int]:
    """A record's headers, which begin at ``pos`` with their count, and the position behind."""
    count, pos = read_varint(data, pos)
    # A header is two bytes at least: a count beyond that must not reserve anything.
    if not 0 <= count <= (end - pos) // 2:
        raise CorruptBatch(f"{count} headers in {end - pos} bytes of a record")
    headers: Headers = []
    for _ in range(count):
        size, pos = read_varint(data, pos)
        if size < 0:
            raise CorruptBatch("a record header has no key")
        # Kafka never checks that these are UTF-8: surrogates bring odd bytes through unchanged.
        key = data[pos : pos + size].decode("utf-8", "surrogateescape")
        pos += size
        size, pos = read_varint(data, pos)
        value = None
        if size >= 0:
            value = data[pos : pos + size]
            pos += size
        headers.append((key, value))
    return headers, pos


# Zigzag varints of -64 to 63, found by the number itself: negative ones from the end.
_SHORT = [bytes((n << 1,)) for n in range(64)] + [bytes((~n << 1 | 1,)) for n in range(-64, 0)]


def varint(n: int) -> bytes:
    """``n`` as a zigzag varint."""
    if -64 <= n < 64:
        return _SHORT[n]
    z = n << 1 if n >= 0 else ~n << 1 | 1
    if z < 0x4000:
        return bytes((z & 0x7F | 0x80, z >> 7))
    if z < 0x200000:
        return bytes((z & 0x7F | 0x80, z >> 7 & 0x7F | 0x80, z >> 14))
    out = bytearray()
    while z > 0x7F:
        out.append(z & 0x7F | 0x80)
        z >>= 7
    out.append(z)
    return bytes(out)


def encode_record(record: Record, base_offset: int, base_timestamp: int) -> bytes:
    """One record with its length in front, relative to its batch."""
    key, value, delta = record.key, record.value, record.offset - base_offset
    parts = (
        b"\0",  # attributes: no bit of them is in use
        varint(record.timestamp - base_timestamp),
        _SHORT[delta] if 0 <= delta < 64 else varint(delta),
        b"\1" if key is None else varint(len(key)) + key,
        b"\1" if value is None else varint(len(value)) + value,
        _encode_headers(record.headers) if record.headers else b"\0",
    )
    body = b"".join(parts)
    return varint(len(body)) + body


def _encode_headers(headers: Headers) -> bytes:
    parts = [varint(len(headers))]
    for name, value in headers:
        key = name.encode("utf-8", "surrogateescape")
        parts += (varint(len(key)), key)
        parts += (b"\1",) if value is None else (varint(len(value)), value)
    return b"".join(parts)


class RecordBatchBuilder:
    """Collects records of one batch; ``build`` gives its bytes.

    Offsets are absolute, rise, and may have gaps. A compacted batch keeps the last offset of the
    original with ``last_offset_delta``, and its base timestamp with ``base_timestamp``; with a
    delete horizon the base timestamp is that horizon (KIP-534).
    """

    def __init__(
        self,
        *,
        base_offset: int = 0,
        compression: int = Compression.NONE,
        level: int | None = None,
        timestamp_type: int = CREATE_TIME,
        log_append_time: int | None = None,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        is_transactional: bool = False,
        is_control: bool = False,
        partition_leader_epoch: int = NO_LEADER_EPOCH,
        delete_horizon: int | None = None,
        base_timestamp: int | None = None,
        last_offset_delta: int | None = None,
    ) -> None:
        if (timestamp_type == LOG_APPEND_TIME) != (log_append_time is not None):
            raise EncodeError("log append time goes with its timestamp type, and with no other")
        self._base_offset = base_offset
        self._compression = compression
        self._level = level
        self._log_append_time = log_append_time
        self._producer = (producer_id, producer_epoch, base_sequence)
        self._leader_epoch = partition_leader_epoch
        self._base_timestamp = base_timestamp if delete_horizon is None else delete_horizon
        self._last_offset_delta = last_offset_delta
        self._attributes = (
            compression
            | (TIMESTAMP_TYPE_BIT if timestamp_type == LOG_APPEND_TIME else 0)
            | (TRANSACTIONAL_BIT if is_transactional else 0)
            | (CONTROL_BIT if is_control else 0)
            | (DELETE_HORIZON_BIT if delete_horizon is not None else 0)
        )
        self._records: list[bytes] = []
        self._size = RECORDS
        self._last_offset = base_offset - 1
        self._max_timestamp = NO_TIMESTAMP

    def __len__(self) -> int:
        return len(self._records)

    @property
    def uncompressed_bytes(self) -> int:
        """Size of the batch so far, were it not compressed."""
        return self._size

    def append(self, record: Record) -> None:
        """Add one record; its offset must lie above that of the one before."""
        if record.offset <= self._last_offset:
            raise EncodeError(f"offset {record.offset} does not follow {self._last_offset}")
        if self._base_timestamp is None:
            self._base_timestamp = record.timestamp
        encoded = encode_record(record, self._base_offset, self._base_timestamp)
        self._records.append(encoded)
        self._size += len(encoded)
        self._last_offset = record.offset
        if record.timestamp > self._max_timestamp:
            self._max_timestamp = record.timestamp

    def build(self) -> bytearray:
        """The batch. Without records it has a header alone, as compaction leaves one behind to
        remember a producer's last sequence.
        """
        delta = self._last_offset - self._base_offset
        if self._last_offset_delta is not None:
            if self._last_offset_delta < delta:
                raise EncodeError(f"last offset delta {self._last_offset_delta} is below {delta}")
            delta = self._last_offset_delta
        elif not self._records:
            raise EncodeError("a batch without records needs its last offset delta said")
        body = b"".join(self._records)
        if self._compression and self._records:
            body = compress(self._compression, body, self._level)
        base_timestamp = self._base_timestamp
        max_timestamp = self._log_append_time
        try:
            header = HEADER.pack(
                self._base_offset,
                RECORDS - LOG_OVERHEAD + len(body),
                self._leader_epoch,
                2,
                0,
                self._attributes,
                delta,
                NO_TIMESTAMP if base_timestamp is None else base_timestamp,
                self._max_timestamp if max_timestamp is None else max_timestamp,
                *self._producer,
                len(self._records),
            )
        except error as problem:
            raise EncodeError(f"a field does not fit the batch header: {problem}") from None
        batch = bytearray(header)
        batch += body
        UINT32.pack_into(batch, CRC, crc32c(memoryview(batch)[ATTRIBUTES:]))
        return batch


def build_batch(
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    compression: int = Compression.NONE,
    keep_offsets: bool = False,
    **options: Any,
) -> bytearray:
    """One batch of these records, numbered from ``base_offset`` on; with ``keep_offsets`` each
    has the offset that it says. Other options are the builder's.
    """
    builder = RecordBatchBuilder(base_offset=base_offset, compression=compression, **options)
    for offset, record in enumerate(records, base_offset):
        if not keep_offsets and record.offset != offset:
            record = Record(offset, record.timestamp, record.key, record.value, record.headers)
        builder.append(record)
    return builder.build()


class ControlType(IntEnum):
    """The second int16 of a control record's key; the first is its version, 0."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


_CONTROL_KEY = Struct(">hh")
_END_TXN_MARKER = Struct(">hi")


def control_batch(
    control_type: int,
    *,
    timestamp: int,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    coordinator_epoch: int = 0,
    value: bytes | None = None,
    base_offset: int = 0,
    partition_leader_epoch: int = NO_LEADER_EPOCH,
) -> bytearray:
    """A batch of one control record: the marker that ends a transaction, or another type with
    the ``value`` given.
    """
    is_marker = control_type in (ControlType.ABORT, ControlType.COMMIT)
    if is_marker and value is None:
        value = _END_TXN_MARKER.pack(0, coordinator_epoch)
    key = _CONTROL_KEY.pack(0, control_type)
    return build_batch(
        [Record(base_offset, timestamp, key, value)],
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        is_transactional=is_marker,
        is_control=True,
        partition_leader_epoch=partition_leader_epoch,
    )


def control_type(record: Record) -> int:
    """What kind of control record this is: a ``ControlType``, or a newer number."""
    if record.key is None or len(record.key) < _CONTROL_KEY.size:
        raise CorruptBatch("a control record's key is too short for version and type")
    version, kind = _CONTROL_KEY.unpack_from(record.key)
    if version < 0:
        raise CorruptBatch(f"version {version} of a control record's key")
    return int(kind)


def marker_coordinator_epoch(record: Record) -> int:
    """The epoch of the coordinator that wrote this end-of-transaction marker."""
    if record.value is None or len(record.value) < _END_TXN_MARKER.size:
        raise CorruptBatch("the value of a transaction marker is too short")
    version, epoch = _END_TXN_MARKER.unpack_from(record.value)
    if version < 0:
        raise CorruptBatch(f"version {version} of a transaction marker")
    return int(epoch)
