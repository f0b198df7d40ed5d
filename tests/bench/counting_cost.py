"""What counting adds to a request: bytes in, bytes out, without sockets.

Each kind of request is served by a process as it is and by one whose modules were stripped of what
they count, in turns. Told are CPU times per request, the lower quartile of several processes, or
with ``--instructions`` how many instructions Valgrind counts. Both scatter by 2 %.
Prints; asserts nothing.

    python -m tests.bench.counting_cost [--instructions]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio

from pykbroker.edges.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, ModuleType

COUNTING: dict[str, Sequence[str]] = {
    "pykbroker.handlers.connection": (
        "self._counts.bytes_in += size",
        "self._counts.requests += len(frames)",
        "self._counts.bytes_out += size",
        "left = self._left_untimed\n",
        "left[route.api_key] = until_timed = left[route.api_key] - 1",
        "if until_timed <= 0:\n"
        "            now_ns = self._broker.clock.monotonic_ns()\n"
        "            times = self._table.requests.times\n"
        "            context.timing = times.begin(route.api_key, self._read_ns, now_ns)",
        "answered = route.answered\n"
        "        if context.is_exempt:\n"
        "            answered = self._table.requests.of("
        "route.api_key, route.version, is_broker=True)\n"
        "        answered.note(response, answered)",
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


def request_of(kind: str) -> Callable[[], None]:
    """Serves one such request."""
    import pykbroker.handlers.fetch
    import pykbroker.handlers.produce  # noqa: F401
    from pykbroker.handlers.connections import Connections
    from tests.bench.data_path import fetch, produce
    from tests.support.connected_client import Client
    from tests.support.data_path import DataPath, batch
    from wire.client import request_frame

    path = DataPath()
    path.create("t")
    path.create("idle")
    path.append(b"x" * 1000, name="idle")
    clock = path.services.clock = Steady()
    path.services.telemetry = None
    table = Connections(cast("Any", path.services))
    client = Client(table)
    if kind == "produce":
        records = batch(b"x" * 1000)
        frame = b"".join(request_frame(produce(records), 12, 1, "client"))
    else:
        frame = b"".join(request_frame(fetch(1), 12, 1, "client"))
    session = 0
    if kind == "fetch in a session":
        frame = b"".join(request_frame(fetch(1, session=(0, 0)), 12, 1, "client"))
        client.send_bytes(frame)
        [session] = (found.session_id for found in path.sessions.sessions())
        entry = next(iter(path.sessions.sessions()[0].entries.values()))
        entry.request.fetch_offset = 1
    epoch = 0

    def serve() -> None:
        clock.ns += 50_000
        client.send_bytes(frame)
        client.transport.written = b""

    def serve_session() -> None:
        nonlocal epoch
        clock.ns += 50_000
        epoch += 1
        asked = fetch(0, session=(session, epoch))
        client.send_bytes(b"".join(request_frame(asked, 12, 1, "client")))
        client.transport.written = b""

    return serve_session if session else serve


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
    added = 100 * (plain / stripped - 1)
    print(f"{kind:20} {plain:10.1f} {unit}, {stripped:10.1f} without counting: {added:+.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stripped", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.stripped:
        sys.meta_path.insert(0, Stripping())
    if chosen.serve:
        anyio.run(serve, chosen.serve, chosen.count, chosen.rounds)
        return
    for kind in KINDS:
        compare(kind, by_instructions=chosen.instructions)


if __name__ == "__main__":
    main()
