"""What metrics cost: how late the event loop is while a large page is made, and what counting adds
to a request.

    python -m tests.bench.metrics_cost [--partitions N] [--scrapes N]

Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import TYPE_CHECKING, Any

import anyio.lowlevel

from pykbroker.edges.workers import ThreadWorkers
from pykbroker.runtime.figures.broker import watch
from pykbroker.runtime.pages import pages
from tests.support.dynamic_settings import Client, until
from tests.support.in_process import broker_in_process
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from wire.messages.find_coordinator import FindCoordinatorRequest
from wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)

if TYPE_CHECKING:
    from pykbroker.broker import Broker

PER_TOPIC = 100


class Turns:
    """How long the event loop's turns keep others from theirs, in milliseconds of its thread's
    CPU time: what else runs on the machine does not count."""

    def __init__(self) -> None:
        self.took: list[float] = []

    async def run(self) -> None:
        before = time.thread_time()
        while True:
            await anyio.lowlevel.checkpoint()
            now = time.thread_time()
            self.took.append((now - before) * 1000)
            before = now

    def told(self) -> str:
        took = sorted(self.took)
        busy = [ms for ms in took if ms > 0.1] or took[-1:]
        median, p99 = busy[len(busy) // 2], busy[int(len(busy) * 0.99)]
        return f"{len(busy):6} turns   p50 {median:6.2f}   p99 {p99:6.2f}   max {took[-1]:6.2f} ms"


async def turns_during(action: Any) -> tuple[Turns, float]:
    turns = Turns()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turns.run)
        await anyio.lowlevel.checkpoint()
        begun = time.thread_time()
        await action()
        took = time.thread_time() - begun
        tasks.cancel_scope.cancel()
    return turns, took


async def fill(broker: Broker, partitions: int) -> None:
    """Topics, and a group that has committed an offset of each partition."""
    client = Client(broker)
    names = [f"topic-{number}" for number in range(partitions // PER_TOPIC)]
    topics = [
        CreatableTopic(name=name, num_partitions=PER_TOPIC, replication_factor=1) for name in names
    ]
    created = await client.ask(CreateTopicsRequest(topics=topics, timeout_ms=60_000))
    assert not any(topic.error_code for topic in created.topics)
    known = broker.services.images.current.topics
    request = OffsetCommitRequest(
        group_id="group",
        topics=[
            OffsetCommitRequestTopic(
                topic_id=known[name].topic_id,
                partitions=[
                    OffsetCommitRequestPartition(partition_index=index, committed_offset=0)
                    for index in range(PER_TOPIC)
                ],
            )
            for name in names
        ],
    )
    with anyio.fail_after(60):
        await client.ask(FindCoordinatorRequest(coordinator_keys=["group"]))
        await until(lambda: "__consumer_offsets" in broker.services.images.current.topics)
        while True:
            answer = await client.ask(request)
            if not any(p.error_code for topic in answer.topics for p in topic.partitions):
                return
            await anyio.sleep(0.05)


async def pages_of(partitions: int, scrapes: int) -> None:
    async with broker_in_process() as broker:
        await fill(broker, partitions)
        services, connections = broker.services, broker.connections
        made = pages(services, connections, watch(services, connections), ThreadWorkers())
        first = await made["/metrics"]({})
        lines = [line for line in first.body.decode().splitlines() if not line.startswith("#")]
        print(f"{partitions} partitions: {len(lines)} series, {len(first.body) / 1e6:.2f} MB")
        gc.collect()

        async def scrape() -> None:
            for _ in range(scrapes):
                await made["/metrics"]({})

        quiet, _ = await turns_during(lambda: anyio.sleep(1))
        print(f"{'without a scrape':28} {quiet.told()}")
        busy, took = await turns_during(scrape)
        print(f"{f'{scrapes} scrapes of {took / scrapes * 1000:.0f} ms':28} {busy.told()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=1_000)
    parser.add_argument("--scrapes", type=int, default=20)
    chosen = parser.parse_args()
    anyio.run(pages_of, chosen.partitions, chosen.scrapes)


if __name__ == "__main__":
    main()
