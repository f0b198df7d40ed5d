"""A TCP proxy that stops carrying in one direction, or both, without anybody being told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream, TaskGroup


class CutProxy:
    """What is held while cut goes on when ``heal`` is called, as a network would repeat it."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = {"up": anyio.Event(), "down": anyio.Event()}
        self._scopes: set[anyio.CancelScope] = set()
        self.clients: list[str] = []
        """From which addresses connections came."""
        self.port = 0
        self.heal()

    def cut(self, *directions: str) -> None:
        """``up`` is to the server, ``down`` to the client."""
        for direction in directions:
            self._open[direction] = anyio.Event()

    def heal(self) -> None:
        for event in self._open.values():
            event.set()

    def reset(self) -> None:
        """End every connection."""
        for scope in self._scopes:
            scope.cancel()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = listener.extra(SocketAttribute.local_port)
        task_status.started()
        async with listener:
            await listener.serve(self._carry)

    async def _carry(self, client: SocketStream) -> None:
        self.clients.append(str(client.extra(SocketAttribute.remote_address)[0]))
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                async with (
                    client,
                    await anyio.connect_tcp(*self._target) as server,
                    anyio.create_task_group() as tasks,
                ):
                    tasks.start_soon(self._pump, client, server, "up", tasks)
                    tasks.start_soon(self._pump, server, client, "down", tasks)
            except OSError:
                pass  # the server is away: the client sees its connection end
            finally:
                self._scopes.discard(scope)

    async def _pump(
        self, source: SocketStream, target: SocketStream, direction: str, tasks: TaskGroup
    ) -> None:
        try:
            while True:
                data = await source.receive()
                await self._open[direction].wait()
                await target.send(data)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def cut_proxy(host: str, port: int) -> AsyncIterator[CutProxy]:
    proxy = CutProxy(host, port)
    async with anyio.create_task_group() as tasks:
        await tasks.start(proxy.run)
        yield proxy
        tasks.cancel_scope.cancel()
