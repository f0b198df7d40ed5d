"""A store used over a link: what the link adds to what every store promises."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.addresses import (
    PATH_LIMIT_BYTES,
    parse_address,
    short_path,
    socket_address,
)
from pykbroker.edges.metadata_store.frames import PREFACE, frames
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.metadata_store.remote import connect_store
from pykbroker.edges.metadata_store.served import serve_store
from pykbroker.edges.metadata_store.session import OUTSTANDING_LIMIT
from pykbroker.edges.metadata_store.switch import store_or
from pykbroker.edges.network import TcpNetwork
from pykbroker.ports import Compare, Put, StoreUnavailable, UnusableStore, WatchCompacted
from tests.support.cut_proxy import cut_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from pykbroker.edges.metadata_store.remote import RemoteStore
    from pykbroker.edges.metadata_store.served import StoreServer
    from pykbroker.ports import MetadataStore, Peer, Transport

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


@asynccontextmanager
async def linked(
    address: str, store: MetadataStore | None = None, **options: int
) -> AsyncIterator[tuple[StoreServer, RemoteStore]]:
    async with (
        serve_store(store or MemoryStore(SystemClock()), SystemClock(), address) as server,
        connect_store(server.addresses[0], SystemClock(), **options) as remote,
    ):
        yield server, remote


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.005)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def address(tmp_path: Path) -> str:
    return socket_address(str(tmp_path))


# Addresses.


def test_addresses_are_read_or_refused_in_one_line() -> None:
    for text in ("unix:/a/b.sock", "tcp://host:1", "tcp://[::1]:65535", "tcp://127.0.0.1:0"):
        assert str(parse_address(text)) == text
    for text in (
        "",
        "unix:b",
        "tcp://h",
        "tcp://:1",
        "tcp://h:x",
        "tcp://h:65536",
        "h:1",
        "tcp:h:1",
    ):
        with pytest.raises(UnusableStore, match="not unix:/path or tcp://host:port"):
            parse_address(text)


def test_a_short_path_is_used_as_it_is(tmp_path: Path) -> None:
    with short_path("/a/b") as name:
        assert name == "/a/b"


async def test_a_path_of_any_length_will_do(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 25) / ("longer" * 20)
    directory.mkdir(parents=True)
    address = socket_address(str(directory))
    assert len(address) > 2 * PATH_LIMIT_BYTES
    async with linked(address) as (server, store):
        assert server.addresses == (address,)
        assert os.listdir(directory) == ["store.sock"]
        assert (await store.read("/")).revision == 1
    assert os.listdir(directory) == []


async def test_only_its_owner_may_use_the_socket(address: str, tmp_path: Path) -> None:
    async with linked(address):
        assert os.stat(tmp_path / "store.sock").st_mode & 0o777 == 0o600


async def test_a_socket_that_a_killed_owner_left_is_replaced(address: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "store.sock"))
    async with linked(address) as (_, store):
        assert (await store.read("/")).revision == 1


async def test_a_store_that_is_served_already_is_left_alone(address: str) -> None:
    async with linked(address) as (_, store):
        with pytest.raises(UnusableStore, match="another process serves"):
            async with serve_store(MemoryStore(SystemClock()), SystemClock(), address):
                pass
        assert (await store.read("/")).revision == 1


async def test_what_is_no_socket_is_not_removed(address: str, tmp_path: Path) -> None:
    (tmp_path / "store.sock").write_text("mine")
    with pytest.raises(UnusableStore, match="not a socket"):
        async with serve_store(MemoryStore(SystemClock()), SystemClock(), address):
            pass
    assert (tmp_path / "store.sock").read_text() == "mine"


async def test_an_address_in_use_is_one_line() -> None:
    async with serve_store(
        MemoryStore(SystemClock()), SystemClock(), "tcp://127.0.0.1:0"
    ) as server:
        with pytest.raises(UnusableStore, match="the port is in use"):
            async with serve_store(MemoryStore(SystemClock()), SystemClock(), *server.addresses):
                pass


async def test_one_store_at_several_addresses(address: str) -> None:
    clock = SystemClock()
    async with (
        serve_store(MemoryStore(clock), clock, address, "tcp://127.0.0.1:0") as server,
        connect_store(server.addresses[0], clock) as one,
        connect_store(server.addresses[1], clock) as two,
    ):
        await one.transact((), [Put("/a", b"x")])
        assert (await two.read("/")).items[0].value == b"x"
        assert one.max_operations == two.max_operations == 100_000


# Connecting.


async def test_nobody_there_is_one_line_after_some_patience(address: str) -> None:
    with pytest.raises(
        UnusableStore, match=r"no answer .*store\.sock within 50 ms: .*No such file"
    ):
        async with connect_store(address, SystemClock(), patience_ms=50):
            pass


async def test_a_store_that_comes_later_is_waited_for(address: str) -> None:
    revisions = []

    async def use() -> None:
        async with connect_store(address, SystemClock()) as store:
            revisions.append((await store.read("/")).revision)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await anyio.sleep(0.1)
        clock = SystemClock()
        async with serve_store(MemoryStore(clock), clock, address):
            await until(lambda: revisions == [1])


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [(b"HTTP/1.1 400 Bad", "not the metadata store's protocol"), (b"PKBS\x07", "version 7")],
)
async def test_something_else_at_the_address_is_one_line_at_once(
    answer: bytes, complaint: str
) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(answer)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        with pytest.raises(UnusableStore, match=complaint):
            async with connect_store(f"tcp://127.0.0.1:{port}", SystemClock()):
                pass
        tasks.cancel_scope.cancel()


async def test_a_client_of_another_version_is_told_ours(address: str, tmp_path: Path) -> None:
    async with linked(address) as (_, store):
        stream = await anyio.connect_unix(tmp_path / "store.sock")
        async with stream:
            await stream.send(b"PKBS\x63")
            assert await stream.receive() == PREFACE
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        assert (await store.read("/")).revision == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the whole of 127/8 is the machine's own")
async def test_connections_come_from_the_source_host() -> None:
    clock = SystemClock()
    async with (
        serve_store(MemoryStore(clock), clock, "tcp://127.0.0.1:0") as server,
        cut_proxy("127.0.0.1", int(server.addresses[0].rpartition(":")[2])) as proxy,
        connect_store(f"tcp://127.0.0.1:{proxy.port}", clock, source_host="127.0.0.7"),
    ):
        assert proxy.clients == ["127.0.0.7"]


async def test_kafka_and_the_store_share_a_port() -> None:
    clock, network = SystemClock(), TcpNetwork()
    heard: list[bytes] = []

    class Kafka:
        def __init__(self, transport: Transport, peer: Peer) -> None:
            self._buffer = bytearray(3)
            self._transport = transport

        def get_buffer(self, size_hint: int) -> memoryview:
            return memoryview(self._buffer)

        def buffer_updated(self, size: int) -> None:
            heard.append(bytes(self._buffer[:size]))
            self._transport.write((self._buffer[:size],))

        def writable(self) -> None: ...

        def closed(self) -> None:
            heard.append(b"closed")

    async with serve_store(MemoryStore(clock), clock) as server:
        bound = network.bind("127.0.0.1", 0)
        listener = await network.serve(
            bound, "CONTROLLER", "PLAINTEXT", store_or(server.connect, Kafka)
        )
        async with connect_store(f"tcp://127.0.0.1:{listener.port}", clock) as store:
            assert (await store.transact((), [Put("/a", bytes(100_000))])).succeeded
            async with await anyio.connect_tcp("127.0.0.1", listener.port) as other:
                await other.send(b"\x00\x00")
                await other.send(b"\x00\x12Kafka")
                await until(lambda: b"".join(heard) == b"\x00\x00\x00\x12Kafka")
            await until(lambda: heard[-1] == b"closed")
            assert (await store.read("/")).items[0].value == bytes(100_000)
        listener.stop_accepting()


# A link that is lost.


async def test_a_lost_link_is_made_anew_and_leases_live_on() -> None:
    inner = MemoryStore(SystemClock())
    clock = SystemClock()
    async with (
        serve_store(inner, clock, "tcp://127.0.0.1:0") as server,
        cut_proxy("127.0.0.1", int(server.addresses[0].rpartition(":")[2])) as proxy,
        connect_store(f"tcp://127.0.0.1:{proxy.port}", clock) as store,
    ):
        lease = await store.grant_lease(HOUR_MS)
        await store.transact((), [Put("/a", b"", lease)])
        async with store.watch("/", 3) as watch:
            for _ in range(3):
                proxy.reset()
                with pytest.raises(StoreUnavailable, match="link to the metadata store"):
                    await watch.__anext__()
                break
        assert await store.renew_lease(lease)
        assert [item.key for item in (await store.read("/")).items] == ["/a"]


@pytest.mark.parametrize("cut", [["up"], ["down"], ["up", "down"]])
async def test_a_link_that_carries_nothing_ends_what_waits_on_it(cut: list[str]) -> None:
    clock = SystemClock()
    inner = MemoryStore(clock)
    async with (
        serve_store(inner, clock, "tcp://127.0.0.1:0") as server,
        cut_proxy("127.0.0.1", int(server.addresses[0].rpartition(":")[2])) as proxy,
        connect_store(
            f"tcp://127.0.0.1:{proxy.port}",
            clock,
            silence_ms=300,
            connect_timeout_ms=300,
            request_timeout_ms=HOUR_MS,
        ) as store,
        store.watch("/", 2) as watch,
    ):
        proxy.cut(*cut)
        outcome = []

        async def write() -> None:
            with pytest.raises(StoreUnavailable):
                await store.transact([Compare("/a", 0)], [Put("/a", b"")])
            outcome.append("unknown")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            with pytest.raises(StoreUnavailable, match="nothing was heard"):
                await watch.__anext__()
            if outcome == [] and "up" not in cut:
                await inner.transact([Compare("/elsewhere", 0)], [Put("/elsewhere", b"")])
        assert outcome == ["unknown"]
        proxy.reset()
        proxy.heal()
        assert (await store.transact((), [Put("/b", b"")])).succeeded


async def test_a_request_without_a_link_fails_in_bounded_time() -> None:
    clock = SystemClock()
    async with (
        serve_store(MemoryStore(clock), clock, "tcp://127.0.0.1:0") as server,
        cut_proxy("127.0.0.1", int(server.addresses[0].rpartition(":")[2])) as proxy,
        connect_store(
            f"tcp://127.0.0.1:{proxy.port}",
            clock,
            silence_ms=200,
            connect_timeout_ms=200,
            request_timeout_ms=400,
        ) as store,
    ):
        proxy.cut("up", "down")
        for call in (store.read("/"), store.transact((), []), store.renew_lease(1)):
            with pytest.raises(StoreUnavailable):
                await call
        with pytest.raises(StoreUnavailable):
            async with store.watch("/", 2) as watch:
                await watch.__anext__()


async def test_a_store_that_has_gone_back_in_time_is_not_believed(address: str) -> None:
    clock = SystemClock()
    async with linked(address, request_timeout_ms=300) as (server, store):
        await store.transact((), [Put("/a", b"")])
        server.close()
        with pytest.raises(StoreUnavailable):
            await store.read("/")
        async with serve_store(MemoryStore(clock), clock, address):
            with pytest.raises(StoreUnavailable, match="lost what was written"):
                await store.read("/")


class SlowStore(MemoryStore):
    """Transactions wait until they are let go."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.go = anyio.Event()

    async def transact(self, compares, operations):
        await self.go.wait()
        return await super().transact(compares, operations)


async def test_leases_are_renewed_while_transactions_are_slow_and_answers_long(
    address: str,
) -> None:
    inner = SlowStore()
    async with linked(address, inner, request_timeout_ms=60_000) as (_, store):
        await MemoryStore.transact(inner, (), [Put("/big", bytes(30_000_000))])
        lease = await store.grant_lease(HOUR_MS)
        finished = []

        async def write(n: int) -> None:
            await store.transact((), [Put(f"/{n}", bytes(1_000))])
            finished.append(n)

        async def read() -> None:
            assert len((await store.read("/big")).items[0].value) == 30_000_000
            finished.append(-1)

        async with anyio.create_task_group() as tasks:
            for n in range(300):
                tasks.start_soon(write, n)
            await anyio.sleep(0.05)
            assert await store.renew_lease(lease)
            assert finished == []
            inner.go.set()
            tasks.start_soon(read)
        assert sorted(finished) == list(range(-1, 300))


async def test_a_request_that_takes_too_long_may_have_taken_effect(address: str) -> None:
    inner = SlowStore()
    async with linked(address, inner, request_timeout_ms=100) as (_, store):
        with pytest.raises(StoreUnavailable, match="within 100 ms"):
            await store.transact((), [Put("/a", b"")])
        inner.go.set()
        async with store.watch("/", 2) as watch:
            assert (await watch.__anext__()).revision == 2


async def test_a_caller_that_gives_up_leaves_the_link_in_order(address: str) -> None:
    async with linked(address, request_timeout_ms=60_000) as (_, store):
        big = Put("/big", bytes(10_000_000))
        for _ in range(5):
            with anyio.move_on_after(0.001):
                await store.transact((), [big])
            with anyio.move_on_after(0.001):
                await store.read("/")
        assert (await store.transact((), [Put("/a", b"x")])).succeeded
        assert (await store.read("/a")).items[0].value == b"x"


async def test_a_reader_that_never_comes_is_told_that_it_missed_some(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pykbroker.edges.metadata_store.buffered_watch.BEHIND_EVENTS", 10)
    async with linked(address) as (_, store), store.watch("/", 2) as watch:
        for n in range(30):
            await store.transact((), [Put(f"/{n}", b"")])
        with pytest.raises(WatchCompacted):
            async for _ in watch:
                pass


# Clients that do not behave.


GARBAGE = [
    b"",
    b"\x00\x00\x00\x20\x00\x12\x00\x00",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    PREFACE + b"\xff" * 100,
    PREFACE + b"".join(frames(99, 1, b"")),
    PREFACE + b"".join(frames(2, 1, b"\xff\xff\xff\xff")),
    PREFACE + b"".join(frames(3, 1, b"\x00" * 7)),
    PREFACE + b"".join(frames(7, 1, bytes(11) + b"\x09")) * 2,
    PREFACE + b"".join(frames(5, 1, b"\x00" * 9)),
    PREFACE
    + b"".join(next(frames(7, n, bytes(11) + b"\x09")) for n in range(OUTSTANDING_LIMIT + 9)),
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_ends_its_own_connection_and_nothing_else(
    garbage: bytes, address: str, tmp_path: Path
) -> None:
    async with linked(address) as (server, store), store.watch("/", 2) as watch:
        async with await anyio.connect_unix(tmp_path / "store.sock") as stream:
            await stream.send(garbage)
            if garbage:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    while True:
                        await stream.receive()
        assert (await store.transact((), [Put("/a", b"")])).succeeded
        assert (await watch.__anext__()).revision == 2
        await until(lambda: len(server._sessions) == 1)


@pytest.mark.parametrize("ttl_ms", [0, -1, 2**31, 2**62])
async def test_a_lease_of_no_sense_is_misuse(ttl_ms: int, address: str) -> None:
    async with linked(address) as (_, store):
        with pytest.raises(ValueError, match="a lease of"):
            await store.grant_lease(ttl_ms)


async def test_a_client_that_does_not_read_does_not_fill_the_memory(
    address: str, tmp_path: Path
) -> None:
    async with (
        linked(address) as (server, store),
        await anyio.connect_unix(tmp_path / "store.sock") as stream,
    ):
        await stream.send(PREFACE + b"".join(frames(7, 1, bytes(11) + b"\x02")))
        await until(lambda: any(session._watches for session in server._sessions))
        (lazy,) = [session for session in server._sessions if session._watches]
        for _ in range(40):
            await store.transact((), [Put("/a", bytes(200_000))])
        assert lazy._transport.unsent < 2_000_000


# Processes and their leases.

HOLDER = """
import sys, anyio
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.remote import connect_store
from pykbroker.ports import Put, StoreUnavailable

async def main():
    async with connect_store(sys.argv[1], SystemClock()) as store:
        lease = await store.grant_lease(3_600_000)
        await store.transact((), [Put("/holder", b"", lease)])
        print(lease, flush=True)
        while True:
            await anyio.sleep(0.05)
            try:
                print(await store.renew_lease(lease), flush=True)
            except StoreUnavailable:
                pass

anyio.run(main)
"""


class Holder:
    """Another process that holds a lease of an hour."""

    def __init__(self, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, address],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.lease = 0

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await anyio.to_thread.run_sync(self.process.stdout.readline)).strip()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start_holder(address: str) -> Iterator[Callable[[], Holder]]:
    holders: list[Holder] = []

    def start() -> Holder:
        holders.append(Holder(address))
        return holders[-1]

    yield start
    for holder in holders:
        holder.end()


async def held(store: MemoryStore) -> bool:
    return bool((await store.read("/holder")).items)


async def gone(store: MemoryStore) -> None:
    with anyio.fail_after(60):
        while await held(store):
            await anyio.sleep(0.005)


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="pidfd is Linux'")


@pytest.mark.parametrize("use_pidfd", [pytest.param(True, marks=LINUX), False])
async def test_a_process_that_is_killed_loses_its_leases_at_once(
    use_pidfd: bool, address: str, start_holder: Callable[[], Holder]
) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serve_store(store, clock, address, use_pidfd=use_pidfd):
        holder = start_holder()
        await holder.line()
        assert await held(store)
        holder.process.kill()
        holder.process.wait()
        killed = time.monotonic()
        await gone(store)
        assert time.monotonic() - killed < 60, "the lease itself lasts an hour"


@LINUX
async def test_a_killed_process_need_not_be_reaped_for_that(
    address: str, start_holder: Callable[[], Holder]
) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serve_store(store, clock, address):
        holder = start_holder()
        await holder.line()
        holder.process.kill()
        await gone(store)


@pytest.mark.parametrize("use_pidfd", [pytest.param(True, marks=LINUX), False])
async def test_a_living_process_keeps_its_leases_when_it_connects_again(
    use_pidfd: bool, address: str, start_holder: Callable[[], Holder]
) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serve_store(store, clock, address, use_pidfd=use_pidfd) as server:
        holder = start_holder()
        await holder.line()
        for _ in range(3):
            (session,) = server._sessions
            session.end("a test")
            await until(lambda: server._sessions)
            for _ in range(3):
                assert await holder.line() == "True"
        assert await held(store)
        holder.process.kill()
        holder.process.wait()
        await gone(store)


async def test_a_paused_process_keeps_its_leases(
    address: str, start_holder: Callable[[], Holder]
) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serve_store(store, clock, address) as server:
        holder = start_holder()
        await holder.line()
        holder.process.send_signal(signal.SIGSTOP)
        try:
            (session,) = server._sessions
            session.end("a test")
            await anyio.sleep(0.3)
            assert await held(store)
        finally:
            holder.process.send_signal(signal.SIGCONT)
        await until(lambda: server._sessions)
        assert await holder.line() == "True"


async def test_who_knows_of_an_end_can_say_so(
    address: str, start_holder: Callable[[], Holder]
) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serve_store(store, clock, address) as server:
        holder = start_holder()
        await holder.line()
        await server.revoke_leases_of(os.getpid())
        assert await held(store)
        await server.revoke_leases_of(holder.process.pid)
        assert not await held(store)
        # What is still under way from it holds nothing any more.
        assert holder.process.poll() is None
        (session,) = server._sessions
        lease = await store.grant_lease(HOUR_MS)
        assert session.process is not None
        assert session.process.is_gone
        await session._grant(1, HOUR_MS)
        assert not await store.renew_lease(lease + 1)
        assert await store.renew_lease(lease)


async def test_over_tcp_only_time_ends_a_lease(start_holder: Callable[[], Holder]) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serve_store(store, clock, "tcp://127.0.0.1:0") as server:
        holder = Holder(server.addresses[0])
        try:
            await holder.line()
        finally:
            holder.end()
        await until(lambda: not server._sessions)
        await anyio.sleep(0.1)
        assert await held(store)
