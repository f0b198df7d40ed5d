"""One end of a connection that speaks the store's protocol: whole messages in, whole messages out.

It is what a listener or an outgoing connection drives (``ports.ConnectionProtocol``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.edges.metadata_store.frames import PREFACE, FrameReader, dropped, frames
from wire.errors import DecodeError

if TYPE_CHECKING:
    from pykbroker.edges.metadata_store.frames import Message
    from pykbroker.ports import Clock, Transport

READ_BYTES = 64 * 1024
UNSENT_HIGH_BYTES = 1024 * 1024
"""Above this a long message waits: the mark at which a transport says later that it is writable."""


class Ended(Exception):
    """The connection is gone."""


class Conversation:
    """Subclasses say what a message means (``heard``), and what follows from the end (``over``).

    The preface is sent by ``greet``, or with the first message.
    """

    def __init__(self, transport: Transport, clock: Clock, limit_bytes: int) -> None:
        self.ended = anyio.Event()
        self.reason = ""
        """Why it ended."""
        self.heard_ms = clock.monotonic_ms()
        """When something last came in."""
        self._transport = transport
        self._clock = clock
        self._reader = FrameReader(limit_bytes)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._greeting = PREFACE
        self._writable = anyio.Event()

    def heard(self, message: Message) -> None:
        """Raises DecodeError, which ends the connection."""
        raise NotImplementedError

    def over(self) -> None:
        """Called once, when the connection has ended."""

    def refused(self, error: DecodeError) -> None:
        """What came in is not the protocol."""
        self.end(str(error))

    # The transport calls these.

    def get_buffer(self, size_hint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        if self.ended.is_set():
            return
        self.heard_ms = self._clock.monotonic_ms()
        try:
            for message in self._reader.feed(self._buffer[:size]):
                self.heard(message)
        except DecodeError as error:
            self.refused(error)

    def writable(self) -> None:
        writable, self._writable = self._writable, anyio.Event()
        writable.set()

    def closed(self) -> None:
        self.end("the connection was closed")

    # The owner calls these.

    def greet(self) -> None:
        greeting, self._greeting = self._greeting, b""
        if greeting:
            self._transport.write((greeting,))

    def say(self, kind: int, id_: int, payload: bytes = b"") -> None:
        """Something short, past whatever is waiting its turn."""
        if not self.ended.is_set():
            self.greet()
            self._transport.write(list(frames(kind, id_, payload)))

    async def tell(self, kind: int, id_: int, payload: bytes) -> None:
        """Something of any size, no faster than the peer takes it. Raises Ended."""
        self.greet()
        complete = False
        try:
            for frame in frames(kind, id_, payload):
                while self._transport.unsent > UNSENT_HIGH_BYTES and not self.ended.is_set():
                    await self._writable.wait()
                if self.ended.is_set():
                    raise Ended
                self._transport.write((frame,))
            complete = True
        finally:
            if not complete and not self.ended.is_set():
                self._transport.write((dropped(kind, id_),))

    def end(self, reason: str) -> None:
        if not self.ended.is_set():
            self.reason = reason
            self.ended.set()
            self.writable()
            self._transport.abort()
            self.over()
