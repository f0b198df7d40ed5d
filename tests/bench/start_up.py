"""From process start to the first Metadata answer, and memory at rest. ``make bench-start``.

Prints medians and ranges over several starts: with ``--memory``, with a fresh data directory, and
with one that holds a thousand partitions. Asserts nothing: timings are for people.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[2]


class Start(NamedTuple):
    first_ms: float
    second_ms: float
    rest_mb: float


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def metadata(sock: socket.socket) -> None:
    body = struct.pack(">hhihi", 3, 1, 1, -1, -1)
    sock.sendall(struct.pack(">i", len(body)) + body)
    size = struct.unpack(">i", sock.recv(4, socket.MSG_WAITALL))[0]
    sock.recv(size, socket.MSG_WAITALL)


def connect(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.0005)


def one_start(arguments: list[str], rest_seconds: float) -> Start:
    port = free_port()
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pykbroker", "serve", "--port", str(port), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")},
    )
    try:
        with connect(port) as sock:
            metadata(sock)
            first = time.perf_counter()
            metadata(sock)
            second = time.perf_counter()
            time.sleep(rest_seconds)
            rest = psutil.Process(process.pid).memory_info().rss
    finally:
        process.terminate()
        process.wait(60)
    return Start((first - begun) * 1000, (second - first) * 1000, rest / 1e6)


def figure(values: list[float]) -> str:
    return f"{statistics.median(values):7.1f} ({min(values):.1f} to {max(values):.1f})"


def report(name: str, starts: list[Start]) -> None:
    print(
        f"{name:18} first answer ms {figure([s.first_ms for s in starts])}   "
        f"second ms {figure([s.second_ms for s in starts])}   "
        f"at rest MB {figure([s.rest_mb for s in starts])}"
    )


def fill(directory: str, partitions: int) -> None:
    """A stopped broker's directory with that many partitions, each holding one record."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "pykbroker", "serve", "--port", str(port), "--data-dir", directory],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    connect(port).close()
    address = {"bootstrap.servers": f"127.0.0.1:{port}"}
    topic = NewTopic("wide", partitions, 1)
    admin = AdminClient(address)
    admin.create_topics([topic])["wide"].result(60)
    producer = Producer(address)
    for partition in range(partitions):
        producer.produce("wide", b"x", partition=partition)
    producer.flush(60)
    process.terminate()
    process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--rest", type=float, default=1.0, help="seconds of rest before measuring")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        one_start(["--memory"], 0)  # bytecode and page cache are warm from here on
        report("--memory", [one_start(["--memory"], options.rest) for _ in range(options.starts)])
        fresh = []
        for number in range(options.starts):
            fresh.append(one_start(["--data-dir", f"{scratch}/fresh{number}"], options.rest))
            shutil.rmtree(f"{scratch}/fresh{number}")
        report("fresh directory", fresh)
        fill(f"{scratch}/wide", options.partitions)
        wide = [
            one_start(["--data-dir", f"{scratch}/wide"], options.rest)
            for _ in range(options.starts)
        ]
        report(f"{options.partitions} partitions", wide)


if __name__ == "__main__":
    main()
