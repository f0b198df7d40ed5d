"""Of requests, by API. A fetch counts as Fetch and as FetchConsumer or FetchFollower too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire.apis import API_BY_KEY, ApiKey
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.request_counts import RequestCounts

_REQUESTS = "kafka_network_requestmetrics_"


def request_samples(counts: RequestCounts) -> Iterator[Sample | None]:
    for (api_key, version, is_broker), count in list(counts.requests.items()):
        for name in _names(api_key, is_broker=is_broker):
            yield f"{_REQUESTS}requests_total", (name, str(version)), count
    for (api_key, is_broker), errors in list(counts.errors.items()):
        for code, count in list(errors.items()):
            for name in _names(api_key, is_broker=is_broker):
                yield f"{_REQUESTS}errors_total", (name, ErrorCode(code).name), count


def _names(api_key: int, *, is_broker: bool) -> list[str]:
    name = API_BY_KEY[api_key].name
    if api_key != ApiKey.FETCH:
        return [name]
    return [name, "FetchFollower" if is_broker else "FetchConsumer"]
