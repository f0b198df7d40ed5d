"""Of the broker itself: what waits, who is connected, its directories, its event loop."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from pykbroker import __version__
from pykbroker.runtime.figures.cluster import cluster_samples
from pykbroker.runtime.figures.groups import group_samples
from pykbroker.runtime.figures.partitions import partition_samples, traffic_samples
from pykbroker.runtime.figures.requests import request_samples
from pykbroker.runtime.figures.table import of_listener

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pykbroker.ports import Clock
    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.request_counts import RequestCounts
    from pykbroker.runtime.services import Services

PROBE_MS = 500
KEPT_PROBES = 60_000 // PROBE_MS
_SOCKETS = "kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_connection_"
_SESSIONS = "kafka_server_fetchsessioncache_"
_REPLICAS = "kafka_server_replicamanager_"


class Clients(Protocol):
    """What is asked of the table of connections."""

    refused: int
    requests: RequestCounts
    opened: dict[str, int]
    """By listener, since the start."""

    def open_by_listener(self) -> Mapping[str, int]: ...


class LoopLag:
    """A timer that looks how late it is, twice a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._probes: deque[int] = deque([0], maxlen=KEPT_PROBES)

    async def run(self) -> None:
        """Until cancelled."""
        clock = self._clock
        while True:
            due_ms = clock.monotonic_ms() + PROBE_MS
            await clock.sleep(PROBE_MS)
            self._probes.append(max(0, clock.monotonic_ms() - due_ms))

    def samples(self) -> Iterator[Sample | None]:
        yield "pykbroker_event_loop_lag_seconds", (), self._probes[-1] / 1000
        yield "pykbroker_event_loop_lag_max_seconds", (), max(self._probes) / 1000


def samples(broker: Services, clients: Clients, lag: LoopLag) -> Iterator[Sample | None]:
    """Everything, to be read on the loop; None is a good place to pause."""
    return chain(
        [("pykbroker_build_info", (__version__,), 1.0)],
        lag.samples(),
        _clients(clients),
        request_samples(clients.requests),
        _waiting(broker),
        _replication(broker),
        _directories(broker),
        cluster_samples(broker),
        group_samples(broker),
        traffic_samples(broker),
        partition_samples(broker.replicas),
    )


def _clients(clients: Clients) -> Iterator[Sample | None]:
    yield "pykbroker_connections_refused_total", (), clients.refused
    now = clients.open_by_listener()
    for listener, opened in clients.opened.items():
        yield of_listener(f"{_SOCKETS}count", listener), (), now.get(listener, 0)
        yield of_listener(f"{_SOCKETS}creation_total", listener), (), opened


def _waiting(broker: Services) -> Iterator[Sample | None]:
    purgatory = "kafka_server_delayedoperationpurgatory_"
    for kind, waiting in broker.replicas.counts.waiting.items():
        yield f"{purgatory}purgatorysize", (kind,), waiting
        yield f"{purgatory}numdelayedoperations", (kind,), waiting
    sessions = broker.fetch_sessions
    yield f"{_SESSIONS}numincrementalfetchsessions", (), len(sessions)
    yield f"{_SESSIONS}numincrementalfetchpartitionscached", (), sessions.partitions
    yield f"{_SESSIONS}incrementalfetchsessionevictions_total", (), sessions.evictions


def _replication(broker: Services) -> Iterator[Sample | None]:
    """Zero where nothing has been replicated yet: a counter shall be there before it counts."""
    replication = broker.replicas.replication
    updates = None if replication is None else replication.isr_updates
    yield f"{_REPLICAS}isrshrinks_total", (), 0 if updates is None else updates.shrinks
    yield f"{_REPLICAS}isrexpands_total", (), 0 if updates is None else updates.expansions
    yield f"{_REPLICAS}failedisrupdates_total", (), 0 if updates is None else updates.failures
    if replication is None:
        return
    now_ms = broker.clock.monotonic_ms()
    throttles = replication.throttles
    yield "kafka_server_leaderreplication_byte_rate", (), throttles.leader.rate(now_ms)
    yield "kafka_server_followerreplication_byte_rate", (), throttles.follower.rate(now_ms)


def _directories(broker: Services) -> Iterator[Sample | None]:
    directories = broker.replicas.logs.directories
    manager = "kafka_log_logmanager_"
    failed = sum(directory.is_failed for directory in directories)
    yield f"{manager}offlinelogdirectorycount", (), failed
    for directory in directories:
        yield f"{manager}logdirectoryoffline", (directory.path,), directory.is_failed
