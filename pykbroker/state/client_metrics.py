"""Client-metrics subscriptions (KIP-714): their settings, and which clients they match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pykbroker.config.definitions import ConfigError, parse
from pykbroker.config.resource_tables import CLIENT_METRICS
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pykbroker.config.definitions import Value

MIN_INTERVAL_MS, MAX_INTERVAL_MS = 100, 3_600_000
DEFAULT_INTERVAL_MS = 300_000
MATCH_PARAMETERS = frozenset(
    (
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    )
)


class Subscription(NamedTuple):
    """One client-metrics resource, parsed."""

    name: str
    metrics: tuple[str, ...]
    """Prefixes of metric names; ``*`` is every metric."""
    interval_ms: int
    match: tuple[tuple[str, re.Pattern[str]], ...]
    """All must match; a subscription without any matches every client."""

    def matches(self, client: Mapping[str, str]) -> bool:
        return all(
            parameter in client and pattern.fullmatch(client[parameter]) is not None
            for parameter, pattern in self.match
        )


def parse_match(entries: Iterable[str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """``parameter=regular expression`` each; ConfigError for anything else."""
    patterns: dict[str, re.Pattern[str]] = {}
    for entry in entries:
        parts = entry.split("=")
        while parts and not parts[-1]:
            parts.pop()
        if len(parts) != 2 or parts[0].strip() not in MATCH_PARAMETERS:
            raise ConfigError(f"Illegal client matching pattern: {entry}")
        try:
            patterns[parts[0].strip()] = re.compile(parts[1].strip())
        except re.error as error:
            raise ConfigError(f"Illegal client matching pattern: {entry}") from error
    return tuple(patterns.items())


def client_metrics_value(overrides: Mapping[str, str], name: str) -> Value:
    definition = CLIENT_METRICS[name]
    text = overrides.get(name)
    assert definition.default is not None
    return parse(definition, definition.default if text is None else text)


def parse_subscription(name: str, overrides: Mapping[str, str]) -> Subscription:
    metrics = client_metrics_value(overrides, "metrics")
    interval_ms = client_metrics_value(overrides, "interval.ms")
    match = client_metrics_value(overrides, "match")
    assert isinstance(metrics, tuple)
    assert isinstance(interval_ms, int)
    assert isinstance(match, tuple)
    return Subscription(name, metrics, interval_ms, parse_match(match))


def validate_client_metrics_configs(name: str, overrides: Mapping[str, str]) -> None:
    """As Kafka's controller: KafkaError(INVALID_REQUEST), or ConfigError for INVALID_CONFIG."""
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Subscription name can't be empty")
    for key in overrides:
        if key not in CLIENT_METRICS:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST, f"Unknown client metrics configuration: {key}"
            )
    subscription = parse_subscription(name, overrides)
    if not MIN_INTERVAL_MS <= subscription.interval_ms <= MAX_INTERVAL_MS:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Invalid value {subscription.interval_ms} for interval.ms, interval must be between "
            f"{MIN_INTERVAL_MS} and {MAX_INTERVAL_MS} (1 hour)",
        )
