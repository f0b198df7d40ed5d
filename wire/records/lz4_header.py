"""The lz4 frame headers of message format 0, whose check byte is wrong (KAFKA-3160).

Kafka's first lz4 writer computed the byte over the frame's magic number as well. Its readers of
that time insist on the wrong byte, and writers of that time leave it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wire.schema import Buffer

_DESCRIPTOR = 4
"""Behind the magic number: flags, block size, then what the flags announce, then the check."""
_HAS_CONTENT_SIZE = 0x08
_HAS_DICTIONARY = 0x01

_P1, _P2, _P3, _P4, _P5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
_MASK = 0xFFFFFFFF
_WORD = Struct("<I")


def xxh32_short(data: bytes) -> int:
    """xxHash32, seed 0, of less than 16 bytes: all that a frame header takes."""
    if len(data) >= 16:
        raise ValueError(f"{len(data)} bytes are not short")
    acc = _P5 + len(data)
    whole = len(data) & ~3
    for (word,) in _WORD.iter_unpack(data[:whole]):
        acc = (acc + word * _P3) & _MASK
        acc = (acc << 17 | acc >> 15) * _P4 & _MASK
    for byte in data[whole:]:
        acc = (acc + byte * _P5) & _MASK
        acc = (acc << 11 | acc >> 21) * _P1 & _MASK
    acc = (acc ^ acc >> 15) * _P2 & _MASK
    acc = (acc ^ acc >> 13) * _P3 & _MASK
    return acc ^ acc >> 16


def mended_lz4_header(frame: Buffer) -> bytes:
    """The frame with the check byte of the specification, whatever it had."""
    return _with_check(bytes(frame), _DESCRIPTOR)


def broken_lz4_header(frame: Buffer) -> bytes:
    """The frame with the check byte that clients of format 0 write and expect."""
    return _with_check(bytes(frame), 0)


def _with_check(frame: bytes, start: int) -> bytes:
    # Too short, or with a dictionary, which Kafka never had: the decoder will say so.
    if len(frame) <= _DESCRIPTOR or frame[_DESCRIPTOR] & _HAS_DICTIONARY:
        return frame
    check = _DESCRIPTOR + (10 if frame[_DESCRIPTOR] & _HAS_CONTENT_SIZE else 2)
    if check >= len(frame):
        return frame
    byte = xxh32_short(frame[start:check]) >> 8 & 0xFF
    return frame[:check] + bytes((byte,)) + frame[check + 1 :]
