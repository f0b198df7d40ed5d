"""Client telemetry (KIP-714): which metrics each client shall push, and when it may.

A client instance has the union of the subscriptions that match it and the shortest of their
intervals. Its subscription id stands for exactly that: it changes when they do, and a push with
another id is refused, so that the client asks again. What is known of an instance lasts while it
is heard of, and there is a limit to how many are known.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pykbroker.config.definitions import ConfigError
from pykbroker.state.client_metrics import DEFAULT_INTERVAL_MS, parse_subscription
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.schema import ZERO_UUID
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.state.client_metrics import Subscription

ALL_METRICS = "*"
ACCEPTED_COMPRESSION_TYPES = (4, 3, 1, 2)
"""zstd, lz4, gzip, snappy: the order is the preference."""
KNOWN_COMPRESSION_TYPES = frozenset((0, *ACCEPTED_COMPRESSION_TYPES))
RESERVED_IDS = frozenset((ZERO_UUID, bytes(15) + b"\x01"))
MAX_INSTANCES = 16384
MIN_EXPIRY_MS = 60_000


class Instance:
    """One client instance. ``attributes`` are what subscriptions match on."""

    __slots__ = (
        "attributes",
        "bytes_received",
        "expires_ms",
        "interval_ms",
        "last_error",
        "last_get_ms",
        "last_push_ms",
        "metrics",
        "pushes",
        "subscription_id",
        "terminating",
        "version",
    )

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = attributes
        self.version = -1
        self.metrics: tuple[str, ...] = ()
        self.interval_ms = DEFAULT_INTERVAL_MS
        self.subscription_id = 0
        self.last_get_ms = self.last_push_ms = -1
        self.last_error = ErrorCode.NONE
        self.terminating = False
        self.expires_ms = 0
        self.pushes = self.bytes_received = 0

    def accept_get(self, now_ms: int) -> bool:
        last_ms = max(self.last_get_ms, self.last_push_ms)
        if last_ms >= 0 and now_ms - last_ms < self.interval_ms:
            return False
        self.last_get_ms = now_ms
        return True

    def accept_push(self, now_ms: int) -> bool:
        """The first push after the subscription was fetched may come early: clients jitter it."""
        early = self.last_get_ms > self.last_push_ms
        if not early and self.last_push_ms >= 0 and now_ms - self.last_push_ms < self.interval_ms:
            return False
        self.last_push_ms = now_ms
        return True


class Push(NamedTuple):
    """A push, as far as it is looked at."""

    subscription_id: int
    terminating: bool
    compression_type: int
    size: int


class TelemetryState:
    def __init__(self) -> None:
        self._subscriptions: dict[str, Subscription] = {}
        self._version = 0
        self._instances: dict[bytes, Instance] = {}
        self.pushes = self.bytes_received = 0

    def __len__(self) -> int:
        return len(self._instances)

    @property
    def has_subscriptions(self) -> bool:
        return bool(self._subscriptions)

    def set_subscription(self, name: str, configs: Mapping[str, str]) -> None:
        """Without any setting left the subscription is gone. A bad one counts as gone."""
        self._subscriptions.pop(name, None)
        if configs:
            try:
                self._subscriptions[name] = parse_subscription(name, configs)
            except ConfigError:
                self._version += 1
                raise
        self._version += 1

    def forget(self, instance_id: bytes) -> None:
        """Its connection is gone."""
        self._instances.pop(instance_id, None)

    def get_subscription(
        self, instance_id: bytes, attributes: Mapping[str, str], now_ms: int
    ) -> Instance:
        """THROTTLING_QUOTA_EXCEEDED when asked again too soon without a reason."""
        instance = self._instance(instance_id, attributes, now_ms)
        excused = instance.last_error in (
            ErrorCode.UNKNOWN_SUBSCRIPTION_ID,
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
        )
        if not instance.accept_get(now_ms) and not excused:
            raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED)
        instance.last_error = ErrorCode.NONE
        return instance

    def push(
        self,
        instance_id: bytes,
        attributes: Mapping[str, str],
        push: Push,
        max_bytes: int,
        now_ms: int,
    ) -> None:
        """Count a push, or KafkaError with the protocol's reason."""
        if instance_id in RESERVED_IDS:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        instance = self._instance(instance_id, attributes, now_ms)
        try:
            _check_push(instance, push, max_bytes, now_ms)
        except KafkaError as error:
            instance.last_error = error.code
            raise
        finally:
            instance.terminating = push.terminating
        instance.last_error = ErrorCode.NONE
        for counted in (instance, self):
            counted.pushes += 1
            counted.bytes_received += push.size

    def _instance(self, instance_id: bytes, attributes: Mapping[str, str], now_ms: int) -> Instance:
        """What is known of it, as of the newest subscriptions; the newest heard of is last."""
        instance = self._instances.pop(instance_id, None)
        if instance is not None and instance.expires_ms <= now_ms:
            instance = None
        if instance is None or instance.version != self._version:
            known = attributes if instance is None else instance.attributes
            instance = self._subscribed(instance_id, Instance(known))
        instance.expires_ms = now_ms + max(MIN_EXPIRY_MS, 3 * instance.interval_ms)
        self._instances[instance_id] = instance
        self._drop_expired(now_ms)
        return instance

    def _drop_expired(self, now_ms: int) -> None:
        """Those not heard of for longest come first."""
        for instance_id in list(islice(self._instances, 2)):
            expired = self._instances[instance_id].expires_ms <= now_ms
            if expired or len(self._instances) > MAX_INSTANCES:
                del self._instances[instance_id]

    def _subscribed(self, instance_id: bytes, instance: Instance) -> Instance:
        metrics: set[str] = set()
        for subscription in self._subscriptions.values():
            if subscription.matches(instance.attributes):
                metrics.update(subscription.metrics)
                instance.interval_ms = min(instance.interval_ms, subscription.interval_ms)
        instance.metrics = (ALL_METRICS,) if ALL_METRICS in metrics else tuple(sorted(metrics))
        instance.version = self._version
        instance.subscription_id = subscription_id(
            instance_id, instance.metrics, instance.interval_ms
        )
        return instance


def subscription_id(instance_id: bytes, metrics: tuple[str, ...], interval_ms: int) -> int:
    """The same for the same metrics and interval of one instance, on every broker."""
    from wire.records.crc import crc32c

    number = crc32c(f"{','.join(metrics)}|{interval_ms}".encode())
    for start in range(0, 16, 4):
        number ^= int.from_bytes(instance_id[start : start + 4], "big")
    return number - (1 << 32) if number >= 1 << 31 else number


def _check_push(instance: Instance, push: Push, max_bytes: int, now_ms: int) -> None:
    if instance.terminating:
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    if not instance.accept_push(now_ms) and not push.terminating:
        raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED)
    if push.subscription_id != instance.subscription_id:
        raise KafkaError(ErrorCode.UNKNOWN_SUBSCRIPTION_ID)
    if push.compression_type not in KNOWN_COMPRESSION_TYPES:
        raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    if push.size > max_bytes:
        raise KafkaError(ErrorCode.TELEMETRY_TOO_LARGE)
