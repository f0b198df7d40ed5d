"""What is inside the messages between a store's server and its clients.

Integers are big-endian and of fixed size; strings and byte strings follow their length. Reading
raises DecodeError and nothing else.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING

from pykbroker.ports import (
    Compare,
    Delete,
    KeyValue,
    Put,
    StoreEvent,
    StoreSnapshot,
    StoreUpdate,
    Transacted,
)
from wire.errors import DecodeError
from wire.primitives import check_room
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTE = Struct(">B")
_SIZE = Struct(">I")
_NUMBER = Struct(">q")
_TWO_NUMBERS = Struct(">qq")
_PUT, _DELETE = 1, 2

UNAVAILABLE, MISUSED, COMPACTED = 1, 2, 3
"""Why a request failed, or a watch ended."""


class Welcome(NamedTuple):
    """What a server says first."""

    max_operations: int
    revision: int


class Body:
    """A payload, and how far it has been read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def byte(self) -> int:
        return self._number(_BYTE)

    def size(self) -> int:
        return self._number(_SIZE)

    def number(self) -> int:
        return self._number(_NUMBER)

    def count(self, minimum: int) -> int:
        """Of elements that take at least ``minimum`` bytes each: never more than can be there."""
        count = self.size()
        check_room(count, minimum, len(self._data) - self._position)
        return count

    def bytes(self) -> bytes:
        size = self.count(1)
        start, self._position = self._position, self._position + size
        return self._data[start : self._position]

    def text(self) -> str:
        try:
            return self.bytes().decode()
        except UnicodeDecodeError as error:
            raise DecodeError(str(error)) from error

    def end(self) -> None:
        """Nothing may follow."""
        if self._position != len(self._data):
            raise DecodeError(f"{len(self._data) - self._position} bytes left over")

    def _number(self, kind: Struct) -> int:
        try:
            (value,) = kind.unpack_from(self._data, self._position)
        except StructError as error:
            raise DecodeError("a message that ends too early") from error
        self._position += kind.size
        return int(value)


def _bytes(value: bytes) -> bytes:
    return _SIZE.pack(len(value)) + value


def write_text(text: str) -> bytes:
    return _bytes(text.encode())


def write_number(number: int) -> bytes:
    return _NUMBER.pack(number)


def write_welcome(welcome: Welcome) -> bytes:
    return _SIZE.pack(welcome.max_operations) + _NUMBER.pack(welcome.revision)


def read_welcome(data: bytes) -> Welcome:
    body = Body(data)
    welcome = Welcome(body.size(), body.number())
    body.end()
    return welcome


def write_failure(reason: int, text: str) -> bytes:
    return _BYTE.pack(reason) + write_text(text)


def read_failure(data: bytes) -> tuple[int, str]:
    body = Body(data)
    failure = body.byte(), body.text()
    body.end()
    return failure


def read_text(data: bytes) -> str:
    body = Body(data)
    text = body.text()
    body.end()
    return text


def read_number(data: bytes) -> int:
    body = Body(data)
    number = body.number()
    body.end()
    return number


def write_watch(prefix: str, from_revision: int) -> bytes:
    return write_text(prefix) + _NUMBER.pack(from_revision)


def read_watch(data: bytes) -> tuple[str, int]:
    body = Body(data)
    watch = body.text(), body.number()
    body.end()
    return watch


def write_transaction(compares: Sequence[Compare], operations: Sequence[Put | Delete]) -> bytes:
    parts = [_SIZE.pack(len(compares))]
    for key, mod_revision in compares:
        parts += (write_text(key), _NUMBER.pack(mod_revision))
    parts.append(_SIZE.pack(len(operations)))
    for operation in operations:
        if isinstance(operation, Put):
            parts += (_BYTE.pack(_PUT), write_text(operation.key))
            parts += (_bytes(operation.value), _NUMBER.pack(operation.lease))
        else:
            parts += (_BYTE.pack(_DELETE), write_text(operation.key))
    return b"".join(parts)


def read_transaction(data: bytes) -> tuple[list[Compare], list[Put | Delete]]:
    body = Body(data)
    compares = [Compare(body.text(), body.number()) for _ in range(body.count(12))]
    operations: list[Put | Delete] = []
    for _ in range(body.count(5)):
        kind = body.byte()
        if kind == _PUT:
            operations.append(Put(body.text(), body.bytes(), body.number()))
        elif kind == _DELETE:
            operations.append(Delete(body.text()))
        else:
            raise DecodeError(f"unknown operation {kind}")
    body.end()
    return compares, operations


def write_transacted(result: Transacted) -> bytes:
    return _BYTE.pack(result.succeeded) + _NUMBER.pack(result.revision)


def read_transacted(data: bytes) -> Transacted:
    body = Body(data)
    result = Transacted(bool(body.byte()), body.number())
    body.end()
    return result


def write_snapshot(snapshot: StoreSnapshot) -> bytes:
    parts = [_NUMBER.pack(snapshot.revision), _SIZE.pack(len(snapshot.items))]
    for key, value, created, modified in snapshot.items:
        parts += (write_text(key), _bytes(value), _TWO_NUMBERS.pack(created, modified))
    return b"".join(parts)


def read_snapshot(data: bytes) -> StoreSnapshot:
    body = Body(data)
    revision = body.number()
    items = tuple(
        KeyValue(body.text(), body.bytes(), body.number(), body.number())
        for _ in range(body.count(24))
    )
    body.end()
    return StoreSnapshot(revision, items)


def write_update(update: StoreUpdate) -> bytes:
    parts = [_NUMBER.pack(update.revision), _SIZE.pack(len(update.events))]
    for key, value, created, modified in update.events:
        parts += (_BYTE.pack(value is not None), write_text(key))
        parts += (_bytes(value or b""), _TWO_NUMBERS.pack(created, modified))
    return b"".join(parts)


def read_update(data: bytes) -> StoreUpdate:
    body = Body(data)
    revision = body.number()
    events = []
    for _ in range(body.count(25)):
        exists, key, value = body.byte(), body.text(), body.bytes()
        events.append(StoreEvent(key, value if exists else None, body.number(), body.number()))
    body.end()
    return StoreUpdate(revision, tuple(events))
