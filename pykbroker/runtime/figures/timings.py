"""The series of something that was timed: how often, and the quantiles in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.runtime.distribution import quantiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.distribution import Timings
    from pykbroker.runtime.figures.table import Sample

QUANTILES = {"0.50": 0.5, "0.95": 0.95, "0.99": 0.99, "0.999": 0.999}
"""Label: quantile."""


def timing_samples(name: str, timings: Timings) -> Iterator[Sample | None]:
    yield f"{name}_count", (), timings.count
    found = quantiles(timings.distribution.buckets(0), QUANTILES.values())
    for label, value in zip(QUANTILES, found, strict=True):
        yield name, (label,), value / 1000
