"""What three replicas cost against one, at acks=all: turn and turn about, in one cluster."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from tests.faults.load import patiently

if TYPE_CHECKING:
    from tests.faults.brokers import Brokers

ROUNDS = 5
SENDS = 200
RECORDS = 300_000
SIZE = 100
FACTORS = (1, 3)


def cost(cluster: Brokers) -> None:
    client = cluster.client(20)
    for factor in FACTORS:
        configs = {"min.insync.replicas": str(min(factor, 2))}
        client.create_topic(topic_of(factor), 1, factor, configs)
        cluster.wait_in_sync(topic_of(factor))
    client.close()
    latencies: dict[int, list[float]] = {factor: [] for factor in FACTORS}
    rates: dict[int, list[float]] = {factor: [] for factor in FACTORS}
    for _ in range(ROUNDS):
        for factor in FACTORS:
            latencies[factor] += one_by_one(cluster, topic_of(factor))
            rates[factor].append(throughput(cluster, topic_of(factor)))
    print(f"acks=all, records of {SIZE} bytes, medians of {ROUNDS} rounds:")
    for factor in FACTORS:
        times = sorted(latencies[factor])
        median, p99 = statistics.median(times) * 1000, times[int(len(times) * 0.99)] * 1000
        rate = statistics.median(rates[factor])
        print(
            f"  {factor} replica(s): {rate:8.0f} records/s; one at a time "
            f"{median:.2f} ms, p99 {p99:.2f} ms"
        )


def topic_of(factor: int) -> str:
    return f"cost-{factor}"


def one_by_one(cluster: Brokers, topic: str) -> list[float]:
    client = cluster.client(20)
    leader = client.metadata([topic]).parts[topic, 0].leader
    value = [b"v" * SIZE]
    patiently(lambda: client.produce(leader, topic, 0, value), "the first record")
    found = []
    for _ in range(SENDS):
        begun = time.monotonic()
        client.produce(leader, topic, 0, value)
        found.append(time.monotonic() - begun)
    client.close()
    return found


def throughput(cluster: Brokers, topic: str) -> float:
    """Of librdkafka, as fast as it goes."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "acks": "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": 2 * RECORDS,
            "log_level": 0,
        }
    )
    value = b"v" * SIZE
    producer.produce(topic, value, partition=0)
    assert producer.flush(60) == 0
    begun = time.monotonic()
    for _ in range(RECORDS):
        producer.produce(topic, value, partition=0)
    assert producer.flush(60) == 0
    return RECORDS / (time.monotonic() - begun)
