"""Topics of many partitions: making them, producing to all at once, fetching all of them idle."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.raw import fetch_request, produce_request

if TYPE_CHECKING:
    from compat.bench.raw import Connection
    from compat.bench.subjects import Subject

COUNTS = (1, 10, 100, 1000)
QUICK_COUNTS = (1, 100)
RECORD = 100
REPEATS = 20
ENTRIES = 20_000
"""Partitions named by all requests of one load together, at least."""


def cases(*, quick: bool) -> list[Case]:
    return [
        Case(
            "partitions",
            f"{what} {count}",
            partial(run, count=count, repeats=REPEATS + ENTRIES // (count * (10 if quick else 1))),
            group=f"{what} by partitions",
            x=count,
        )
        for what, run in (("create", create), ("produce to", produce), ("fetch idle", fetch))
        for count in (QUICK_COUNTS if quick else COUNTS)
    ]


def create(subject: Subject, *, count: int, repeats: int) -> dict[str, float]:
    """Memory is looked at once every partition holds a record."""
    del repeats
    before = subject.processes.resident_mb() if subject.processes else 0.0
    begun = time.perf_counter()
    with subject.cpu() as cpu, subject.topic(count) as topic:
        seconds = time.perf_counter() - begun
        values = {"create_ms": seconds * 1000}
        with topic.connect() as connection:
            connection.ask(produce_to_all(topic.name, count))
        if count >= 100 and subject.processes is not None:
            values["kb_each"] = (subject.processes.resident_mb() - before) * 1000 / count
    if cpu:
        values["cpu_ms_per_1000"] = cpu[0] * 1e6
    return values


def produce(subject: Subject, *, count: int, repeats: int) -> dict[str, float]:
    """One request with a record for each partition."""
    with subject.topic(count) as topic, topic.connect() as connection:
        return asked(subject, connection, produce_to_all(topic.name, count), repeats)


def fetch(subject: Subject, *, count: int, repeats: int) -> dict[str, float]:
    """One request that names every partition; none has anything, and it does not wait."""
    with subject.topic(count) as topic, topic.connect() as connection:
        request = fetch_request(topic.name, list(range(count)), 0, max_wait_ms=0, min_bytes=0)
        return asked(subject, connection, request, repeats)


def produce_to_all(topic: str, count: int) -> bytes:
    data = batch(1, RECORD)
    return produce_request({partition: data for partition in range(count)}, topic, -1)


def asked(
    subject: Subject, connection: Connection, request: bytes, repeats: int
) -> dict[str, float]:
    for _ in range(REPEATS):
        connection.ask(request)
    with subject.cpu() as cpu:
        begun = time.perf_counter()
        for _ in range(repeats):
            connection.ask(request)
        seconds = time.perf_counter() - begun
    values = {"requests_per_s": repeats / seconds}
    if cpu:
        values["cpu_ms_per_1000"] = cpu[0] * 1e6 / repeats
    return values
