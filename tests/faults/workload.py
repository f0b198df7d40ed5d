"""One process of clients under load: python -m tests.faults.workload KIND OPTIONS-AS-JSON

A kind is a client library; its producers, group members and readers each write a history of their
own. Lines on standard input steer it:

    produce              the producers begin (consumers run from the start)
    stop-producing       they stop sending, and wait for what is under way
    drain {tp: end}      members and readers say "drained NAME" once they have read so far
    stop                 the process ends

It says "ready", "produced", "drained NAME" and "stopped", each a line on standard output. SIGUSR1
has it write to standard error where its threads are.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.faults.history import INFO, OK, Recorder, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BURST_S = 0.02
OUTSTANDING = 2000
"""So many records of one producer wait for their acknowledgement at most."""
FLUSH_S = 60.0
TOMBSTONES = 0.05
"""The share of tombstones in a compacted topic."""
NAME_HEADER = "val"
"""Names a tombstone, which has no value to be known by."""


class Topic(NamedTuple):
    name: str
    partitions: int
    keys: int = 0
    """Compacted, with so many keys in each partition; without any it has no keys."""

    @property
    def tps(self) -> list[str]:
        return [f"{self.name}-{p}" for p in range(self.partitions)]


@dataclass(frozen=True)
class Options:
    bootstrap: str
    topics: tuple[Topic, ...]
    out: str
    seed: int = 0
    rate: int = 300
    """Records a second, for each producer."""
    producers: tuple[str, ...] = ("idempotent",)
    """``idempotent``, or ``plain-`` and the acks."""
    members: int = 0
    readers: int = 0
    impatient: bool = True
    """Sessions and requests are given up after ``session_ms`` and ``request_ms``, metadata is
    asked for often. Otherwise all this is each library's own default."""
    session_ms: int = 6000
    request_ms: int = 5000

    @property
    def group(self) -> str:
        return self.topics[0].name

    @property
    def names(self) -> list[str]:
        return [topic.name for topic in self.topics]

    @property
    def parts(self) -> list[tuple[Topic, int]]:
        return [(topic, p) for topic in self.topics for p in range(topic.partitions)]

    def if_impatient(self, **settings: Any) -> dict[str, Any]:
        return settings if self.impatient else {}


def options_of(fields: dict[str, Any]) -> Options:
    """From what JSON makes of them."""
    fields["producers"] = tuple(fields.get("producers", ()))
    fields["topics"] = tuple(Topic(*topic) for topic in fields["topics"])
    return Options(**fields)


class Steering:
    """What the workers look at: is it time to send, to stop, and how far to read."""

    def __init__(self, options: Options, kind: str) -> None:
        self.options = options
        self.kind = kind
        self.may_produce = threading.Event()
        self.must_stop_producing = threading.Event()
        self.must_stop = threading.Event()
        self.ends: dict[str, int] | None = None
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def recorder(self, name: str) -> Recorder:
        proc = f"{self.kind}-{name}"
        return Recorder(Path(self.options.out) / f"{proc}.jsonl", proc)

    def random(self, name: str) -> random.Random:
        return random.Random(f"{self.options.seed} {self.kind} {name}")

    def say(self, text: str) -> None:
        with self._lock:
            if text not in self._said:
                self._said.add(text)
                print(text, flush=True)

    def report_position(self, name: str, positions: dict[str, int]) -> None:
        """Of all partitions that a member or reader has."""
        ends = self.ends
        if ends is not None and all(off >= ends.get(tp, 0) for tp, off in positions.items()):
            self.say(f"drained {name}")

    def listen(self) -> None:
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            if command == "produce":
                self.may_produce.set()
            elif command == "stop-producing":
                self.may_produce.set()
                self.must_stop_producing.set()
            elif command == "drain":
                self.ends = json.loads(rest)
            elif command == "stop":
                break
        self.must_stop_producing.set()
        self.may_produce.set()
        self.must_stop.set()


class Pace:
    """How many records are due by now."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._begun = time.monotonic()
        self._taken = 0

    def due(self, most: int = 100) -> int:
        due = int((time.monotonic() - self._begun) * self._rate) - self._taken
        if due > most:  # what was missed while nothing could be sent is not made up for
            self._begun = time.monotonic() - (self._taken + most) / self._rate
            due = most
        self._taken += max(0, due)
        return due


class Outgoing(NamedTuple):
    """One record to send. ``done`` is to be called with its offset and error."""

    topic: str
    partition: int
    val: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    done: Callable[[int, str | None], None]


class Outstanding:
    """The sends of one producer that nobody has answered yet, and what it sends next."""

    def __init__(self, steering: Steering, sort: str, name: str) -> None:
        self.acks, self.idempotent = acks_of(sort)
        self.recorder = steering.recorder(name)
        self._random = steering.random(name)
        self._parts = steering.options.parts
        self._producer = self.recorder.proc
        self._lives = 1
        self._counter = 0
        self.count = 0

    def another_producer(self) -> None:
        """What the one before has sent may still arrive: order holds within each alone."""
        self._lives += 1
        self._producer = f"{self.recorder.proc}.{self._lives}"

    def next(self) -> Outgoing:
        """A fresh value for some partition; a stock client tries again by itself, so an error
        proves nothing.
        """
        self._counter += 1
        self.count += 1
        val = f"{self._producer}.{self._counter}"
        topic, partition = self._random.choice(self._parts)
        key, value, headers = content(val, topic, self._random)
        fields: dict[str, Any] = {"tp": f"{topic.name}-{partition}", "val": val}
        if key is not None:
            fields["key"] = key.decode()
        t0 = now()

        def done(off: int, error: str | None) -> None:
            self.count -= 1
            known = error is None and self.acks != 0
            fields.update(acks=self.acks, res=OK if known else INFO, idem=self.idempotent)
            if known:
                fields["off"] = off
            if error is not None:
                fields["err"] = error
            self.recorder.write("send", t0, **fields)

        return Outgoing(topic.name, partition, val, key, value, headers, done)


def content(
    val: str, topic: Topic, dice: random.Random
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of the record that is known as ``val``."""
    if not topic.keys:
        return None, val.encode(), []
    key = b"k%d" % dice.randrange(topic.keys)
    if dice.random() < TOMBSTONES:
        return key, None, [(NAME_HEADER, val.encode())]
    return key, val.encode(), []


def name_of(value: bytes | None, headers: Iterable[tuple[str, bytes | None]] | None) -> str:
    """What a record that was read is known as."""
    if value is None:
        value = dict(headers or ()).get(NAME_HEADER) or b""
    return value.decode()


def told(error: BaseException) -> str:
    """What a client said."""
    return f"{type(error).__name__}: {error}"[:200]


def acks_of(name: str) -> tuple[int, bool]:
    """Acks, and whether it is idempotent."""
    if name.startswith("idempotent"):
        return -1, True
    return {"all": -1, "1": 1, "0": 0}[name.removeprefix("plain-")], False


class Reading:
    """Writes down what a consumer does, whichever it is."""

    def __init__(self, recorder: Recorder, group: str | None) -> None:
        self.recorder = recorder
        self.group = group
        self.assign = 0
        self.generation = -1
        self.positions: dict[str, int] = {}

    def trouble(self, t0: int, error: str) -> None:
        """What a consumer complains of and goes on: shown when it does not."""
        self.recorder.write("trouble-reading", t0, err=error)
        print(f"{self.recorder.proc}: {error}", file=sys.stderr, flush=True)

    def assigned(self, owned: list[str], generation: int, t0: int) -> None:
        self.assign += 1
        self.generation = generation
        self.positions = {tp: self.positions[tp] for tp in owned if tp in self.positions}
        if self.group is not None and generation >= 0:
            self.recorder.write("assign", t0, group=self.group, gen=generation, owned=owned, res=OK)

    def polled(self, t0: int, recs: dict[str, list[list[Any]]]) -> None:
        if not recs:
            return
        fields: dict[str, Any] = {"recs": recs, "assign": self.assign, "res": OK}
        if self.group is not None:
            fields["group"] = self.group
        self.recorder.write("poll", t0, **fields)
        for tp, records in recs.items():
            self.positions[tp] = records[-1][0] + 1

    def committed(self, t0: int, offsets: dict[str, int], error: str | None) -> None:
        fields: dict[str, Any] = {"res": OK if error is None else INFO}
        if error is not None:
            fields["err"] = error
        if self.generation >= 0:
            fields["gen"] = self.generation
        self.recorder.write("commit", t0, group=self.group, offsets=offsets, **fields)


def run_threads(workers: list[Callable[[], None]]) -> None:
    """All of them to their end; what one raises ends the process with code 1."""
    failed: list[str] = []

    def guarded(worker: Callable[[], None]) -> None:
        try:
            worker()
        except BaseException:
            failed.append(traceback.format_exc())
            traceback.print_exc()

    threads = [threading.Thread(target=guarded, args=(w,), daemon=True) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(1)


def main() -> None:
    faulthandler.register(signal.SIGUSR1)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    for name in os.environ.get("FAULT_DEBUG", "").split():  # loggers, to see what a client does
        logging.getLogger(name).setLevel(logging.DEBUG)
    kind, text = sys.argv[1:]
    steering = Steering(options_of(json.loads(text)), kind)
    threading.Thread(target=steering.listen, daemon=True).start()
    if kind == "kafka-python":
        from tests.faults.clients.kafka_python import run
    elif kind == "confluent":
        from tests.faults.clients.confluent import run
    elif kind == "aiokafka":
        from tests.faults.clients.aio import run
    elif kind == "bare":
        from tests.faults.clients.plain import run
    else:
        sys.exit(f"no such kind: {kind}")
    steering.say("ready")
    run(steering)
    steering.say("stopped")


if __name__ == "__main__":
    main()
