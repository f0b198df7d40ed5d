"""One group's settings: its own, else the broker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.definitions import ConfigError, Value, parse
from pykbroker.config.resource_tables import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.config.settings import Settings

_INTERVALS = (
    ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
)


def group_value(settings: Settings, overrides: Mapping[str, str], name: str) -> Value | None:
    """One setting of a group: its own, else the broker's, else Kafka's default."""
    definition = GROUP[name]
    text = overrides.get(name)
    if text is not None:
        return parse(definition, text)
    synonym = definition.extras[0]
    if synonym == "-":
        return None if definition.default is None else parse(definition, definition.default)
    value = settings.value(synonym)
    return value[0] if synonym == "group.streams.assignors" and isinstance(value, tuple) else value


def group_limits(settings: Settings, name: str) -> tuple[int | None, int | None]:
    """What the broker allows for a group's setting, both ends included."""
    low, high = (*GROUP[name].extras[1:], "-", "-")[:2]
    return (
        None if low == "-" else settings.int(low),
        None if high == "-" else settings.int(high),
    )


def validate_group_configs(overrides: Mapping[str, str], settings: Settings) -> None:
    """Raise ConfigError (the answer is INVALID_CONFIG) as Kafka's controller would.

    ``overrides`` is everything the group shall have.
    """
    for name in overrides:
        if name not in GROUP:
            raise ConfigError(f"Unknown group config name: {name}")
    values = {name: group_value(settings, overrides, name) for name in GROUP.names()}
    for name in overrides:
        value = values[name]
        low, high = group_limits(settings, name)
        if not isinstance(value, int):
            continue
        if low is not None and high is not None and not low <= value <= high:
            raise ConfigError(f"{name} must be in the range {low} to {high} inclusive.")
        if high is not None and value > high:
            raise ConfigError(f"{name} must be less than or equal to {high}.")
    for session, heartbeat in _INTERVALS:
        session_ms, heartbeat_ms = values[session], values[heartbeat]
        assert isinstance(session_ms, int)
        assert isinstance(heartbeat_ms, int)
        if session_ms <= heartbeat_ms and (session in overrides or heartbeat in overrides):
            raise ConfigError(f"{session} must be greater than {heartbeat}")
