"""A metadata store that another process has open: the client of ``served``.

The link is made anew whenever it is lost. What was asked over a link that ended is not repeated:
whether it took effect is unknown, and that is what StoreUnavailable says. A request that finds no
link waits for one, as long as it would have waited for its answer.

The server is asked for a sign of life all the time, so that a link which carries nothing any more,
in either direction, ends within ``silence_ms``, and everything that waits on it with it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import anyio

from pykbroker.edges.metadata_store import bodies, frames
from pykbroker.edges.metadata_store.addresses import UnixAddress, parse_address
from pykbroker.edges.metadata_store.deadline import TooLate, within
from pykbroker.edges.metadata_store.remote_link import RemoteLink
from pykbroker.edges.metadata_store.session import REQUEST_LIMIT_BYTES
from pykbroker.edges.metadata_store.transactions import check_operations
from pykbroker.log import get_logger
from pykbroker.ports import StoreUnavailable, Transacted, UnusableStore
from wire.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from pykbroker.edges.listener import Link
    from pykbroker.edges.metadata_store.buffered_watch import BufferedWatch
    from pykbroker.ports import (
        Clock,
        Compare,
        ConnectionProtocol,
        Delete,
        Network,
        Put,
        StoreSnapshot,
        Transport,
    )

    Dial = Callable[[Callable[[Transport], ConnectionProtocol]], Awaitable[None]]

T = TypeVar("T")

logger = get_logger("pykbroker.edges.metadata_store.remote")

OUTSTANDING_LIMIT = 200
"""Reads and transactions under way at once; leases do not queue behind them."""
RETRY_MS = (20, 50, 100, 250, 500)
PATIENT_FAILURES = 6
"""A second and a half: brokers that start together with their store are that early."""
"""How long after each failure in a row the next link is tried; then always after the last."""


@asynccontextmanager
async def connect_store(
    address: str,
    clock: Clock,
    *,
    source_host: str | None = None,
    network: Network | None = None,
    connect_timeout_ms: int = 3_000,
    request_timeout_ms: int = 3_000,
    silence_ms: int = 3_000,
    patience_ms: int = 60_000,
) -> AsyncIterator[RemoteStore]:
    """The store served at ``unix:/path`` or ``tcp://host:port``, once it has answered.

    ``source_host`` is the local address of connections over TCP. Raises UnusableStore when there
    is no answer within ``patience_ms``, or one that is not this protocol's.
    """
    dial = _dialler(address, source_host, network)
    store = RemoteStore(address, dial, clock, connect_timeout_ms, request_timeout_ms, silence_ms)
    failure: UnusableStore | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        try:
            await store.first_answer(patience_ms)
            yield store
        except UnusableStore as error:
            failure = error
        finally:
            await store.close()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


class RemoteStore:
    """See ``ports.MetadataStore``."""

    def __init__(
        self,
        address: str,
        dial: Dial,
        clock: Clock,
        connect_timeout_ms: int,
        request_timeout_ms: int,
        silence_ms: int,
    ) -> None:
        self.max_operations = 0
        self._address = address
        self._dial = dial
        self._clock = clock
        self._connect_timeout_ms = connect_timeout_ms
        self._request_timeout_ms = request_timeout_ms
        self._silence_ms = silence_ms
        self._link: RemoteLink | None = None
        self._changed = anyio.Event()
        self._reason = "not connected yet"
        self._foreign = ""
        """What is wrong when something else than this store's protocol has answered."""
        self._revision = 0
        """The newest that was seen. A store that has not got there has lost what was written."""
        self._turns = anyio.Semaphore(OUTSTANDING_LIMIT)
        self._closed = False

    async def read(self, prefix: str) -> StoreSnapshot:
        payload = bodies.write_text(prefix)
        async with self._turns:
            snapshot = await self._ask(frames.READ, payload, bodies.read_snapshot)
        self._seen(snapshot.revision)
        return snapshot

    async def transact(
        self, compares: Iterable[Compare], operations: Iterable[Put | Delete]
    ) -> Transacted:
        operations = list(operations)
        check_operations(operations, self.max_operations)
        payload = bodies.write_transaction(list(compares), operations)
        if len(payload) > REQUEST_LIMIT_BYTES:
            raise ValueError(f"a transaction of {len(payload)} bytes")
        async with self._turns:
            result = await self._ask(frames.TRANSACT, payload, bodies.read_transacted)
        self._seen(result.revision)
        return result

    async def grant_lease(self, ttl_ms: int) -> int:
        payload = bodies.write_number(ttl_ms)
        return await self._ask(frames.GRANT, payload, bodies.read_number)

    async def renew_lease(self, lease: int) -> bool:
        payload = bodies.write_number(lease)
        return bool(await self._ask(frames.RENEW, payload, bodies.read_number))

    async def revoke_lease(self, lease: int) -> None:
        await self._ask(frames.REVOKE, bodies.write_number(lease), len)

    @asynccontextmanager
    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[BufferedWatch]:
        """Raises StoreUnavailable when there is no link, and none comes."""
        link = await self._within(self._request_timeout_ms, self._linked)
        id_, watch = link.watch(prefix, from_revision)
        try:
            yield watch
        finally:
            link.unwatch(id_)

    async def close(self) -> None:
        self._closed = True
        self._reason = "the store is closed"
        if self._link is not None:
            self._link.end(self._reason)
        self._wake()

    async def first_answer(self, patience_ms: int) -> None:
        """Until there is a link. Raises UnusableStore."""

        async def linked() -> None:
            while self._link is None and not self._foreign:
                await self._changed.wait()

        try:
            await self._within(patience_ms, linked)
        except StoreUnavailable as error:
            raise UnusableStore(str(error)) from error
        if self._link is None:
            raise UnusableStore(self._foreign)

    async def run(self) -> None:
        """Keeps a link as long as the store is open."""
        failures = 0
        while not self._closed:
            link = await self._connect()
            if link is None:
                if failures == PATIENT_FAILURES:
                    logger.warning(
                        "no link to the metadata store, still trying",
                        address=self._address,
                        reason=self._reason,
                    )
                await self._clock.sleep(RETRY_MS[min(failures, len(RETRY_MS) - 1)])
                failures += 1
                continue
            failures = 0
            self.max_operations = link.welcome.max_operations
            self._link = link
            self._wake()
            logger.info("linked to the metadata store", address=self._address)
            await self._keep(link)
            self._link = None
            if not self._closed:
                self._reason = link.reason
                logger.warning("the metadata store is away", reason=self._reason)

    async def _connect(self) -> RemoteLink | None:
        """A link that has been welcomed."""
        links: list[RemoteLink] = []

        def open_link(transport: Transport) -> RemoteLink:
            links.append(RemoteLink(transport, self._clock))
            links[0].greet()
            return links[0]

        async def dial() -> None:
            await self._dial(open_link)
            await links[0].welcomed.wait()

        try:
            await self._within(self._connect_timeout_ms, dial)
        except OSError as error:
            self._reason = error.strerror or str(error)
        except StoreUnavailable:
            self._reason = f"not connected within {self._connect_timeout_ms} ms"
        finally:
            welcomed = bool(links) and links[0].welcomed.is_set()
            if links and not welcomed:
                links[0].end("no welcome")
        if not welcomed or not self._accept(links[0]):
            return None
        return links[0]

    def _accept(self, link: RemoteLink) -> bool:
        if link.foreign:
            self._foreign = f"{self._address}: {link.foreign}"
            self._wake()
        elif not link.ended.is_set() and link.welcome.revision < self._revision:
            lost = f"it is at revision {link.welcome.revision}, and has been at {self._revision}"
            logger.error("the metadata store is not the one it was", reason=lost)
            link.end(f"the metadata store has lost what was written: {lost}")
        if link.ended.is_set():
            self._reason = link.reason
        return not link.ended.is_set()

    async def _keep(self, link: RemoteLink) -> None:
        """Until it has ended, or nothing has been heard for too long."""
        interval_ms = max(self._silence_ms // 3, 1)
        while not link.ended.is_set():
            link.ping()
            with suppress(TooLate):
                await within(self._clock, interval_ms, link.ended.wait)
            silent_ms = self._clock.monotonic_ms() - link.heard_ms
            if silent_ms >= self._silence_ms:
                link.end(f"nothing was heard for {silent_ms} ms")

    async def _ask(self, kind: int, payload: bytes, read: Callable[[bytes], T]) -> T:
        async def ask() -> T:
            link = await self._linked()
            answer = await link.ask(kind, payload)
            try:
                return read(answer)
            except DecodeError as error:
                link.end(str(error))
                raise StoreUnavailable(f"an answer that cannot be read: {error}") from error

        return await self._within(self._request_timeout_ms, ask)

    async def _linked(self) -> RemoteLink:
        while self._link is None or self._link.ended.is_set():
            if self._closed:
                raise StoreUnavailable(self._reason)
            await self._changed.wait()
        return self._link

    async def _within(self, timeout_ms: int, function: Callable[[], Awaitable[T]]) -> T:
        """Raises StoreUnavailable when the time has run out."""
        try:
            return await within(self._clock, timeout_ms, function)
        except TooLate:
            why = "" if self._link is not None else f": {self._reason}"
            raise StoreUnavailable(
                f"no answer of the metadata store at {self._address} within {timeout_ms} ms{why}"
            ) from None

    def _seen(self, revision: int) -> None:
        self._revision = max(self._revision, revision)

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def _dialler(address: str, source_host: str | None, network: Network | None) -> Dial:
    parsed = parse_address(address)
    if isinstance(parsed, UnixAddress):
        from pykbroker.edges.metadata_store.local_socket import connect_local

        path = parsed.path
        links: set[Link] = set()
        return lambda factory: connect_local(path, factory, links)
    if network is None:
        from pykbroker.edges.network import TcpNetwork

        network = TcpNetwork(source_host)
    chosen, (host, port) = network, parsed
    return lambda factory: chosen.connect(host, port, factory)
