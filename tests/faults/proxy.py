"""A TCP proxy that knows who talks to whom, and can be told to be a bad network.

One listener stands for each destination. Who connects is known by its address: every broker binds
its outgoing connections to a loopback address of its own (``pykbroker.source.host``). A rule holds
for one source, one destination and one direction, and for what is already under way.

    pass             the default
    blackhole        nothing more is taken; what waits is sent on when the rule goes
    drop             taken and thrown away; the connection is of no use any more and is reset
                     when the rule goes (requests arrive and answers are lost: on answers only)
    delay(ms)        each piece waits so long
    rate(bytes/s)
    reset            connections are cut off, new ones too

Runs on a thread with an event loop of its own, so that tests and runners of any kind may use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

T = TypeVar("T")

PIECE_BYTES = 64 * 1024
REQUESTS, ANSWERS = "requests", "answers"
"""From the source to the destination, and back."""
BOTH = (REQUESTS, ANSWERS)
ANY = "*"


@dataclass(frozen=True)
class Rule:
    mode: str = "pass"
    amount: float = 0.0


PASS = Rule()
BLACKHOLE = Rule("blackhole")
DROP = Rule("drop")
RESET = Rule("reset")


def delay(ms: float) -> Rule:
    return Rule("delay", ms)


def rate(bytes_per_second: float) -> Rule:
    return Rule("rate", bytes_per_second)


Key = tuple[str, str, str]
"""Source, destination, direction."""


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    source: str
    destination: str
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    was_dropped: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def abort(self) -> None:
        for writer in (self.near, self.far):
            if writer is None:
                continue
            sock = writer.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """``sources`` names the addresses; whoever has none of them goes by its address."""

    def __init__(self, sources: dict[str, str] | None = None) -> None:
        self._names = {address: name for name, address in (sources or {}).items()}
        self._targets: dict[str, tuple[str, int]] = {}
        self._rules: dict[Key, Rule] = {}
        self._links: set[Link] = set()
        self._servers: list[asyncio.Server] = []
        self._changed: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self, destination: str, port: int = 0, host: str = "127.0.0.1") -> int:
        """The port that stands for ``destination``; where that is may be said later."""
        return self._call(self._listen(destination, host, port))

    def set_target(self, destination: str, port: int, host: str = "127.0.0.1") -> None:
        self._targets[destination] = (host, port)

    def set(
        self,
        rule: Rule,
        source: str = ANY,
        destination: str = ANY,
        directions: tuple[str, ...] = BOTH,
    ) -> None:
        """The rule of these links from now on."""
        self._call(self._set(rule, source, destination, directions))

    def heal(self) -> None:
        """No rules any more."""
        self._call(self._clear())

    def links(self) -> list[tuple[str, str]]:
        """Source and destination of what is connected."""
        return [(link.source, link.destination) for link in list(self._links)]

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        links = list(self._links)
        for link in links:
            link.abort()
        tasks = [task for link in links for task in link.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()

    async def _listen(self, destination: str, host: str, port: int) -> int:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            address = writer.get_extra_info("peername")[0]
            link = Link(self._names.get(address, address), destination, writer)
            self._links.add(link)
            link.tasks.append(asyncio.ensure_future(self._serve(link, reader)))

        server = await asyncio.start_server(accept, host, port, limit=PIECE_BYTES)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _set(
        self, rule: Rule, source: str, destination: str, directions: tuple[str, ...]
    ) -> None:
        for direction in directions:
            self._rules[source, destination, direction] = rule
        self._wake()

    async def _clear(self) -> None:
        self._rules.clear()
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
        for link in list(self._links):
            rules = [self._rule(link, direction) for direction in BOTH]
            if RESET in rules or (link.was_dropped and DROP not in rules):
                link.abort()

    def _rule(self, link: Link, direction: str) -> Rule:
        for source in (link.source, ANY):
            for destination in (link.destination, ANY):
                rule = self._rules.get((source, destination, direction))
                if rule is not None:
                    return rule
        return PASS

    async def _next_change(self) -> None:
        if self._changed is None:
            self._changed = asyncio.Event()
        await self._changed.wait()

    async def _serve(self, link: Link, reader: asyncio.StreamReader) -> None:
        try:
            await self._join(link, reader)
        except OSError:
            link.abort()  # the destination is not there, or one side went: so does the other
        finally:
            self._links.discard(link)
            link.near.close()
            if link.far is not None:
                link.far.close()

    async def _join(self, link: Link, reader: asyncio.StreamReader) -> None:
        """Connects on and pumps both ways until one end is reached in each."""
        while self._rule(link, REQUESTS) == BLACKHOLE:
            await self._next_change()
        if RESET in (self._rule(link, REQUESTS), self._rule(link, ANSWERS)):
            link.abort()
            return
        host, port = self._targets[link.destination]
        far_reader, link.far = await asyncio.open_connection(host, port, limit=PIECE_BYTES)
        pumps = [
            asyncio.ensure_future(self._pump(link, REQUESTS, reader, link.far)),
            asyncio.ensure_future(self._pump(link, ANSWERS, far_reader, link.near)),
        ]
        link.tasks.extend(pumps)
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()

    async def _pump(
        self,
        link: Link,
        direction: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            while self._rule(link, direction) == BLACKHOLE:
                await self._next_change()
            piece = await reader.read(PIECE_BYTES)
            while self._rule(link, direction) == BLACKHOLE:
                await self._next_change()
            rule = self._rule(link, direction)
            if not piece:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            if rule == DROP:
                link.was_dropped = True
                continue
            if rule.mode == "delay":
                await asyncio.sleep(rule.amount / 1000)
            elif rule.mode == "rate":
                await asyncio.sleep(len(piece) / rule.amount)
            writer.write(piece)
            await writer.drain()
