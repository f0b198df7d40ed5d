"""Figures of one broker for Prometheus. Nothing is counted here: a scrape reads what is there.

prometheus_client is imported by the first scrape, in a worker thread: it costs more to import
than the whole broker to start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Reading = tuple[str, str, str, dict[str, str], float]
"""(kind: gauge or counter, name, help, labels, value)"""


class Metrics:
    """A broker's own registry. Sources are called at each scrape, on the loop."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], Iterable[Reading]]] = []

    def add_source(self, source: Callable[[], Iterable[Reading]]) -> None:
        self._sources.append(source)

    def readings(self) -> list[Reading]:
        found: list[Reading] = [
            (
                "gauge",
                "pykbroker_build_info",
                "The version of pykbroker",
                {"version": __version__},
                1,
            )
        ]
        for source in self._sources:
            found.extend(source())
        return found


def render(readings: list[Reading], accept: str) -> tuple[str, bytes]:
    """(content type, body) in the format that the scraper asked for. Runs in a worker."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.exposition import choose_encoder

    families: dict[str, Any] = {}
    for kind, name, help_text, labels, value in readings:
        family = families.get(name)
        if family is None:
            make = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
            family = families[name] = make(name, help_text, labels=list(labels))
        family.add_metric(list(labels.values()), value)

    class Collector:
        def collect(self) -> Iterable[Metric]:
            return families.values()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    ProcessCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return content_type, encoder(registry)
