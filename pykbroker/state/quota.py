"""Client quotas: which one applies to a client, how its rate is measured, how long it must wait.

The most specific quota that exists decides, in this order: (user, client-id), (user, default
client), user, (default user, client-id), (default user, default client), default user, client-id,
default client. Clients share one bucket exactly where the deciding quota does not name, or stand
for, one client-id or one user each.

A rate is measured over ``samples`` windows, the newest one still open, and at least
``samples - 1`` full windows are assumed to have passed: a short burst is spread over them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pykbroker.state.controller.image import QuotaEntity

USER, CLIENT_ID, IP = "user", "client-id", "ip"
PRODUCER_BYTE_RATE = "producer_byte_rate"
CONSUMER_BYTE_RATE = "consumer_byte_rate"
REQUEST_PERCENTAGE = "request_percentage"
CONTROLLER_MUTATION_RATE = "controller_mutation_rate"
CONNECTION_CREATION_RATE = "connection_creation_rate"

_ABSENT: Final = object()
"""This part is not in the entity; None in its place is the default entity."""
_KNOWN_LIMIT = 10_000
"""Clients whose quota, and buckets that, are remembered before the idle ones go."""
_TOLD_MS = 3_600_000
"""A client's figures are told for so long after its last request, as Kafka's are."""
_LONG_AGO_MS = -(2**62)


class Applied(NamedTuple):
    """The quota that decides for a client, and who shares its bucket: (user, client-id)."""

    limit: float
    bucket: tuple[str | None, str | None]


class Limits:
    """The limits of one kind of quota, by entity."""

    def __init__(self, quotas: Mapping[QuotaEntity, Mapping[str, float]], key: str) -> None:
        self._limits: dict[tuple[object, object], float] = {}
        for entity, values in quotas.items():
            parts = dict(entity.parts)
            if key in values and IP not in parts:
                named = (parts.get(USER, _ABSENT), parts.get(CLIENT_ID, _ABSENT))
                self._limits[named] = values[key]
        self._known: dict[tuple[str, str], Applied | None] = {}

    def __bool__(self) -> bool:
        return bool(self._limits)

    def find(self, user: str, client_id: str) -> Applied | None:
        """None: no quota applies. ``user`` is the principal's name, ``client_id`` may be ''."""
        try:
            return self._known[user, client_id]
        except KeyError:
            if len(self._known) >= _KNOWN_LIMIT:
                self._known.clear()
            found = self._known[user, client_id] = self._find(user, client_id)
            return found

    def _find(self, user: str, client_id: str) -> Applied | None:
        limits = self._limits
        both = (user, client_id)
        for named, bucket in (
            ((user, client_id), both),
            ((user, None), both),
            ((user, _ABSENT), (user, None)),
            ((None, client_id), both),
            ((None, None), both),
            ((None, _ABSENT), (user, None)),
            ((_ABSENT, client_id), (None, client_id)),
            ((_ABSENT, None), (None, client_id)),
        ):
            if named[1] is not _ABSENT and not client_id:
                continue
            limit = limits.get(named)
            if limit is not None:
                return Applied(limit, bucket)
        return None


class _Sample:
    __slots__ = ("last_ms", "start_ms", "value")

    def __init__(self, now_ms: int) -> None:
        self.reset(now_ms)

    def reset(self, now_ms: int) -> None:
        self.start_ms = self.last_ms = now_ms
        self.value = 0.0


class Rate:
    """Per second, as Kafka's Rate over a windowed sum. Values below zero take back."""

    __slots__ = ("_current", "_sample_list", "recorded_ms", "samples", "window_ms")

    def __init__(self, samples: int, window_ms: int) -> None:
        self.samples = samples
        self.window_ms = window_ms
        self._sample_list: list[_Sample] = []
        self._current = 0
        self.recorded_ms = _LONG_AGO_MS
        """The last time. Samples do not tell: to measure begins them anew."""

    def record(self, value: float, now_ms: int) -> None:
        if not self._sample_list:
            self._sample_list.append(_Sample(now_ms))
        sample = self._sample_list[self._current]
        if now_ms - sample.start_ms >= self.window_ms:
            sample = self._advance(now_ms)
        sample.value += value
        sample.last_ms = self.recorded_ms = now_ms

    def _advance(self, now_ms: int) -> _Sample:
        """One more sample than counts, for the one that overlaps the beginning."""
        self._current = (self._current + 1) % (self.samples + 1)
        if self._current >= len(self._sample_list):
            self._sample_list.append(_Sample(now_ms))
        else:
            self._sample_list[self._current].reset(now_ms)
        return self._sample_list[self._current]

    def measure(self, now_ms: int) -> float:
        elapsed_ms = self.elapsed_ms(now_ms)
        return self.total(now_ms) * 1000 / elapsed_ms

    def total(self, now_ms: int) -> float:
        """Of the samples that count."""
        self._purge(now_ms)
        return sum(sample.value for sample in self._sample_list)

    def elapsed_ms(self, now_ms: int) -> int:
        """What the sum is divided by."""
        elapsed_ms = self.age_ms(now_ms)
        missing = self.samples - 1 - elapsed_ms // self.window_ms
        if missing > 0:
            elapsed_ms += missing * self.window_ms
        return max(elapsed_ms, 1)

    def age_ms(self, now_ms: int) -> int:
        """Since the oldest sample that counts began."""
        self._purge(now_ms)
        return now_ms - min((sample.start_ms for sample in self._sample_list), default=now_ms)

    def _purge(self, now_ms: int) -> None:
        age_ms = self.samples * self.window_ms
        for sample in self._sample_list:
            if now_ms - sample.last_ms >= age_ms:
                sample.reset(now_ms)

    def throttle_ms(self, limit: float, now_ms: int) -> int:
        """How long to do nothing for the rate to be back at ``limit``."""
        rate = self.measure(now_ms)
        if rate <= limit:
            return 0
        return round((rate - limit) / limit * self.elapsed_ms(now_ms))

    def is_idle(self, now_ms: int) -> bool:
        """Nothing counts any more: a new one would say the same."""
        return now_ms - self.recorded_ms >= self.samples * self.window_ms


class Average:
    """Of what was recorded in the windows that count; 0 where nothing was."""

    __slots__ = ("_count", "_sum")

    def __init__(self, samples: int, window_ms: int) -> None:
        self._sum = Rate(samples, window_ms)
        self._count = Rate(samples, window_ms)

    def record(self, value: float, now_ms: int) -> None:
        self._sum.record(value, now_ms)
        self._count.record(1, now_ms)

    def measure(self, now_ms: int) -> float:
        count = self._count.total(now_ms)
        return self._sum.total(now_ms) / count if count else 0.0


class Used(NamedTuple):
    """What those who share a bucket use of their quota."""

    user: str
    client_id: str
    """Either may be empty: then it is for any."""
    rate: float
    """Per second, in the quota's unit."""
    throttle_ms: float
    """How long they were throttled, each time, on average."""


class TokenBucket:
    """``limit`` tokens a second, at most ``burst_seconds`` of them saved up."""

    __slots__ = ("_burst_seconds", "_last_ms", "_tokens")

    def __init__(self, burst_seconds: float) -> None:
        self._burst_seconds = burst_seconds
        self._tokens = 0.0
        self._last_ms: int | None = None

    def refill(self, limit: float, now_ms: int) -> float:
        """The tokens there are now; less than none is a debt."""
        burst = limit * self._burst_seconds
        if self._last_ms is None:
            self._tokens = burst
        else:
            earned = limit * (now_ms - self._last_ms) / 1000
            self._tokens = min(burst, self._tokens + earned)
        self._last_ms = now_ms
        return self._tokens

    def take(self, tokens: float, limit: float, now_ms: int) -> None:
        """Into debt, if need be."""
        self.refill(limit, now_ms)
        self._tokens -= tokens

    def throttle_ms(self, limit: float, now_ms: int) -> int:
        """How long until the debt is paid off."""
        tokens = self.refill(limit, now_ms)
        return round(-tokens / limit * 1000) if tokens < 0 else 0


class RateQuota:
    """One kind of quota that limits a rate: produce, fetch, request time."""

    def __init__(self, key: str, samples: int, window_ms: int) -> None:
        self.key = key
        self._samples = samples
        self._window_ms = window_ms
        self._rates: dict[tuple[str | None, str | None], Rate] = {}
        self._throttled: dict[tuple[str | None, str | None], Average] = {}
        """Of the same buckets, those who were."""
        self.limits = Limits({}, key)

    def update(self, quotas: Mapping[QuotaEntity, Mapping[str, float]]) -> None:
        """Rates go on as measured; clients without a quota now are forgotten."""
        self.limits = Limits(quotas, self.key)
        self._rates = {bucket: r for bucket, r in self._rates.items() if self._is_limited(*bucket)}
        self._throttled = {b: a for b, a in self._throttled.items() if b in self._rates}

    def _is_limited(self, user: str | None, client_id: str | None) -> bool:
        applied = self.limits.find(user or "", client_id or "")
        return applied is not None and applied.bucket == (user, client_id)

    def record(self, user: str, client_id: str, value: float, now_ms: int) -> int:
        """How long the client must be throttled; 0 within its quota or without one."""
        applied = self.limits.find(user, client_id)
        if applied is None:
            return 0
        rate = self._rate(applied.bucket, now_ms)
        rate.record(value, now_ms)
        return rate.throttle_ms(applied.limit, now_ms)

    def unrecord(self, user: str, client_id: str, value: float, now_ms: int) -> None:
        applied = self.limits.find(user, client_id)
        if applied is not None:
            self._rate(applied.bucket, now_ms).record(-value, now_ms)

    def largest_value(self, user: str, client_id: str) -> float | None:
        """What may pass at once without breaking the quota by itself; None is anything."""
        applied = self.limits.find(user, client_id)
        if applied is None:
            return None
        return applied.limit * (self._samples - 1) * self._window_ms / 1000

    def throttled(self, user: str, client_id: str, throttle_ms: int, now_ms: int) -> None:
        """Tell of it: what ``record`` returned, or less."""
        applied = self.limits.find(user, client_id)
        if applied is not None:
            average = self._throttled.get(applied.bucket)
            if average is None:
                average = Average(self._samples, self._window_ms)
                self._throttled[applied.bucket] = average
            average.record(throttle_ms, now_ms)

    def used(self, now_ms: int) -> Iterator[Used]:
        """By bucket, of those that were heard of lately."""
        for bucket, rate in list(self._rates.items()):
            if now_ms - rate.recorded_ms < _TOLD_MS:
                average = self._throttled.get(bucket)
                throttle_ms = 0.0 if average is None else average.measure(now_ms)
                user, client_id = bucket
                yield Used(user or "", client_id or "", rate.measure(now_ms), throttle_ms)

    def _rate(self, bucket: tuple[str | None, str | None], now_ms: int) -> Rate:
        rate = self._rates.get(bucket)
        if rate is None:
            if len(self._rates) >= _KNOWN_LIMIT:
                self._rates = {b: r for b, r in self._rates.items() if not r.is_idle(now_ms)}
                self._throttled = {b: a for b, a in self._throttled.items() if b in self._rates}
            rate = self._rates[bucket] = Rate(self._samples, self._window_ms)
        return rate


class MutationQuota:
    """controller_mutation_rate: partitions created or deleted per second (KIP-599)."""

    def __init__(self, samples: int, window_ms: int) -> None:
        self._burst_seconds = samples * window_ms / 1000
        self._buckets: dict[tuple[str | None, str | None], TokenBucket] = {}
        self.limits = Limits({}, CONTROLLER_MUTATION_RATE)

    def update(self, quotas: Mapping[QuotaEntity, Mapping[str, float]]) -> None:
        self.limits = Limits(quotas, CONTROLLER_MUTATION_RATE)
        if not self.limits:
            self._buckets.clear()

    def record(
        self, user: str, client_id: str, permits: float, now_ms: int, *, strict: bool
    ) -> int:
        """The throttle time. ``strict``: more than 0 means refused, and nothing was taken.

        Otherwise the permits are taken in any case, and the client pays by waiting.
        """
        applied = self.limits.find(user, client_id)
        if applied is None:
            return 0
        bucket = self._bucket(applied.bucket, applied.limit, now_ms)
        if strict:
            throttle_ms = bucket.throttle_ms(applied.limit, now_ms)
            if throttle_ms == 0:
                bucket.take(permits, applied.limit, now_ms)
            return throttle_ms
        bucket.take(permits, applied.limit, now_ms)
        return bucket.throttle_ms(applied.limit, now_ms)

    def _bucket(self, key: tuple[str | None, str | None], limit: float, now_ms: int) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _KNOWN_LIMIT:
                full = limit * self._burst_seconds
                self._buckets = {
                    k: b for k, b in self._buckets.items() if b.refill(limit, now_ms) < full
                }
            bucket = self._buckets[key] = TokenBucket(self._burst_seconds)
        return bucket


def normal_address(text: str) -> str | None:
    """An address as connections show it; None for what is none. Names are not looked up."""
    import ipaddress

    if text == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(address if mapped is None else mapped)
