"""How many connections there may be, and how fast new ones may come.

Three answers to a new connection: it is admitted, perhaps after a delay (broker's and listener's
rate); it must wait for another to go (broker's and listener's number); it is closed, at once (too
many from its address) or after a delay (its address comes too fast). Among several listeners the
inter-broker one is protected: the broker's own limits do not count there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.checks import connection_overrides
from pykbroker.state.quota import CONNECTION_CREATION_RATE, IP, Rate, normal_address
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pykbroker.config.settings import Settings
    from pykbroker.state.controller.image import QuotaEntity

UNLIMITED = 2147483647
_ADDRESSES_REMEMBERED = 10_000


class Admission(NamedTuple):
    """``admitted`` False: close it ``delay_ms`` from now. True: serve it ``delay_ms`` from now."""

    admitted: bool
    delay_ms: int = 0


class _ListenerState:
    __slots__ = ("count", "max_connections", "rate", "rate_limit")

    def __init__(self, samples: int, window_ms: int) -> None:
        self.count = 0
        self.max_connections = UNLIMITED
        self.rate_limit = UNLIMITED
        self.rate = Rate(samples, window_ms)

    def configure(self, settings: Settings, listener: str) -> None:
        """Its own limits; the broker's count beside them."""
        self.max_connections = _own_limit(settings, listener, "max.connections")
        self.rate_limit = _own_limit(settings, listener, "max.connection.creation.rate")


class ConnectionQuotas:
    """Every connection counted is released once."""

    def __init__(self, settings: Settings, listeners: Collection[str], inter_broker: str) -> None:
        self._samples = settings.int("quota.window.num")
        self._window_ms = settings.int("quota.window.size.seconds") * 1000
        self._listeners: dict[str, _ListenerState] = {}
        self._protected = inter_broker if len(listeners) > 1 else None
        self._rate = Rate(self._samples, self._window_ms)
        self._counts: dict[str, int] = {}
        self._address_rates: dict[str, Rate] = {}
        self._address_limits: dict[str, float] = {}
        self._default_address_limit: float | None = None
        self.total = 0
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Limits may change at any time; connections that are there stay."""
        self.max_connections = settings.int("max.connections")
        self._rate_limit = settings.int("max.connection.creation.rate")
        self._max_per_address = settings.int("max.connections.per.ip")
        self._per_address = {
            normal_address(host) or host: limit
            for host, limit in connection_overrides(settings).items()
        }
        self._settings = settings
        for name, state in self._listeners.items():
            state.configure(settings, name)

    def update(self, quotas: Mapping[QuotaEntity, Mapping[str, float]]) -> None:
        """The connection rates set for addresses, and for all others."""
        self._address_limits.clear()
        self._default_address_limit = None
        for entity, values in quotas.items():
            parts = dict(entity.parts)
            if IP not in parts or CONNECTION_CREATION_RATE not in values:
                continue
            name, limit = parts[IP], values[CONNECTION_CREATION_RATE]
            if name is None:
                self._default_address_limit = limit
            else:
                self._address_limits[normal_address(name) or name] = limit
        if not self._address_limits and self._default_address_limit is None:
            self._address_rates.clear()

    def has_slot(self, listener: str) -> bool:
        """Whether one more may be admitted; otherwise it waits for a release."""
        state = self._listener(listener)
        if state.count >= state.max_connections:
            return False
        return listener == self._protected or self.total < self.max_connections

    def must_evict(self, listener: str) -> bool:
        """One too many through the protected listener: another one's connection must go."""
        return listener == self._protected and self.total > self.max_connections

    def is_protected(self, listener: str) -> bool:
        return listener == self._protected

    def admit(self, listener: str, host: str, now_ms: int) -> Admission:
        """Count a new connection. Not admitted is not counted: do not release it."""
        address_delay_ms = self._address_throttle_ms(host, now_ms)
        if address_delay_ms > 0:
            return Admission(False, address_delay_ms)
        limit = self._per_address.get(host, self._max_per_address)
        if self._counts.get(host, 0) >= limit:
            return Admission(False)
        state = self._listener(listener)
        delay_ms = 0
        if listener != self._protected:
            delay_ms = self._throttle_ms(self._rate, self._rate_limit, now_ms)
        delay_ms = max(delay_ms, self._throttle_ms(state.rate, state.rate_limit, now_ms))
        self._counts[host] = self._counts.get(host, 0) + 1
        state.count += 1
        self.total += 1
        return Admission(True, delay_ms)

    def release(self, listener: str, host: str) -> None:
        self._listeners[listener].count -= 1
        self.total -= 1
        left = self._counts[host] - 1
        if left:
            self._counts[host] = left
        else:
            del self._counts[host]

    def _listener(self, name: str) -> _ListenerState:
        state = self._listeners.get(name)
        if state is None:
            state = self._listeners[name] = _ListenerState(self._samples, self._window_ms)
            state.configure(self._settings, name)
        return state

    def _address_throttle_ms(self, host: str, now_ms: int) -> int:
        limit = self._address_limits.get(host, self._default_address_limit)
        if limit is None:
            return 0
        rate = self._address_rates.get(host)
        if rate is None:
            if len(self._address_rates) >= _ADDRESSES_REMEMBERED:
                self._address_rates = {
                    h: r for h, r in self._address_rates.items() if not r.is_idle(now_ms)
                }
            rate = self._address_rates[host] = Rate(self._samples, self._window_ms)
        rate.record(1, now_ms)
        throttle_ms = min(rate.throttle_ms(limit, now_ms), self._window_ms)
        if throttle_ms > 0:
            rate.record(-1, now_ms)
        return throttle_ms

    def _throttle_ms(self, rate: Rate, limit: int, now_ms: int) -> int:
        if limit == UNLIMITED:
            return 0
        rate.record(1, now_ms)
        return min(rate.throttle_ms(max(limit, 1), now_ms), self._window_ms)


def _own_limit(settings: Settings, listener: str, name: str) -> int:
    prefixed = f"listener.name.{listener.lower()}.{name}"
    if not any(prefixed in layer for _, layer in settings.layers):
        return UNLIMITED
    return settings.for_listener(listener).int(name)
