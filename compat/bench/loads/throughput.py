"""Produce and consume through a stock client, confluent-kafka."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from compat.bench.batches import payloads
from compat.bench.case import Case
from compat.bench.loads.requests import read_back
from compat.bench.raw import BrokerError

if TYPE_CHECKING:
    from compat.bench.subjects import Subject

SIZES = {"100 B": (100, 400_000), "1 KB": (1000, 150_000), "10 KB": (10_000, 25_000)}
BATCHES = {"small": (16_384, 5), "large": (1_000_000, 50)}
"""batch.size in bytes and linger.ms."""
QUICK = {"1 KB large acks=all none", "100 B small acks=all lz4", "10 KB large acks=all none"}
CHUNK = 2000
PATIENCE_SECONDS = 120.0


class Load(NamedTuple):
    """``records`` records of ``size`` bytes; ``batch`` is one of BATCHES."""

    size: int
    records: int
    batch: str
    codec: str


def cases(*, quick: bool) -> list[Case]:
    found = []
    for size, batch, codec in itertools.product(SIZES, BATCHES, ("none", "lz4")):
        bytes_each, count = SIZES[size]
        load = Load(bytes_each, count // 10 if quick else count, batch, codec)
        for acks in ("1", "all"):
            name = f"{size} {batch} acks={acks} {codec}"
            if not quick or name in QUICK:
                found.append(Case("produce", name, partial(produce, load=load, acks=acks)))
        if not quick or f"{size} {batch} acks=all {codec}" in QUICK:
            found.append(Case("consume", f"{size} {batch} {codec}", partial(consume, load=load)))
    return found


def producer_settings(bootstrap: str, load: Load, acks: str) -> dict[str, Any]:
    batch_bytes, linger_ms = BATCHES[load.batch]
    return {
        "bootstrap.servers": bootstrap,
        "acks": acks,
        "compression.type": load.codec,
        "batch.size": batch_bytes,
        "batch.num.messages": 1_000_000,
        "linger.ms": linger_ms,
        "queue.buffering.max.messages": 10_000_000,
        "queue.buffering.max.kbytes": 1_000_000,
        "message.timeout.ms": int(PATIENCE_SECONDS * 1000),
    }


def send(producer: Producer, topic: str, size: int, count: int) -> None:
    """Returns once all are acknowledged."""
    failed: list[Any] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    messages = itertools.cycle([{"value": value} for value in payloads(size)])
    chunk = list(itertools.islice(messages, CHUNK))
    for begin in range(0, count, CHUNK):
        producer.produce_batch(topic, chunk[: count - begin], 0, on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(PATIENCE_SECONDS)
    if failed or left:
        raise BrokerError(f"{len(failed)} failed, first {failed[:1]}, {left} without an answer")


def produce(subject: Subject, *, load: Load, acks: str) -> dict[str, float]:
    producer = Producer(producer_settings(subject.bootstrap, load, acks))
    with subject.topic() as topic:
        send(producer, topic.name, load.size, 1)  # connects
        with subject.cpu() as cpu:
            begun = time.perf_counter()
            send(producer, topic.name, load.size, load.records)
            seconds = time.perf_counter() - begun
    return by_record(load, seconds, cpu)


def consume(subject: Subject, *, load: Load) -> dict[str, float]:
    """By the stock client, and then by raw requests. The client asks for nothing more for a second
    once 100,000 records or 64 MB wait in its queue (fetch.queue.backoff.ms), so with small records
    and with large ones its throughput is its own, whichever the broker."""
    producer = Producer(producer_settings(subject.bootstrap, load, "all"))
    with subject.topic() as topic:
        send(producer, topic.name, load.size, load.records)
        with subject.cpu() as cpu:
            begun = time.perf_counter()
            read(subject.bootstrap, topic.name, load.records)
            seconds = time.perf_counter() - begun
        with subject.cpu() as raw_cpu:
            begun = time.perf_counter()
            read_back(topic, load.records)
            raw_seconds = time.perf_counter() - begun
    raw = by_record(load, raw_seconds, raw_cpu)
    del raw["records_per_s"]
    values = by_record(load, seconds, cpu)
    return values | {f"raw_{name}": value for name, value in raw.items()}


def read(bootstrap: str, topic: str, count: int) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + PATIENCE_SECONDS
        left = count
        while left > 0:
            messages = consumer.consume(min(left, 10_000), 1.0)
            if messages and (error := messages[-1].error()) is not None:
                raise KafkaException(error)
            left -= len(messages)
            if time.monotonic() > deadline:
                raise BrokerError(f"{left} of {count} records did not come")
    finally:
        consumer.close()


def by_record(load: Load, seconds: float, cpu: list[float]) -> dict[str, float]:
    gigabytes = load.size * load.records / 1e9
    values = {"records_per_s": load.records / seconds, "mb_per_s": gigabytes * 1000 / seconds}
    if cpu:
        values["cpu_s_per_gb"] = cpu[0] / gigabytes
    return values
