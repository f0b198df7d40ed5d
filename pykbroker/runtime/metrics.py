"""The page of figures: taken on the loop in small pieces, rendered in a worker.

prometheus_client is imported by the first scrape, in a worker thread: it costs more to import
than the whole broker to start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio.lowlevel

from pykbroker.runtime.figures.process import process_samples
from pykbroker.runtime.figures.table import family_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from pykbroker.ports import Clock
    from pykbroker.runtime.figures.table import Sample

T = TypeVar("T")

TURN_NS = 1_000_000
"""Figures are read for so long, then others have their turn."""
_LOOK_EVERY = 16


async def collect(samples: Iterable[T | None], clock: Clock) -> list[T]:
    """All of them but the places to pause. The broker goes on meanwhile: the figures of one
    partition are of one moment, those of two are not."""
    found: list[T] = []
    until = clock.monotonic_ns() + TURN_NS
    for count, sample in enumerate(samples):
        if sample is not None:
            found.append(sample)
        if not count % _LOOK_EVERY and clock.monotonic_ns() >= until:
            await anyio.lowlevel.checkpoint()
            until = clock.monotonic_ns() + TURN_NS
    return found


def render(samples: list[Sample], accept: str) -> tuple[str, bytes]:
    """(content type, body) in the format that the scraper asked for. Runs in a worker."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    metrics = _metrics([*samples, *process_samples()])

    class Collector:
        def collect(self) -> Iterable[Metric]:
            return metrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    ProcessCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return content_type, encoder(registry)


def _metrics(samples: list[Sample]) -> Iterable[Metric]:
    """Samples of one name and the same labels are summed."""
    from prometheus_client.core import Metric

    values: dict[str, dict[tuple[str, ...], float]] = {}
    for name, labels, value in samples:
        series = values.setdefault(name, {})
        series[labels] = series.get(labels, 0) + value
    made = []
    for name, series in values.items():
        family = family_of(name)
        is_counter = family.type == "counter"
        # The formats know counters by their ending; what is Kafka's own _count has no type there.
        type_ = "unknown" if is_counter and not name.endswith("_total") else family.type
        metric = Metric(name.removesuffix("_total"), family.help, type_)
        for labels, value in series.items():
            metric.add_sample(name, dict(zip(family.labels, labels, strict=False)), value)
        made.append(metric)
    return made
