"""Client telemetry in force: subscriptions follow the metadata, pushes are counted.

Of what clients push only figures are kept: how often, how much. As Kafka without a receiver, the
two APIs are not advertised while there is no subscription.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from pykbroker.config.definitions import ConfigError
from pykbroker.log import DEBUG, get_logger
from pykbroker.state.telemetry import RESERVED_IDS, Push, TelemetryState

if TYPE_CHECKING:
    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, Random
    from pykbroker.state.controller.image import MetadataDelta
    from pykbroker.state.telemetry import Instance

logger = get_logger("pykbroker.runtime.telemetry")

CLIENT_METRICS_TYPE = 16
TELEMETRY_APIS = frozenset((71, 72))


class Telemetry:
    def __init__(self, settings: DynamicSettings, clock: Clock, rng: Random) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._state = TelemetryState()
        self._by_connection: dict[int, bytes] = {}

    def apply(self, delta: MetadataDelta) -> None:
        """Subscribe this to the metadata images."""
        for resource in delta.configs_changed:
            if resource.type != CLIENT_METRICS_TYPE:
                continue
            try:
                self._state.set_subscription(resource.name, delta.after.config_of(*resource))
            except ConfigError as error:
                logger.warning(
                    "subscription left out", subscription=resource.name, reason=str(error)
                )

    @property
    def hidden_apis(self) -> frozenset[int]:
        """What ApiVersions leaves out for now."""
        return frozenset() if self._state.has_subscriptions else TELEMETRY_APIS

    @property
    def pushes(self) -> int:
        return self._state.pushes

    @property
    def bytes_received(self) -> int:
        return self._state.bytes_received

    @property
    def instances(self) -> int:
        return len(self._state)

    def get_subscription(
        self, instance_id: bytes, attributes: dict[str, str], connection: int
    ) -> tuple[bytes, Instance]:
        """The instance's id, a new one where it had none, and what it is subscribed to."""
        if instance_id in RESERVED_IDS:
            instance_id = self._rng.randbytes(16)
        now_ms = self._clock.monotonic_ms()
        attributes["client_instance_id"] = id_text(instance_id)
        instance = self._state.get_subscription(instance_id, attributes, now_ms)
        self._by_connection[connection] = instance_id
        return instance_id, instance

    def push(
        self, instance_id: bytes, attributes: dict[str, str], push: Push, connection: int
    ) -> None:
        max_bytes = self._settings.current.int("telemetry.max.bytes")
        now_ms = self._clock.monotonic_ms()
        attributes["client_instance_id"] = id_text(instance_id)
        self._state.push(instance_id, attributes, push, max_bytes, now_ms)
        self._by_connection[connection] = instance_id
        if logger.is_enabled(DEBUG):
            logger.debug("metrics pushed", client=attributes["client_instance_id"], bytes=push.size)

    def connection_closed(self, connection: int) -> None:
        if not self._by_connection:
            return
        instance_id = self._by_connection.pop(connection, None)
        if instance_id is not None:
            self._state.forget(instance_id)


def id_text(instance_id: bytes) -> str:
    """As clients print it."""
    return urlsafe_b64encode(instance_id).decode().rstrip("=")
