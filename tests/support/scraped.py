"""A page of figures as a scraper reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from pykbroker.runtime.metrics import render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.runtime.figures.table import Sample
    from pykbroker.state.types import TopicPartition


class NoEnds:
    """Nobody is asked where partitions end."""

    def end(self, topic_partition: TopicPartition) -> None:
        return None


Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(page: str) -> Found:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def scrape(made: Iterable[Sample | None]) -> Found:
    _, body = render([sample for sample in made if sample is not None], "")
    return read(body.decode())


def value(found: Found, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))
