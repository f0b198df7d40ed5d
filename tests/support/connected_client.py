"""A client connection with somebody at its other end, without a socket between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pykbroker.ports import Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykbroker.handlers.connection import ClientConnection
    from pykbroker.handlers.connections import Connections

PLAIN = "PLAINTEXT"


def framed(request: bytes) -> bytes:
    return len(request).to_bytes(4, "big") + request


class FakeTransport:
    """Takes everything at once."""

    unsent = 0

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.closed = False
        self.protocol: Any = None

    def write(self, buffers: Sequence[Any]) -> None:
        self.written += b"".join(bytes(buffer) for buffer in buffers)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.protocol.closed()

    abort = close


class Client:
    """The other end of one connection."""

    def __init__(self, table: Connections, host: str = "10.0.0.1", listener: str = PLAIN) -> None:
        self.transport = FakeTransport()
        holder = _Late(self.transport)
        self.connection: ClientConnection = table.connect(
            cast("Any", holder), Peer(listener, PLAIN, host, 5000)
        )
        self.transport.protocol = self.connection
        holder.settle()

    @property
    def is_open(self) -> bool:
        return not self.transport.closed

    @property
    def is_served(self) -> bool:
        return self.is_open and self.transport.reading

    def send(self, api_key: int, version: int, body: bytes) -> None:
        header = api_key.to_bytes(2, "big") + version.to_bytes(2, "big") + bytes(4) + b"\xff\xff"
        self.send_bytes(framed(header + body))

    def send_bytes(self, data: bytes) -> None:
        """In one read, where the connection has room for it."""
        while data:
            view = self.connection.get_buffer(len(data))
            size = min(len(view), len(data))
            view[:size] = data[:size]
            data = data[size:]
            self.connection.buffer_updated(size)

    def take_answers(self) -> list[bytes]:
        data, self.transport.written = self.transport.written, b""
        answers = []
        while data:
            size = int.from_bytes(data[:4], "big")
            answers.append(data[8 : 4 + size])
            data = data[4 + size :]
        return answers

    def leave(self) -> None:
        self.transport.close()


class _Late:
    """A transport whose closing is noticed only once the connection has been made."""

    def __init__(self, transport: FakeTransport) -> None:
        self._transport = transport
        self._closing = False

    def close(self) -> None:
        if self._transport.protocol is None:
            self._closing = True
        else:
            self._transport.close()

    def settle(self) -> None:
        if self._closing:
            self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
