"""``python -m compat.kafka [--brokers N] [--dir DIR]``: Apache Kafka in the foreground, to compare
with. Prints its bootstrap servers once it serves, and ends with Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from threading import Event

from compat.control import ControlError
from compat.kafka.cluster import KafkaCluster
from compat.kafka.libraries import NoKafka


def main() -> int:
    parser = argparse.ArgumentParser("compat.kafka", description=__doc__)
    parser.add_argument("--brokers", type=int, default=1, metavar="N")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="empty, or made (default: a new one)"
    )
    parser.add_argument("-o", action="append", default=[], metavar="name=value", help="a property")
    options = parser.parse_args()
    told = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    settings = dict(option.split("=", 1) for option in options.o)
    with tempfile.TemporaryDirectory(prefix="kafka-") as temporary:
        work: Path = options.dir or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        try:
            with KafkaCluster(work, brokers=options.brokers, settings=settings) as cluster:
                print(cluster.bootstrap, flush=True)
                told.wait()
        except (ControlError, NoKafka) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
