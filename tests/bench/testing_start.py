"""How long ``pykbroker.testing`` takes to start and to stop, after its import.

    python -m tests.bench.testing_start [--rounds N]

Each start is the first of a fresh process: what a test session pays once. Prints medians and
ranges in ms, and asserts nothing: timings are for people.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import NamedTuple

from tests.bench.start_up import figure

WAYS = {
    "in the process, 1 broker": "Broker()",
    "in the process, 3 brokers": "Cluster(3)",
    "child process, 1 broker": "Broker(process=True)",
}

ONE_START = """
import json, sys, time
from pykbroker.testing import Broker, Cluster
begun = time.perf_counter()
broker = {way}
broker.start()
started = time.perf_counter()
broker.reset()
clean = time.perf_counter()
broker.stop()
stopped = time.perf_counter()
print(json.dumps([(b - a) * 1000 for a, b in
    ((begun, started), (started, clean), (clean, stopped))]))
"""


class Start(NamedTuple):
    start_ms: float
    reset_ms: float
    stop_ms: float


def one_start(way: str) -> Start:
    output = subprocess.run(
        [sys.executable, "-c", ONE_START.format(way=way)], check=True, capture_output=True
    ).stdout
    return Start(*json.loads(output.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    starts: dict[str, list[Start]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            starts[name].append(one_start(way))
    for name, of_way in starts.items():
        start, reset, stop = ([*column] for column in zip(*of_way, strict=True))
        print(f"{name:26} start {figure(start)}   reset {figure(reset)}   stop {figure(stop)}")


if __name__ == "__main__":
    main()
