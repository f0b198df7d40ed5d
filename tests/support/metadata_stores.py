"""Every backend of the metadata store, opened in the same way."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.etcd import EtcdOptions, open_etcd_store
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.metadata_store.remote import connect_store
from pykbroker.edges.metadata_store.served import serve_store
from pykbroker.edges.metadata_store.sqlite import open_sqlite_store
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.ports import (
    Compare,
    KeyValue,
    StoreEvent,
    StoreSnapshot,
    StoreUpdate,
    Transacted,
)
from tests.support.etcd import EtcdMember, an_etcd, etcd_binaries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from pykbroker.ports import Clock, Delete, MetadataStore, Put, Watch

LOCAL = ("memory", "sqlite", "memory over TCP", "sqlite over a local socket")
"""Those of which the test moves the clock, and which begin at revision 1."""
ETCD = tuple(f"etcd {name}" for name in etcd_binaries()) or ("etcd",)
"""Real ones: their leases take real time, and they are not new for each test."""
ALL = (*LOCAL, *ETCD)


class Members:
    """etcd, one member of each version, started when first asked for."""

    def __init__(self, make_directory: Callable[[str], Path]) -> None:
        self._make_directory = make_directory
        self._running: dict[str, EtcdMember] = {}

    def get(self, kind: str) -> EtcdMember:
        if kind not in self._running:
            binary = etcd_binaries().get(kind.removeprefix("etcd ")) or an_etcd()
            member = EtcdMember(binary, self._make_directory("etcd"))
            self._running[kind] = member
            member.start()
            member.wait()
        return self._running[kind]

    def kill(self) -> None:
        for member in self._running.values():
            member.kill()


class FromOne:
    """A store that was not new when it was opened, as if it had been."""

    def __init__(self, store: MetadataStore, revision: int) -> None:
        self.max_operations = store.max_operations
        self._store = store
        self._shift = revision - 1
        self._leases: list[int] = []

    def real(self, revision: int) -> int:
        return revision + self._shift if revision else 0

    def _seen(self, revision: int) -> int:
        return revision - self._shift if revision else 0

    async def read(self, prefix: str) -> StoreSnapshot:
        revision, items = await self._store.read(prefix)
        return StoreSnapshot(
            self._seen(revision),
            tuple(KeyValue(k, v, self._seen(c), self._seen(m)) for k, v, c, m in items),
        )

    async def transact(
        self, compares: Iterable[Compare], operations: Iterable[Put | Delete]
    ) -> Transacted:
        compares = [Compare(key, self.real(revision)) for key, revision in compares]
        result = await self._store.transact(compares, operations)
        return result._replace(revision=self._seen(result.revision))

    async def grant_lease(self, ttl_ms: int) -> int:
        lease = await self._store.grant_lease(ttl_ms)
        self._leases.append(lease)
        return lease

    async def renew_lease(self, lease: int) -> bool:
        return await self._store.renew_lease(lease)

    async def revoke_lease(self, lease: int) -> None:
        await self._store.revoke_lease(lease)

    @asynccontextmanager
    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[Watch]:
        async with self._store.watch(prefix, self.real(from_revision)) as watch:
            yield self._shifted(watch)

    async def _shifted(self, watch: Watch) -> AsyncIterator[StoreUpdate]:
        async for revision, events in watch:
            seen = [StoreEvent(k, v, self._seen(c), self._seen(m)) for k, v, c, m in events]
            yield StoreUpdate(self._seen(revision), tuple(seen))

    async def close(self) -> None:
        await self.leave()
        await self._store.close()

    async def leave(self) -> None:
        """So that nothing happens in the store afterwards."""
        while self._leases:
            await self._store.revoke_lease(self._leases.pop())


class Backend:
    """Called, it opens the store. Leases count on ``clock``, links on the real one."""

    def __init__(self, kind: str, path: Path, clock: Clock, members: Members) -> None:
        self.kind = kind
        self._path = path
        self._clock = clock
        self._members = members
        self._inner: Any = None

    async def compact(self, revision: int) -> None:
        if self.kind in ETCD:
            body = {"revision": str(self._inner.real(revision)), "physical": True}
            self._members.get(self.kind).ask("kv/compaction", body)
        else:
            await self._inner.compact(revision)

    @asynccontextmanager
    async def __call__(self, **options: int) -> AsyncIterator[MetadataStore]:
        async with self._open_inner(options) as inner:
            self._inner = inner
            if " over " not in self.kind:
                yield inner
                return
            real = SystemClock()
            over_tcp = self.kind.endswith("TCP")
            address = "tcp://127.0.0.1:0" if over_tcp else f"unix:{self._path / 'store.sock'}"
            async with (
                serve_store(inner, real, address) as server,
                connect_store(server.addresses[0], real, request_timeout_ms=60_000) as store,
            ):
                yield store

    @asynccontextmanager
    async def _open_inner(self, options: dict[str, int]) -> AsyncIterator[MetadataStore]:
        if self.kind in ETCD:
            endpoint = self._members.get(self.kind).endpoint
            etcd = EtcdOptions((endpoint,), f"/{uuid.uuid4()}", request_timeout_ms=60_000)
            async with open_etcd_store(etcd._replace(**options), SystemClock()) as opened_etcd:
                shifted = FromOne(opened_etcd, (await opened_etcd.read("/")).revision)
                yield shifted
                await shifted.leave()
        elif self.kind.startswith("memory"):
            store = MemoryStore(self._clock, **options)
            yield store
            await store.close()
        else:
            path = str(self._path / "metadata.sqlite")
            async with open_sqlite_store(path, self._clock, ThreadWorkers(), **options) as opened:
                yield opened
