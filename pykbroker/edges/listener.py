"""Listening sockets, and the fast transport under a connection.

Bytes go from the socket straight into the connection's own buffer (``asyncio.BufferedProtocol``
under anyio's asyncio backend); responses leave as lists of buffers. What a connection does with
its bytes is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, cast

from pykbroker.log import get_logger
from pykbroker.ports import ListenError, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykbroker.ports import ConnectionFactory, ConnectionProtocol
    from wire.schema import Buffer

logger = get_logger("pykbroker.edges.listener")

BACKLOG = 1024
UNSENT_HIGH_BYTES = 1024 * 1024
UNSENT_LOW_BYTES = 256 * 1024
JOIN_BELOW_BYTES = 16 * 1024
"""Small pieces are joined: one short copy costs less than one more entry in an iovec."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address of ``host``, all on one port.

    An empty host is every interface. ``localhost`` is 127.0.0.1 and, where the machine has it,
    ::1. Port 0 picks one that is free on all of them.
    """
    for _ in range(16):
        sockets: list[socket.socket] = []
        chosen = port
        try:
            for family, address in _addresses(host):
                sockets.append(_listen(family, address, chosen))
                chosen = sockets[0].getsockname()[1]
        except OSError as error:
            for opened in sockets:
                opened.close()
            if port == 0 and sockets and error.errno == errno.EADDRINUSE:
                continue
            where = f"{host or '*'}:{chosen}"
            raise ListenError(f"cannot listen on {where}: {_reason(error)}") from error
        if not sockets:
            raise ListenError(f"cannot listen on {host}:{port}: no such address")
        return sockets
    raise ListenError(f"no port is free on every address of {host}")


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use, choose another (0 is any free one)"
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _addresses(host: str) -> list[tuple[int, str]]:
    if host in ("", "*"):
        if socket.has_ipv6 and _usable(socket.AF_INET6, "::"):
            return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
        return [(socket.AF_INET, "0.0.0.0")]
    if host == "localhost":
        found = [(int(socket.AF_INET), "127.0.0.1")]
        if socket.has_ipv6 and _usable(socket.AF_INET6, "::1"):
            found.append((int(socket.AF_INET6), "::1"))
        return found
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in answers))


def _usable(family: int, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _listen(family: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


class Link(asyncio.BufferedProtocol):
    """Joins one asyncio transport with one connection; it is the connection's Transport too.

    What comes in goes to the connection with nothing between: ``get_buffer`` and
    ``buffer_updated`` are the connection's own.
    """

    __slots__ = (
        "_closing",
        "_connection",
        "_is_full",
        "_links",
        "_open",
        "_transport",
        "buffer_updated",
        "get_buffer",
    )
    # Whoever calls them names no argument.
    get_buffer: Callable[[int], memoryview]  # type: ignore[assignment]
    buffer_updated: Callable[[int], None]  # type: ignore[assignment]

    def __init__(
        self, open_connection: Callable[[Link, str, int], ConnectionProtocol], links: set[Link]
    ) -> None:
        """``open_connection`` is told who is at the other end; ``links`` are those that stand."""
        self._open = open_connection
        self._links = links
        self._transport: asyncio.Transport | None = None
        self._connection: ConnectionProtocol | None = None
        self._closing = False
        self._is_full = False
        """More is unsent than the transport likes."""
        self._drive(_NOBODY)

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is one in all but its base class.
        transport = self._transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(UNSENT_HIGH_BYTES, UNSENT_LOW_BYTES)
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = transport.get_extra_info("peername") or ("", 0)
        self._joined(self._open(self, str(address[0]), int(address[1])))

    def _joined(self, connection: ConnectionProtocol) -> None:
        self._connection = connection
        self._links.add(self)
        if self._transport is not None and not self._closing:
            self._drive(connection)
            self._transport.set_protocol(self)  # which makes it look at the two methods again

    def _drive(self, connection: ConnectionProtocol) -> None:
        self.get_buffer = connection.get_buffer
        self.buffer_updated = connection.buffer_updated

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._connection is not None:
            self._connection.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._links.discard(self)
        connection, self._connection = self._connection, None
        self._drive(_NOBODY)
        if connection is not None:
            connection.closed()

    # The connection calls these.

    def write(self, buffers: Sequence[Buffer]) -> None:
        transport = self._transport
        if transport is None or self._closing:
            return
        if len(buffers) == 1:
            transport.write(buffers[0])
        elif sum(map(len, buffers)) <= JOIN_BELOW_BYTES:
            transport.write(b"".join(buffers))
        else:
            transport.writelines(buffers)

    def pause_reading(self) -> None:
        if self._transport is not None and not self._closing:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None and not self._closing:
            self._closing = True
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._closing = True
            self._transport.abort()

    @property
    def unsent(self) -> int:
        """0 while it is little: the transport says when it becomes much."""
        if not self._is_full or self._transport is None:
            return 0
        return self._transport.get_write_buffer_size()


class _Nobody:
    """Stands for the connection before there is one and when it has ended."""

    def get_buffer(self, size_hint: int) -> memoryview:
        return memoryview(bytearray(1))

    def buffer_updated(self, size: int) -> None:
        pass

    def writable(self) -> None:
        pass

    def closed(self) -> None:
        pass


_NOBODY = _Nobody()


class Listener:
    """One named listener: its sockets and the connections that came in through them."""

    def __init__(
        self,
        name: str,
        security_protocol: str,
        sockets: list[socket.socket],
        factory: ConnectionFactory,
    ) -> None:
        self.name = name
        self.security_protocol = security_protocol
        self.factory = factory
        self.links: set[Link] = set()
        self.port: int = sockets[0].getsockname()[1]
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            server = await loop.create_server(
                lambda: Link(self._accept, self.links),
                sock=sock,
                backlog=BACKLOG,
                start_serving=True,
            )
            self._servers.append(server)

    def _accept(self, link: Link, host: str, port: int) -> ConnectionProtocol:
        return self.factory(link, Peer(self.name, self.security_protocol, host, port))

    def stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        if not self._servers:
            for sock in self._sockets:
                sock.close()

    def close_connections(self) -> None:
        """What was answered still leaves; nothing more is read."""
        for link in list(self.links):
            link.close()

    def abort_connections(self) -> None:
        for link in list(self.links):
            link.abort()
