"""What counting adds to a request, as clients see it: over a socket, one at a time and in a full
pipeline, with a log on disk; and without sockets: bytes in, bytes out.

Each kind of request is served by a process as it is and by one whose modules were stripped of what
they count, in turns. Told are the server's CPU times per request: of every pair of processes each
one's best round, and of the pairs the median; without sockets the lower quartile of several
processes, or with ``--instructions`` how many instructions Valgrind counts. They scatter by 2 %.
Prints; asserts nothing.

    python -m tests.bench.counting_cost [--instructions]
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from compat.bench.processes import ProcessTree
from pykbroker.edges.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, ModuleType

    from pykbroker.handlers.connections import Connections
    from tests.support.data_path import DataPath
    from wire.schema import Request

PLAIN = "PLAINTEXT"
COUNTING: dict[str, Sequence[str]] = {
    "pykbroker.handlers.connection": (
        "self._counts.bytes_in += size",
        "self._counts.requests += len(frames)",
        "self._counts.bytes_out += size",
        "if answered.left <= 0:\n"
        "            context.timing = answered.begin(self._read_ns, self._monotonic_ns())\n"
        "        answered.left -= 1",
        "answered = route.answered\n"
        "        if context.is_exempt:\n"
        "            answered.passed_on()\n"
        "            answered = self._table.requests.of("
        "route.api_key, route.version, is_broker=True)\n"
        "            answered.left -= 1\n"
        "        if context.told_none:\n"
        "            answered.told_none += context.told_none\n"
        "        else:\n"
        "            note = answered.note\n"
        "            note(response, answered)",
    ),
    "pykbroker.runtime.partition": (
        "traffic.produces += 1",
        "traffic.records_in += info.record_count",
        "traffic.bytes_in += info.size_in_bytes",
    ),
    "pykbroker.runtime.fetching": ("partition.traffic.fetches += 1",),
    "pykbroker.handlers.fetch": (
        "context.count_fetch()",
        "traffic.known(entry.topic).bytes_out += answer.size",
    ),
}
"""Statements by module; each becomes ``pass``."""
KINDS = ("produce", "fetch", "fetch in a session")
WAYS = ("in a pipeline", "one at a time")
BURST = 50
OVER_SOCKETS = 400
"""Requests by one server in one turn."""
PAIRS, TURNS = 5, 40
ROUNDS = 15
FEW, MANY = 100, 600


class Stripped(SourceFileLoader):
    """Loads a module without the statements that count."""

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        for statement in COUNTING[fullname]:
            assert source.count(statement) == 1, f"{fullname}: {statement}"
            source = source.replace(statement, "pass\n" if statement.endswith("\n") else "pass")
        return compile(source, self.path, "exec")


class Stripping(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname in COUNTING else None
        if spec is not None and spec.origin is not None:
            spec.loader = Stripped(fullname, spec.origin)
        return spec


class Steady(SystemClock):
    """Reads the time like any other, and then says that 50 us have passed with each request: of
    many requests only some are timed, and under Valgrind these would be few."""

    def __init__(self) -> None:
        super().__init__()
        self.ns = 10**12

    def monotonic_ns(self) -> int:
        time.monotonic_ns()
        return self.ns

    def monotonic_ms(self) -> int:
        return self.ns // 1_000_000


def connections(path: DataPath, clock: SystemClock) -> Connections:
    """That serve topics of one partition: ``t`` to produce to, ``idle`` with one record."""
    import pykbroker.handlers.fetch
    import pykbroker.handlers.produce  # noqa: F401
    from pykbroker.handlers.connections import Connections

    path.create("t")
    path.create("idle")
    path.append(b"x" * 1000, name="idle")
    services: Any = path.services
    services.clock = clock
    services.telemetry = SimpleNamespace(connection_closed=lambda number: None)
    return Connections(services)


def first_fetch() -> bytes:
    """Begins a session that has read everything."""
    from tests.bench.data_path import fetch

    request = fetch(1, session=(0, 0))
    request.topics[0].partitions[0].fetch_offset = 1
    return framed(request)


def session_of(answer: bytes) -> int:
    """Of a fetch of version 12: behind its correlation id, tags, throttle time and error."""
    return int.from_bytes(answer[4 + 1 + 4 + 2 :][:4], "big")


def frames(kind: str, session: int = 0) -> Iterator[bytes]:
    """One request after another."""
    from tests.bench.data_path import fetch, produce
    from tests.support.data_path import batch

    if kind == "fetch in a session":
        for epoch in itertools.count(1):
            yield framed(fetch(0, session=(session, epoch)))
    request = produce(batch(b"x" * 1000)) if kind == "produce" else fetch(1)
    yield from itertools.repeat(framed(request))


def framed(request: Request) -> bytes:
    from wire.client import request_frame

    return b"".join(request_frame(request, 12, 1, "client"))


def request_of(kind: str) -> Callable[[], None]:
    """Serves one such request."""
    from tests.support.connected_client import Client
    from tests.support.data_path import DataPath

    clock = Steady()
    client = Client(connections(DataPath(), clock))
    client.send_bytes(first_fetch())
    [answer] = client.take_answers()
    requests = frames(kind, session_of(bytes(4) + answer))

    def serve() -> None:
        clock.ns += 50_000
        client.send_bytes(next(requests))
        client.transport.written = b""

    return serve


async def listen() -> None:
    """In a process of its own, until its input ends: prints the port."""
    from pykbroker.edges.disk import RealDisk
    from pykbroker.edges.listener import Listener, bind
    from tests.support.data_path import DataPath

    with tempfile.TemporaryDirectory() as folder:
        table = connections(DataPath(disk=RealDisk(), log_dirs=(folder,)), SystemClock())
        listener = Listener(PLAIN, PLAIN, bind("127.0.0.1", 0), table.connect)
        await listener.start()
        print(listener.port, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
        listener.abort_connections()
        listener.stop_accepting()


class Server:
    """Such a process, and a connection to it."""

    def __init__(self, kind: str, *, stripped: bool) -> None:
        words = [sys.executable, "-m", "tests.bench.counting_cost", "--listen"]
        self._process = subprocess.Popen(
            [*words, "--stripped"] if stripped else words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self._cpu = ProcessTree(self._process.pid)
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")
        self._socket.sendall(first_fetch())
        self._requests = frames(kind, session_of(self._take()))

    def _take(self) -> bytes:
        return self._answers.read(int.from_bytes(self._answers.read(4), "big"))

    def cpu_us(self, bursts: int, burst: int) -> float:
        """Of one request; two bursts are on their way at a time, so that it never runs dry."""
        ready = [b"".join(itertools.islice(self._requests, burst)) for _ in range(bursts)]
        begun = self._cpu.cpu_seconds()
        waiting = 0
        for data in ready:
            self._socket.sendall(data)
            waiting += burst
            while waiting > (burst if burst > 1 else 0):
                self._take()
                waiting -= 1
        for _ in range(waiting):
            self._take()
        return (self._cpu.cpu_seconds() - begun) * 1e6 / (bursts * burst)

    def close(self) -> None:
        self._socket.close()
        self._process.communicate()


def compare_over_sockets(kind: str, way: str) -> None:
    burst = BURST if way == "in a pipeline" else 1
    pairs = []
    for _ in range(PAIRS):
        servers = [Server(kind, stripped=stripped) for stripped in (False, True)]
        best = [float("inf")] * 2
        for turn in range(TURNS):
            for index in (0, 1) if turn % 2 else (1, 0):
                us = servers[index].cpu_us(OVER_SOCKETS // burst, burst)
                if turn:
                    best[index] = min(best[index], us)
        pairs.append(best)
        for server in servers:
            server.close()
    plain, stripped = (statistics.median(column) for column in zip(*pairs, strict=True))
    added = statistics.median(100 * (with_it / without - 1) for with_it, without in pairs)
    told(f"{kind}, {way}", plain, stripped, "us", added)


def told(name: str, plain: float, stripped: float, unit: str, added: float) -> None:
    print(
        f"{name:34} {plain:10.1f} {unit}, {stripped:10.1f} without counting: {added:+.1f} %",
        flush=True,
    )


async def serve(kind: str, count: int, rounds: int) -> None:
    """In a process of its own: prints microseconds of CPU per request."""
    from tests.bench.data_path import best_of

    action = request_of(kind)
    for _ in range(50):
        action()
    print(best_of(rounds, count, action) * 1e6)


def child(kind: str, count: int, rounds: int, *, stripped: bool) -> list[str]:
    words = [sys.executable, "-m", "tests.bench.counting_cost", "--serve", kind]
    words += ["--count", str(count), "--rounds", str(rounds)]
    return [*words, "--stripped"] if stripped else words


def cpu_us(kind: str, *, stripped: bool) -> float:
    done = subprocess.run(
        child(kind, 400, 9, stripped=stripped), capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def instructions(kind: str, *, stripped: bool) -> float:
    """Per request: what more of them need more."""
    return (_counted(kind, MANY, stripped) - _counted(kind, FEW, stripped)) / (MANY - FEW)


def _counted(kind: str, count: int, stripped: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no"]
        words = [
            *valgrind,
            f"--cachegrind-out-file={out}",
            *child(kind, count, 1, stripped=stripped),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run(words, capture_output=True, check=True, env=environment)
        summary = next(line for line in out.read_text().splitlines() if line.startswith("summary:"))
    return int(summary.split()[1])


def compare(kind: str, *, by_instructions: bool) -> None:
    if by_instructions:
        plain, stripped = (instructions(kind, stripped=without) for without in (False, True))
        unit = "instructions"
    else:
        rounds = [
            (cpu_us(kind, stripped=False), cpu_us(kind, stripped=True)) for _ in range(ROUNDS)
        ]
        plain, stripped = (sorted(column)[ROUNDS // 4] for column in zip(*rounds, strict=True))
        unit = "us"
    told(f"{kind}, without sockets", plain, stripped, unit, 100 * (plain / stripped - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--listen", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stripped", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.stripped:
        sys.meta_path.insert(0, Stripping())
    if chosen.listen:
        anyio.run(listen, backend_options={"use_uvloop": True})
        return
    if chosen.serve:
        anyio.run(serve, chosen.serve, chosen.count, chosen.rounds)
        return
    for way in () if chosen.instructions else WAYS:
        for kind in KINDS:
            compare_over_sockets(kind, way)
    for kind in KINDS:
        compare(kind, by_instructions=chosen.instructions)


if __name__ == "__main__":
    main()
