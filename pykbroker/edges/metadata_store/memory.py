"""The metadata store in memory: for ``--memory`` and for simulations. Every call is immediate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.edges.metadata_store.feed import HISTORY_EVENTS, Feed
from pykbroker.edges.metadata_store.leases import Leases
from pykbroker.edges.metadata_store.transactions import check_operations, leases_of
from pykbroker.ports import (
    Compare,
    Delete,
    KeyValue,
    Put,
    StoreEvent,
    StoreSnapshot,
    StoreUnavailable,
    StoreUpdate,
    Transacted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager

    from pykbroker.ports import Clock, TimerHandle, Watch


class MemoryStore:
    """See ``ports.MetadataStore``. Shared by all brokers of one interpreter."""

    def __init__(
        self,
        clock: Clock,
        *,
        max_operations: int = 100_000,
        history_events: int = HISTORY_EVENTS,
        first_lease: int = 1,
    ) -> None:
        self.max_operations = max_operations
        self._clock = clock
        self._items: dict[str, KeyValue] = {}
        self._lease_of: dict[str, int] = {}
        self._leases = Leases(first_lease)
        self._feed = Feed(1, history_events)
        self._timer: TimerHandle | None = None
        self._timer_ms = 0
        self._closed = False

    async def read(self, prefix: str) -> StoreSnapshot:
        self._begin()
        items = sorted(item for key, item in self._items.items() if key.startswith(prefix))
        return StoreSnapshot(self._feed.revision, tuple(items))

    async def transact(
        self, compares: Iterable[Compare], operations: Iterable[Put | Delete]
    ) -> Transacted:
        operations = list(operations)
        check_operations(operations, self.max_operations)
        now_ms = self._begin()
        held = all(self._mod_revision(key) == expected for key, expected in compares)
        if not held or not all(self._leases.is_live(x, now_ms) for x in leases_of(operations)):
            return Transacted(False, self._feed.revision)
        self._apply(operations)
        return Transacted(True, self._feed.revision)

    async def grant_lease(self, ttl_ms: int) -> int:
        lease = self._leases.grant(ttl_ms, self._begin())
        self._set_timer()
        return lease

    async def renew_lease(self, lease: int) -> bool:
        renewed = self._leases.renew(lease, self._begin())
        self._set_timer()
        return renewed

    async def revoke_lease(self, lease: int) -> None:
        self._begin()
        self._end(lease)
        self._set_timer()

    def watch(self, prefix: str, from_revision: int) -> AbstractAsyncContextManager[Watch]:
        return self._feed.watch(prefix, from_revision)

    async def compact(self, revision: int) -> None:
        self._feed.compact(revision)

    async def close(self) -> None:
        self._closed = True
        self._feed.close()
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> int:
        """No call sees a key whose lease has run out."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        now_ms = self._clock.monotonic_ms()
        for lease in self._leases.expired(now_ms):
            self._end(lease)
        return now_ms

    def _end(self, lease: int) -> None:
        self._leases.remove(lease)
        self._apply([Delete(key) for key, held in self._lease_of.items() if held == lease])

    def _mod_revision(self, key: str) -> int:
        item = self._items.get(key)
        return 0 if item is None else item.mod_revision

    def _apply(self, operations: list[Put | Delete] | list[Delete]) -> None:
        revision = self._feed.revision + 1
        events = []
        for operation in operations:
            key = operation.key
            if isinstance(operation, Put):
                old = self._items.get(key)
                created = revision if old is None else old.create_revision
                self._items[key] = KeyValue(key, operation.value, created, revision)
                self._hold(key, operation.lease)
                events.append(StoreEvent(key, operation.value, created, revision))
            elif self._items.pop(key, None) is not None:
                self._hold(key, 0)
                events.append(StoreEvent(key, None, 0, revision))
        if events:
            self._feed.publish(StoreUpdate(revision, tuple(events)))

    def _hold(self, key: str, lease: int) -> None:
        if lease:
            self._lease_of[key] = lease
        else:
            self._lease_of.pop(key, None)

    def _set_timer(self) -> None:
        """One timer, for the deadline that is nearest; renewals push it back when it fires."""
        deadline_ms = self._leases.next_deadline_ms()
        if deadline_ms is None or (self._timer is not None and self._timer_ms <= deadline_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = deadline_ms
        self._timer = self._clock.call_at(deadline_ms, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if not self._closed:
            self._begin()
            self._set_timer()
