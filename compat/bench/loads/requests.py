"""Prepared requests on one connection: what a request costs by its bytes."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.raw import BrokerError, PreparedFetch, prepare_produce

if TYPE_CHECKING:
    from compat.bench.subjects import Subject, Topic

IN_FLIGHT = 5
RECORD = 1000


def cases(*, quick: bool) -> list[Case]:
    found = []
    for kilobytes, count in ((1, 4000), (10, 4000), (100, 2000), (1000, 300)):
        scaled = count // 10 if quick else count
        for kind, run in (("produce", produce), ("fetch", fetch)):
            found.append(
                Case(
                    "requests",
                    f"{kind} {kilobytes} KB",
                    partial(run, records=kilobytes, count=scaled),
                    group=f"{kind} by KB",
                    x=kilobytes,
                    quick=kilobytes in (10, 1000),
                )
            )
    return [case for case in found if case.quick] if quick else found


def produce(subject: Subject, *, records: int, count: int) -> dict[str, float]:
    data = batch(records, RECORD)
    with subject.topic() as topic:
        pipelined_produce(topic, data, IN_FLIGHT)
        with subject.cpu() as cpu:
            seconds = pipelined_produce(topic, data, count)
    return by_request(count, count, count * records * RECORD, seconds, cpu)


def fetch(subject: Subject, *, records: int, count: int) -> dict[str, float]:
    """Each request is answered with one batch, or as many as fit in the same bytes."""
    data = batch(records, RECORD)
    with subject.topic() as topic:
        pipelined_produce(topic, data, count)
        limit = len(data)
        read_back(topic, records * min(count, 10), limit)
        with subject.cpu() as cpu:
            begun = time.perf_counter()
            requests = read_back(topic, records * count, limit)
            seconds = time.perf_counter() - begun
    return by_request(requests, count, count * records * RECORD, seconds, cpu)


def by_request(
    requests: int, batches: int, data_bytes: int, seconds: float, cpu: list[float]
) -> dict[str, float]:
    """Some brokers answer with more than was asked for: then a request is no unit."""
    values = {"mb_per_s": data_bytes / seconds / 1e6}
    if cpu:
        values["cpu_s_per_gb"] = cpu[0] * 1e9 / data_bytes
        if requests == batches:
            values["cpu_ms_per_1000"] = cpu[0] * 1e6 / requests
    return values


def pipelined_produce(topic: Topic, data: bytes, count: int, acks: int = -1) -> float:
    """Sends the batch ``count`` times, some requests ahead of their answers; the seconds."""
    prepared = prepare_produce(topic.name, data, acks=acks)
    with topic.connect() as connection:
        begun = time.perf_counter()
        for number in range(count + IN_FLIGHT):
            if number >= IN_FLIGHT:
                prepared.check(connection.take())
            if number < count:
                connection.socket.sendall(prepared.frame)
        return time.perf_counter() - begun


def read_back(topic: Topic, records: int, limit: int = 1 << 20) -> int:
    """Fetches the first ``records`` records, ``limit`` bytes at a time; how often it asked."""
    prepared = PreparedFetch(topic.name, partition_max_bytes=limit, max_bytes=max(limit, 1 << 20))
    offset = requests = 0
    with topic.connect() as connection:
        while offset < records:
            fetched = prepared.read(connection.ask(prepared.at(offset)))
            after = fetched.next_offset(offset)
            if after == offset and fetched.high_watermark >= records:
                raise BrokerError(f"nothing at offset {offset}")
            offset, requests = after, requests + 1
    return requests
