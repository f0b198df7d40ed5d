"""New connections against the broker's limits: served, delayed, kept waiting or closed.

A connection that must wait is accepted but not read from, so that its client sees what it would
see of a full backlog.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pykbroker.config.listeners import parse_listeners
from pykbroker.log import get_logger
from pykbroker.state.connection_quota import ConnectionQuotas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.handlers.connection import ClientConnection
    from pykbroker.runtime.services import Services
    from pykbroker.state.controller.image import MetadataDelta

logger = get_logger("pykbroker.handlers.admission")

LIMIT_SETTINGS = (
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
)


class Admissions:
    def __init__(self, broker: Services) -> None:
        settings = broker.settings.current
        listeners = self.listeners = parse_listeners(settings)
        self._broker = broker
        self._limits = ConnectionQuotas(
            settings, [listener.name for listener in listeners.bound], listeners.inter_broker
        )
        self._limits.update(broker.images.current.quotas)
        self._admitted: set[ClientConnection] = set()
        self._waiting: deque[ClientConnection] = deque()
        self.rejected = 0
        broker.settings.on_change(self._settings_changed)
        broker.images.subscribe(self._metadata_changed)

    def opened(self, member: ClientConnection, others: Iterable[ClientConnection]) -> None:
        """``others`` are those one of which may have to go for this one."""
        listener = member.client.peer.listener
        if not self._limits.has_slot(listener):
            member.suspend()
            self._waiting.append(member)
            return
        self._admit(member)
        if self._limits.must_evict(listener):
            self._evict(others)

    def closed(self, member: ClientConnection) -> None:
        if member in self._admitted:
            self._admitted.discard(member)
            peer = member.client.peer
            self._limits.release(peer.listener, peer.host)
        elif self._waiting and member in self._waiting:
            self._waiting.remove(member)
        self._admit_waiting()

    def _admit(self, member: ClientConnection) -> None:
        peer, clock = member.client.peer, self._broker.clock
        now_ms = clock.monotonic_ms()
        admission = self._limits.admit(peer.listener, peer.host, now_ms)
        if admission.admitted:
            self._admitted.add(member)
            member.resume(admission.delay_ms)
            return
        self.rejected += 1
        logger.info(
            "connection rejected",
            listener=peer.listener,
            host=peer.host,
            reason="too fast" if admission.delay_ms else "too many",
        )
        if admission.delay_ms:
            member.suspend()
            clock.call_at(now_ms + admission.delay_ms, member.close)
        else:
            member.close()

    def _admit_waiting(self) -> None:
        """In their order, except that a full listener does not hold up another."""
        for member in list(self._waiting):
            if self._limits.has_slot(member.client.peer.listener):
                self._waiting.remove(member)
                self._admit(member)

    def _evict(self, others: Iterable[ClientConnection]) -> None:
        """The one that was quiet for longest goes."""
        candidates = [
            other
            for other in others
            if other in self._admitted and not self._limits.is_protected(other.client.peer.listener)
        ]
        if candidates:
            min(candidates, key=lambda other: other.last_active_ms).close()

    def _settings_changed(self, names: frozenset[str]) -> None:
        if any(name.endswith(LIMIT_SETTINGS) for name in names):
            self._limits.configure(self._broker.settings.current)
            self._admit_waiting()

    def _metadata_changed(self, delta: MetadataDelta) -> None:
        if delta.quotas_changed:
            self._limits.update(delta.after.quotas)
