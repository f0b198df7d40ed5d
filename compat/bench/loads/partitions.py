"""Topics of many partitions: making them, producing to all at once, fetching all of them idle."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from kio.schema.errors import ErrorCode
from kio.schema.fetch.v12.response import FetchResponse
from kio.schema.produce.v9.response import ProduceResponse

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.raw import BrokerError, decode, fetch_request, parts, produce_request

if TYPE_CHECKING:
    from typing import Any

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
    with subject.cpu() as cpu, subject.topic(count) as topic, topic.connect() as connection:
        seconds = time.perf_counter() - begun
        values = {"create_ms": seconds * 1000}
        answer = connection.ask(produce_to_all(topic.name, count))
        check(parts(decode(ProduceResponse, bytes(answer))))
        if count >= 100 and subject.processes is not None:
            values["kb_each"] = (subject.processes.resident_mb() - before) * 1000 / count
    if cpu:
        values["cpu_ms_per_1000"] = cpu[0] * 1e6
    return values


def produce(subject: Subject, *, count: int, repeats: int) -> dict[str, float]:
    """One request with a record for each partition."""
    with subject.topic(count) as topic, topic.connect() as connection:
        request = produce_to_all(topic.name, count)
        return asked(subject, connection, request, repeats, ProduceResponse)


def fetch(subject: Subject, *, count: int, repeats: int) -> dict[str, float]:
    """One request that names every partition; none has anything, and it does not wait."""
    with subject.topic(count) as topic, topic.connect() as connection:
        return asked(subject, connection, fetch_all(topic.name, count), repeats, FetchResponse)


def produce_to_all(topic: str, count: int) -> bytes:
    data = batch(1, RECORD)
    return produce_request({partition: data for partition in range(count)}, topic, -1)


def fetch_all(topic: str, count: int) -> bytes:
    return fetch_request(topic, list(range(count)), 0, max_wait_ms=0, min_bytes=0)


def check(answered: list[Any]) -> None:
    for part in answered:
        if part.error_code is not ErrorCode.none:
            raise BrokerError(f"a partition was refused: {part.error_code.name}")


def asked(
    subject: Subject, connection: Connection, request: bytes, repeats: int, response_type: Any
) -> dict[str, float]:
    for _ in range(REPEATS):
        answer = connection.ask(request)
    check(parts(decode(response_type, bytes(answer))))
    with subject.cpu() as cpu:
        begun = time.perf_counter()
        for _ in range(repeats):
            answer = connection.ask(request)
        seconds = time.perf_counter() - begun
    check(parts(decode(response_type, bytes(answer))))
    values = {"requests_per_s": repeats / seconds}
    if cpu:
        values["cpu_ms_per_1000"] = cpu[0] * 1e6 / repeats
    return values
