"""The process that has the store open is killed in the middle of its work, and started again."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.addresses import socket_address
from pykbroker.edges.metadata_store.remote import connect_store
from pykbroker.ports import Compare, Put, StoreUnavailable, WatchCompacted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pykbroker.ports import MetadataStore

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000
OWNER = """
import sys, anyio
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.addresses import socket_address
from pykbroker.edges.metadata_store.served import serve_store
from pykbroker.edges.metadata_store.sqlite import open_sqlite_store
from pykbroker.edges.workers import ThreadWorkers

async def main():
    clock = SystemClock()
    async with open_sqlite_store(sys.argv[1] + "/m.sqlite", clock, ThreadWorkers()) as store:
        async with serve_store(store, clock, socket_address(sys.argv[1])):
            await anyio.sleep_forever()

anyio.run(main)
"""


class Owner:
    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", OWNER, self._directory])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    owner = Owner(str(tmp_path))
    owner.start()
    yield owner
    owner.kill()


async def answered(store: MetadataStore) -> None:
    """Once it is there again."""
    with anyio.fail_after(60):
        while True:
            with suppress(StoreUnavailable):
                await store.read("/")
                return


async def test_what_was_acknowledged_outlives_its_owner(owner: Owner, tmp_path: Path) -> None:
    """Four writers count up, each alone on its keys, while the owner is killed and comes back."""
    acknowledged = dict.fromkeys(range(4), 0)
    attempted = dict.fromkeys(range(4), 0)
    unknown = []

    async def count(store: MetadataStore, writer: int, stop: anyio.Event) -> None:
        revision = 0
        while not stop.is_set():
            number = attempted[writer] + 1
            attempted[writer] = number
            value = b"%d" % number
            key, twin = f"/{writer}", f"/{writer}/twin"
            try:
                result = await store.transact(
                    [Compare(key, revision)], [Put(key, value), Put(twin, value)]
                )
            except StoreUnavailable:
                unknown.append((writer, number))
                await answered(store)
                items = (await store.read(key)).items
                revision = items[0].mod_revision if items else 0
                continue
            assert result.succeeded, "nobody else writes this key"
            revision, acknowledged[writer] = result.revision, number

    async with connect_store(socket_address(str(tmp_path)), SystemClock()) as store:
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for writer in acknowledged:
                tasks.start_soon(count, store, writer, stop)
            for _ in range(3):
                before = dict(acknowledged)
                with anyio.fail_after(60):
                    while any(acknowledged[w] < before[w] + 10 for w in acknowledged):
                        await anyio.sleep(0.002)
                owner.kill()
                owner.start()
                await answered(store)
                items = {item.key: int(item.value) for item in (await store.read("/")).items}
                for writer, number in acknowledged.items():
                    assert items[f"/{writer}"] >= before[writer]
                    assert attempted[writer] >= items[f"/{writer}"]
                    assert number <= attempted[writer]
            stop.set()
        items = {item.key: int(item.value) for item in (await store.read("/")).items}
    assert unknown, "the kills struck while transactions were under way"
    for writer, number in acknowledged.items():
        assert items[f"/{writer}"] == items[f"/{writer}/twin"]
        assert number <= items[f"/{writer}"] <= attempted[writer]


async def test_leases_end_with_the_owner_and_no_new_one_is_taken_for_them(
    owner: Owner, tmp_path: Path
) -> None:
    async with connect_store(socket_address(str(tmp_path)), SystemClock()) as store:
        old = await store.grant_lease(HOUR_MS)
        await store.transact((), [Put("/brokers/1", b"", old), Put("/topics/t", b"")])
        owner.kill()
        owner.start()
        await answered(store)
        assert [item.key for item in (await store.read("/")).items] == ["/topics/t"]
        new = [await store.grant_lease(HOUR_MS) for _ in range(5)]
        assert old not in new
        assert not await store.renew_lease(old)
        assert not (await store.transact((), [Put("/brokers/1", b"", old)])).succeeded
        assert (await store.transact((), [Put("/brokers/1", b"", new[0])])).succeeded


async def test_who_follows_reads_everything_again(owner: Owner, tmp_path: Path) -> None:
    async with connect_store(socket_address(str(tmp_path)), SystemClock()) as store:
        await store.transact((), [Put("/a", b"")])
        async with store.watch("/", 2) as watch:
            assert (await watch.__anext__()).revision == 2
            owner.kill()
            with pytest.raises(StoreUnavailable):
                await watch.__anext__()
        owner.start()
        await answered(store)
        async with store.watch("/", 2) as watch:
            with pytest.raises(WatchCompacted):
                await watch.__anext__()
        async with store.watch("/", 3) as watch:
            await store.transact((), [Put("/b", b"")])
            assert (await watch.__anext__()).revision == 3
