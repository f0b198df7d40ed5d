"""Quantiles of what was measured in the last minutes, from buckets that are a sixteenth of their
lower bound wide at most: right to 3 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WINDOW_NS = 150_000_000_000
"""Quantiles are over the present window and the one before."""


class Distribution:
    """How often which values occurred in the last two windows."""

    __slots__ = ("_before", "_now", "_until_ns")

    def __init__(self) -> None:
        self._before: list[dict[int, int]] = []
        self._now: list[dict[int, int]] = []
        self._until_ns = 0

    def add(self, values: Sequence[int], weight: int, now_ns: int) -> None:
        """As many values each time, none below 0."""
        if now_ns >= self._until_ns:
            is_next = now_ns < self._until_ns + WINDOW_NS
            self._before = self._now if is_next else []
            self._now = [{} for _ in values]
            self._until_ns = now_ns + WINDOW_NS
        for buckets, value in zip(self._now, values, strict=True):
            bucket = bucket_of(value)
            buckets[bucket] = buckets.get(bucket, 0) + weight

    def buckets(self, index: int) -> dict[int, int]:
        """Of the values at ``index``: how many are in each bucket."""
        merged: dict[int, int] = {}
        for window in (self._before, self._now):
            if window:
                _add(merged, window[index])
        return merged


class Timings:
    """How often something was done, and how long it took each time."""

    __slots__ = ("count", "distribution")

    def __init__(self) -> None:
        self.count = 0
        self.distribution = Distribution()

    def add(self, took_ns: int, now_ns: int, times: int = 1) -> None:
        self.count += times
        self.distribution.add((max(0, took_ns) // 1000,), times, now_ns)


def bucket_of(value: int) -> int:
    """Below 16 each value has its own bucket, then every doubling has 16 of them."""
    if value < 16:
        return value
    shift = value.bit_length() - 5
    return 16 * shift + (value >> shift)


def value_of(bucket: int) -> float:
    """The middle of it."""
    if bucket < 32:
        return bucket
    shift = bucket // 16 - 1
    return float((16 + bucket % 16 << shift) + ((1 << shift) - 1) / 2)


def quantiles(buckets: dict[int, int], wanted: Iterable[float]) -> list[float]:
    """The smallest values that ``wanted`` of all are not above, in rising order; 0 of none."""
    found: list[float] = []
    ranked = sorted(buckets.items())
    total = sum(buckets.values())
    position, below = 0, 0
    for quantile in wanted:
        while position < len(ranked) - 1 and below + ranked[position][1] < quantile * total:
            below += ranked[position][1]
            position += 1
        found.append(value_of(ranked[position][0]) if ranked else 0.0)
    return found


def _add(merged: dict[int, int], buckets: dict[int, int]) -> None:
    for bucket, count in buckets.items():
        merged[bucket] = merged.get(bucket, 0) + count
