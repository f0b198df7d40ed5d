"""Which broker settings may change while the broker runs, and to what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.broker_table import BROKER
from pykbroker.config.checks import check_settings
from pykbroker.config.definitions import PER_BROKER, ConfigError, parse
from pykbroker.config.listeners import parse_listeners
from pykbroker.config.settings import Settings, base_name
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

THREAD_SETTINGS = (
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
)


def check_broker_configs(
    settings: Settings, wanted: Mapping[str, str], *, per_broker: bool
) -> None:
    """Raise INVALID_REQUEST unless this broker could run with ``wanted``.

    ``wanted`` is everything that the broker's resource, or with ``per_broker`` False the
    cluster-wide default, shall hold.
    """
    try:
        _check_names(wanted, per_broker=per_broker)
        broker, default = (layer for _, layer in settings.layers[:2])
        changed = (
            settings.with_dynamic(wanted, default)
            if per_broker
            else settings.with_dynamic(broker, wanted)
        )
        check_settings(changed)
        _check_threads(settings, changed)
        if changed.raw("listeners") != settings.raw("listeners"):
            _check_listeners(settings, changed)
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_REQUEST, str(error)) from error


def _check_names(wanted: Mapping[str, str], *, per_broker: bool) -> None:
    fixed, bare, own = [], [], []
    for name, text in wanted.items():
        base = base_name(name)
        definition = BROKER.get(base)
        if definition is None:
            continue
        if not definition.dynamic:
            fixed.append(name)
        elif name == base and definition.mode == PER_BROKER and name.startswith("ssl."):
            bare.append(name)
        elif definition.mode == PER_BROKER:
            own.append(name)
        if definition.dynamic:
            parse(definition, text)
    if fixed:
        raise ConfigError(f"Cannot update these configs dynamically: [{', '.join(sorted(fixed))}]")
    if bare:
        raise ConfigError(
            "These security configs can be dynamically updated only per-listener using the "
            f"listener prefix: [{', '.join(sorted(bare))}]"
        )
    if own and not per_broker:
        raise ConfigError(
            "Cannot update these configs at default cluster level, broker id must be "
            f"specified: [{', '.join(sorted(own))}]"
        )


def _check_threads(settings: Settings, changed: Settings) -> None:
    """A pool may at most double or halve at once."""
    for name in THREAD_SETTINGS:
        before, after = settings.int(name), changed.int(name)
        problem = f"Dynamic thread count update validation failed for {name}={after}, value should"
        if after < 1:
            raise ConfigError(f"{problem} be at least 1")
        if after < before // 2:
            raise ConfigError(f"{problem} be at least half the current value {before}")
        if after > before * 2:
            raise ConfigError(f"{problem} not be greater than double the current value {before}")


def _check_listeners(settings: Settings, changed: Settings) -> None:
    before, after = parse_listeners(settings), parse_listeners(changed)
    names = {listener.name: listener.security_protocol for listener in after.bound}
    missing = [a.name for a in before.advertised if a.name not in names]
    if missing:
        raise ConfigError(
            f"Advertised listeners '{','.join(missing)}' must be a subset of listeners "
            f"'{','.join(names)}'"
        )
    for listener in before.bound:
        if names.get(listener.name, listener.security_protocol) != listener.security_protocol:
            raise ConfigError(
                f"Security protocol cannot be updated for existing listener {listener.name}"
            )
