"""The elements of the protocol that need more than a ``struct`` format.

Readers take the data and a position and give back the value and the next position. Straight-line
code made by ``wire.decoding`` and ``wire.encoding`` has the short cases of these inline, strings
and byte strings among them, and comes here for the rare ones.

The rule: a count or a size that the peer claims is checked against the bytes that are left
(``check_room``) before anything is allocated for it. A position never moves backwards.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NoReturn

from wire.errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

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
"""``struct`` formats of the types that always take the same room."""
SIZES = {kind: Struct(">" + code).size for kind, code in FORMATS.items()}

MAX_VARINT_BYTES = 5

read_int16 = Struct(">h").unpack_from
read_int32 = Struct(">i").unpack_from
write_int16 = Struct(">h").pack


def check_room(count: int, minimum: int, left: int) -> None:
    """Refuse what cannot be there: ``count`` elements of at least ``minimum`` bytes each."""
    if not 0 <= count * minimum <= left:
        refuse_length(count, minimum, left)


def refuse_length(count: int, minimum: int, left: int) -> NoReturn:
    if count == -1:
        raise DecodeError("null where a value is needed")
    if count < 0:
        raise DecodeError(f"negative length {count}")
    what = "bytes" if minimum == 1 else f"elements of {minimum} bytes or more"
    raise DecodeError(f"{count} {what} claimed, {left} bytes left")


# Variable-length integers. (Those of records have a sign: see ``wire.records``.)


def read_uvarint(data: Buffer, position: int) -> tuple[int, int]:
    byte = data[position]
    if byte < 128:
        return byte, position + 1
    return read_uvarint_rest(data, position + 1, byte)


def read_uvarint_rest(data: Buffer, position: int, first: int) -> tuple[int, int]:
    """Go on after a first byte that has its high bit set."""
    value, shift = first & 127, 7
    for index in range(position, position + MAX_VARINT_BYTES - 1):
        byte = data[index]
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> 32:
                break
            return value, index + 1
        shift += 7
    raise DecodeError("varint of more than 32 bits")


def read_compact_length_rest(data: Buffer, position: int, first: int) -> tuple[int, int]:
    """The same for a length, which is one too high; one that is negative to Kafka, which counts
    with 32 bits, is 0, as null is."""
    value, position = read_uvarint_rest(data, position, first)
    return 0 if value > 1 << 31 else value, position


def uvarint(value: int) -> bytes:
    if value >> 32:
        raise EncodeError(f"{value} is no number of 32 bits without a sign")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


# The tagged section at the end of a structure (KIP-482).


def skip_tags(data: Buffer, position: int, end: int) -> int:
    """Past a whole tagged section."""
    count, position = read_uvarint(data, position)
    check_room(count, 2, end - position)
    for _ in range(count):
        _, position = read_uvarint(data, position)
        size, position = read_uvarint(data, position)
        check_room(size, 1, end - position)
        position += size
    return position


def read_unknown_tags(target: Any, data: Buffer, position: int, end: int, count: int) -> int:
    """The section of a structure that defines no tags, after the first byte of its count."""
    if count > 127:
        count, position = read_uvarint_rest(data, position, count)
    check_room(count, 2, end - position)
    for _ in range(count):
        tag, position = read_uvarint(data, position)
        size, position = read_uvarint(data, position)
        check_room(size, 1, end - position)
        keep_tag(target, tag, data[position : position + size])
        position += size
    return position


def keep_tag(target: Any, tag: int, data: Buffer) -> None:
    if target.unknown_tags is None:
        target.unknown_tags = []
    target.unknown_tags.append((tag, bytes(data)))


def refuse_tag(tag: int) -> NoReturn:
    raise DecodeError(f"tagged field {tag} is not as long as it claims")


def tagged_section(fields: list[tuple[int, bytes]]) -> bytes:
    """With its count; sorted, as the protocol wants it."""
    parts = [uvarint(len(fields))]
    for tag, data in sorted(fields):
        parts += (uvarint(tag), uvarint(len(data)), data)
    return b"".join(parts)


# Arrays of integers and the like, in one go.


class Runs(dict[int, "Callable[..., Any]"]):
    """By number of elements: what reads or writes so many of a kind at once."""

    def __init__(self, code: str, *, write: bool) -> None:
        self._code = code
        self._write = write

    def __missing__(self, count: int) -> Callable[..., Any]:
        many = self._code * count if len(self._code) > 1 else f"{count}{self._code}"
        run = Struct(">" + many)
        function = run.pack if self._write else run.unpack_from
        if count <= 64:
            self[count] = function
        return function


READ_RUNS = {kind: Runs(code, write=False) for kind, code in FORMATS.items()}
WRITE_RUNS = {kind: Runs(code, write=True) for kind, code in FORMATS.items()}
