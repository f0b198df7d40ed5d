"""How long requests take and how large they are, by API.

Timing a request costs a tenth of a small one, so of an API that is asked often only some are
timed: between 50 and 200 a second, each with the weight of those that it stands for. Quantiles are
over the last five minutes in which the API was asked, and right to 3 %: values are counted in
buckets that are a sixteenth of their lower bound wide at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire.apis import API_BY_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WINDOW_NS = 150_000_000_000
"""Quantiles are over the present window and the one before."""
SOON_NS, LATE_NS = 5_000_000, 20_000_000
MAX_STRIDE = 256
TIMES = ("total", "requestqueue", "local", "remote", "responsequeue", "responsesend", "throttle")
"""In microseconds; behind them stands the size of the request, in bytes."""


class RequestTiming:
    """The moments of one request that is timed, in nanoseconds of the monotonic clock."""

    __slots__ = (
        "api_key",
        "arrived_ns",
        "begun_ns",
        "handled_ns",
        "ready_ns",
        "throttle_ms",
        "weight",
    )

    def __init__(self, api_key: int, weight: int, arrived_ns: int, begun_ns: int) -> None:
        self.api_key = api_key
        self.weight = weight
        self.arrived_ns = arrived_ns
        self.begun_ns = begun_ns
        self.handled_ns = 0
        """When its handler left it waiting; 0 where it was answered at once."""
        self.ready_ns = 0
        self.throttle_ms = 0


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


class _Pace:
    """Which requests of one API are timed: every ``stride``-th, about."""

    __slots__ = ("last_ns", "random", "stride")

    def __init__(self) -> None:
        self.last_ns = -LATE_NS
        self.random = 1
        self.stride = 1


class RequestTimes:
    def __init__(self) -> None:
        self.left = [1] * (max(API_BY_KEY) + 1)
        """By API key: how many requests until one is timed. Whoever takes one down to 0 asks
        ``begin``."""
        self._paces: dict[int, _Pace] = {}
        self.distributions: dict[tuple[int, bool], Distribution] = {}
        """By API key and whether it was another broker's fetch: the times, and the size."""

    def begin(self, api_key: int, arrived_ns: int, now_ns: int) -> RequestTiming:
        pace = self._paces.get(api_key)
        if pace is None:
            pace = self._paces[api_key] = _Pace()
        weight = pace.stride
        since_ns, pace.last_ns = now_ns - pace.last_ns, now_ns
        if since_ns < SOON_NS:
            pace.stride = min(MAX_STRIDE, weight * 2)
        elif since_ns > LATE_NS:
            pace.stride = max(1, weight // 2)
        # Not evenly, or of requests that come in turns always the same would be timed.
        pace.random = pace.random * 1_103_515_245 + 12_345 & 0x7FFF_FFFF
        self.left[api_key] = 1 + (pace.random >> 8) % (2 * pace.stride - 1)
        return RequestTiming(api_key, weight, arrived_ns, now_ns)

    def done(
        self, timing: RequestTiming, size: int, begun_ns: int, sent_ns: int, *, is_broker: bool
    ) -> None:
        """Its response was handed on from ``begun_ns`` to ``sent_ns``."""
        key = (timing.api_key, is_broker)
        distribution = self.distributions.get(key)
        if distribution is None:
            distribution = self.distributions[key] = Distribution()
        handled_ns = timing.handled_ns or timing.ready_ns
        spans_ns = (
            sent_ns - timing.arrived_ns,
            timing.begun_ns - timing.arrived_ns,
            handled_ns - timing.begun_ns,
            timing.ready_ns - handled_ns,
            begun_ns - timing.ready_ns,
            sent_ns - begun_ns,
            timing.throttle_ms * 1_000_000,
        )
        values = [*(max(0, span_ns) // 1000 for span_ns in spans_ns), size]
        distribution.add(values, timing.weight, sent_ns)


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
