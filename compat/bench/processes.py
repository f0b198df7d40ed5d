"""What a broker's processes use: processor time and resident memory, children included."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE_SECONDS = 0.02


class Peak(NamedTuple):
    """Filled while sampling."""

    samples: list[float]

    @property
    def mb(self) -> float:
        return max(self.samples, default=0.0)


def own_seconds(pid: int, ticks: float) -> float:
    """What a process has used to the nanosecond where the system tells, else in whole ticks.

    ``ticks``: the seconds that its statistics show, in steps of some 10 ms.
    """
    if sys.platform != "linux":
        return ticks
    try:
        # clock_getcpuclockid(3), which Python does not have.
        return time.clock_gettime(((~pid) << 3) | 2)
    except OSError:
        return ticks


class ProcessTree:
    """The processes with these ids and all that they started."""

    def __init__(self, *pids: int) -> None:
        self.pids = pids
        self._roots = [psutil.Process(pid) for pid in pids]

    def _members(self) -> list[psutil.Process]:
        return [
            process for root in self._roots for process in (root, *root.children(recursive=True))
        ]

    def cpu_seconds(self) -> float:
        """User and system time so far, of children that have ended too."""
        total = 0.0
        for process in self._members():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.children_user + times.children_system
                total += own_seconds(process.pid, times.user + times.system)
        return total

    def resident_mb(self) -> float:
        """Resident memory in MB (10**6 bytes)."""
        total = 0
        for process in self._members():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6

    @contextlib.contextmanager
    def peak(self) -> Iterator[Peak]:
        """Samples resident memory until the block ends."""
        peak = Peak([self.resident_mb()])
        done = threading.Event()

        def sample() -> None:
            while not done.wait(SAMPLE_SECONDS):
                peak.samples.append(self.resident_mb())

        sampler = threading.Thread(target=sample, name="resident memory")
        sampler.start()
        try:
            yield peak
        finally:
            done.set()
            sampler.join()
            peak.samples.append(self.resident_mb())
