"""Of clients that have a quota: how much of it they use, and how long they wait for it.

Who has none is not told of: anybody may call himself anything, and each name would be a series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.quotas import Quotas

CLIENT_LIMIT = 1_000
"""Clients with series of their own, for each kind of quota."""


def quota_samples(quotas: Quotas, now_ms: int) -> Iterator[Sample | None]:
    left_out = 0
    for kind, measured, quota in (
        ("kafka_server_produce", "byte_rate", quotas.produce),
        ("kafka_server_fetch", "byte_rate", quotas.fetch),
        ("kafka_server_request", "request_time", quotas.request),
    ):
        for count, used in enumerate(quota.used(now_ms)):
            if count >= CLIENT_LIMIT:
                left_out += 1
                continue
            labels = (used.user, used.client_id)
            yield f"{kind}_{measured}", labels, used.rate
            yield f"{kind}_throttle_time", labels, used.throttle_ms
            yield None
    yield "pykbroker_metrics_left_out", (), left_out
