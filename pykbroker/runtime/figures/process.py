"""Of the process, where the system tells more than prometheus_client does. Runs in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.figures.table import Sample

IO = "/proc/self/io"


def process_samples() -> Iterator[Sample]:
    """Nothing where there is no such file, or it may not be read."""
    try:
        with open(IO, encoding="ascii") as file:
            told = dict(line.split(": ") for line in file.read().splitlines())
    except OSError:
        return
    for kind in ("read", "write"):
        value = float(told[f"{kind}_bytes"])
        yield f"kafka_server_kafkaserver_linux_disk_{kind}_bytes", (), value
