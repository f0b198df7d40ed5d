"""Single records at a fixed rate: until acknowledged, and until a consumer has them."""

from __future__ import annotations

import select
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.figures import latency
from compat.bench.raw import BrokerError, PreparedFetch, prepare_produce

if TYPE_CHECKING:
    from compat.bench.subjects import Subject, Topic

SIZES = {"100 B": 100, "1 KB": 1000, "10 KB": 10_000}
PATIENCE_SECONDS = 30.0


def cases(*, quick: bool) -> list[Case]:
    rates = (1000,) if quick else (100, 1000)
    seconds = 1.5 if quick else 5.0
    return [
        Case(
            kind, f"{size} at {rate}/s", partial(run, size=SIZES[size], rate=rate, seconds=seconds)
        )
        for kind, run in (("latency", acknowledged), ("end-to-end", delivered))
        for size in (("1 KB",) if quick else SIZES)
        for rate in rates
    ]


def acknowledged(subject: Subject, *, size: int, rate: int, seconds: float) -> dict[str, float]:
    """From when a record was due to when its answer is here."""
    with subject.topic() as topic:
        load = FixedRate(subject, topic, size, rate, seconds)
        return load.run(fetching=False)


def delivered(subject: Subject, *, size: int, rate: int, seconds: float) -> dict[str, float]:
    """From when a record was due to when a waiting consumer has it."""
    with subject.topic() as topic:
        load = FixedRate(subject, topic, size, rate, seconds)
        return load.run(fetching=True)


class FixedRate:
    """Sends when a record is due, whether or not earlier ones are answered."""

    def __init__(
        self, subject: Subject, topic: Topic, size: int, rate: int, seconds: float
    ) -> None:
        self._subject = subject
        self._topic = topic
        self._produce = prepare_produce(topic.name, batch(1, size))
        self._fetch = PreparedFetch(topic.name)
        self._interval = 1 / rate
        self._count = int(rate * seconds)

    def run(self, *, fetching: bool) -> dict[str, float]:
        with (
            self._topic.connect() as producer,
            self._topic.connect() as consumer,
            self._subject.cpu() as cpu,
        ):
            self._produce.check(producer.ask(self._produce.frame))  # offset 0: not timed
            due: list[float] = []
            acknowledged: list[float] = []
            delivered: list[float] = []
            unanswered: deque[float] = deque()
            sockets = [producer.socket, consumer.socket] if fetching else [producer.socket]
            offset = 1
            if fetching:
                consumer.socket.sendall(self._fetch.at(offset))
            next_due = time.perf_counter() + self._interval
            end = next_due + self._count * self._interval + PATIENCE_SECONDS
            waited_for = delivered if fetching else acknowledged
            while len(waited_for) < self._count or unanswered:
                now = time.perf_counter()
                if now > end:
                    raise BrokerError(f"{len(waited_for)} of {self._count} after {end:.0f} s")
                while len(due) < self._count and now >= next_due:
                    producer.socket.sendall(self._produce.frame)
                    due.append(next_due)
                    unanswered.append(next_due)
                    next_due += self._interval
                wait = max(0.0, next_due - now) if len(due) < self._count else 1.0
                ready, _, _ = select.select(sockets, (), (), wait)
                if consumer.socket in ready:
                    fetched = self._fetch.read(consumer.take())
                    arrived = time.perf_counter()
                    after = fetched.next_offset(offset)
                    consumer.socket.sendall(self._fetch.at(after))
                    delivered.extend(arrived - due[at - 1] for at in range(offset, after))
                    offset = after
                if producer.socket in ready:
                    self._produce.check(producer.take())
                    acknowledged.append(time.perf_counter() - unanswered.popleft())
        values = latency(waited_for)
        if cpu:
            values["cpu_ms_per_1000"] = cpu[0] * 1e6 / self._count
        return values
