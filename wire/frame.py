"""Bytes in, whole frames out: four bytes of size, then so many bytes.

Nothing is allocated because a peer announces it: the buffer grows with what has arrived. A frame
that was handed out is a view into the buffer and is never overwritten; while one is alive, the
bytes that follow go elsewhere. Between frames the reader holds a small buffer.

Readers whose reads are never under way at the same time may share a buffer for small frames, which
are copied out of it: such a reader holds nothing between frames.
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING

from wire.apis import API_BY_KEY, ApiKey
from wire.errors import DecodeError
from wire.primitives import check_room, read_int32, skip_tags

if TYPE_CHECKING:
    from wire.schema import Buffer

SMALL_BYTES = 8 * 1024
READY_LIMIT_BYTES = 256 * 1024
READY_FRAMES = 4
"""Room is made ready for so many frames like the last one, within the limit above: they were
really sent, so the next read will most likely fill it."""
GROWTH = 4
"""A buffer that is too small is followed by one of so many times the bytes in it."""
SHARED_BYTES = 64 * 1024
TURN_BYTES = 512 * 1024
"""At most so much is read at once, so that one connection does not starve the others."""


class FrameError(DecodeError):
    """The size of a frame is impossible or over the limit: there is no way to read on."""

    def __init__(self, message: str, frames_before: list[memoryview]) -> None:
        super().__init__(message)
        self.frames_before = frames_before
        """Those that became whole with the same bytes."""


class SharedBuffer:
    """For readers on one event loop that takes what a socket has as soon as it has asked where to:
    each is done with it before the next one reads.
    """

    __slots__ = ("data", "view")

    def __init__(self, size: int = SHARED_BYTES) -> None:
        self.data = bytearray(size)
        self.view = memoryview(self.data)


class FrameReader:
    """Of one connection. ``get_buffer`` and ``buffer_updated`` are made for a buffered protocol;
    ``feed`` does the same for a stream that gives bytes.
    """

    __slots__ = (
        "_buffer",
        "_end",
        "_max_frame_bytes",
        "_ready_bytes",
        "_shared",
        "_start",
        "is_sharing",
    )

    def __init__(self, max_frame_bytes: int, shared: SharedBuffer | None = None) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._shared = shared or _NOT_SHARED
        self.is_sharing = shared is not None
        """The next read goes to the shared buffer; nothing is pending then."""
        self._buffer = bytearray()
        self._start = 0
        """Where the incomplete frame begins, with its size."""
        self._end = 0
        """Bytes up to here have arrived."""
        self._ready_bytes = SMALL_BYTES

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return self._end - self._start

    def get_buffer(self, size_hint: int = -1) -> memoryview:
        """Room for the next read, at least one byte. The hint is passed over: it is a guess."""
        if self.is_sharing:
            return self._shared.view
        if self._start == self._end:
            if (self._end and not _is_free(self._buffer)) or len(self._buffer) < self._ready_bytes:
                self._buffer = bytearray(self._ready_bytes)
            self._start = self._end = 0
        else:
            self._make_room()
        return memoryview(self._buffer)[self._end : self._end + TURN_BYTES]

    def buffer_updated(self, size: int) -> list[memoryview]:
        """The frames that became whole by these bytes."""
        if self.is_sharing:
            return self._take_shared(size)
        self._end += size
        frames: list[memoryview] = []
        buffer, start, end = self._buffer, self._start, self._end
        while end - start >= 4:
            (length,) = read_int32(buffer, start)
            if not 0 <= length <= self._max_frame_bytes:
                self._start = start
                raise FrameError(
                    f"a frame of {length} bytes, allowed are {self._max_frame_bytes}", frames
                )
            stop = start + 4 + length
            if stop > end:
                break
            frames.append(memoryview(buffer)[start + 4 : stop])
            start = stop
            self._ready_bytes = max(SMALL_BYTES, min(READY_FRAMES * length, READY_LIMIT_BYTES))
        self._start = start
        if start == end:
            self.is_sharing = self._ready_bytes <= len(self._shared.data)
            if self.is_sharing or len(buffer) > SMALL_BYTES:
                self._buffer = bytearray()
                self._start = self._end = 0
        return frames

    def _take_shared(self, size: int) -> list[memoryview]:
        data = self._shared.data
        frames: list[memoryview] = []
        start = 0
        while size - start >= 4:
            (length,) = read_int32(data, start)
            stop = start + 4 + length
            if not 0 <= length <= self._max_frame_bytes:
                raise FrameError(
                    f"a frame of {length} bytes, allowed are {self._max_frame_bytes}", frames
                )
            if stop > size:
                break
            frames.append(memoryview(data[start + 4 : stop]))
            start = stop
        if start < size:
            self.is_sharing = False
            self._buffer, self._start, self._end = data[start:size], 0, size - start
        return frames

    def feed(self, data: Buffer) -> list[memoryview]:
        frames: list[memoryview] = []
        rest = memoryview(data)
        while len(rest):
            with self.get_buffer()[:] as room:
                size = min(len(room), len(rest))
                room[:size] = rest[:size]
            try:
                frames += self.buffer_updated(size)
            except FrameError as problem:
                problem.frames_before[:0] = frames
                raise
            rest = rest[size:]
        return frames

    def _make_room(self) -> None:
        """See to it that the incomplete frame can go on, moving it if it cannot where it is."""
        buffer, start, end = self._buffer, self._start, self._end
        pending = end - start
        whole = 4 + read_int32(buffer, start)[0] if pending >= 4 else 4
        if start + whole <= len(buffer) or (start == 0 and end < len(buffer)):
            return
        size = max(SMALL_BYTES, min(whole, max(GROWTH * pending, self._ready_bytes)))
        grown = bytearray(size)
        grown[:pending] = memoryview(buffer)[start:end]
        self._buffer, self._start, self._end = grown, 0, pending


_NOT_SHARED = SharedBuffer(0)


def _is_free(buffer: bytearray) -> bool:
    """Whether no view into it is alive; its last byte is lost. A buffer with views cannot change
    its size.
    """
    try:
        buffer.pop()
    except BufferError:
        return False
    buffer.append(0)
    return True


class RequestHeader:
    __slots__ = ("api_key", "api_version", "client_id", "correlation_id")

    def __init__(
        self, api_key: int, api_version: int, correlation_id: int, client_id: str | None
    ) -> None:
        self.api_key = api_key
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.client_id = client_id

    def __repr__(self) -> str:
        values = f"{self.api_key}, {self.api_version}, {self.correlation_id}, {self.client_id!r}"
        return f"RequestHeader({values})"


_HEAD = Struct(">hhih")


def request_header(frame: Buffer) -> tuple[RequestHeader, int]:
    """The header and where the body begins. Of an API that is not known, header version 1 is
    assumed: whoever called will not read on.
    """
    try:
        key, version, correlation_id, length = _HEAD.unpack_from(frame)
        if key == ApiKey.CONTROLLED_SHUTDOWN and version == 0:
            return RequestHeader(key, version, correlation_id, None), 8  # no client id yet
        position, client_id = _HEAD.size, None
        if length >= 0:
            check_room(length, 1, len(frame) - position)
            client_id = str(frame[position : position + length], "utf-8", "replace")
            position += length
        api = API_BY_KEY.get(key)
        if api is not None and version >= api.flexible_since:
            if frame[position]:
                position = skip_tags(frame, position, len(frame))
            else:
                position += 1
    except (error, IndexError) as reason:
        raise DecodeError("the header of the request cannot be read") from reason
    return RequestHeader(key, version, correlation_id, client_id), position
