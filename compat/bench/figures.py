"""Medians, ranges, percentiles, and ratios to the reference."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Spread(NamedTuple):
    """The median of several rounds, and their range."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of a sorted, non-empty sequence; ``share`` from 0 to 1."""
    rank = max(1, -(-int(share * len(ordered) * 1_000_000) // 1_000_000))
    return ordered[min(rank, len(ordered)) - 1]


def latency(samples_seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and p99.9 in milliseconds. A p99.9 of fewer than 1,000 samples is left out."""
    ordered = sorted(samples_seconds)
    shares = {"p50_ms": 0.5, "p99_ms": 0.99}
    if len(ordered) >= 1000:
        shares["p99.9_ms"] = 0.999
    return {name: percentile(ordered, share) * 1000 for name, share in shares.items()}


def ratios(values: dict[int, float], reference: dict[int, float]) -> list[float]:
    """Value to reference, round by round, of the rounds that both have."""
    return [
        values[number] / reference[number]
        for number in sorted(values.keys() & reference.keys())
        if reference[number] > 0
    ]
