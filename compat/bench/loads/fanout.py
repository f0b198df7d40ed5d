"""Many consumers of one partition: live, record by record, and reading what is there."""

from __future__ import annotations

import contextlib
import selectors
import time
from functools import partial
from typing import TYPE_CHECKING

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.figures import latency
from compat.bench.loads.requests import pipelined_produce
from compat.bench.raw import BrokerError, PreparedFetch, prepare_produce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compat.bench.raw import Connection
    from compat.bench.subjects import Subject

CONSUMERS = (1, 10, 50)
RECORD = 1000
RATE = 100
BATCH_RECORDS = 100
CHUNK_BYTES = 1 << 20
PATIENCE_SECONDS = 60.0


def cases(*, quick: bool) -> list[Case]:
    found = []
    for count in (50,) if quick else CONSUMERS:
        live_load = partial(live, consumers=count, records=100 if quick else 300)
        bulk_load = partial(bulk, consumers=count, batches=40 if quick else 200)
        for name, load in (("live", live_load), ("bulk", bulk_load)):
            title = f"{name} to {count}"
            found.append(Case("fan-out", title, load, group=f"{name} by consumers", x=count))
    return found


class Reader:
    """A consumer at an offset, with a fetch on its way."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self.connection = connection
        self.offset = 0
        self._fetch = PreparedFetch(topic, partition_max_bytes=CHUNK_BYTES, max_bytes=CHUNK_BYTES)

    def ask(self) -> None:
        self.connection.socket.sendall(self._fetch.at(self.offset))

    def take(self) -> range:
        """The offsets that have come."""
        begin = self.offset
        self.offset = self._fetch.read(self.connection.take()).next_offset(begin)
        return range(begin, self.offset)


@contextlib.contextmanager
def readers(subject: Subject, topic: str, count: int) -> Iterator[list[Reader]]:
    with contextlib.ExitStack() as opened:
        yield [Reader(opened.enter_context(subject.connect()), topic) for _ in range(count)]


def run_until(
    everyone: list[Reader], end: int, received: Callable[[range], None], send: Callable[[], float]
) -> None:
    """Until each has read up to ``end``. ``send`` gives the seconds until it wants to be called."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with selectors.DefaultSelector() as selector:
        for reader in everyone:
            selector.register(reader.connection.socket, selectors.EVENT_READ, reader)
            reader.ask()
        while any(reader.offset < end for reader in everyone):
            for key, _ in selector.select(min(1.0, send())):
                reader = key.data
                received(reader.take())
                if reader.offset < end:
                    reader.ask()
            if time.monotonic() > deadline:
                raise BrokerError(f"not everyone has {end} records after {PATIENCE_SECONDS:.0f} s")


def live(subject: Subject, *, consumers: int, records: int) -> dict[str, float]:
    """Each record from when it was sent to when each consumer has it."""
    sent: list[float] = []
    samples: list[float] = []

    def received(offsets: range) -> None:
        now = time.perf_counter()
        samples.extend(now - sent[offset] for offset in offsets)

    with (
        subject.topic() as topic,
        topic.connect() as producer,
        readers(subject, topic.name, consumers) as everyone,
    ):
        prepared = prepare_produce(topic.name, batch(1, RECORD))
        begun = time.perf_counter()

        def send() -> float:
            left = begun + len(sent) / RATE - time.perf_counter()
            if len(sent) == records or left > 0:
                return 1.0 if len(sent) == records else left
            sent.append(time.perf_counter())
            prepared.check(producer.ask(prepared.frame))
            return 0.0

        with subject.cpu() as cpu:
            run_until(everyone, records, received, send)
    values = latency(samples)
    if cpu:
        values["cpu_ms_per_1000"] = cpu[0] * 1e6 / len(samples)
    return values


def bulk(subject: Subject, *, consumers: int, batches: int) -> dict[str, float]:
    """Everyone reads the same from the beginning, 1 MB at a time."""
    with subject.topic() as topic:
        pipelined_produce(topic, batch(BATCH_RECORDS, RECORD), batches)
        with readers(subject, topic.name, consumers) as everyone, subject.cpu() as cpu:
            begun = time.perf_counter()
            run_until(everyone, batches * BATCH_RECORDS, lambda _: None, lambda: 1.0)
            seconds = time.perf_counter() - begun
    gigabytes = consumers * batches * BATCH_RECORDS * RECORD / 1e9
    values = {"mb_per_s": gigabytes * 1000 / seconds}
    if cpu:
        values["cpu_s_per_gb"] = cpu[0] / gigabytes
    return values
