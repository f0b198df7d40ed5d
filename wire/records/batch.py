"""The header of a record batch, format 2: read, checked and patched where it lies.

A batch is ``base_offset int64, batch_length int32`` and then ``batch_length`` bytes, 49 of them
header. The CRC covers everything from the attributes on, so a broker may set base offset and
leader epoch of a batch it received without touching the checksum or copying a byte.
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING, NoReturn

from wire.errors import EncodeError
from wire.records.crc import crc32c
from wire.records.errors import CorruptBatch, InvalidHeader, UnsupportedMagic
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from wire.schema import Buffer

    Writable: TypeAlias = bytearray | memoryview

# Where the fields of a header begin.
BASE_OFFSET = 0
BATCH_LENGTH = 8
PARTITION_LEADER_EPOCH = 12
MAGIC = 16
CRC = 17
ATTRIBUTES = 21
LAST_OFFSET_DELTA = 23
BASE_TIMESTAMP = 27
MAX_TIMESTAMP = 35
PRODUCER_ID = 43
PRODUCER_EPOCH = 51
BASE_SEQUENCE = 53
RECORD_COUNT = 57
RECORDS = 61
"""The first byte of the records: the size of a header."""

LOG_OVERHEAD = 12
"""Base offset and length, which ``batch_length`` does not count. The same in every format."""
SMALLEST_ENTRY = {0: 14, 1: 22, 2: RECORDS - LOG_OVERHEAD}
"""By magic: the least that the length field can say."""

COMPRESSION_MASK = 0x07
TIMESTAMP_TYPE_BIT = 0x08
TRANSACTIONAL_BIT = 0x10
CONTROL_BIT = 0x20
DELETE_HORIZON_BIT = 0x40

CREATE_TIME = 0
LOG_APPEND_TIME = 1

NO_TIMESTAMP = -1
NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1
NO_SEQUENCE = -1
NO_LEADER_EPOCH = -1
MAX_INT32 = 0x7FFFFFFF

HEADER = Struct(">qiibIhiqqqhii")
INT16 = Struct(">h")
INT32 = Struct(">i")
UINT32 = Struct(">I")
INT64 = Struct(">q")
_read_header = HEADER.unpack_from
_new = tuple.__new__  # what BatchHeader._make does, in half the time


class BatchHeader(NamedTuple):
    """The fields in wire order."""

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size_in_bytes(self) -> int:
        return LOG_OVERHEAD + self.batch_length

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """-1 without a base sequence; after 2^31 - 1 comes 0."""
        if self.base_sequence < 0:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & MAX_INT32

    @property
    def compression(self) -> int:
        """A ``Compression``, or a number that is none."""
        return self.attributes & COMPRESSION_MASK

    @property
    def timestamp_type(self) -> int:
        return LOG_APPEND_TIME if self.attributes & TIMESTAMP_TYPE_BIT else CREATE_TIME

    @property
    def is_transactional(self) -> bool:
        return self.attributes & TRANSACTIONAL_BIT != 0

    @property
    def is_control(self) -> bool:
        return self.attributes & CONTROL_BIT != 0

    @property
    def delete_horizon(self) -> int | None:
        """When the cleaner may drop tombstones and markers of this batch (KIP-534)."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON_BIT else None

    @property
    def has_producer_id(self) -> bool:
        return self.producer_id > NO_PRODUCER_ID


def magic_of(buf: Buffer, pos: int = 0) -> int:
    """The message format of the entry at ``pos``, 0, 1 or 2."""
    if pos + MAGIC >= len(buf):
        raise CorruptBatch(f"{len(buf) - pos} bytes are too few for a record batch")
    magic = buf[pos + MAGIC]
    if magic > 2:
        raise UnsupportedMagic(f"magic {magic} is no known message format")
    return magic


def entry_size(buf: Buffer, pos: int = 0) -> int:
    """Size in bytes of the batch or message at ``pos``, whatever its magic.

    It may reach past the end of ``buf``; a length that no entry can have raises.
    """
    magic = magic_of(buf, pos)
    length: int = INT32.unpack_from(buf, pos + BATCH_LENGTH)[0]
    if length < SMALLEST_ENTRY[magic]:
        raise CorruptBatch(f"length {length} is below the least of magic {magic}")
    return LOG_OVERHEAD + length


def read_header(buf: Buffer, pos: int = 0, *, whole: bool = True) -> BatchHeader:
    """The header at ``pos``. With ``whole`` the batch must lie in ``buf`` to its last byte;
    without, the header alone will do (a log scanning headers).
    """
    try:
        header = _new(BatchHeader, _read_header(buf, pos))
    except error:
        _refuse_short(buf, pos)
    if header.magic != 2:
        raise UnsupportedMagic(f"magic {header.magic} where a batch of magic 2 was expected")
    if header.batch_length < RECORDS - LOG_OVERHEAD:
        raise CorruptBatch(f"batch length {header.batch_length} is below that of a header")
    if whole and pos + LOG_OVERHEAD + header.batch_length > len(buf):
        raise CorruptBatch(
            f"a batch of {header.size_in_bytes} bytes is cut off after {len(buf) - pos}"
        )
    if header.record_count < 0 or header.last_offset_delta < 0:
        raise InvalidHeader(
            f"{header.record_count} records with a last offset delta of {header.last_offset_delta}"
        )
    return header


def _refuse_short(buf: Buffer, pos: int) -> NoReturn:
    """Name the magic first: a message of format 0 or 1 may well be shorter than 61 bytes."""
    if len(buf) - pos > MAGIC and buf[pos + MAGIC] != 2:
        raise UnsupportedMagic(f"magic {buf[pos + MAGIC]} where magic 2 was expected")
    raise CorruptBatch(f"{len(buf) - pos} bytes are too few for the header of a record batch")


def iter_headers(
    buf: Buffer, pos: int = 0, *, partial: bool = False
) -> Iterator[tuple[int, BatchHeader]]:
    """Position and header of every batch from ``pos`` to the end.

    A batch cut off at the end raises, or ends the walk where it may be ``partial`` (the end of
    a Fetch response).
    """
    end = len(buf)
    while pos < end:
        if partial and not _is_whole(buf, pos):
            return
        header = read_header(buf, pos)
        yield pos, header
        pos += LOG_OVERHEAD + header.batch_length


def _is_whole(buf: Buffer, pos: int) -> bool:
    left = len(buf) - pos
    if left < LOG_OVERHEAD:
        return False
    length: int = INT32.unpack_from(buf, pos + BATCH_LENGTH)[0]
    # A negative length is not a partial batch, it is a wrong one: read_header says so.
    return left >= RECORDS if length < 0 else left >= LOG_OVERHEAD + length


def verify_crc(buf: Buffer, pos: int = 0, header: BatchHeader | None = None) -> None:
    """Raise CorruptBatch unless the batch at ``pos`` lies in ``buf`` and its checksum holds.

    ``header`` is what ``read_header`` gave for it, where that was called already.
    """
    if header is None:
        header = read_header(buf, pos)
    end = pos + LOG_OVERHEAD + header.batch_length
    computed = crc32c(memoryview(buf)[pos + ATTRIBUTES : end])
    if header.crc != computed:
        raise CorruptBatch(
            f"the batch's checksum is {header.crc:#010x}, its bytes give {computed:#010x}"
        )


def patch(
    buf: Writable,
    pos: int = 0,
    *,
    base_offset: int | None = None,
    leader_epoch: int | None = None,
) -> None:
    """Set what a broker assigns. The checksum covers neither."""
    try:
        if base_offset is not None:
            INT64.pack_into(buf, pos, base_offset)
        if leader_epoch is not None:
            INT32.pack_into(buf, pos + PARTITION_LEADER_EPOCH, leader_epoch)
    except error as problem:
        raise EncodeError(f"cannot patch the batch header: {problem}") from None


def set_max_timestamp(
    buf: Writable, pos: int, max_timestamp: int, timestamp_type: int = LOG_APPEND_TIME
) -> None:
    """Set type and value of the batch's timestamp, and the checksum that covers them.

    With LogAppendTime the header's maximum is the timestamp of every record of the batch, so
    the records stay as they are.
    """
    end = pos + read_header(buf, pos).size_in_bytes
    attributes = INT16.unpack_from(buf, pos + ATTRIBUTES)[0] & ~TIMESTAMP_TYPE_BIT
    if timestamp_type == LOG_APPEND_TIME:
        attributes |= TIMESTAMP_TYPE_BIT
    try:
        INT16.pack_into(buf, pos + ATTRIBUTES, attributes)
        INT64.pack_into(buf, pos + MAX_TIMESTAMP, max_timestamp)
    except error as problem:
        raise EncodeError(f"cannot patch the batch header: {problem}") from None
    UINT32.pack_into(buf, pos + CRC, crc32c(memoryview(buf)[pos + ATTRIBUTES : end]))
