"""Client quotas in force: what is recorded for each request, and how long its client waits.

A throttled answer leaves at once with its throttle time, then the connection is mute for as long
(KIP-219). Fetch is the exception that its handler looks after: a throttled fetch is answered
empty, so it asks before it answers. Without any quota set, a request costs one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.state.errors import KafkaError
from pykbroker.state.quota import (
    CONSUMER_BYTE_RATE,
    PRODUCER_BYTE_RATE,
    REQUEST_PERCENTAGE,
    MutationQuota,
    RateQuota,
)
from wire.errors import ErrorCode
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.config.settings import Settings
    from pykbroker.ports import Clock
    from pykbroker.state.controller.image import MetadataDelta, QuotaEntity

PRODUCE = 0
EXEMPT_FROM_REQUEST_TIME = frozenset(
    (
        4,  # LeaderAndIsr
        5,  # StopReplica
        6,  # UpdateMetadata
        7,  # ControlledShutdown
        27,  # WriteTxnMarkers
        52,  # Vote
        53,  # BeginQuorumEpoch
        54,  # EndQuorumEpoch
        56,  # AlterPartition
        58,  # Envelope
        59,  # FetchSnapshot
        62,  # BrokerRegistration
        63,  # BrokerHeartbeat
        67,  # AllocateProducerIds
        70,  # ControllerRegistration
        73,  # AssignReplicasToDirs
    )
)
"""What brokers ask of each other is nobody's quota."""
_PERCENT_PER_NANOSECOND = 100 / 1_000_000_000


class Client(Protocol):
    @property
    def principal(self) -> str: ...


class Context(Protocol):
    """What is asked of a request's context (``handlers.api.Context``)."""

    @property
    def api_key(self) -> int: ...

    @property
    def api_version(self) -> int: ...

    @property
    def client_id(self) -> str | None: ...

    @property
    def connection(self) -> Client: ...

    @property
    def request_bytes(self) -> int: ...

    @property
    def busy_ns(self) -> int:
        """How long the request kept the broker busy, waiting not counted."""
        ...

    @property
    def is_exempt(self) -> bool:
        """Another broker's request, such as a follower's fetch."""
        ...


class Quotas:
    """``active`` is False while no quota is set at all; then nothing needs to be called."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        samples = settings.int("quota.window.num")
        window_ms = settings.int("quota.window.size.seconds") * 1000
        self._clock = clock
        self._window_ms = window_ms
        self.produce = RateQuota(PRODUCER_BYTE_RATE, samples, window_ms)
        self.fetch = RateQuota(CONSUMER_BYTE_RATE, samples, window_ms)
        self.request = RateQuota(REQUEST_PERCENTAGE, samples, window_ms)
        self.mutation = MutationQuota(
            settings.int("controller.quota.window.num"),
            settings.int("controller.quota.window.size.seconds") * 1000,
        )
        self.active = False
        self.measures_time = False
        """Whether the connection must measure how long requests keep the broker busy."""

    def apply(self, delta: MetadataDelta) -> None:
        """Subscribe this to the metadata images."""
        if delta.quotas_changed:
            self.update(delta.after.quotas)

    def update(self, quotas: Mapping[QuotaEntity, Mapping[str, float]]) -> None:
        for quota in (self.produce, self.fetch, self.request, self.mutation):
            quota.update(quotas)
        self.measures_time = bool(self.request.limits)
        self.active = (
            self.measures_time
            or bool(self.produce.limits)
            or bool(self.fetch.limits)
            or bool(self.mutation.limits)
        )

    def request_done(self, context: Context, response: Any) -> int:
        """Call once for each request, before its response is encoded.

        Puts the throttle time into the response and returns it: the connection is then mute for
        that long. ``response`` is None where there is none to send.
        """
        if not self.active:
            return 0
        now_ms = self._clock.monotonic_ms()
        user, client_id = _client(context)
        throttle_ms: int = getattr(response, "throttle_time_ms", 0)
        if context.api_key == PRODUCE:
            produce_ms = self.record_produce(user, client_id, context.request_bytes, now_ms)
            throttle_ms = max(throttle_ms, produce_ms)
        if self.measures_time and not (
            context.is_exempt or context.api_key in EXEMPT_FROM_REQUEST_TIME
        ):
            request_ms = self.record_request(user, client_id, context.busy_ns, now_ms)
            throttle_ms = max(throttle_ms, request_ms)
        if throttle_ms > 0 and hasattr(response, "throttle_time_ms"):
            response.throttle_time_ms = throttle_ms
        return throttle_ms

    def record_produce(self, user: str, client_id: str, size: int, now_ms: int) -> int:
        if not self.produce.limits:
            return 0
        throttle_ms = self.produce.record(user, client_id, size, now_ms)
        if throttle_ms > 0:
            self.produce.throttled(user, client_id, throttle_ms, now_ms)
        return throttle_ms

    def record_request(self, user: str, client_id: str, busy_ns: int, now_ms: int) -> int:
        """Never more than one window: a percentage cannot be owed for longer."""
        if not self.request.limits:
            return 0
        used = busy_ns * _PERCENT_PER_NANOSECOND
        throttle_ms = min(self.request.record(user, client_id, used, now_ms), self._window_ms)
        if throttle_ms > 0:
            self.request.throttled(user, client_id, throttle_ms, now_ms)
        return throttle_ms

    def record_fetch(self, context: Context, size: int) -> int:
        """For a consumer's fetch, with the bytes it is about to be sent.

        More than 0: answer empty and with this throttle time; the bytes were not counted.
        """
        if not self.fetch.limits:
            return 0
        user, client_id = _client(context)
        now_ms = self._clock.monotonic_ms()
        throttle_ms = self.fetch.record(user, client_id, size, now_ms)
        if throttle_ms > 0:
            self.fetch.unrecord(user, client_id, size, now_ms)
            self.fetch.throttled(user, client_id, throttle_ms, now_ms)
        return throttle_ms

    def max_fetch_bytes(self, context: Context, wanted: int) -> int:
        """No more than fits the consumer's quota window, or it could never be sent."""
        if not self.fetch.limits:
            return wanted
        largest = self.fetch.largest_value(*_client(context))
        return wanted if largest is None else min(wanted, int(largest))

    def controller_mutation(self, context: Context, *, strict_since: int) -> ControllerMutation:
        """For one admin request; ``strict_since`` is its first version that knows the error."""
        return ControllerMutation(self, context, strict=context.api_version >= strict_since)

    def record_controller_mutation(self, context: Context, permits: float, *, strict: bool) -> int:
        if not self.mutation.limits:
            return 0
        user, client_id = _client(context)
        now_ms = self._clock.monotonic_ms()
        return self.mutation.record(user, client_id, permits, now_ms, strict=strict)


class ControllerMutation:
    """Partitions created or deleted by one request, charged topic by topic.

    ``throttle_ms`` belongs into the response.
    """

    def __init__(self, quotas: Quotas, context: Context, *, strict: bool) -> None:
        self._quotas = quotas
        self._context = context
        self._strict = strict
        self.throttle_ms = 0

    def record(self, partitions: int) -> None:
        """THROTTLING_QUOTA_EXCEEDED for a topic that must not be touched now.

        Clients that do not know the error are throttled afterwards instead.
        """
        throttle_ms = self._quotas.record_controller_mutation(
            self._context, partitions, strict=self._strict
        )
        self.throttle_ms = max(self.throttle_ms, throttle_ms)
        if self._strict and throttle_ms > 0:
            raise KafkaError(
                ErrorCode.THROTTLING_QUOTA_EXCEEDED, "The throttling quota has been exceeded."
            )


def _client(context: Context) -> tuple[str, str]:
    """The principal's name without its type, and the client id."""
    _, _, user = context.connection.principal.partition(":")
    return user, context.client_id or ""
