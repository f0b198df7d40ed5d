"""Many connections at a time, each with a request on its way: cost and memory of a connection."""

from __future__ import annotations

import contextlib
import resource
import selectors
import time
from functools import partial
from typing import TYPE_CHECKING

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.figures import latency
from compat.bench.raw import BrokerError, prepare_produce

if TYPE_CHECKING:
    from compat.bench.raw import Connection, PreparedProduce
    from compat.bench.subjects import Subject

COUNTS = (1, 10, 100, 500, 1000)
QUICK_COUNTS = (1, 100)
REQUESTS = 10_000
RECORD = 100
PATIENCE_SECONDS = 60.0


def cases(*, quick: bool) -> list[Case]:
    return [
        Case(
            "connections",
            f"{count} at once",
            partial(run, count=count, requests=REQUESTS // 5 if quick else REQUESTS),
            group="requests by connections",
            x=count,
        )
        for count in (QUICK_COUNTS if quick else COUNTS)
    ]


def run(subject: Subject, *, count: int, requests: int) -> dict[str, float]:
    allow_descriptors(count + 100)
    before = subject.processes.resident_mb() if subject.processes else 0.0
    with subject.topic() as topic, contextlib.ExitStack() as opened:
        prepared = prepare_produce(topic.name, batch(1, RECORD))
        connections = [opened.enter_context(topic.connect()) for _ in range(count)]
        exchange(connections, prepared, count)
        with subject.cpu() as cpu:
            begun = time.perf_counter()
            samples = exchange(connections, prepared, requests)
            seconds = time.perf_counter() - begun
        values = {"requests_per_s": requests / seconds, **latency(samples)}
        if subject.processes is not None:
            values["cpu_ms_per_1000"] = cpu[0] * 1e6 / requests
            if count >= 100:
                values["kb_each"] = (subject.processes.resident_mb() - before) * 1000 / count
    return values


def exchange(
    connections: list[Connection], prepared: PreparedProduce, requests: int
) -> list[float]:
    """Each connection asks again when it is answered; the seconds that each answer took."""
    sent_at: dict[Connection, float] = {}
    samples: list[float] = []
    left = requests

    def ask(connection: Connection) -> None:
        nonlocal left
        if left:
            left -= 1
            sent_at[connection] = time.perf_counter()
            connection.socket.sendall(prepared.frame)

    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            ask(connection)
        while len(samples) < requests:
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                raise BrokerError(f"{len(samples)} of {requests} requests answered, then nothing")
            for key, _ in ready:
                connection = key.data
                prepared.check(connection.take())
                samples.append(time.perf_counter() - sent_at[connection])
                ask(connection)
    return samples


def allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
