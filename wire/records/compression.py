"""The five codecs of Kafka, in the framings that its clients read and write.

gzip is RFC 1952; snappy is xerial's framing around raw blocks, and a bare block is read as well;
lz4 is the frame format with independent blocks; zstd is its own frame. Output is bounded always:
a small batch must not become a large one in memory, whatever it says about itself.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from wire.errors import EncodeError
from wire.records.errors import CorruptBatch, UnsupportedCodec

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from wire.schema import Buffer

    ReadInto: TypeAlias = Callable[[Buffer, bytearray], int]


class Compression(IntEnum):
    """Bits 0 to 2 of the attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @property
    def config_name(self) -> str:
        """As in ``compression.type``."""
        return self.name.lower()

    @classmethod
    def from_config(cls, name: str) -> Compression:
        """``"uncompressed"`` of a topic's compression.type is ``none`` of a producer's."""
        return cls.NONE if name == "uncompressed" else cls[name.upper()]


MAX_DECOMPRESSED_BYTES = 32 << 20
"""The default bound of what one batch may hold. Thirty times the default of max.message.bytes."""

XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER = XERIAL_MAGIC + b"\0\0\0\1\0\0\0\1"
XERIAL_BLOCK = 32 << 10

LZ4_HEADER = bytes.fromhex("04224d18 60 40 82")
"""Magic number; version 1 with independent blocks and nothing else; 64 KB a block; check byte."""
LZ4_BLOCK = 64 << 10
_LZ4_PLAIN = 1 << 31
_LZ4_END = bytes(4)

# Kafka's default level of lz4 is 9, and there it stands for the fast compressor, not for level 9
# of the high compression one; all other levels are the latter's (KIP-390).
LZ4_DEFAULT_LEVEL = 9
ZSTD_DEFAULT_LEVEL = 3

# A copy of snappy takes at least three bytes for at most 64 of output.
_SNAPPY_MOST = 22

_INT32 = Struct(">i")
_UINT32_LE = Struct("<I")


def _cramjam() -> Any:
    # Imported at first use: most brokers are up and answering before they see a compressed batch.
    import cramjam

    return cramjam


def compress(codec: int, data: Buffer, level: int | None = None) -> bytes:
    """``data`` as one compressed body. Without a level, Kafka's default of the codec."""
    try:
        write = _COMPRESSORS[codec]
    except KeyError:
        raise EncodeError(f"{codec} is no compression") from None
    return write(data, level)


def decompress(codec: int, data: Buffer, max_bytes: int = MAX_DECOMPRESSED_BYTES) -> bytes:
    """The body of a batch, at most ``max_bytes`` long; CorruptBatch if it is longer or broken."""
    try:
        read = _DECOMPRESSORS[codec]
    except KeyError:
        raise UnsupportedCodec(f"{codec} is no compression") from None
    return read(data, max_bytes)


def _too_long(codec: str, max_bytes: int) -> CorruptBatch:
    return CorruptBatch(f"{codec} data holds more than the {max_bytes} bytes allowed")


def _plain(data: Buffer, level: int | None) -> bytes:
    return bytes(data)


def _read_plain(data: Buffer, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise CorruptBatch(f"{len(data)} bytes of records are more than the {max_bytes} allowed")
    return bytes(data)


def _gzip(data: Buffer, level: int | None) -> bytes:
    writer = zlib.compressobj(-1 if level is None else level, zlib.DEFLATED, 31)
    return writer.compress(data) + writer.flush()


def _read_gzip(data: Buffer, max_bytes: int) -> bytes:
    out: list[bytes] = []
    room = max_bytes
    rest: Buffer = data
    try:
        while True:
            reader = zlib.decompressobj(31)
            piece = reader.decompress(rest, room + 1)
            room -= len(piece)
            if room < 0:
                raise _too_long("gzip", max_bytes)
            if not reader.eof:
                raise CorruptBatch("gzip data is cut off")
            out.append(piece)
            rest = reader.unused_data
            # Members may follow each other. Anything else behind the last one is passed over,
            # as in Java.
            if rest[:2] != b"\x1f\x8b":
                return b"".join(out)
    except zlib.error as problem:
        raise CorruptBatch(f"gzip data is broken: {problem}") from None


def _snappy(data: Buffer, level: int | None) -> bytes:
    compress_block = _cramjam().snappy.compress_raw
    view = memoryview(data)
    out = [XERIAL_HEADER]
    for start in range(0, len(view), XERIAL_BLOCK):
        block = bytes(compress_block(view[start : start + XERIAL_BLOCK]))
        out += (_INT32.pack(len(block)), block)
    return b"".join(out)


def _read_snappy(data: Buffer, max_bytes: int) -> bytes:
    view = memoryview(data)
    if view[:8] != XERIAL_MAGIC:
        return _read_snappy_block(view, max_bytes)
    # The two version numbers that follow are not looked at: some writers have them little-endian.
    if len(view) < len(XERIAL_HEADER):
        raise CorruptBatch("snappy data is cut off in its header")
    out: list[bytes] = []
    room = max_bytes
    pos = len(XERIAL_HEADER)
    while pos < len(view):
        if pos + 4 > len(view):
            raise CorruptBatch("snappy data is cut off in a block's length")
        size = _INT32.unpack_from(view, pos)[0]
        pos += 4
        if not 0 <= size <= len(view) - pos:
            raise CorruptBatch(f"a snappy block of {size} bytes where {len(view) - pos} are left")
        block = _read_snappy_block(view[pos : pos + size], room)
        room -= len(block)
        out.append(block)
        pos += size
    return b"".join(out)


def _read_snappy_block(block: memoryview, room: int) -> bytes:
    cramjam = _cramjam()
    try:
        size = cramjam.snappy.decompress_raw_len(block)
        if size > room:
            raise _too_long("snappy", room)
        if size > len(block) * _SNAPPY_MOST:
            raise CorruptBatch(f"a snappy block of {len(block)} bytes says it holds {size}")
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as problem:
        raise CorruptBatch(f"snappy data is broken: {problem}") from None


def _lz4(data: Buffer, level: int | None) -> bytes:
    lz4 = _cramjam().lz4
    if level is not None and level != LZ4_DEFAULT_LEVEL:
        # High compression is to be had in the library's own frames alone. They have a checksum
        # for each block, which Kafka's clients know but do not write.
        writer = lz4.Compressor(level=level, content_checksum=False, block_linked=False)
        writer.compress(bytes(data))
        return bytes(writer.finish())
    view = memoryview(data)
    out = [LZ4_HEADER]
    for start in range(0, len(view), LZ4_BLOCK):
        plain = view[start : start + LZ4_BLOCK]
        block = bytes(lz4.compress_block(plain, store_size=False))
        if len(block) < len(plain):
            out += (_UINT32_LE.pack(len(block)), block)
        else:
            out += (_UINT32_LE.pack(len(plain) | _LZ4_PLAIN), bytes(plain))
    out.append(_LZ4_END)
    return b"".join(out)


def _zstd(data: Buffer, level: int | None) -> bytes:
    packed = _cramjam().zstd.compress(data, level=ZSTD_DEFAULT_LEVEL if level is None else level)
    return bytes(packed)


def _read_lz4(data: Buffer, max_bytes: int) -> bytes:
    return _read_frames(Compression.LZ4, _cramjam().lz4.decompress_into, data, max_bytes)


def _read_zstd(data: Buffer, max_bytes: int) -> bytes:
    return _read_frames(Compression.ZSTD, _cramjam().zstd.decompress_into, data, max_bytes)


def _read_frames(codec: Compression, read_into: ReadInto, data: Buffer, max_bytes: int) -> bytes:
    """Decompress into room that grows while it is too small.

    Frames need not say how much they hold, and need not tell the truth; memory follows the size
    of the input until the output is shown to be larger.
    """
    size = min(max_bytes, 4096 + 6 * len(data))
    while True:
        out = bytearray(size)
        try:
            return bytes(memoryview(out)[: read_into(data, out)])
        except _cramjam().DecompressionError as problem:
            if str(problem) != _complaint_when_full(codec, read_into):
                raise CorruptBatch(f"{codec.config_name} data is broken: {problem}") from None
        if size == max_bytes:
            raise _too_long(codec.config_name, max_bytes)
        size = min(max_bytes, 4 * size)


@cache
def _complaint_when_full(codec: Compression, read_into: ReadInto) -> str:
    """The text is all that tells missing room from broken data. Ask for it, do not know it."""
    try:
        read_into(compress(codec, b"full"), bytearray(1))
    except _cramjam().DecompressionError as problem:
        return str(problem)
    raise AssertionError("four bytes went into one")


_COMPRESSORS: dict[int, Callable[[Buffer, int | None], bytes]] = {
    Compression.NONE: _plain,
    Compression.GZIP: _gzip,
    Compression.SNAPPY: _snappy,
    Compression.LZ4: _lz4,
    Compression.ZSTD: _zstd,
}
_DECOMPRESSORS: dict[int, Callable[[Buffer, int], bytes]] = {
    Compression.NONE: _read_plain,
    Compression.GZIP: _read_gzip,
    Compression.SNAPPY: _read_snappy,
    Compression.LZ4: _read_lz4,
    Compression.ZSTD: _read_zstd,
}
