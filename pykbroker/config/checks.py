"""What must hold between settings, beyond each one's own rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pykbroker.config.broker_table import BROKER
from pykbroker.config.definitions import ConfigError, parse
from pykbroker.config.settings import base_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.config.settings import Settings

_MIB = 1024 * 1024
_HOST = r"[0-9a-zA-Z\-%._:]+"


def check_values(layer: Mapping[str, str]) -> None:
    """Each known name's value by its own type and rule."""
    for name, text in layer.items():
        definition = BROKER.get(base_name(name))
        if definition is not None:
            parse(definition, text)


def check_settings(settings: Settings) -> None:
    """Raise ConfigError for values that are right alone and wrong together."""
    _check_log(settings)
    _check_roles(settings)
    wait = settings.int("replica.fetch.wait.max.ms")
    _require(
        wait <= settings.int("replica.socket.timeout.ms"),
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms "
        "to prevent unnecessary socket timeouts",
    )
    _require(
        wait <= settings.int("replica.lag.time.max.ms"),
        "replica.fetch.wait.max.ms should always be less than or equal to "
        "replica.lag.time.max.ms to prevent frequent changes in ISR",
    )
    queued = settings.int("queued.max.request.bytes")
    _require(
        queued <= 0 or queued >= settings.int("socket.request.max.bytes"),
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    )
    _check_connections(settings)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


def _check_log(settings: Settings) -> None:
    _require(settings.int("log.roll.ms") >= 1, "log.roll.ms must be greater than or equal to 1")
    _require(
        settings.int("log.roll.jitter.ms") >= 0,
        "log.roll.jitter.ms must be greater than or equal to 0",
    )
    _require(
        settings.int("log.retention.ms") != 0,
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    )
    threads = settings.int("log.cleaner.threads")
    _require(
        threads == 0 or settings.int("log.cleaner.dedupe.buffer.size") // threads > _MIB,
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    )
    low = settings.int("log.cleaner.min.compaction.lag.ms")
    high = settings.int("log.cleaner.max.compaction.lag.ms")
    _require(
        low <= high,
        f"conflict topic config setting log.cleaner.min.compaction.lag.ms ({low}) > "
        f"log.cleaner.max.compaction.lag.ms ({high})",
    )


def _check_roles(settings: Settings) -> None:
    _require(
        bool(settings.list("process.roles")),
        "Configuration 'process.roles' must not be empty. Valid values include: broker, controller",
    )
    node_id = settings.int("node.id")
    _require(
        not settings.is_explicit("broker.id") or settings.int("broker.id") == node_id,
        "You must set `node.id` to the same value as `broker.id`.",
    )
    ids = [entry.partition("@")[0].strip() for entry in settings.list("controller.quorum.voters")]
    if ids and "controller" in settings.list("process.roles"):
        _require(
            str(node_id) in ids,
            "If process.roles contains the 'controller' role, the node id "
            f"{node_id} must be included in controller.quorum.voters "
            f"({','.join(settings.list('controller.quorum.voters'))})",
        )
    elif ids:
        _require(
            str(node_id) not in ids,
            f"If process.roles contains just the 'broker' role, the node id {node_id} must not be "
            "included in controller.quorum.voters "
            f"({','.join(settings.list('controller.quorum.voters'))})",
        )


def connection_overrides(settings: Settings) -> dict[str, int]:
    """``max.connections.per.ip.overrides`` as limits by host."""
    name = "max.connections.per.ip.overrides"
    overrides = {}
    for entry in (settings.str(name) or "").split(","):
        if not entry.strip():
            continue
        host, colon, limit = entry.strip().rpartition(":")
        if not colon or not re.fullmatch(_HOST, host.strip()) or not limit.strip().isdecimal():
            raise ConfigError(
                f"Invalid value {entry} for configuration {name}: must be hostname:limit"
            )
        overrides[host.strip()] = int(limit)
    return overrides


def _check_connections(settings: Settings) -> None:
    overrides = connection_overrides(settings)
    _require(
        settings.int("max.connections.per.ip") > 0 or bool(overrides),
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
        "property is set.",
    )
    idle = settings.int("connections.max.idle.ms")
    delay = settings.int("connection.failed.authentication.delay.ms")
    _require(
        idle < 0 or delay < idle,
        f"connection.failed.authentication.delay.ms={delay} should always be less than "
        f"connections.max.idle.ms={idle} to prevent failed authentication responses from "
        "timing out",
    )
