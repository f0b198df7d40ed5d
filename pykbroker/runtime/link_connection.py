"""One connection to another broker, sans I/O: requests out, responses in, in the same order.

What does not fit (another answer than the one that is due, a frame that cannot be read) ends the
connection. When it ends, everything in flight is lost, and its callers are told so at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wire.apis import API_BY_KEY
from wire.client import request_frame, response_body, response_head
from wire.codec import decode
from wire.errors import DecodeError
from wire.frame import FrameReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.ports import Transport
    from wire.schema import Request, Response

MAX_FRAME_BYTES = (1 << 31) - 1
MAX_CORRELATION_ID = (1 << 31) - 1


class Exchange:
    """One request on its way: ended once, with its response or without (``lost`` says why)."""

    __slots__ = ("_on_end", "api_key", "correlation_id", "lost", "response", "version")

    def __init__(
        self, api_key: int, version: int, correlation_id: int, on_end: Callable[[], None]
    ) -> None:
        self.api_key = api_key
        self.version = version
        self.correlation_id = correlation_id
        self.response: Response | None = None
        self.lost: str | None = None
        self._on_end = on_end

    def answer(self, response: Response) -> None:
        self.response = response
        self._on_end()

    def lose(self, reason: str) -> None:
        self.lost = reason
        self._on_end()


class LinkConnection:
    """What the network drives; see ``ports.ConnectionProtocol``."""

    def __init__(
        self, transport: Transport, client_id: str, on_closed: Callable[[LinkConnection], None]
    ) -> None:
        self.is_open = True
        self.received = 0
        """Responses so far: who waits in vain can tell a slow peer from a dead one."""
        self._transport = transport
        self._client_id = client_id
        self._on_closed = on_closed
        self._reader = FrameReader(MAX_FRAME_BYTES)
        self._in_flight: deque[Exchange] = deque()
        self._last_id = 0

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def send(self, request: Request, version: int, on_end: Callable[[], None]) -> Exchange:
        """``on_end`` is called once. Raises EncodeError; the connection must be open."""
        self._last_id = self._last_id % MAX_CORRELATION_ID + 1
        buffers = request_frame(request, version, self._last_id, self._client_id)
        exchange = Exchange(request.api_key, version, self._last_id, on_end)
        self._in_flight.append(exchange)
        self._transport.write(buffers)
        return exchange

    def abort(self, reason: str) -> None:
        """Everything in flight is lost."""
        if self.is_open:
            self._transport.abort()
            self._end(reason)

    # The network calls these.

    def get_buffer(self, size_hint: int) -> memoryview:
        return self._reader.get_buffer(size_hint)

    def buffer_updated(self, size: int) -> None:
        if not self.is_open:
            return
        try:
            for frame in self._reader.buffer_updated(size):
                self._take(frame)
        except DecodeError as error:
            self.abort(str(error))

    def writable(self) -> None:
        pass

    def closed(self) -> None:
        self._end("the connection was closed")

    # Inside.

    def _take(self, frame: memoryview) -> None:
        correlation_id = response_head(frame)
        if not self._in_flight:
            raise DecodeError("a response that nobody asked for")
        due = self._in_flight[0]
        if correlation_id != due.correlation_id:
            raise DecodeError(f"response {correlation_id} came where {due.correlation_id} was due")
        body = response_body(frame, due.api_key, due.version)
        response_class = API_BY_KEY[due.api_key].response
        response, end = decode(response_class, due.version, frame, body)
        if end != len(frame):
            raise DecodeError(f"{len(frame) - end} bytes left over behind a response")
        self._in_flight.popleft()
        self.received += 1
        due.answer(response)

    def _end(self, reason: str) -> None:
        if not self.is_open:
            return
        self.is_open = False
        lost, self._in_flight = self._in_flight, deque()
        self._on_closed(self)
        for exchange in lost:
            exchange.lose(reason)
