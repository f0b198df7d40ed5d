"""What one Produce and one Fetch cost the server: decode, handle, encode; no sockets.

Prints CPU time of this thread per request, the best of several rounds. Asserts nothing: timings
are for people, and only ratios of one run mean anything.

    python -m tests.bench.data_path [--disk]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from typing import TYPE_CHECKING, Any

import pykbroker.handlers.fetch
import pykbroker.handlers.produce  # noqa: F401
from pykbroker.edges.disk import RealDisk
from pykbroker.handlers.api import HANDLERS
from tests.support.data_path import DataPath, batch
from wire.apis import API_BY_KEY
from wire.codec import decode_request, encode_bytes, encode_response
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Request

PRODUCE_VERSION, FETCH_VERSION = 12, 12
ROUNDS = 5


def measure(name: str, count: int, action: Callable[[], Any]) -> None:
    for _ in range(min(count, 100)):
        action()
    print(f"{name:44} {best_of(ROUNDS, count, action) * 1e6:10.1f} us")


def best_of(rounds: int, count: int, action: Callable[[], Any]) -> float:
    """Seconds of CPU that one of ``count`` calls takes, in the best round."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.thread_time()
        for _ in range(count):
            action()
        best = min(best, (time.thread_time() - begun) / count)
    return best


def served(path: DataPath, request: Request, version: int) -> Callable[[], Any]:
    api = API_BY_KEY[request.api_key]
    frame = bytearray(encode_bytes(request, version))
    context = path.context(request, version)

    def serve() -> None:
        # As from the socket: what is appended is patched in place.
        arrived = decode_request(api, version, memoryview(bytearray(frame)))
        encode_response(HANDLERS[request.api_key](arrived, context), version)

    return serve


def produce(records: bytearray) -> ProduceRequest:
    data = [PartitionProduceData(index=0, records=records)]
    return ProduceRequest(
        acks=-1, timeout_ms=1000, topic_data=[TopicProduceData(name="t", partition_data=data)]
    )


def fetch(partitions: int, *, session: tuple[int, int] = (0, -1)) -> FetchRequest:
    wanted = [FetchPartition(partition=i, partition_max_bytes=1 << 20) for i in range(partitions)]
    return FetchRequest(
        min_bytes=1,
        session_id=session[0],
        session_epoch=session[1],
        topics=[FetchTopic(topic="idle", partitions=wanted)] if partitions else [],
    )


def measure_all(path: DataPath) -> None:
    path.create("t")
    path.create("idle", 50)
    for size, count in ((1 << 10, 2000), (1 << 14, 1000), (1 << 20, 30)):
        records = batch(*[b"x" * 1000] * (size >> 10))
        name = f"produce {len(records)} bytes, records of 1 KB"
        measure(name, count, served(path, produce(records), PRODUCE_VERSION))
    measure("fetch 50 idle partitions", 300, served(path, fetch(50), FETCH_VERSION))
    session = path.answer(fetch(50, session=(0, 0)), FETCH_VERSION).session_id
    epoch = 0

    def next_fetch() -> None:
        nonlocal epoch
        epoch += 1
        assert not path.answer(fetch(0, session=(session, epoch)), FETCH_VERSION).responses

    measure("fetch 50 idle partitions in a session", 1000, next_fetch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disk", action="store_true", help="a real disk instead of memory")
    if not parser.parse_args().disk:
        measure_all(DataPath())
        return
    folder = tempfile.mkdtemp()
    try:
        measure_all(DataPath(disk=RealDisk(), log_dirs=(folder,)))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
