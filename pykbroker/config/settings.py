"""One broker's settings, resolved, and the same following dynamic changes.

A value comes from the first of these that has it: dynamic for this broker, dynamic for the
cluster, static (options, environment, file), the local profile, Kafka's default. ``Settings`` is
immutable; a change makes a new one.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from pykbroker.config.broker_table import BROKER
from pykbroker.config.definitions import ConfigError, Definition, Value, parse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FALLBACKS", "ConfigError", "DynamicSettings", "Settings", "Source", "base_name"]


Text: TypeAlias = str
"""``Settings.str`` hides the plain name in its class."""
Layer: TypeAlias = Mapping[str, str]


class Source:
    """Where a value comes from, numbered as DescribeConfigs does."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6
    CLIENT_METRICS = 7
    GROUP = 8


FALLBACKS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "log.retention.ms": (("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)),
    "log.roll.ms": (("log.roll.hours", 3_600_000),),
    "log.roll.jitter.ms": (("log.roll.jitter.hours", 3_600_000),),
    "log.flush.interval.ms": (("log.flush.scheduler.interval.ms", 1),),
    "log.dirs": (("log.dir", 1),),
}
"""A setting that is null takes the first of these that is not, times its unit."""

_LISTENER_PREFIX = "listener.name."
_LISTENER_SETTINGS = frozenset(
    (
        "connections.max.reauth.ms",
        "max.connection.creation.rate",
        "max.connections",
        "num.network.threads",
        "principal.builder.class",
    )
)
_MECHANISM_SETTINGS = (
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
)


def base_name(name: str) -> str:
    """The setting that ``listener.name.<listener>.[<mechanism>.]<setting>`` overrides.

    Any other name is its own base.
    """
    if not name.startswith(_LISTENER_PREFIX):
        return name
    _, _, rest = name[len(_LISTENER_PREFIX) :].partition(".")
    if rest in _LISTENER_SETTINGS or rest.startswith(("ssl.", "sasl.")):
        return rest
    _, _, below = rest.partition(".")
    return below if below in _MECHANISM_SETTINGS else name


class Settings:
    """Typed reading by name; an unknown name is a KeyError, a programming error."""

    __slots__ = ("_values", "derived", "layers", "profile", "static")

    def __init__(
        self,
        static: Layer,
        profile: Layer | None = None,
        *,
        dynamic_broker: Layer | None = None,
        dynamic_default: Layer | None = None,
    ) -> None:
        self.static = static
        self.profile = profile or {}
        self.layers: tuple[tuple[int, Layer], ...] = (
            (Source.DYNAMIC_BROKER, dynamic_broker or {}),
            (Source.DYNAMIC_DEFAULT_BROKER, dynamic_default or {}),
            (Source.STATIC_BROKER, static),
        )
        self._values: dict[Text, Value | None] = {}
        self.derived: dict[Text, Any] = {}
        """What others made of these settings, for as long as these settings live."""

    def with_dynamic(
        self,
        dynamic_broker: Layer,
        dynamic_default: Layer,
    ) -> Settings:
        return Settings(
            self.static,
            self.profile,
            dynamic_broker=dynamic_broker,
            dynamic_default=dynamic_default,
        )

    def for_listener(self, listener: Text) -> Settings:
        """The same with ``listener.name.<listener>.x`` in place of ``x``, layer by layer."""
        prefix = f"{_LISTENER_PREFIX}{listener.lower()}."
        broker, default, static = (
            {**layer, **{k[len(prefix) :]: v for k, v in layer.items() if k.startswith(prefix)}}
            for _, layer in self.layers
        )
        return Settings(static, self.profile, dynamic_broker=broker, dynamic_default=default)

    def raw(self, name: Text) -> Text | None:
        """The text that counts, default included; None is null."""
        for _, layer in self.layers:
            text = layer.get(name)
            if text is not None:
                return text
        text = self.profile.get(name)
        return BROKER[name].default if text is None else text

    def default(self, name: Text) -> Text | None:
        """What counts when nobody set it."""
        text = self.profile.get(name)
        return BROKER[name].default if text is None else text

    def is_explicit(self, name: Text) -> bool:
        """Set by somebody: not the profile, not Kafka's default."""
        return any(name in layer for _, layer in self.layers)

    def source(self, name: Text) -> int:
        """A ``Source``. The local profile counts as default."""
        for source, layer in self.layers:
            if name in layer:
                return source
        return Source.DEFAULT

    def value(self, name: Text) -> Value | None:
        """The typed value, taken from a fallback where the setting itself is null."""
        try:
            return self._values[name]
        except KeyError:
            result = self._values[name] = self._resolve(name)
            return result

    def own_value(self, name: Text) -> Value | None:
        """The typed value of the setting itself, without fallbacks."""
        text = self.raw(name)
        return None if text is None else parse(BROKER[name], text)

    def _resolve(self, name: Text) -> Value | None:
        value = self.own_value(name)
        for fallback, unit in FALLBACKS.get(name, ()) if value is None else ():
            value = self.own_value(fallback)
            if value is not None:
                return value * unit if isinstance(value, builtins.int) else value
        return value

    def bool(self, name: Text) -> builtins.bool:
        value = self.value(name)
        assert isinstance(value, builtins.bool), name
        return value

    def int(self, name: Text) -> builtins.int:
        value = self.value(name)
        assert isinstance(value, builtins.int), name
        return value

    def optional_int(self, name: Text) -> builtins.int | None:
        return None if self.value(name) is None else self.int(name)

    def float(self, name: Text) -> builtins.float:
        value = self.value(name)
        assert isinstance(value, builtins.float), name
        return value

    def str(self, name: Text) -> Text | None:
        value = self.value(name)
        assert value is None or isinstance(value, Text), name
        return value

    def list(self, name: Text) -> tuple[Text, ...]:
        """Null reads as empty."""
        value = self.value(name)
        if value is None:
            return ()
        assert isinstance(value, tuple), name
        return value


class DynamicSettings:
    """The settings in force. Read ``current`` when a value is used, and keep no copy."""

    def __init__(self, settings: Settings) -> None:
        self.current = settings
        self._callbacks: list[Callable[[frozenset[str]], None]] = []

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Called with the names whose value changed, after ``current`` was replaced."""
        self._callbacks.append(callback)

    def update(self, dynamic_broker: Layer, dynamic_default: Layer) -> list[str]:
        """Take over what the metadata says; what cannot be used is left out and returned.

        A bad value may come from another version of this program: it must not stop the broker.
        """
        problems: list[str] = []
        before = self.current
        after = before.with_dynamic(
            _usable(dynamic_broker, problems, per_broker=True),
            _usable(dynamic_default, problems, per_broker=False),
        )
        names = {n for s in (before, after) for _, layer in s.layers[:2] for n in layer}
        changed = frozenset(n for n in names if _text(before, n) != _text(after, n))
        self.current = after
        if changed:
            for callback in self._callbacks:
                callback(changed)
        return problems


def _text(settings: Settings, name: str) -> str | None:
    if name in BROKER:
        return settings.raw(name)
    for _, layer in settings.layers:
        if name in layer:
            return layer[name]
    return None


def _usable(layer: Layer, problems: list[str], *, per_broker: bool) -> dict[str, str]:
    usable = {}
    for name, text in layer.items():
        definition = BROKER.get(base_name(name))
        try:
            if definition is not None:
                _check_dynamic(definition, text, per_broker=per_broker)
        except ConfigError as error:
            problems.append(str(error))
        else:
            usable[name] = text
    return usable


def _check_dynamic(definition: Definition, text: str, *, per_broker: bool) -> None:
    if not definition.dynamic:
        raise ConfigError(f"{definition.name} cannot be changed while the broker runs")
    if definition.mode == "per-broker" and not per_broker:
        raise ConfigError(f"{definition.name} can only be set for one broker")
    parse(definition, text)
