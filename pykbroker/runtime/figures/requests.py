"""Of requests, by API. A fetch counts as Fetch and as FetchConsumer or FetchFollower too."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.runtime.distribution import quantiles
from pykbroker.runtime.figures.timings import QUANTILES
from pykbroker.runtime.request_counts import TIMES
from wire.apis import API_BY_KEY, ApiKey
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pykbroker.runtime.distribution import Distribution
    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.request_counts import RequestCounts

_REQUESTS = "kafka_network_requestmetrics_"
# In the order of a Distribution's values: what it is called, and how many of them are one unit.
_MEASURED = (
    *((f"{_REQUESTS}{time}timems", 1000) for time in TIMES),
    (f"{_REQUESTS}requestbytes", 1),
)


def request_samples(counts: RequestCounts) -> Iterator[Sample | None]:
    answered: Counter[str] = Counter()
    errors: Counter[tuple[str, int]] = Counter()
    for (api_key, version, is_broker), answers in list(counts.answers.items()):
        yield None
        if not answers.count:
            continue
        for name in _names(api_key, is_broker=is_broker):
            yield f"{_REQUESTS}requests_total", (name, str(version)), answers.count
            answered[name] += answers.count
            for code, count in answers.errors.items():
                errors[name, code] += count
    for (name, code), count in errors.items():
        yield f"{_REQUESTS}errors_total", (name, ErrorCode(code).name), count
    for name, count in answered.items():
        for measured, _ in _MEASURED:
            yield f"{measured}_count", (name,), count
    for name, distributions in _by_name(counts.times.distributions).items():
        yield from _measured(name, distributions)


def _measured(name: str, distributions: list[Distribution]) -> Iterator[Sample | None]:
    for index, (measured, per_unit) in enumerate(_MEASURED):
        yield None
        merged: Counter[int] = Counter()
        for distribution in distributions:
            merged.update(distribution.buckets(index))
        found = quantiles(merged, QUANTILES.values())
        for label, value in zip(QUANTILES, found, strict=True):
            yield measured, (name, label), value / per_unit


def _by_name(
    distributions: Mapping[tuple[int, bool], Distribution],
) -> dict[str, list[Distribution]]:
    by_name: dict[str, list[Distribution]] = {}
    for (api_key, is_broker), distribution in distributions.items():
        for name in _names(api_key, is_broker=is_broker):
            by_name.setdefault(name, []).append(distribution)
    return by_name


def _names(api_key: int, *, is_broker: bool) -> list[str]:
    name = API_BY_KEY[api_key].name
    if api_key != ApiKey.FETCH:
        return [name]
    return [name, "FetchFollower" if is_broker else "FetchConsumer"]
