"""One TCP connection that sends bytes and tells exactly what came of them."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PATIENCE_SECONDS = 60.0
_MAX_FRAME = 200 * 1024 * 1024


class ConnectionEnded(Exception):
    """The broker closed the connection in place of an answer."""


class NoAnswer(Exception):
    """Nothing came within the patience."""


class Connection:
    """Blocking; frames are taken in the order in which they come."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_frame(self, payload: bytes) -> None:
        self.send(struct.pack(">i", len(payload)) + payload)

    def send(self, data: bytes) -> None:
        """As it is. What a broker that has closed does not take any more is no failure here:
        it shows when an answer is awaited."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def shut(self) -> None:
        """Nothing more is sent; answers are still read."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def receive(self, patience: float = PATIENCE_SECONDS) -> bytes:
        """The next frame's payload. Raises ConnectionEnded or NoAnswer."""
        self._socket.settimeout(patience)
        try:
            size = struct.unpack(">i", self._take(4))[0]
            if not 0 <= size <= _MAX_FRAME:
                raise ConnectionEnded(f"a frame of {size} bytes")
            return self._take(size)
        except TimeoutError as error:
            raise NoAnswer from error
        except ConnectionError as error:
            raise ConnectionEnded from error

    def _take(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise ConnectionEnded("in a frame" if parts else "")
            parts += part
        return bytes(parts)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
