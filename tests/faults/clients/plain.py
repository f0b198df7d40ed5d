"""The bare client under load: every attempt is in the history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.faults.bare import Bare, Lost, Refused
from tests.faults.history import OK, Recorder, now, outcome
from tests.faults.workload import BURST_S, Pace, acks_of, content, run_threads
from wire.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.workload import Steering

RETRY_S = 60.0
"""So long an idempotent batch is tried."""
MAX_SEQUENCE = 0x7FFFFFFF
FATAL = frozenset({"OUT_OF_ORDER_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH", "MESSAGE_TOO_LARGE"})


def run(steering: Steering) -> None:
    workers: list[Callable[[], None]] = [
        Producer(steering, sort, f"p{i}-{sort}").run
        for i, sort in enumerate(steering.options.producers)
    ]
    run_threads(workers)
    steering.must_stop.wait()


class Batch(NamedTuple):
    """Records for one partition, and what they are known as."""

    topic: str
    partition: int
    vals: list[str]
    records: list[Record]

    @property
    def tp(self) -> str:
        return f"{self.topic}-{self.partition}"

    @property
    def named(self) -> dict[str, Any]:
        """For the history."""
        fields: dict[str, Any] = {"tp": self.tp, "vals": self.vals}
        keys = [r.key.decode() for r in self.records if r.key is not None]
        return fields | ({"keys": keys} if keys else {})


class Producer:
    """One batch at a time. Plain: tried once. Idempotent: until it is answered for certain."""

    def __init__(self, steering: Steering, sort: str, name: str) -> None:
        self.steering = steering
        self.options = steering.options
        self.name = name
        self.acks, self.idempotent = acks_of(sort)
        self.recorder: Recorder = steering.recorder(name)
        self.random = steering.random(name)
        self.bare = Bare(self.options.bootstrap, timeout_s=self.options.request_ms / 1000)
        self.leaders: dict[tuple[str, int], int] = {}
        self.identity = (-1, -1)
        self.sequences: dict[str, int] = {}
        self.counter = 0

    def run(self) -> None:
        self.steering.may_produce.wait()
        pace = Pace(self.options.rate)
        while not self.steering.must_stop_producing.is_set():
            due = pace.due()
            if due <= 0:
                time.sleep(BURST_S)
                continue
            self.send(self.batch(min(due, 50)))
        self.bare.close()
        self.recorder.close()
        self.steering.say(f"produced {self.name}")

    def batch(self, size: int) -> Batch:
        topic, partition = self.random.choice(self.options.parts)
        vals = []
        records = []
        timestamp_ms = time.time_ns() // 10**6
        for i in range(size):
            self.counter += 1
            vals.append(f"{self.recorder.proc}.{self.counter}")
            key, value, headers = content(vals[-1], topic, self.random)
            records.append(Record(i, timestamp_ms, key, value, headers))
        return Batch(topic.name, partition, vals, records)

    def send(self, batch: Batch) -> None:
        deadline = time.monotonic() + RETRY_S
        while not self.attempt(batch) and self.idempotent:
            if time.monotonic() > deadline:
                self.identity = (-1, -1)  # the sequence ends in the unknown: a new one begins
                return
            time.sleep(0.05)

    def attempt(self, batch: Batch) -> bool:
        """Whether it is over, well or for certain not."""
        t0 = now()
        error: str | None = None
        off = -1
        try:
            off = self.produce(batch)
        except Lost as lost:
            error = lost.error
            self.leaders.clear()
        except Refused as refused:
            error = refused.code.name
            self.leaders.clear()
        fields = {"bare": True, "idem": self.idempotent, "res": outcome(error, self.acks)}
        if error is not None:
            fields["err"] = error
        if off >= 0:
            fields["off"] = off
        if self.idempotent:
            pid, epoch = self.identity
            fields |= {"pid": pid, "epoch": epoch, "seq": self.sequences.get(batch.tp, 0)}
        self.recorder.write("send", t0, **batch.named, acks=self.acks, **fields)
        if fields["res"] == OK and self.idempotent:
            following = self.sequences.get(batch.tp, 0) + len(batch.vals)
            self.sequences[batch.tp] = following & MAX_SEQUENCE
        if error in FATAL:
            self.identity = (-1, -1)
            return True
        return error is None

    def produce(self, batch: Batch) -> int:
        place = (batch.topic, batch.partition)
        if place not in self.leaders:
            try:
                state = self.bare.metadata(self.options.names)
            except Lost as lost:
                raise Lost(str(lost), sent=False) from lost
            self.leaders = {tp: s.leader for tp, s in state.parts.items() if s.leader >= 0}
            if place not in self.leaders:
                raise Lost("there is no leader", sent=False)
        if self.idempotent and self.identity[0] < 0:
            try:
                self.identity = self.bare.init_producer()
            except (Lost, Refused) as lost:
                raise Lost(str(lost), sent=False) from lost
            self.sequences.clear()
        sequence = self.sequences.get(batch.tp, 0) if self.idempotent else -1
        return self.bare.produce_records(
            self.leaders[place],
            batch.topic,
            batch.partition,
            batch.records,
            acks=self.acks,
            timeout_ms=self.options.request_ms - 1000,
            producer=(*self.identity, sequence),
        )
