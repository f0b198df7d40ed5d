"""Message formats 0 and 1, as spoken before 0.11, and conversion from and to format 2.

A message set is messages one after the other: ``offset int64, size int32, crc int32, magic int8,
attributes int8, [timestamp int64 in format 1,] key, value``. A compressed set is one message,
the wrapper, whose value holds the others. The wrapper has the offset of its last message; those
inside have absolute offsets in format 0, and count from 0 in format 1.

The log holds format 2 alone; this is for clients that still ask for the others, and for old
segments.
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING
from zlib import crc32

from wire.errors import EncodeError
from wire.records.batch import (
    ATTRIBUTES,
    COMPRESSION_MASK,
    CREATE_TIME,
    INT32,
    LOG_APPEND_TIME,
    LOG_OVERHEAD,
    NO_LEADER_EPOCH,
    NO_TIMESTAMP,
    TIMESTAMP_TYPE_BIT,
    UINT32,
    entry_size,
    magic_of,
    read_header,
)
from wire.records.compression import (
    MAX_DECOMPRESSED_BYTES,
    Compression,
    compress,
    decompress,
)
from wire.records.errors import CorruptBatch, UnsupportedCodec, UnsupportedMagic
from wire.records.lz4_header import broken_lz4_header, mended_lz4_header
from wire.records.record import Record, build_batch, iter_records
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wire.schema import Buffer

CRC = 12
COVERED = 16
"""The checksum, a plain CRC-32, covers everything from the magic on."""
_BODY = {0: 18, 1: 26}
"""By magic: where the key's length begins."""

_HEAD = {0: Struct(">qiIbb"), 1: Struct(">qiIbbq")}


class ZstdNotConvertible(CorruptBatch):
    """No format before 2 may hold zstd: its clients cannot read it."""


class Message(NamedTuple):
    """One message as it stands, wrapper or not."""

    offset: int
    size_in_bytes: int
    magic: int
    attributes: int
    timestamp: int
    key: bytes | None
    value: bytes | None

    @property
    def compression(self) -> int:
        return self.attributes & COMPRESSION_MASK

    @property
    def timestamp_type(self) -> int:
        """CreateTime in format 0, which has no timestamps: they are -1."""
        if self.magic and self.attributes & TIMESTAMP_TYPE_BIT:
            return LOG_APPEND_TIME
        return CREATE_TIME


def read_message(buf: Buffer, pos: int = 0, *, verify: bool = True) -> Message:
    """The message at ``pos``, its checksum and every length checked."""
    end = pos + entry_size(buf, pos)
    if end > len(buf):
        raise CorruptBatch(f"a message of {end - pos} bytes is cut off after {len(buf) - pos}")
    magic = magic_of(buf, pos)
    if magic > 1:
        raise UnsupportedMagic(f"magic {magic} is not that of a message set")
    offset, _, crc, _, attributes, *timestamp = _HEAD[magic].unpack_from(buf, pos)
    if verify:
        computed = crc32(memoryview(buf)[pos + COVERED : end])
        if crc != computed:
            raise CorruptBatch(f"a message's checksum is {crc:#010x}, its bytes give {computed:#x}")
    key, at = _read_bytes(buf, pos + _BODY[magic], end)
    value, at = _read_bytes(buf, at, end)
    if at != end:
        raise CorruptBatch(f"{end - at} bytes are left behind a message's value")
    return Message(
        offset, end - pos, magic, attributes, timestamp[0] if magic else NO_TIMESTAMP, key, value
    )


def _read_bytes(buf: Buffer, pos: int, end: int) -> tuple[bytes | None, int]:
    if pos + 4 > end:
        raise CorruptBatch("a message ends before the length of its key or value")
    size: int = INT32.unpack_from(buf, pos)[0]
    pos += 4
    if size < 0:
        return None, pos
    if size > end - pos:
        raise CorruptBatch(f"a key or value of {size} bytes where {end - pos} are left")
    return bytes(memoryview(buf)[pos : pos + size]), pos + size


def iter_messages(buf: Buffer, pos: int = 0, *, verify: bool = True) -> Iterator[Message]:
    """The messages one after the other, wrappers closed. One cut off at the end is an error."""
    while pos < len(buf):
        message = read_message(buf, pos, verify=verify)
        yield message
        pos += message.size_in_bytes


def unwrap(
    message: Message,
    *,
    verify: bool = True,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
) -> list[Record]:
    """The records of one message: itself, or those of the wrapper that it is."""
    codec = message.compression
    if codec == Compression.NONE:
        return [Record(message.offset, message.timestamp, message.key, message.value)]
    if codec > Compression.LZ4:
        raise UnsupportedCodec(f"compression {codec} in a message of format {message.magic}")
    if message.value is None:
        raise CorruptBatch("a compressed message set has no value")
    data = message.value
    if codec == Compression.LZ4 and message.magic == 0:
        data = mended_lz4_header(data)
    inner = list(iter_messages(decompress(codec, data, max_decompressed_bytes), verify=verify))
    if not inner:
        raise CorruptBatch("a compressed message set holds no message")
    if any(m.magic != message.magic or m.compression for m in inner):
        raise CorruptBatch("a message inside another one is compressed or of another format")
    base = _base_of_wrapped(message, inner)
    fixed = message.timestamp if message.timestamp_type == LOG_APPEND_TIME else None
    return [
        Record(base + m.offset, m.timestamp if fixed is None else fixed, m.key, m.value)
        for m in inner
    ]


def _base_of_wrapped(wrapper: Message, inner: list[Message]) -> int:
    """What to add to the offsets inside. 0 as well where the wrapper's is 0: a producer need not
    set it, and some set only those inside.
    """
    if wrapper.magic == 0 or wrapper.offset == 0:
        return 0
    if wrapper.offset < inner[-1].offset:
        raise CorruptBatch(
            f"a wrapper's offset {wrapper.offset} is below the last one inside, {inner[-1].offset}"
        )
    return wrapper.offset - inner[-1].offset


def decode_message_set(
    buf: Buffer, *, verify: bool = True, max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES
) -> list[Record]:
    """Every record of a message set, wrappers opened; ``max_decompressed_bytes`` for each."""
    return [
        record
        for message in iter_messages(buf, verify=verify)
        for record in unwrap(message, verify=verify, max_decompressed_bytes=max_decompressed_bytes)
    ]


def encode_message_set(
    records: Sequence[Record],
    magic: int,
    *,
    compression: int = Compression.NONE,
    level: int | None = None,
    timestamp_type: int = CREATE_TIME,
    log_append_time: int | None = None,
) -> bytes:
    """Messages with the offsets that the records say. Headers are dropped: no format before 2
    has them.
    """
    if compression > Compression.LZ4:
        raise ZstdNotConvertible(f"compression {compression} in a message of format {magic}")
    if not records:
        return b""
    bit = TIMESTAMP_TYPE_BIT if magic and timestamp_type == LOG_APPEND_TIME else 0
    fixed = log_append_time if bit else None
    # In format 1 messages inside a wrapper count from its first.
    base = records[0].offset if magic and compression else 0
    messages = b"".join(
        encode_message(
            magic,
            record.offset - base,
            record.timestamp if fixed is None else fixed,
            bit,
            record.key,
            record.value,
        )
        for record in records
    )
    if not compression:
        return messages
    packed = compress(compression, messages, level)
    if compression == Compression.LZ4 and magic == 0:
        packed = broken_lz4_header(packed)
    timestamp = max(record.timestamp for record in records) if fixed is None else fixed
    return encode_message(magic, records[-1].offset, timestamp, bit | compression, None, packed)


def encode_message(
    magic: int, offset: int, timestamp: int, attributes: int, key: bytes | None, value: bytes | None
) -> bytes:
    """One message as it stands on the wire, the attributes as given."""
    size = _BODY[magic] - LOG_OVERHEAD + 8 + len(key or b"") + len(value or b"")
    stamp = (timestamp,) if magic else ()
    try:
        message = bytearray(_HEAD[magic].pack(offset, size, 0, magic, attributes, *stamp))
        for part in (key, value):
            message += INT32.pack(-1 if part is None else len(part))
            message += part or b""
    except error as problem:
        raise EncodeError(f"a field does not fit the message: {problem}") from None
    UINT32.pack_into(message, CRC, crc32(memoryview(message)[COVERED:]))
    return bytes(message)


def convert_up(
    buf: Buffer,
    *,
    base_offset: int = 0,
    compression: int | None = None,
    level: int | None = None,
    timestamp_type: int = CREATE_TIME,
    log_append_time: int | None = None,
    partition_leader_epoch: int = NO_LEADER_EPOCH,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
) -> bytearray:
    """A produced message set as one batch of format 2, numbered from ``base_offset`` on.

    Without a ``compression`` the batch has that of the set. Offsets of the producer are not
    looked at: some old clients never set those inside a wrapper.
    """
    records: list[Record] = []
    codec = 0
    for message in iter_messages(buf):
        records += unwrap(message, max_decompressed_bytes=max_decompressed_bytes)
        codec = message.compression or codec
    if not records:
        raise CorruptBatch("a message set without a message")
    return build_batch(
        records,
        base_offset=base_offset,
        compression=codec if compression is None else compression,
        level=level,
        timestamp_type=timestamp_type,
        log_append_time=log_append_time,
        partition_leader_epoch=partition_leader_epoch,
    )


def convert_down(
    buf: Buffer,
    to_magic: int,
    start_offset: int = 0,
    *,
    max_decompressed_bytes: int = MAX_DECOMPRESSED_BYTES,
) -> bytes:
    """Stored batches as messages of format ``to_magic``, 0 or 1, offsets kept.

    Headers and control batches are left out, and so is a batch cut off at the end. What is not
    compressed begins at ``start_offset``: each message stands for itself there, and some
    versions of librdkafka do not skip. The result may be empty. A batch in zstd raises
    ZstdNotConvertible.
    """
    out: list[bytes] = []
    pos = 0
    while pos + ATTRIBUTES < len(buf) and (end := pos + entry_size(buf, pos)) <= len(buf):
        out.append(_entry_down(buf, pos, end, to_magic, start_offset, max_decompressed_bytes))
        pos = end
    return b"".join(out)


def _entry_down(
    buf: Buffer, pos: int, end: int, to_magic: int, start_offset: int, max_bytes: int
) -> bytes:
    magic = magic_of(buf, pos)
    if magic <= to_magic:
        return bytes(memoryview(buf)[pos:end])
    if magic == 2:
        header = read_header(buf, pos)
        if header.is_control:
            return b""
        codec, kind, newest = header.compression, header.timestamp_type, header.max_timestamp
    else:
        message = read_message(buf, pos, verify=False)
        codec, kind, newest = message.compression, message.timestamp_type, message.timestamp
    if codec == Compression.ZSTD:
        raise ZstdNotConvertible("a batch compressed with zstd has no older form")
    records = list(
        iter_records(buf, pos, max_decompressed_bytes=max_bytes)
        if magic == 2
        else unwrap(message, verify=False, max_decompressed_bytes=max_bytes)
    )
    if not codec:
        records = [record for record in records if record.offset >= start_offset]
    return encode_message_set(
        records,
        to_magic,
        compression=codec,
        timestamp_type=kind,
        log_append_time=newest if kind == LOG_APPEND_TIME else None,
    )
