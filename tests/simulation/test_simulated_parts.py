"""The simulation's own pieces: time, disks that lose power, links that are cut."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import anyio
import pytest

from tests.simulation.clock import SimClock
from tests.simulation.disk import DiskOfLife, Killed, SimDisk
from tests.simulation.loop import ForbiddenInSimulation, Life, Stuck, simulated
from tests.simulation.network import NetworkOfLife, SimNetwork


def test_an_hour_passes_at_once() -> None:
    with simulated() as loop:
        before = loop.time()
        loop.run_until_complete(asyncio.sleep(3600))
        assert loop.time() == before + 3600


def test_whoever_waits_for_nothing_is_told() -> None:
    async def wait() -> None:
        await anyio.Event().wait()

    with simulated() as loop, pytest.raises(Stuck):
        loop.run_until_complete(wait())


def test_there_are_no_threads() -> None:
    with simulated() as loop, pytest.raises(ForbiddenInSimulation):
        loop.run_in_executor(None, print)


def test_a_frozen_life_goes_on_where_it_was() -> None:
    seen: list[float] = []

    async def tick(clock: SimClock) -> None:
        while True:
            await clock.sleep(1_000)
            seen.append(round(loop.time() - 1_000))

    async def main() -> None:
        life = Life("a")
        loop.spawn(life, tick(SimClock(loop)))
        await anyio.sleep(1.5)
        loop.freeze(life)
        await anyio.sleep(5)
        loop.thaw(life)
        await anyio.sleep(1.2)

    with simulated() as loop:
        loop.run_until_complete(main())
    assert seen[:3] == [1, 6, 8]


def test_a_clock_never_calls_early_whatever_its_speed() -> None:
    async def main() -> None:
        for rate in (0.99, 1.0, 1.01):
            clock = SimClock(loop, 123.456, rate)
            at_ms = clock.monotonic_ms() + 777
            done = anyio.Event()
            clock.call_at(at_ms, done.set)
            await done.wait()
            assert clock.monotonic_ms() == at_ms

    with simulated() as loop:
        loop.run_until_complete(main())


def test_what_was_synced_survives_a_power_cut() -> None:
    for seed in range(50):
        disk = SimDisk()
        disk.mkdir("/d")
        file = disk.open("/d/f", create=True)
        file.append([b"synced"])
        file.sync()
        disk.sync_dir("/d")
        disk.sync_dir("/")
        file.append([b" not synced"])
        disk.lose_power(Random(seed))
        content = disk.read_bytes("/d/f")
        assert content.startswith(b"synced")
        assert len(content) <= len(b"synced not synced")


def test_a_power_cut_can_bring_back_what_was_truncated() -> None:
    seen = set()
    for seed in range(50):
        disk = SimDisk()
        file = disk.open("/f", create=True)
        file.append([b"old"])
        file.sync()
        disk.sync_dir("/")
        file.truncate(1)
        file.append([b"new"])
        disk.lose_power(Random(seed))
        seen.add(disk.read_bytes("/f"))
    assert b"old" in seen
    assert any(content.startswith(b"on") for content in seen)


def test_names_that_were_not_synced_may_be_gone_and_come_back() -> None:
    created, unlinked, renamed = set(), set(), set()
    for seed in range(50):
        disk = SimDisk()
        for name in ("/gone", "/from"):
            disk.open(name, create=True).sync()
        disk.sync_dir("/")
        disk.open("/made", create=True).sync()
        disk.unlink("/gone")
        disk.rename("/from", "/to")
        disk.lose_power(Random(seed))
        created.add(disk.exists("/made"))
        unlinked.add(disk.exists("/gone"))
        renamed.add((disk.exists("/from"), disk.exists("/to")))
    assert created == unlinked == {True, False}
    assert renamed == {(True, False), (False, True)}


def test_a_killed_process_leaves_all_that_it_wrote() -> None:
    disk = SimDisk()
    disk.open("/f", create=True).append([b"written"])
    disk.kill()
    assert disk.read_bytes("/f") == b"written"


def test_the_dead_write_nothing() -> None:
    platter, life = SimDisk(), Life("a")
    disk = DiskOfLife(platter, life)
    file = disk.open("/f", create=True)
    life.is_dead = True
    with pytest.raises(Killed):
        file.append([b"late"])
    with pytest.raises(Killed):
        disk.read_bytes("/f")
    assert platter.read_bytes("/f") == b""


class Recorder:
    """What arrives at one end."""

    def __init__(self) -> None:
        self.data = b""
        self.is_closed = False
        self._room = bytearray(64)

    def get_buffer(self, size_hint: int) -> memoryview:
        return memoryview(self._room)

    def buffer_updated(self, size: int) -> None:
        self.data += self._room[:size]

    def writable(self) -> None:
        pass

    def closed(self) -> None:
        self.is_closed = True


async def connected(network: SimNetwork) -> tuple[Any, Recorder]:
    """The client's transport, and what the server receives."""
    server, made = Recorder(), []
    there = NetworkOfLife(network, "server", Life("server"))
    bound = there.bind("server", 1)
    await there.serve(bound, "L", "PLAINTEXT", lambda *_: server)
    here = NetworkOfLife(network, "client", Life("client"))

    def factory(transport: Any) -> Recorder:
        made.append(transport)
        return Recorder()

    await here.connect("server", 1, factory)
    return made[0], server


def test_bytes_arrive_in_order_and_not_at_once() -> None:
    async def main() -> None:
        transport, server = await connected(SimNetwork(loop, Random(1)))
        for index in range(20):
            transport.write([bytes([index]) * 100])
        assert server.data == b""
        await anyio.sleep(2)
        assert server.data == b"".join(bytes([index]) * 100 for index in range(20))

    with simulated() as loop:
        loop.run_until_complete(main())


def test_a_cut_in_one_direction_holds_bytes_back_until_it_heals_or_the_connection_breaks() -> None:
    async def main(seed: int) -> str:
        network = SimNetwork(loop, Random(seed))
        transport, server = await connected(network)
        network.cut("client", "server")
        transport.write([b"held back"])
        await anyio.sleep(60)
        assert server.data == b""
        assert not server.is_closed
        network.heal("client", "server")
        await anyio.sleep(5)
        assert server.is_closed or server.data == b"held back"
        return "closed" if server.is_closed else "arrived"

    seen = set()
    for seed in range(20):
        with simulated() as loop:
            seen.add(loop.run_until_complete(main(seed)))
    assert seen == {"closed", "arrived"}


def test_nobody_hears_of_a_power_cut_and_everybody_of_a_kill() -> None:
    async def main(*, power: bool) -> bool:
        network = SimNetwork(loop, Random(1))
        _, server = await connected(network)
        if power:
            network.power_off("client")
        else:
            network.kill_process("client")
        await anyio.sleep(60)
        return server.is_closed

    with simulated() as loop:
        assert not loop.run_until_complete(main(power=True))
    with simulated() as loop:
        assert loop.run_until_complete(main(power=False))


def test_a_port_that_nobody_listens_on_refuses() -> None:
    async def main() -> None:
        here = NetworkOfLife(SimNetwork(loop, Random(1)), "client", Life("client"))
        with pytest.raises(ConnectionRefusedError):
            await here.connect("server", 1, lambda _: Recorder())

    with simulated() as loop:
        loop.run_until_complete(main())
