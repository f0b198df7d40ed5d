"""Reading and writing the protocol's primitive types.

Readers take a memoryview and a position and return (value, next position). Whatever length or
count the wire claims is checked against what is left by ``claim`` before anything is made from it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wire.errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from wire.schema import Buffer

FORMATS = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "float64": "d",
    "uuid": "16s",
}
"""Struct codes of the types whose size is fixed."""

INT16 = struct.Struct(">h")
INT32 = struct.Struct(">i")


def claim(count: int, minimum_size: int, position: int, end: int) -> int:
    """The one check of a claimed length: ``count`` elements must fit in what is left."""
    if count * minimum_size > end - position:
        raise DecodeError(f"{count} elements are claimed where {end - position} bytes are left")
    return count


def read_uvarint(data: memoryview, position: int) -> tuple[int, int]:
    """At most five bytes and 32 bits."""
    byte = data[position]
    position += 1
    if byte < 0x80:
        return byte, position
    value = byte & 0x7F
    shift = 7
    while shift <= 28:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, position
        shift += 7
    raise DecodeError("a varint is longer than its type")


def write_uvarint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def uvarint_bytes(value: int) -> bytes:
    out = bytearray()
    write_uvarint(out, value)
    return bytes(out)


def read_int16_length(data: memoryview, position: int) -> tuple[int, int]:
    return INT16.unpack_from(data, position)[0], position + 2


def read_int32_length(data: memoryview, position: int) -> tuple[int, int]:
    return INT32.unpack_from(data, position)[0], position + 4


def read_compact_length(data: memoryview, position: int) -> tuple[int, int]:
    """Length plus one on the wire; -1 is null."""
    value, position = read_uvarint(data, position)
    return value - 1, position


def _text(data: memoryview, position: int, length: int, end: int) -> tuple[str, int]:
    stop = position + claim(length, 1, position, end)
    return str(data[position:stop], "utf-8"), stop


def read_string(data: memoryview, position: int, end: int) -> tuple[str, int]:
    length, position = read_int16_length(data, position)
    if length < 0:
        raise DecodeError("a string that cannot be null has a negative length")
    return _text(data, position, length, end)


def read_nullable_string(data: memoryview, position: int, end: int) -> tuple[str | None, int]:
    length, position = read_int16_length(data, position)
    if length < 0:
        return _null(length, position)
    return _text(data, position, length, end)


def read_compact_string(data: memoryview, position: int, end: int) -> tuple[str, int]:
    length, position = read_compact_length(data, position)
    if length < 0:
        raise DecodeError("a string that cannot be null is null")
    return _text(data, position, length, end)


def read_compact_nullable_string(
    data: memoryview, position: int, end: int
) -> tuple[str | None, int]:
    length, position = read_compact_length(data, position)
    if length < 0:
        return None, position
    return _text(data, position, length, end)


def _null(length: int, position: int) -> tuple[None, int]:
    if length != -1:
        raise DecodeError(f"a length of {length}")
    return None, position


def read_view(
    data: memoryview, position: int, end: int, *, flexible: bool, nullable: bool
) -> tuple[memoryview | None, int]:
    """Bytes, not copied."""
    read_length = read_compact_length if flexible else read_int32_length
    length, position = read_length(data, position)
    if length < 0:
        if not nullable:
            raise DecodeError("bytes that cannot be null have no length")
        return _null(length, position)
    stop = position + claim(length, 1, position, end)
    return data[position:stop], stop


def read_bytes(
    data: memoryview, position: int, end: int, *, flexible: bool, nullable: bool
) -> tuple[bytes | None, int]:
    view, position = read_view(data, position, end, flexible=flexible, nullable=nullable)
    return (None if view is None else bytes(view)), position


def read_count(
    data: memoryview,
    position: int,
    end: int,
    minimum_size: int,
    *,
    flexible: bool,
    nullable: bool,
) -> tuple[int, int]:
    """The number of elements of an array; -1 is null."""
    read_length = read_compact_length if flexible else read_int32_length
    count, position = read_length(data, position)
    if count < 0:
        if not nullable or count != -1:
            raise DecodeError(f"an array of {count} elements")
        return -1, position
    return claim(count, minimum_size, position, end), position


def write_string(out: bytearray, value: str | None, *, flexible: bool, nullable: bool) -> None:
    if value is None:
        if not nullable:
            raise EncodeError("a string that cannot be null is None")
        out += b"\x00" if flexible else b"\xff\xff"
        return
    encoded = value.encode()
    if flexible:
        write_uvarint(out, len(encoded) + 1)
    elif len(encoded) > 0x7FFF:
        raise EncodeError(f"a string of {len(encoded)} bytes")
    else:
        out += INT16.pack(len(encoded))
    out += encoded


def write_length(out: bytearray, length: int, *, flexible: bool) -> None:
    """Of bytes or of an array; -1 is null."""
    if flexible:
        write_uvarint(out, length + 1)
    else:
        out += INT32.pack(length)


def write_bytes(out: bytearray, value: Buffer | None, *, flexible: bool, nullable: bool) -> None:
    if value is None:
        if not nullable:
            raise EncodeError("bytes that cannot be null are None")
        write_length(out, -1, flexible=flexible)
        return
    write_length(out, len(value), flexible=flexible)
    out += value


def read_null_mark(data: memoryview, position: int) -> tuple[bool, int]:
    """The signed byte before a structure that may be null: -1 is null, 1 is present."""
    mark = data[position]
    if mark not in (1, 0xFF):
        raise DecodeError(f"a null mark of {mark}")
    return mark == 1, position + 1
