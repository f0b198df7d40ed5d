"""kill -9 in the middle of a produce load: what was acknowledged is there afterwards."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clients import Confluent, Message
from tests.support.process import BrokerProcess, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 20
PARTITIONS = 3


class Load:
    """An idempotent producer that never stops by itself; remembers what was acknowledged."""

    def __init__(self, bootstrap: str, topic: str, first: int) -> None:
        from confluent_kafka import Producer

        self.acknowledged: dict[int, tuple[int, int]] = {}
        self.next = first
        self._topic = topic
        self._stop = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": 60_000,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            number = self.next
            try:
                self._producer.produce(
                    self._topic,
                    b"%d" % number,
                    partition=number % PARTITIONS,
                    on_delivery=lambda error, m, n=number: self._report(error, m, n),
                )
            except BufferError:
                self._producer.poll(0.01)
                continue
            self.next += 1
            self._producer.poll(0)

    def _report(self, error: Any, message: Any, number: int) -> None:
        if error is None:
            self.acknowledged[number] = (message.partition(), message.offset())

    def finish(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert self._producer.flush(60) == 0


def test_twenty_kills_lose_nothing_and_repeat_nothing(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    data = str(tmp_path / "data")
    broker = start_broker("--data-dir", data, "-o", f"num.partitions={PARTITIONS}")
    port = broker.port
    load = Load(broker.bootstrap, "crash", 0)
    for seed in range(ROUNDS):
        random_ = random.Random(seed)
        goal = len(load.acknowledged) + random_.randrange(50, 3000)
        eventually(lambda goal=goal: len(load.acknowledged) >= goal, what="acknowledged records")
        broker.kill()
        broker = start_broker("--data-dir", data, port=port)
    load.finish()
    acknowledged = load.acknowledged
    assert len(acknowledged) == load.next, "an idempotent producer that retries gives nothing up"
    got = Confluent().consume(broker.bootstrap, "crash", load.next)
    assert len(got) == load.next
    by_place = {(m.partition, m.offset): int(m.value or b"-1") for m in got}
    assert len(by_place) == len(got)
    for number, place in acknowledged.items():
        assert by_place[place] == number, f"record {number} is not at {place}"
    for partition in range(PARTITIONS):
        values = [v for (p, _), v in sorted(by_place.items()) if p == partition]
        assert values == sorted(set(values)), f"partition {partition} is out of order or repeats"


@pytest.mark.parametrize("seed", range(3))
def test_committed_offsets_survive_a_kill(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, seed: int
) -> None:
    from confluent_kafka import Consumer, TopicPartition

    data = str(tmp_path / "data")
    broker = start_broker("--data-dir", data)
    group = {"bootstrap.servers": broker.bootstrap, "group.id": f"g{seed}"}
    Confluent().produce(broker.bootstrap, "t", [Message(b"one")])
    consumer = Consumer(group)
    commits = random.Random(seed).randrange(5, 50)
    for offset in range(1, commits + 1):
        consumer.commit(offsets=[TopicPartition("t", 0, offset)], asynchronous=False)
    port = broker.port
    broker.kill()
    start_broker("--data-dir", data, port=port)
    again = Consumer(group)
    (committed,) = again.committed([TopicPartition("t", 0)], timeout=60)
    assert committed.offset == commits
    again.close()
    consumer.close()
