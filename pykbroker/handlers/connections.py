"""All client connections of a broker: their limits, the idle and the stuck ones, their end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.handlers.admission import Admissions
from pykbroker.handlers.connection import ClientConnection, ListenerCounts
from pykbroker.handlers.registry import Routes
from pykbroker.runtime.request_counts import RequestCounts
from wire.frame import SharedBuffer

if TYPE_CHECKING:
    from pykbroker.ports import Peer, TimerHandle, Transport
    from pykbroker.runtime.services import Services

SWEEP_MS = 1_000
FRAME_COMPLETION_MS = 30_000
"""A frame that was begun must be whole by then; half a frame holds a buffer."""
IN_FLIGHT_LIMIT_BYTES = 256 * 1024 * 1024


class Connections:
    """Makes a connection for each link, and counts what all of them hold."""

    def __init__(self, broker: Services) -> None:
        self._broker = broker
        self._members: set[ClientConnection] = set()
        self._number = 0
        self._in_flight_bytes = 0
        self.is_full = False
        """The requests in flight have reached their limit."""
        self._full: set[ClientConnection] = set()
        self._sweeper: TimerHandle | None = None
        self.shared_buffer = SharedBuffer()
        self.max_request_bytes = broker.settings.current.int("socket.request.max.bytes")
        self.refused = 0
        self.listeners: dict[str, ListenerCounts] = {}
        self.requests = RequestCounts()
        self.routes = Routes(self.requests)
        self.admissions = Admissions(broker)

    def __len__(self) -> int:
        return len(self._members)

    def connect(self, transport: Transport, peer: Peer) -> ClientConnection:
        self._number += 1
        counts = self.listeners.get(peer.listener)
        if counts is None:
            counts = self.listeners[peer.listener] = ListenerCounts()
        counts.opened += 1
        member = ClientConnection(self._broker, self, transport, peer, self._number, counts)
        self._members.add(member)
        self.admissions.opened(member, self._members)
        if self._sweeper is None:
            self._arm()
        return member

    def by_software(self) -> Counter[tuple[str, str, str]]:
        """Open connections by listener, and by the name and version that the client gave."""
        clients = (member.client for member in self._members)
        return Counter(
            (c.peer.listener, c.client_software_name, c.client_software_version) for c in clients
        )

    def is_privileged(self, listener: str) -> bool:
        """Whether other brokers connect there: to brokers, or to a controller."""
        listeners = self.admissions.listeners
        return listener == listeners.inter_broker or listeners.is_controller(listener)

    def forget(self, member: ClientConnection) -> None:
        if member in self._members:
            self.listeners[member.client.peer.listener].closed += 1
        self._members.discard(member)
        self._full.discard(member)
        self.admissions.closed(member)

    def count_refused(self) -> None:
        self.refused += 1

    def hold(self, size: int) -> None:
        self._in_flight_bytes += size
        self.is_full = self._in_flight_bytes >= IN_FLIGHT_LIMIT_BYTES

    def release(self, size: int) -> None:
        self._in_flight_bytes -= size
        self.is_full = self._in_flight_bytes >= IN_FLIGHT_LIMIT_BYTES
        if self._full and not self.is_full:
            waiting, self._full = self._full, set()
            now = self._broker.clock.monotonic_ms()
            for member in waiting:
                self._broker.clock.call_at(now, member.wake)

    def let_wait(self, member: ClientConnection) -> bool:
        """It is woken once there is room again."""
        self._full.add(member)
        return True

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _arm(self) -> None:
        clock = self._broker.clock
        self._sweeper = clock.call_at(clock.monotonic_ms() + SWEEP_MS, self._sweep)

    def _sweep(self) -> None:
        """Linear in connections, once a second: a comparison each."""
        self._sweeper = None
        now = self._broker.clock.monotonic_ms()
        max_idle_ms = self._broker.settings.current.int("connections.max.idle.ms")
        for member in list(self._members):
            quiet_ms = now - member.last_active_ms
            begun_ms = member.frame_since_ms
            if begun_ms >= 0 and now - begun_ms >= FRAME_COMPLETION_MS:
                member.abort()
            elif max_idle_ms >= 0 and member.is_idle and quiet_ms >= max_idle_ms:
                member.close()
        if self._members:
            self._arm()
