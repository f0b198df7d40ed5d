"""TCP: listeners, and connections that go out to other brokers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from pykbroker.edges.listener import Link, Listener, bind

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pykbroker.ports import Bound, ConnectionFactory, ConnectionProtocol, Server, Transport


class BoundSockets:
    """One port on every address of a host."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets

    @property
    def port(self) -> int:
        return int(self.sockets[0].getsockname()[1])

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


class TcpNetwork:
    """The ports' ``Network``. ``source_host``: the local address of outgoing connections."""

    def __init__(self, source_host: str | None = None) -> None:
        self._source_host = source_host
        self._outgoing: set[Link] = set()

    def bind(self, host: str, port: int) -> BoundSockets:
        return BoundSockets(bind(host, port))

    async def serve(
        self, bound: Bound, name: str, security_protocol: str, factory: ConnectionFactory
    ) -> Server:
        sockets = cast("BoundSockets", bound).sockets
        listener = Listener(name, security_protocol, sockets, factory)
        await listener.start()
        return listener

    async def connect(
        self, host: str, port: int, factory: Callable[[Transport], ConnectionProtocol]
    ) -> None:
        source = (self._source_host, 0) if self._source_host else None
        await asyncio.get_running_loop().create_connection(
            lambda: Link(lambda link, _host, _port: factory(link), self._outgoing),
            host,
            port,
            local_addr=source,
        )
