"""What is measured, and what a load is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from compat.bench.subjects import Subject


class Measure(NamedTuple):
    """``higher``: whether more is better."""

    title: str
    unit: str
    higher: bool


MEASURES: dict[str, Measure] = {
    "first_ack_ms": Measure("cold start to first acknowledged record", "ms", False),
    "idle_mb": Measure("resident memory idle", "MB", False),
    "peak_mb": Measure("resident memory under load, at most", "MB", False),
    "after_mb": Measure("resident memory after the load", "MB", False),
    "records_per_s": Measure("records", "/s", True),
    "mb_per_s": Measure("throughput", "MB/s", True),
    "requests_per_s": Measure("requests", "/s", True),
    "cpu_s_per_gb": Measure("broker CPU per GB", "s", False),
    "raw_mb_per_s": Measure("throughput to raw fetches", "MB/s", True),
    "raw_cpu_s_per_gb": Measure("broker CPU per GB to raw fetches", "s", False),
    "cpu_ms_per_1000": Measure("broker CPU per 1,000 requests", "ms", False),
    "p50_ms": Measure("p50", "ms", False),
    "p99_ms": Measure("p99", "ms", False),
    "p99.9_ms": Measure("p99.9", "ms", False),
    "create_ms": Measure("created and led", "ms", False),
    "kb_each": Measure("resident memory each", "KB", False),
    "join_ms": Measure("joined and assigned", "ms", False),
}


@dataclass(frozen=True)
class Case:
    """One load. ``run`` gives values by the names of MEASURES.

    ``brokers``: of a cluster, started for this case alone; 0 is the one that the run has.
    ``managed``: it must be able to start the broker itself.
    ``group`` and ``x`` make a curve of several cases: cost against ``x``.
    """

    family: str
    name: str
    run: Callable[[Subject], dict[str, float]]
    managed: bool = False
    brokers: int = 0
    group: str = ""
    x: float = 0
    quick: bool = field(default=False)

    @property
    def title(self) -> str:
        return f"{self.family}/{self.name}"
