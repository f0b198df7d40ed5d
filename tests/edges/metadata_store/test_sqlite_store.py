"""What the SQLite file adds: it survives, it belongs to one process, and it refuses strangers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import anyio
import pytest

from pykbroker.edges.metadata_store.sqlite import FORMAT, UnusableStore, open_sqlite_store
from pykbroker.edges.workers import InlineWorkers, ThreadWorkers
from pykbroker.ports import Compare, Delete, KeyValue, Put, StoreUnavailable, WatchCompacted
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from pykbroker.edges.metadata_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "metadata.sqlite")


def opened(path: str, clock: ManualClock | None = None) -> AbstractAsyncContextManager[SqliteStore]:
    return open_sqlite_store(path, clock or ManualClock(), InlineWorkers())


async def test_everything_is_there_after_it_was_opened_again(path: str) -> None:
    async with opened(path) as store:
        await store.transact((), [Put("/a", b"1"), Put("/b", b"2"), Put("/c", b"")])
        await store.transact((), [Put("/a", b"3"), Delete("/b")])
    async with opened(path) as store:
        assert await store.read("/") == (
            3,
            (KeyValue("/a", b"3", 2, 3), KeyValue("/c", b"", 2, 2)),
        )
        assert await store.transact([Compare("/a", 3)], [Put("/a", b"4")]) == (True, 4)


async def test_keys_under_leases_do_not_outlive_the_process_that_kept_them(path: str) -> None:
    async with opened(path) as store:
        lease = await store.grant_lease(60_000)
        await store.transact((), [Put("/brokers/1", b"", lease), Put("/topics/t", b"")])
    async with opened(path) as store:
        snapshot = await store.read("/")
        assert [item.key for item in snapshot.items] == ["/topics/t"]
        assert snapshot.revision == 3, "their going is a revision of its own"
        assert not await store.renew_lease(lease)


async def test_the_past_before_opening_cannot_be_followed(path: str) -> None:
    async with opened(path) as store:
        await store.transact((), [Put("/a", b"")])
    async with opened(path) as store, store.watch("/", 2) as watch:
        with pytest.raises(WatchCompacted):
            await watch.__anext__()


async def test_a_second_opener_is_refused_and_harms_nothing(path: str) -> None:
    async with opened(path) as store:
        await store.transact((), [Put("/a", b"")])
        with pytest.raises(UnusableStore, match="in use by another process"):
            async with opened(path):
                pass
        assert (await store.transact((), [Put("/b", b"")])).succeeded


async def test_another_process_is_refused_too(path: str) -> None:
    program = (
        "import sqlite3, sys\n"
        "sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM items')"
    )
    async with opened(path):
        other = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, text=True
        )
    assert "database is locked" in other.stderr


async def test_somebody_elses_database_is_refused_untouched(path: str, tmp_path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    before = (tmp_path / "metadata.sqlite").read_bytes()
    with pytest.raises(UnusableStore, match="not a metadata store"):
        async with opened(path):
            pass
    assert (tmp_path / "metadata.sqlite").read_bytes() == before


async def test_what_is_no_database_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.sqlite").write_bytes(b"not a database, but long enough to be read" * 99)
    with pytest.raises(UnusableStore, match="not a database"):
        async with opened(path):
            pass


async def test_one_that_cannot_be_written_is_refused_with_the_reason(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path):
        pass

    class ReadOnly(sqlite3.Connection):
        def execute(self, *_: object) -> sqlite3.Cursor:  # type: ignore[override]
            raise sqlite3.OperationalError("attempt to write a readonly database")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda p, **o: connect(p, factory=ReadOnly, **o))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may do anything
    with pytest.raises(UnusableStore, match=r"metadata\.sqlite: Permission denied"):
        async with opened(path):
            pass


async def test_a_newer_format_is_refused_by_number(path: str) -> None:
    async with opened(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={FORMAT + 1}")
    connection.close()
    with pytest.raises(UnusableStore, match=rf"newer pykbroker \(format {FORMAT + 1}"):
        async with opened(path):
            pass


async def test_a_directory_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnusableStore, match="unable to open"):
        async with opened(str(tmp_path / "none" / "metadata.sqlite")):
            pass


async def test_it_is_durable_before_it_answers(path: str) -> None:
    async with opened(path) as store:
        connection = store._database._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_a_write_that_fails_leaves_everything_as_it_was(path: str) -> None:
    async with opened(path) as store:
        await store.transact((), [Put("/a", b"1")])
        pages = store._database._connection.execute("PRAGMA page_count").fetchone()[0]
        store._database._connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreUnavailable, match="full"):
            await store.transact((), [Put("/a", b"2"), Put("/b", bytes(1_000_000))])
        assert await store.read("/") == (2, (KeyValue("/a", b"1", 2, 2),))
        store._database._connection.execute(f"PRAGMA max_page_count={pages + 1_000}")
        assert (await store.transact((), [Put("/b", bytes(1_000_000))])) == (True, 3)


WRITER = """
import sys, anyio
from pykbroker.edges.metadata_store.sqlite import open_sqlite_store
from pykbroker.edges.workers import InlineWorkers
from pykbroker.ports import Put
from tests.support.manual_clock import ManualClock

async def main():
    async with open_sqlite_store(sys.argv[1], ManualClock(), InlineWorkers()) as store:
        for n in range(1_000_000):
            result = await store.transact((), [Put("/one", b"%d" % n), Put("/two", b"%d" % n)])
            print(n, result.revision, flush=True)

anyio.run(main)
"""


@pytest.mark.parametrize("lines", [1, 20, 57])
async def test_what_was_answered_survives_a_kill_and_nothing_is_half_there(
    path: str, lines: int
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), path], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer.stdout as out:
        said = [out.readline() for _ in range(lines)]
        writer.kill()
        said += [line for line in out.read().splitlines(keepends=True) if line.endswith("\n")]
    writer.wait()
    number, answered_revision = map(int, said[-1].split())
    async with opened(path) as store:
        revision, items = await store.read("/")
        assert [item.key for item in items] == ["/one", "/two"]
        assert items[0].value == items[1].value
        assert int(items[0].value) >= number
        assert revision >= answered_revision


async def test_threads_take_turns(path: str) -> None:
    async with open_sqlite_store(path, ManualClock(), ThreadWorkers()) as store:

        async def write(n: int) -> None:
            await store.transact((), [Put(f"/{n}", b"")])
            await store.read("/")

        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(write, n)
        assert (await store.read("/")).revision == 51


async def test_a_caller_that_gives_up_does_not_stop_what_it_began(path: str) -> None:
    open_store = open_sqlite_store(path, ManualClock(), ThreadWorkers())
    async with open_store as store, store.watch("/", 2) as watch:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.transact, (), [Put("/a", b"")])
            await anyio.sleep(0)
            tasks.cancel_scope.cancel()
        snapshot = await store.read("/")
        if snapshot.items:
            assert (await watch.__anext__()).revision == snapshot.revision
        assert (await store.transact((), [Put("/b", b"")])).revision == snapshot.revision + 1
