"""The metadata store in one SQLite file, opened by exactly one process.

WAL with synchronous=FULL: what a transaction returned is on disk. The connection lives in worker
threads, one call at a time; what it committed is published to followers before the next call.
Leases are not persisted: their holders talk to this process, so when it ends they end with it,
and the keys they left behind are deleted at the next start.
"""

from __future__ import annotations

import errno
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio

from pykbroker.edges.metadata_store.feed import HISTORY_EVENTS, Feed
from pykbroker.edges.metadata_store.leases import Leases, some_lease
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
    UnusableStore,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from pykbroker.ports import Clock, Watch, Workers

T = TypeVar("T")

FORMAT = 1
APPLICATION_ID = 0x706B6272
_SCHEMA = """
CREATE TABLE revision (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
INSERT INTO revision VALUES (1, 1);
CREATE TABLE items (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL,
    lease INTEGER NOT NULL
) WITHOUT ROWID;
"""


@asynccontextmanager
async def open_sqlite_store(
    path: str,
    clock: Clock,
    workers: Workers,
    *,
    max_operations: int = 100_000,
    history_events: int = HISTORY_EVENTS,
    first_lease: int | None = None,
) -> AsyncIterator[SqliteStore]:
    """Raises UnusableStore. A task of the store's own removes the keys of leases that ran out.

    Leases are numbered from somewhere new each time, or from ``first_lease``.
    """
    database = await workers.run(Database, path)
    leases = Leases(some_lease() if first_lease is None else first_lease)
    store = SqliteStore(database, clock, workers, leases, max_operations, history_events)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.expire_leases)
            yield store
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


class SqliteStore:
    """See ``ports.MetadataStore``."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        workers: Workers,
        leases: Leases,
        max_operations: int,
        history_events: int,
    ) -> None:
        self.max_operations = max_operations
        self._database = database
        self._clock = clock
        self._workers = workers
        self._turn = anyio.Lock()
        self._feed = Feed(database.revision, history_events)
        self._leases = leases
        self._leases_changed = anyio.Event()
        self._closed = False

    async def read(self, prefix: str) -> StoreSnapshot:
        async with self._turn:
            await self._drop_expired()
            return await self._run(self._database.read, prefix)

    async def transact(
        self, compares: Iterable[Compare], operations: Iterable[Put | Delete]
    ) -> Transacted:
        compares, operations = list(compares), list(operations)
        check_operations(operations, self.max_operations)
        async with self._turn:
            now_ms = await self._drop_expired()
            if not all(self._leases.is_live(lease, now_ms) for lease in leases_of(operations)):
                return Transacted(False, self._feed.revision)
            held, update = await self._run(self._database.transact, compares, operations)
            if update is not None:
                self._feed.publish(update)
            return Transacted(held, self._feed.revision)

    async def grant_lease(self, ttl_ms: int) -> int:
        self._check_open()
        lease = self._leases.grant(ttl_ms, self._clock.monotonic_ms())
        self._leases_changed.set()
        return lease

    async def renew_lease(self, lease: int) -> bool:
        self._check_open()
        return self._leases.renew(lease, self._clock.monotonic_ms())

    async def revoke_lease(self, lease: int) -> None:
        async with self._turn:
            if lease in self._leases:
                await self._end(lease)

    def watch(self, prefix: str, from_revision: int) -> AbstractAsyncContextManager[Watch]:
        return self._feed.watch(prefix, from_revision)

    async def compact(self, revision: int) -> None:
        self._feed.compact(revision)

    async def close(self) -> None:
        if self._closed:
            return
        async with self._turn:
            self._closed = True
            self._feed.close()
            await self._workers.run(self._database.close)

    async def expire_leases(self) -> None:
        """Runs as long as the store is open."""
        while True:
            self._leases_changed = anyio.Event()
            deadline_ms = self._leases.next_deadline_ms()
            timer = None
            if deadline_ms is not None:
                timer = self._clock.call_at(deadline_ms, self._leases_changed.set)
            try:
                await self._leases_changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()
            async with self._turn:
                await self._drop_expired()

    async def _drop_expired(self) -> int:
        now_ms = self._clock.monotonic_ms()
        for lease in self._leases.expired(now_ms):
            await self._end(lease)
        return now_ms

    async def _end(self, lease: int) -> None:
        update = await self._run(self._database.delete_leased, lease)
        self._leases.remove(lease)
        if update is not None:
            self._feed.publish(update)

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        self._check_open()
        return await self._workers.run(function, *args)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")


def _why(path: str, error: Exception) -> str:
    """SQLite has one text for many reasons."""
    if "locked" in str(error):
        return "in use by another process"
    needed = path if os.path.exists(path) else os.path.dirname(path)
    if os.path.exists(needed) and not os.access(needed, os.R_OK | os.W_OK):
        return os.strerror(errno.EACCES)
    return str(error)


class Database:
    """The file itself. Synchronous; one thread at a time."""

    def __init__(self, path: str) -> None:
        import sqlite3

        self.revision = 0
        self._sqlite_error = sqlite3.Error
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=0.0
            )
        except sqlite3.Error as error:
            raise UnusableStore(f"{path}: {_why(path, error)}") from error
        try:
            self._prepare(path)
        except sqlite3.Error as error:
            self._connection.close()
            raise UnusableStore(f"{path}: {_why(path, error)}") from error
        except UnusableStore:
            self._connection.close()
            raise

    def _prepare(self, path: str) -> None:
        execute = self._connection.execute
        # A second process that opens the file fails here, and no lock file is mapped.
        execute("PRAGMA locking_mode=EXCLUSIVE")
        (known,) = execute("PRAGMA application_id").fetchone()
        (format_,) = execute("PRAGMA user_version").fetchone()
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and known != APPLICATION_ID:
            raise UnusableStore(f"{path}: not a metadata store of pykbroker")
        if tables and format_ > FORMAT:
            raise UnusableStore(
                f"{path}: written by a newer pykbroker (format {format_}, known is {FORMAT})"
            )
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        if not tables:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id={APPLICATION_ID};"
                f"PRAGMA user_version={FORMAT}; COMMIT;"
            )
        (self.revision,) = execute("SELECT revision FROM revision").fetchone()
        self.delete_leased(None)

    def read(self, prefix: str) -> StoreSnapshot:
        try:
            rows = self._connection.execute(
                "SELECT key, value, create_revision, mod_revision FROM items "
                "WHERE key >= ? AND key < ? ORDER BY key",
                (prefix, prefix + "\U0010ffff"),
            )
            return StoreSnapshot(self.revision, tuple(map(KeyValue._make, rows)))
        except self._sqlite_error as error:
            raise StoreUnavailable(str(error)) from error

    def transact(
        self, compares: Sequence[Compare], operations: Sequence[Put | Delete]
    ) -> tuple[bool, StoreUpdate | None]:
        """Whether the compares held, and what changed."""
        try:
            with self._begin():
                if not all(self._mod_revision(key) == expected for key, expected in compares):
                    return False, None
                update = self._write(operations)
        except self._sqlite_error as error:
            raise StoreUnavailable(str(error)) from error
        if update is not None:
            self.revision = update.revision
        return True, update

    def delete_leased(self, lease: int | None) -> StoreUpdate | None:
        """None: the keys of every lease."""
        try:
            if lease is None:
                rows = self._connection.execute("SELECT key FROM items WHERE lease != 0")
            else:
                rows = self._connection.execute("SELECT key FROM items WHERE lease = ?", (lease,))
            return self.transact((), [Delete(key) for (key,) in rows.fetchall()])[1]
        except self._sqlite_error as error:
            raise StoreUnavailable(str(error)) from error

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> _Transaction:
        return _Transaction(self._connection)

    def _mod_revision(self, key: str) -> int:
        row = self._connection.execute(
            "SELECT mod_revision FROM items WHERE key = ?", (key,)
        ).fetchone()
        return 0 if row is None else row[0]

    def _write(self, operations: Sequence[Put | Delete]) -> StoreUpdate | None:
        execute = self._connection.execute
        revision = self.revision + 1
        events = []
        for operation in operations:
            key = operation.key
            if isinstance(operation, Put):
                old = execute("SELECT create_revision FROM items WHERE key = ?", (key,)).fetchone()
                created = revision if old is None else old[0]
                row = (key, operation.value, created, revision, operation.lease)
                execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)", row)
                events.append(StoreEvent(key, operation.value, created, revision))
            elif execute("DELETE FROM items WHERE key = ?", (key,)).rowcount:
                events.append(StoreEvent(key, None, 0, revision))
        if not events:
            return None
        execute("UPDATE revision SET revision = ?", (revision,))
        return StoreUpdate(revision, tuple(events))


class _Transaction:
    """BEGIN IMMEDIATE; COMMIT when the block ends well, ROLLBACK when it raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
