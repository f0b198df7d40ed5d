"""Every backend of the metadata store, opened in the same way."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.metadata_store.remote import connect_store
from pykbroker.edges.metadata_store.served import serve_store
from pykbroker.edges.metadata_store.sqlite import open_sqlite_store
from pykbroker.edges.workers import ThreadWorkers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pykbroker.ports import Clock, MetadataStore

LOCAL = ("memory", "sqlite", "memory over TCP", "sqlite over a local socket")
"""Those of which the test moves the clock."""


class Backend:
    """Called, it opens the store. Leases count on ``clock``, links on the real one."""

    def __init__(self, kind: str, path: Path, clock: Clock) -> None:
        self.kind = kind
        self._path = path
        self._clock = clock
        self._inner: Any = None

    async def compact(self, revision: int) -> None:
        await self._inner.compact(revision)

    @asynccontextmanager
    async def __call__(self, **options: int) -> AsyncIterator[MetadataStore]:
        async with self._open_inner(options) as inner:
            self._inner = inner
            if self.kind in ("memory", "sqlite"):
                yield inner
                return
            real = SystemClock()
            over_tcp = self.kind == "memory over TCP"
            address = "tcp://127.0.0.1:0" if over_tcp else f"unix:{self._path / 'store.sock'}"
            async with (
                serve_store(inner, real, address) as server,
                connect_store(server.addresses[0], real, request_timeout_ms=60_000) as store,
            ):
                yield store

    @asynccontextmanager
    async def _open_inner(self, options: dict[str, int]) -> AsyncIterator[MetadataStore]:
        if self.kind.startswith("memory"):
            store = MemoryStore(self._clock, **options)
            yield store
            await store.close()
            return
        path = str(self._path / "metadata.sqlite")
        async with open_sqlite_store(path, self._clock, ThreadWorkers(), **options) as opened:
            yield opened
