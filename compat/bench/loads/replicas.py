"""Three brokers, three replicas, acks=all: latency at a fixed rate, and throughput."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.loads.latency import FixedRate
from compat.bench.loads.requests import pipelined_produce

if TYPE_CHECKING:
    from compat.bench.subjects import Subject

BROKERS = 3
RATE = 200
RECORD = 1000
RECORDS = 100


def cases(*, quick: bool) -> list[Case]:
    load = partial(run, seconds=2.0 if quick else 5.0, batches=300 if quick else 2000)
    return [Case("replicas", "3 with acks=all, 1 KB", load, brokers=BROKERS)]


def run(cluster: Subject, *, seconds: float, batches: int) -> dict[str, float]:
    data = batch(RECORDS, RECORD)
    assert cluster.processes is not None
    idle = cluster.processes.resident_mb()
    with cluster.topic(replicas=BROKERS) as topic:
        pipelined_produce(topic, data, 20)
        with cluster.processes.peak() as peak, cluster.cpu() as cpu:
            taken = pipelined_produce(topic, data, batches)
    gigabytes = batches * RECORDS * RECORD / 1e9
    with cluster.topic(replicas=BROKERS) as topic:
        values = FixedRate(cluster, topic, RECORD, RATE, seconds).run(fetching=False)
    return {
        **values,
        "mb_per_s": gigabytes * 1000 / taken,
        "cpu_s_per_gb": cpu[0] / gigabytes,
        "idle_mb": idle,
        "peak_mb": peak.mb,
    }
