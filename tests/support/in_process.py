"""A broker inside the test process, reached without sockets: bytes in, bytes out."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from pykbroker.broker import Broker, World
from pykbroker.config.load import load_settings
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.ports import Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pykbroker.ports import Disk
    from wire.schema import Buffer

PEER = Peer("PLAINTEXT", "PLAINTEXT", "127.0.0.1", 50_000)


@asynccontextmanager
async def broker_in_process(
    *options: str, seed: int = 0, disk: Disk | None = None, log_dir: str = "/memory"
) -> AsyncIterator[Broker]:
    """Serves on a free port as well, for whoever wants a real client."""
    clock = SystemClock()

    @asynccontextmanager
    async def store() -> AsyncIterator[MemoryStore]:
        opened = MemoryStore(clock)
        yield opened
        await opened.close()

    has_listeners = any(option.startswith("listeners=") for option in options)
    loaded = load_settings(options=options, port=None if has_listeners else 0)
    disk = disk or MemoryDisk()
    world = World(clock, random.Random(seed), disk, ThreadWorkers(), TcpNetwork(), store)
    broker = Broker(loaded, world, log_dirs=[log_dir])
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.run, lambda _: ready.set())
        await ready.wait()
        try:
            yield broker
        finally:
            broker.stop()


class Wire:
    """A transport that keeps what is written to it; one client's end of a connection."""

    def __init__(self, broker: Broker, peer: Peer = PEER) -> None:
        self.received = bytearray()
        self.is_closed = False
        self.is_paused = False
        self.unsent = 0
        self.connection = broker.connections.connect(self, peer)

    def send(self, data: bytes) -> None:
        """As if it had come in, in as many pieces as the connection's buffers make of it."""
        position = 0
        while position < len(data) and not self.is_closed:
            room = self.connection.get_buffer(len(data) - position)
            size = min(len(room), len(data) - position)
            room[:size] = data[position : position + size]
            self.connection.buffer_updated(size)
            position += size

    def hang_up(self) -> None:
        self.is_closed = True
        self.connection.closed()

    def take_responses(self) -> list[bytes]:
        """Whole responses without their sizes."""
        found = []
        while len(self.received) >= 4:
            size = int.from_bytes(self.received[:4], "big")
            if len(self.received) < 4 + size:
                break
            found.append(bytes(self.received[4 : 4 + size]))
            del self.received[: 4 + size]
        return found

    # ports.Transport

    def write(self, buffers: Sequence[Buffer]) -> None:
        for buffer in buffers:
            self.received += buffer

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True
