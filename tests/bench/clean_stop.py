"""How long a partition is without a leader while its leader is stopped cleanly, to within a probe.

A client that knows nothing of metadata, retries or backoff offers record after record to one broker
after the other: the longest time in which none took one.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from typing import TYPE_CHECKING

from tests.bench.clusters import STARTED
from tests.faults.bare import Lost, Refused
from tests.faults.brokers import wait_until
from tests.faults.load import patiently

if TYPE_CHECKING:
    from tests.faults.brokers import Brokers

TOPIC = "clean-stop"
STOPS = 10
BETWEEN_S = 1.0


class Probe:
    def __init__(self, cluster: Brokers) -> None:
        self._client = cluster.client(20)
        self._client.metadata([TOPIC])
        self._ends = threading.Event()
        self.accepted: list[float] = []
        self._thread = threading.Thread(target=self._run, name="probe")
        self._thread.start()

    def _run(self) -> None:
        node = 1
        while not self._ends.is_set():
            try:
                self._client.produce(node, TOPIC, 0, [b"v"], acks=1)
                self.accepted.append(time.monotonic())
            except (Lost, Refused):
                node = node % 3 + 1

    def stop(self) -> None:
        self._ends.set()
        self._thread.join()
        self._client.close()


def clean_stops(cluster: Brokers) -> None:
    client = cluster.client(20)
    patiently(lambda: client.create_topic(TOPIC, 1, 3), "the topic")
    client.close()
    cluster.wait_in_sync(TOPIC)
    probe = Probe(cluster)
    gaps = []
    try:
        wait_until(lambda: probe.accepted, "the first record")
        for _ in range(STOPS):
            before = len(probe.accepted) - 1
            leader = cluster.leader(TOPIC)
            cluster.brokers[leader].terminate()
            wait_until(lambda leader=leader: cluster.leader(TOPIC) not in (-1, leader), "the next")
            seen = len(probe.accepted)
            wait_until(lambda seen=seen: len(probe.accepted) > seen, "records for the next leader")
            cluster.restart(leader)
            cluster.brokers[leader].wait_for(STARTED)
            cluster.wait_in_sync(TOPIC)
            told = probe.accepted[before:]
            gaps.append(max(b - a for a, b in itertools.pairwise(told)))
            time.sleep(BETWEEN_S)
    finally:
        probe.stop()
    median, worst = f"{statistics.median(gaps) * 1000:.0f} ms", f"{max(gaps) * 1000:.0f} ms"
    print(f"  no broker took records on SIGTERM  median {median}, worst {worst} of {STOPS}")
