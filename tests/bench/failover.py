"""What a client notices of a leader that dies: python tests/bench/failover.py [KILLS]

An idempotent producer of each library goes on through kill -9 of the leader of its partition: the
time from the kill to the next acknowledgement, and the time to the next leader. Then the time
without a leader on a clean stop, and what three replicas cost against one.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.cluster import Cluster, wait_until
from tests.faults.load import patiently

TOPIC = "failover"
SENDS = 300
BATCH = 200


def producers(bootstrap: str) -> dict[str, object]:
    """A function for each library that sends one record and waits for it."""
    from confluent_kafka import Producer
    from kafka import KafkaProducer

    # Its own default grows to 30 s for a broker that is killed again and again; the Java client's
    # is one second.
    python = KafkaProducer(bootstrap_servers=bootstrap, acks="all", reconnect_backoff_max_ms=1000)
    confluent = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})

    def send_confluent() -> None:
        confluent.produce(TOPIC, b"x", partition=0)
        assert confluent.flush(60) == 0

    return {
        "kafka-python": lambda: python.send(TOPIC, b"x", partition=0).get(60),
        "confluent-kafka": send_confluent,
    }


def outages(cluster: Cluster, kills: int) -> None:
    sends = producers(cluster.bootstrap)
    for send in sends.values():
        send()  # type: ignore[operator]
    seen: dict[str, list[float]] = {name: [] for name in (*sends, "no leader", "clean stop")}
    for number in range(kills):
        leader = wait_until(lambda: max(cluster.leader(TOPIC), 0), "a leader")
        names = list(sends)
        name = names[number % len(names)]
        begun = time.monotonic()
        cluster.brokers[leader].kill()
        sends[name]()  # type: ignore[operator]
        seen[name].append(time.monotonic() - begun)
        wait_until(lambda old=leader: cluster.leader(TOPIC) not in (-1, old), "the next leader")
        seen["no leader"].append(time.monotonic() - begun)
        cluster.restart(leader)
        cluster.wait_in_sync(TOPIC)
    leader = cluster.leader(TOPIC)
    begun = time.monotonic()
    cluster.brokers[leader].terminate()
    sends["confluent-kafka"]()  # type: ignore[operator]
    seen["clean stop"].append(time.monotonic() - begun)
    for name, times in seen.items():
        if times:
            worst, median = max(times), statistics.median(times)
            print(f"{name:16} median {median:.2f} s, worst {worst:.2f} s of {len(times)}")
    cluster.restart(leader)
    cluster.wait_in_sync(TOPIC)


def cost(cluster: Cluster) -> None:
    client = cluster.client(20)
    for factor in (1, 3):
        topic = f"cost-{factor}"
        configs = {"min.insync.replicas": str(min(factor, 2))}
        client.create_topic(topic, 1, factor, configs)
        cluster.wait_in_sync(topic)
        leader = client.metadata([topic]).parts[topic, 0].leader
        values = [b"v" * 100] * BATCH
        patiently(lambda t=topic, n=leader, v=values: client.produce(n, t, 0, v), "the first batch")
        latencies = []
        for _ in range(SENDS):
            begun = time.monotonic()
            client.produce(leader, topic, 0, values)
            latencies.append(time.monotonic() - begun)
        rate = SENDS * BATCH / sum(latencies)
        p99 = sorted(latencies)[int(SENDS * 0.99)]
        median = statistics.median(latencies)
        print(
            f"{factor} replica(s), acks=all, one batch of {BATCH} at a time: {rate:.0f} records/s, "
            f"median {median * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"
        )


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as directory, Cluster(Path(directory)) as cluster:
        cluster.start()
        client = cluster.client(20)
        patiently(lambda: client.create_topic(TOPIC, 1, 3), "the topic")
        cluster.wait_in_sync(TOPIC)
        cost(cluster)
        outages(cluster, kills)
        cluster.stop()


if __name__ == "__main__":
    main()
