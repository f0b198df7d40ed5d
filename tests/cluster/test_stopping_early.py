"""A broker that is stopped before the metadata store answered leaves its disk as it was."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from pykbroker.broker import Broker, World
from pykbroker.config.load import load_settings
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import InlineWorkers
from tests.support.faulty_store import FaultyStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
MARKER = "/memory/.kafka_cleanshutdown"


class Machine:
    """A disk, and a store that may be out of reach."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.disk = MemoryDisk(self.clock.wall_ms)
        self.store = FaultyStore(MemoryStore(self.clock))
        self.store_opens = True

    def broker(self) -> Broker:
        @asynccontextmanager
        async def store() -> AsyncIterator[FaultyStore]:
            if not self.store_opens:
                await anyio.sleep_forever()
            yield self.store

        loaded = load_settings(options=["node.id=1"], port=0)
        workers = InlineWorkers()
        world = World(self.clock, random.Random(1), self.disk, workers, TcpNetwork(), store)
        return Broker(loaded, world, log_dirs=["/memory"])

    async def serve_once(self, *, end: str) -> None:
        broker = self.broker()
        ready = anyio.Event()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(broker.run, lambda _: ready.set())
                await ready.wait()
                if end == "clean":
                    broker.stop()
                else:
                    tasks.cancel_scope.cancel()

    async def stop_while_it_waits(self) -> Broker:
        broker = self.broker()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(broker.run, pytest.fail)
                await anyio.wait_all_tasks_blocked()
                broker.stop()
        return broker

    def marker(self) -> bytes | None:
        return self.disk.read_bytes(MARKER) if self.disk.exists(MARKER) else None


@pytest.mark.parametrize("opens", [True, False])
async def test_a_clean_stop_stays_one(opens: bool) -> None:
    machine = Machine()
    await machine.serve_once(end="clean")
    marker = machine.marker()
    assert marker is not None
    machine.store_opens, machine.store.down = opens, True
    for _ in range(2):
        broker = await machine.stop_while_it_waits()
        assert broker.logs.was_clean
        assert machine.marker() == marker
    machine.store_opens, machine.store.down = True, False
    await machine.serve_once(end="clean")


@pytest.mark.parametrize("opens", [True, False])
async def test_an_unclean_stop_stays_one(opens: bool) -> None:
    machine = Machine()
    await machine.serve_once(end="kill")
    machine.disk.mkdir("/memory/t-0")  # something to recover
    assert machine.marker() is None
    machine.store_opens, machine.store.down = opens, True
    broker = await machine.stop_while_it_waits()
    assert not broker.logs.was_clean
    assert machine.marker() is None


async def test_told_to_stop_before_it_began_it_does_nothing() -> None:
    machine = Machine()
    machine.store_opens = False
    broker = machine.broker()
    broker.stop()
    with anyio.fail_after(60):
        await broker.run(pytest.fail)
