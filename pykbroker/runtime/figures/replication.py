"""Of what this broker replicates: ISRs, throttles, fetchers and how far they are behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.figures.rates import Rates
    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.replication import Replication
    from pykbroker.runtime.services import Services

LAG_LIMIT = 10_000
"""Followed partitions with a series of their own."""
REPLICA = ("Replica",)
_REPLICAS = "kafka_server_replicamanager_"
_FETCHERS = "kafka_server_replicafetchermanager_"
_LAG = "kafka_server_fetcherlagmetrics_consumerlag"


def replication_samples(broker: Services, rates: Rates) -> Iterator[Sample | None]:
    """Zero where nothing has been replicated yet: a counter shall be there before it counts."""
    replication = broker.replicas.replication
    updates = None if replication is None else replication.isr_updates
    yield f"{_REPLICAS}isrshrinks_total", (), 0 if updates is None else updates.shrinks
    yield f"{_REPLICAS}isrexpands_total", (), 0 if updates is None else updates.expansions
    yield f"{_REPLICAS}failedisrupdates_total", (), 0 if updates is None else updates.failures
    now_ms = broker.clock.monotonic_ms()
    if replication is not None:
        throttles = replication.throttles
        yield "kafka_server_leaderreplication_byte_rate", (), throttles.leader.rate(now_ms)
        yield "kafka_server_followerreplication_byte_rate", (), throttles.follower.rate(now_ms)
    yield from _fetchers(replication, rates, now_ms)


def fetch_totals(broker: Services) -> dict[str, float]:
    """Answered fetches by fetcher."""
    replication = broker.replicas.replication
    fetchers = [] if replication is None else replication.followers.fetchers
    return {fetcher.client_id: fetcher.fetches for fetcher in fetchers}


def _fetchers(
    replication: Replication | None, rates: Rates, now_ms: int
) -> Iterator[Sample | None]:
    longest = failed = told = 0
    fetch_rates: list[float] = []
    for fetcher in list(replication.followers.fetchers) if replication is not None else ():
        yield None
        fetch_rates.append(rates.rate(fetcher.client_id, fetcher.fetches, now_ms))
        failed += fetcher.failed_count
        for (topic, index), lag in fetcher.lags():
            longest = max(longest, lag)
            told += 1
            if told <= LAG_LIMIT:
                yield _LAG, (fetcher.client_id, topic, str(index)), lag
    yield f"{_FETCHERS}maxlag", REPLICA, longest
    yield f"{_FETCHERS}minfetchrate", REPLICA, min(fetch_rates, default=0.0)
    yield f"{_FETCHERS}failedpartitionscount", REPLICA, failed
