"""The owner of a metadata store and nothing else: python -m tests.faults.store_process DIR PORT"""

from __future__ import annotations

import signal
import sys

import anyio

from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.served import serve_store
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.metadata_source import open_store


async def main(directory: str, port: int) -> None:
    clock = SystemClock()
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with (
            open_store(directory, clock, ThreadWorkers()) as store,
            serve_store(store, clock, f"tcp://127.0.0.1:{port}"),
        ):
            print("ready", flush=True)
            async for _ in signals:
                return


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
