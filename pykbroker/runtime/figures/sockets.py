"""Of connections, by listener and by the software of their clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.runtime.figures.table import named
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pykbroker.runtime.figures.rates import Rates
    from pykbroker.runtime.figures.table import Sample

SOFTWARE_LIMIT = 50
"""Kinds of client software with a series of their own, the most frequent ones."""
_LISTENER = "kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_"
_SOFTWARE = (
    "kafka_server_socket_server_metrics_clientsoftwarename_{name}"
    "_clientsoftwareversion_{version}_listener_{listener}_networkprocessor_0_connections"
)


class Listener(Protocol):
    """Counted from the start."""

    opened: int
    closed: int
    requests: int
    bytes_in: int
    bytes_out: int


class Sockets(Protocol):
    @property
    def listeners(self) -> Mapping[str, Listener]: ...

    def by_software(self) -> Mapping[tuple[str, str, str], int]:
        """Open connections by listener, name and version of the client's software."""
        ...


def socket_totals(sockets: Sockets) -> dict[str, float]:
    """Whose rates are told, by the names of those."""
    return {
        f"{named(_LISTENER, listener=name)}{rate}": total
        for name, counts in sockets.listeners.items()
        for rate, total in _rated(counts)
    }


def _rated(counts: Listener) -> list[tuple[str, int]]:
    return [
        ("connection_creation_rate", counts.opened),
        ("connection_close_rate", counts.closed),
        ("incoming_byte_rate", counts.bytes_in),
        ("outgoing_byte_rate", counts.bytes_out),
    ]


def socket_samples(sockets: Sockets, rates: Rates, now_ms: int) -> Iterator[Sample | None]:
    for name, counts in sockets.listeners.items():
        listener = named(_LISTENER, listener=name)
        yield f"{listener}connection_count", (), counts.opened - counts.closed
        yield f"{listener}connection_creation_total", (), counts.opened
        yield f"{listener}request_total", (), counts.requests
        yield f"{listener}incoming_byte_total", (), counts.bytes_in
        yield f"{listener}outgoing_byte_total", (), counts.bytes_out
        for rate, total in _rated(counts):
            yield f"{listener}{rate}", (), rates.rate(f"{listener}{rate}", total, now_ms)
    yield None
    connections = sorted(sockets.by_software().items(), key=lambda item: -item[1])
    told = 0
    for (listener, name, version), count in connections:
        if name and told < SOFTWARE_LIMIT:
            told += 1
            yield named(_SOFTWARE, name=name, version=version, listener=listener), (), count
