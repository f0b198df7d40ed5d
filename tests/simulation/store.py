"""The metadata store on a host of its own, reached over links that can be slow, cut or down.

The store itself is the real one in memory. A call without an answer within the client's patience
is StoreUnavailable, and may have taken effect, or may still.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.ports import Put, StoreUnavailable, StoreUpdate, WatchCompacted
from tests.simulation.clock import SimClock
from tests.simulation.disk import Killed
from tests.simulation.loop import Life

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
    from contextlib import AbstractAsyncContextManager

    from pykbroker.ports import Compare, Delete, StoreSnapshot, Transacted, Watch
    from tests.simulation.network import SimNetwork

HOST = "store"
PATIENCE_S = 1.0


class SimStore:
    """The store's own side. ``on_change`` is told of every transaction that took effect."""

    def __init__(
        self, network: SimNetwork, on_change: Callable[[StoreUpdate], None] = lambda _: None
    ) -> None:
        self.network = network
        self.life = Life(HOST)
        self.clock = SimClock(network.loop)
        self.inner = self.life.context.run(MemoryStore, self.clock)
        self.is_down = False
        self.watches: dict[SimWatch, None] = {}
        feed = self.inner._feed
        publish = feed.publish

        def published(update: StoreUpdate) -> None:
            publish(update)
            on_change(update)
            for watch in list(self.watches):
                watch.send_news()

        feed.publish = published  # type: ignore[method-assign]
        network.on_healed = self._link_healed

    async def open_watch(self, watch: SimWatch) -> None:
        self.watches[watch] = None
        watch.send_news()

    def stop(self) -> None:
        self.is_down = True
        self.interrupt_watches()

    def start(self, *, forgets_leases: bool) -> None:
        """``forgets_leases``: as a process that starts again; else only nobody could reach it."""
        self.is_down = False
        if forgets_leases:
            for lease in sorted(self.inner._leases._live):
                self.inner._end(lease)
            self.compact()

    def interrupt_watches(self) -> None:
        for watch in list(self.watches):
            watch.send(StoreUnavailable("the connection was lost"))

    def _link_healed(self, source: str, target: str) -> None:
        if source == HOST:
            for watch in list(self.watches):
                if watch.host == target:
                    watch.link_healed()

    def compact(self) -> None:
        self.inner._feed.compact(self.inner._feed.revision)

    @property
    def items(self) -> dict[str, Any]:
        return self.inner._items


class StoreOfLife:
    """``ports.MetadataStore`` for one life."""

    def __init__(self, store: SimStore, host: str, life: Life) -> None:
        self.max_operations = store.inner.max_operations
        self._store = store
        self._host = host
        self._life = life

    async def read(self, prefix: str) -> StoreSnapshot:
        result: StoreSnapshot = await self._call(lambda: self._store.inner.read(prefix))
        return result

    async def transact(
        self, compares: Iterable[Compare], operations: Iterable[Put | Delete]
    ) -> Transacted:
        compares, operations = list(compares), list(operations)
        for operation in operations:
            if isinstance(operation, Put) and operation.key.startswith("/brokers/"):
                self._life.announced = operation.value
        inner = self._store.inner
        result: Transacted = await self._call(lambda: inner.transact(compares, operations))
        return result

    async def grant_lease(self, ttl_ms: int) -> int:
        lease: int = await self._call(lambda: self._store.inner.grant_lease(ttl_ms))
        return lease

    async def renew_lease(self, lease: int) -> bool:
        renewed: bool = await self._call(lambda: self._store.inner.renew_lease(lease))
        return renewed

    async def revoke_lease(self, lease: int) -> None:
        await self._call(lambda: self._store.inner.revoke_lease(lease))

    def watch(self, prefix: str, from_revision: int) -> AbstractAsyncContextManager[Watch]:
        return self._watch(prefix, from_revision)

    @asynccontextmanager
    async def _watch(self, prefix: str, from_revision: int) -> AsyncIterator[Watch]:
        watch = SimWatch(self._store, self._host, self._life, prefix, from_revision)
        try:
            await self._call(lambda: self._store.open_watch(watch))
            yield watch
        finally:
            self._store.watches.pop(watch, None)

    async def close(self) -> None:
        """The store belongs to nobody here."""

    async def _call(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        if self._life.is_dead:
            raise Killed(self._life.name)
        call = Call(self._store, self._host, self._life, make)
        call.send()
        timer = self._store.network.loop.call_later(PATIENCE_S, call.answered.set)
        try:
            await call.answered.wait()
        finally:
            timer.cancel()
        if call.error is not None:
            raise call.error
        if not call.has_answer:
            raise StoreUnavailable("no answer from the store")
        return call.answer


class Call:
    """A request on its way to the store, and its answer on the way back. It does not notice when
    its sender has given up."""

    def __init__(
        self,
        store: SimStore,
        host: str,
        life: Life,
        make: Callable[[], Coroutine[Any, Any, Any]],
    ) -> None:
        self.answered = anyio.Event()
        self.has_answer = False
        self.answer: Any = None
        self.error: Exception | None = None
        self._store = store
        self._host = host
        self._life = life
        self._make = make

    def send(self) -> None:
        network = self._store.network
        if network.is_cut(self._host, HOST):
            if network.rng.random() < 0.5:
                network.when_healed(self._host, HOST, self.send)
            return
        delay_s = network.latency_s(self._host, HOST)
        network.loop.at(self._store.life, delay_s, self._arrive)

    def _arrive(self) -> None:
        store, network = self._store, self._store.network
        if store.is_down:
            return
        network.on_delivery(self._host, HOST, 0)
        try:
            self.answer = _at_once(self._make())
        except (StoreUnavailable, ValueError) as error:
            self.error = error
        if not network.is_cut(HOST, self._host) and not self._life.is_dead:
            network.loop.at(self._life, network.latency_s(HOST, self._host), self._answer)

    def _answer(self) -> None:
        self.has_answer = True
        self.answered.set()


class SimWatch:
    """Updates arrive late and in order. While the way is cut they wait; then they arrive, or the
    watch has broken."""

    def __init__(self, store: SimStore, host: str, life: Life, prefix: str, revision: int) -> None:
        self.host = host
        self._store = store
        self._life = life
        self._prefix = prefix
        self._seen = revision - 1
        """Sent, not necessarily arrived."""
        self._arrived: deque[StoreUpdate | Exception] = deque()
        self._news = anyio.Event()
        self._stalled: list[StoreUpdate | Exception] = []
        self._last_arrival_s = 0.0

    def __aiter__(self) -> SimWatch:
        return self

    async def __anext__(self) -> StoreUpdate:
        while not self._arrived:
            self._news = anyio.Event()
            await self._news.wait()
        item = self._arrived.popleft()
        if isinstance(item, Exception):
            raise item
        return item

    # The store's side.

    def send_news(self) -> None:
        while True:
            try:
                update = self._store.inner._feed.after(self._seen)
            except WatchCompacted as error:
                self.send(error)
                return
            if update is None:
                return
            self._seen = update.revision
            events = tuple(e for e in update.events if e.key.startswith(self._prefix))
            if events:
                self.send(StoreUpdate(update.revision, events))

    def send(self, item: StoreUpdate | Exception) -> None:
        if self._stalled or self._store.network.is_cut(HOST, self.host):
            self._stalled.append(item)
        else:
            self._put_on_wire(item)

    def link_healed(self) -> None:
        stalled, self._stalled = self._stalled, []
        if not stalled:
            return
        if self._store.network.rng.random() < 0.4:
            self._put_on_wire(StoreUnavailable("the connection was reset"))
            return
        for item in stalled:
            self._put_on_wire(item)

    def _put_on_wire(self, item: StoreUpdate | Exception) -> None:
        network = self._store.network
        if isinstance(item, Exception):
            self._store.watches.pop(self, None)
        arrival = network.loop.time() + network.latency_s(HOST, self.host)
        self._last_arrival_s = arrival = max(arrival, self._last_arrival_s + 1e-6)
        network.loop.call_at(arrival, self._arrive, item, context=self._life.context)

    def _arrive(self, item: StoreUpdate | Exception) -> None:
        if not self._life.is_dead:
            self._store.network.on_delivery(HOST, self.host, 1)
            self._arrived.append(item)
            self._news.set()


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The store in memory never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the store in memory waited")


async def _nothing() -> None:
    pass
