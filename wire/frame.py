"""Bytes in, whole frames out. A frame is a 4-byte size and that many bytes.

Received bytes are never moved for their own sake: a frame is handed out as a view into the buffer
that it was received in, writable, and stays valid for as long as its holder keeps it. Nothing is
allocated from a claimed size: the buffer grows with the bytes that have really come, and only a
connection that has completed large frames before begins the next with a larger one.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from wire.apis import API_BY_KEY, request_header_version
from wire.errors import DecodeError
from wire.primitives import read_nullable_string, read_uvarint

SIZE = struct.Struct(">i")
SIZE_BYTES = 4
REST_BYTES = 8 * 1024
"""What a connection holds between frames."""
GROWTH_FLOOR_BYTES = 64 * 1024
TRUSTED_BYTES = 1024 * 1024
"""The most that an earlier frame's size makes us allocate ahead."""
_HEADER = struct.Struct(">hhi")


class FrameError(DecodeError):
    """A size that cannot be: nothing after it can be understood."""


class FrameReader:
    """Cuts one connection's bytes into frames.

    Invariant: the bytes from ``_start`` to ``_end`` were received and belong to no frame yet.
    """

    __slots__ = ("_buffer", "_end", "_max", "_start", "_typical")

    def __init__(self, max_frame_bytes: int) -> None:
        self._max = max_frame_bytes
        self._buffer = bytearray(REST_BYTES)
        self._start = 0
        self._end = 0
        self._typical = 0

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return self._end - self._start

    def get_buffer(self, size_hint: int = -1) -> memoryview:
        """Where the next bytes go: never empty, and never what a frame handed out looks at."""
        if self._end == len(self._buffer):
            self._make_room()
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, size: int) -> list[memoryview]:
        """``size`` bytes were received into the buffer; the frames that are now whole."""
        self._end += size
        frames: list[memoryview] = []
        view = memoryview(self._buffer)
        while self._end - self._start >= SIZE_BYTES:
            (claimed,) = SIZE.unpack_from(view, self._start)
            if claimed < 0 or claimed > self._max:
                raise FrameError(f"a frame of {claimed} bytes; the limit is {self._max}")
            begin = self._start + SIZE_BYTES
            if self._end - begin < claimed:
                break
            frames.append(view[begin : begin + claimed])
            self._start = begin + claimed
            self._typical = min(TRUSTED_BYTES, claimed + SIZE_BYTES)
        if frames and self._start == self._end:
            # The views keep the old buffer alive for as long as they need it.
            self._buffer = bytearray(REST_BYTES)
            self._start = self._end = 0
        return frames

    def feed(self, data: bytes) -> list[memoryview]:
        """The same for transports that bring their own bytes."""
        frames: list[memoryview] = []
        taken = 0
        while taken < len(data):
            room = self.get_buffer()
            size = min(len(room), len(data) - taken)
            room[:size] = data[taken : taken + size]
            room.release()
            taken += size
            frames.extend(self.buffer_updated(size))
        return frames

    def _make_room(self) -> None:
        """Move the incomplete frame to a larger buffer; at most twice what has come so far."""
        have = self.pending
        size = max(2 * have, GROWTH_FLOOR_BYTES, self._typical)
        if have >= SIZE_BYTES:
            (claimed,) = SIZE.unpack_from(self._buffer, self._start)
            size = max(REST_BYTES, min(size, claimed + SIZE_BYTES))
        grown = bytearray(size)
        grown[:have] = memoryview(self._buffer)[self._start : self._end]
        self._buffer = grown
        self._start, self._end = 0, have


class RequestHead(NamedTuple):
    """A request header of any version, and where the body begins."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None


def request_header(frame: memoryview) -> tuple[RequestHead, int]:
    """Read by hand: it precedes every request, and its own version depends on its first fields.

    For an API or a version that is not known the header is read as version 1, which is all that
    an answer or a log line needs.
    """
    end = len(frame)
    if end < _HEADER.size:
        raise DecodeError(f"a request of {end} bytes")
    key, version, correlation = _HEADER.unpack_from(frame)
    try:
        client_id, position = read_nullable_string(frame, _HEADER.size, end)
        api = API_BY_KEY.get(key)
        known = api is not None and api.min_version <= version <= api.max_version
        if known and request_header_version(key, version) >= 2:
            position = _skip_tags(frame, position, end)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DecodeError(f"request header: {error}") from error
    return RequestHead(key, version, correlation, client_id), position


def _skip_tags(frame: memoryview, position: int, end: int) -> int:
    count, position = read_uvarint(frame, position)
    for _ in range(count):
        _, position = read_uvarint(frame, position)
        size, position = read_uvarint(frame, position)
        position += size
        if position > end:
            raise DecodeError("a tagged field of the request header is cut off")
    return position
