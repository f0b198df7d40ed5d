"""Everything that a page tells of one broker, and what has to be looked at between two pages."""

from __future__ import annotations

import time
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

from pykbroker import __version__
from pykbroker.runtime.figures.cluster import cluster_samples
from pykbroker.runtime.figures.groups import coordinator_totals, group_samples
from pykbroker.runtime.figures.partitions import partition_samples, traffic_samples
from pykbroker.runtime.figures.quotas import quota_samples
from pykbroker.runtime.figures.rates import EVERY_MS, Rates
from pykbroker.runtime.figures.replication import fetch_totals, replication_samples
from pykbroker.runtime.figures.requests import request_samples
from pykbroker.runtime.figures.sockets import Sockets, socket_samples, socket_totals
from pykbroker.runtime.figures.storage import storage_samples
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pykbroker.ports import Clock
    from pykbroker.runtime.figures.groups import Ends
    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.request_counts import RequestCounts
    from pykbroker.runtime.services import Services

PROBE_MS = 500
KEPT_PROBES = 60_000 // PROBE_MS
_BUSY = "the CPU time of the event loop's thread"
_SESSIONS = "kafka_server_fetchsessioncache_"


class Clients(Sockets, Protocol):
    """What is asked of the table of connections."""

    refused: int
    requests: RequestCounts


class Watch:
    """Looks twice a second how late the event loop is, and every few seconds at the counters whose
    rates are told."""

    def __init__(self, clock: Clock, totals: Callable[[], Mapping[str, float]]) -> None:
        self._clock = clock
        self._totals = totals
        self._probes: deque[int] = deque([0], maxlen=KEPT_PROBES)
        self.rates = Rates(clock.monotonic_ms(), {_BUSY: time.thread_time()})

    async def run(self) -> None:
        """Until cancelled."""
        clock = self._clock
        read_ms = clock.monotonic_ms()
        while True:
            due_ms = clock.monotonic_ms() + PROBE_MS
            await clock.sleep(PROBE_MS)
            now_ms = clock.monotonic_ms()
            self._probes.append(max(0, now_ms - due_ms))
            if now_ms - read_ms >= EVERY_MS:
                read_ms = now_ms
                self.rates.read({**self._totals(), _BUSY: time.thread_time()}, now_ms)

    def samples(self) -> Iterator[Sample | None]:
        yield "pykbroker_event_loop_lag_seconds", (), self._probes[-1] / 1000
        yield "pykbroker_event_loop_lag_max_seconds", (), max(self._probes) / 1000
        busy = self.rates.rate(_BUSY, time.thread_time(), self._clock.monotonic_ms())
        yield "pykbroker_event_loop_idle_ratio", (), min(1.0, max(0.0, 1.0 - busy))


def watch(broker: Services, clients: Clients) -> Watch:
    def totals() -> dict[str, float]:
        return {**socket_totals(clients), **fetch_totals(broker), **coordinator_totals(broker)}

    return Watch(broker.clock, totals)


def samples(
    broker: Services, clients: Clients, watch: Watch, ends: Ends
) -> Iterator[Sample | None]:
    """Everything, to be read on the loop; None is a good place to pause."""
    rates, now_ms = watch.rates, broker.clock.monotonic_ms()
    return chain(
        [("pykbroker_build_info", (__version__,), 1.0)],
        watch.samples(),
        [("pykbroker_connections_refused_total", (), clients.refused)],
        socket_samples(clients, rates, now_ms),
        request_samples(clients.requests),
        _waiting(broker),
        quota_samples(broker.quotas, now_ms),
        replication_samples(broker, rates),
        storage_samples(broker.replicas.logs),
        cluster_samples(broker),
        group_samples(broker, rates, ends),
        traffic_samples(broker),
        partition_samples(broker.replicas),
    )


def _waiting(broker: Services) -> Iterator[Sample | None]:
    purgatory = "kafka_server_delayedoperationpurgatory_"
    for kind, waiting in broker.replicas.counts.waiting.items():
        yield f"{purgatory}purgatorysize", (kind,), waiting
        yield f"{purgatory}numdelayedoperations", (kind,), waiting
    sessions = broker.fetch_sessions
    yield f"{_SESSIONS}numincrementalfetchsessions", (), len(sessions)
    yield f"{_SESSIONS}numincrementalfetchpartitionscached", (), sessions.partitions
    yield f"{_SESSIONS}incrementalfetchsessionevictions_total", (), sessions.evictions
