"""The store's own protocol between processes: frames, and whole messages out of them.

Both ends begin with a preface, five bytes that no Kafka request begins with. Then frames follow:

    uint32 length of the payload | uint8 kind | uint8 flags | uint32 id | payload

A long message is cut into frames with the flag MORE on all but the last; frames of other messages
may come between them, so that a lease is renewed while a snapshot is under way. A message that its
sender gives up half-way ends with DROPPED. Every length is checked before anything is kept for it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from wire.errors import DecodeError
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
MAGIC = b"PKBS"
PREFACE = MAGIC + bytes([VERSION])

FRAME_BYTES = 256 * 1024
"""The longest payload of one frame."""
PARTS_LIMIT = 64
"""Messages that may be under way at once in one direction."""
MORE, DROPPED = 1, 2

# What a client says, then what a server says.
PING, READ, TRANSACT, GRANT, RENEW, REVOKE, WATCH, UNWATCH = range(1, 9)
WELCOME, PONG, ANSWER, UPDATE, FAILED = range(65, 70)

_HEADER = Struct(">IBBI")


class OtherVersion(DecodeError):
    """The peer speaks this protocol, in a version that is not ours."""


class Message(NamedTuple):
    kind: int
    id: int
    payload: bytes


def frames(kind: int, id_: int, payload: bytes) -> Iterator[bytes]:
    """The frames of one message, in order."""
    start = 0
    while len(payload) - start > FRAME_BYTES:
        chunk = payload[start : start + FRAME_BYTES]
        yield _HEADER.pack(FRAME_BYTES, kind, MORE, id_) + chunk
        start += FRAME_BYTES
    rest = payload[start:] if start else payload
    yield _HEADER.pack(len(rest), kind, 0, id_) + rest


def dropped(kind: int, id_: int) -> bytes:
    """Ends a message of which not all frames will come."""
    return _HEADER.pack(0, kind, DROPPED, id_)


class FrameReader:
    """Feed bytes, take whole messages. Raises DecodeError, and is then of no more use."""

    def __init__(self, limit_bytes: int) -> None:
        """``limit_bytes`` bounds what is kept of messages that are not complete."""
        self._limit = limit_bytes
        self._greeted = False
        self._buffer = bytearray()
        self._parts: dict[int, tuple[int, list[bytes]]] = {}
        self._parts_bytes = 0

    @property
    def greeted(self) -> bool:
        """Whether the preface has come."""
        return self._greeted

    def feed(self, data: bytes | memoryview) -> list[Message]:
        buffer = self._buffer
        buffer += data
        position = 0
        if not self._greeted:
            if not self._greet():
                return []
            position = len(PREFACE)
        messages = []
        while len(buffer) - position >= _HEADER.size:
            length, kind, flags, id_ = _HEADER.unpack_from(buffer, position)
            if length > FRAME_BYTES:
                raise DecodeError(f"a frame of {length} bytes")
            end = position + _HEADER.size + length
            if len(buffer) < end:
                break
            payload = bytes(memoryview(buffer)[position + _HEADER.size : end])
            message = self._take(kind, flags, id_, payload)
            if message is not None:
                messages.append(message)
            position = end
        del buffer[:position]
        return messages

    def _greet(self) -> bool:
        start = self._buffer[: len(PREFACE)]
        if start[:4] != MAGIC[: len(start)]:
            raise DecodeError("not the metadata store's protocol")
        if len(start) < len(PREFACE):
            return False
        if start[4] != VERSION:
            raise OtherVersion(f"the peer speaks version {start[4]}, this is version {VERSION}")
        self._greeted = True
        return True

    def _take(self, kind: int, flags: int, id_: int, payload: bytes) -> Message | None:
        known = self._parts.get(id_)
        if known is not None and known[0] != kind:
            raise DecodeError(f"message {id_} changes its kind from {known[0]} to {kind}")
        if flags == MORE:
            self._keep(kind, id_, payload)
            return None
        if flags == DROPPED:
            self._forget(id_)
            return None
        if flags:
            raise DecodeError(f"unknown flags {flags}")
        if known is None:
            return Message(kind, id_, payload)
        self._forget(id_)
        return Message(kind, id_, b"".join((*known[1], payload)))

    def _keep(self, kind: int, id_: int, payload: bytes) -> None:
        self._parts_bytes += len(payload)
        if self._parts_bytes > self._limit:
            raise DecodeError(f"messages of more than {self._limit} bytes")
        if not payload:
            raise DecodeError("a frame with nothing in it says that more follows")
        self._parts.setdefault(id_, (kind, []))[1].append(payload)
        if len(self._parts) > PARTS_LIMIT:
            raise DecodeError(f"more than {PARTS_LIMIT} messages at once")

    def _forget(self, id_: int) -> None:
        known = self._parts.pop(id_, None)
        if known is not None:
            self._parts_bytes -= sum(map(len, known[1]))
