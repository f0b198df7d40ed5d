"""A small HTTP endpoint for metrics and health. h11 does the protocol; GET and HEAD only.

Nothing of it is imported before the broker serves, and routes are plain functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import h11
from anyio.abc import SocketListener

from pykbroker.log import get_logger
from pykbroker.ports import Page

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping

    from anyio.abc import SocketStream

logger = get_logger("pykbroker.edges.http")

IDLE_SECONDS = 60.0
MAX_CONNECTIONS = 64
MAX_HEADER_BYTES = 16 * 1024
RECEIVE_BYTES = 8 * 1024


if TYPE_CHECKING:
    Routes = Mapping[str, Callable[[Mapping[str, str]], Awaitable[Page]]]

TEXT = "text/plain; charset=utf-8"


class HttpServer:
    """Serves routes on sockets that are already bound, until cancelled."""

    def __init__(self, sockets: list[socket.socket], routes: Routes) -> None:
        self._sockets = sockets
        self._routes = routes
        self._limit = anyio.Semaphore(MAX_CONNECTIONS)
        self.port: int = sockets[0].getsockname()[1]

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            for sock in self._sockets:
                group.start_soon(self._accept, sock)

    async def _accept(self, sock: socket.socket) -> None:
        async with await SocketListener.from_socket(sock) as listener:
            await listener.serve(self._connection)

    async def _connection(self, stream: SocketStream) -> None:
        try:
            async with stream, self._limit:
                await self._requests(stream)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, h11.ProtocolError):
            return

    async def _requests(self, stream: SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        while True:
            with anyio.move_on_after(IDLE_SECONDS):
                request = await _next_request(connection, stream)
                if request is None:
                    return
                await self._answer(connection, stream, request)
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()
                continue
            return

    async def _answer(
        self, connection: h11.Connection, stream: SocketStream, request: h11.Request
    ) -> None:
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        page = await self._page(request, headers)
        head = h11.Response(
            status_code=page.status,
            headers=[
                ("Content-Type", page.content_type),
                ("Content-Length", str(len(page.body))),
                ("Cache-Control", "no-store"),
            ],
        )
        out = connection.send(head) or b""
        if request.method != b"HEAD":
            out += connection.send(h11.Data(data=page.body)) or b""
        out += connection.send(h11.EndOfMessage()) or b""
        await stream.send(out)

    async def _page(self, request: h11.Request, headers: dict[str, str]) -> Page:
        if request.method not in (b"GET", b"HEAD"):
            return Page(405, TEXT, b"only GET and HEAD\n")
        path = request.target.decode("ascii", "replace").partition("?")[0]
        route = self._routes.get(path)
        if route is None:
            known = "\n".join(sorted(self._routes))
            return Page(404, TEXT, f"nothing here; there is:\n{known}\n".encode())
        try:
            return await route(headers)
        except Exception as error:
            logger.error("page failed", path=path, error=error)
            return Page(500, TEXT, b"failed; the log has the reason\n")


async def _next_request(connection: h11.Connection, stream: SocketStream) -> h11.Request | None:
    """The next request with its body read and dropped; None when the peer is done."""
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                data = await stream.receive(RECEIVE_BYTES)
            except anyio.EndOfStream:
                data = b""
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return None
