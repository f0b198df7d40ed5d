"""DescribeConfigs: what a resource's settings are and where each value comes from.

Order of synonyms: this broker's dynamic value, the cluster-wide one, the static one, the
default; within each of them Kafka's order of fallbacks, from the setting itself on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.broker_table import BROKER
from pykbroker.config.definitions import format_value
from pykbroker.config.effective import is_shown
from pykbroker.config.groups import group_value
from pykbroker.config.resource_tables import CLIENT_METRICS, GROUP, TOPIC
from pykbroker.config.settings import FALLBACKS, Source, base_name
from pykbroker.config.topic import topic_value
from pykbroker.state.client_metrics import client_metrics_value
from wire.messages.describe_configs import DescribeConfigsResourceResult, DescribeConfigsSynonym

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pykbroker.config.definitions import Definition, Table, Value
    from pykbroker.config.settings import Settings

TYPE_NUMBERS = {
    "bool": 1,
    "string": 2,
    "int": 3,
    "short": 4,
    "long": 5,
    "double": 6,
    "list": 7,
    "class": 8,
    "password": 9,
}
_CHAINS = tuple(
    (name, *(fallback for fallback, _ in FALLBACKS[name]))
    for name in ("log.retention.ms", "log.roll.ms", "log.roll.jitter.ms")
)


class Describer:
    """Describes resources for one request: its wish for synonyms, documentation, names."""

    def __init__(
        self,
        settings: Settings,
        *,
        include_synonyms: bool = False,
        include_documentation: bool = False,
    ) -> None:
        self.settings = settings
        self.include_synonyms = include_synonyms
        self.include_documentation = include_documentation

    def topic(
        self, overrides: Mapping[str, str], keys: Collection[str] | None
    ) -> list[DescribeConfigsResourceResult]:
        """``keys`` names the settings asked for; None or none is all."""

        def broker_synonyms(definition: Definition) -> list[DescribeConfigsSynonym]:
            return self._synonyms(definition.extras[0]) if definition.extras else []

        return self._overridable(
            TOPIC,
            overrides,
            Source.TOPIC,
            keys,
            lambda name: topic_value(self.settings, overrides, name),
            broker_synonyms,
        )

    def group(
        self, overrides: Mapping[str, str], keys: Collection[str] | None
    ) -> list[DescribeConfigsResourceResult]:
        def broker_synonyms(definition: Definition) -> list[DescribeConfigsSynonym]:
            if definition.extras[0] != "-":
                return self._synonyms(definition.extras[0])
            return [_synonym(definition.name, definition.default, Source.DEFAULT)]

        return self._overridable(
            GROUP,
            overrides,
            Source.GROUP,
            keys,
            lambda name: group_value(self.settings, overrides, name),
            broker_synonyms,
        )

    def client_metrics(
        self, overrides: Mapping[str, str], keys: Collection[str] | None
    ) -> list[DescribeConfigsResourceResult]:
        return self._overridable(
            CLIENT_METRICS,
            overrides,
            Source.CLIENT_METRICS,
            keys,
            lambda name: client_metrics_value(overrides, name),
            lambda _: [],
        )

    def broker(self, keys: Collection[str] | None) -> list[DescribeConfigsResourceResult]:
        """Everything that counts for this broker."""
        layers = [layer for _, layer in self.settings.layers]
        custom = sorted({name for layer in layers for name in layer if name not in BROKER})
        return [
            self._broker_entry(name, self._synonyms(name))
            for name in (*_chosen(BROKER, keys, layers), *_asked(custom, keys))
        ]

    def cluster_default(self, keys: Collection[str] | None) -> list[DescribeConfigsResourceResult]:
        """Only what is set for the whole cluster."""
        _, layer = self.settings.layers[1]
        entries = []
        for name in _asked(sorted(layer), keys):
            synonyms = [
                s for s in self._synonyms(name) if s.source == Source.DYNAMIC_DEFAULT_BROKER
            ]
            entry = self._broker_entry(name, synonyms)
            if not entry.is_sensitive:
                entry.value = layer[name]
            entries.append(entry)
        return entries

    def _overridable(
        self,
        table: Table,
        overrides: Mapping[str, str],
        own_source: int,
        keys: Collection[str] | None,
        value_of: Callable[[str], Value | None],
        broker_synonyms: Callable[[Definition], list[DescribeConfigsSynonym]],
    ) -> list[DescribeConfigsResourceResult]:
        entries = []
        for name in _chosen(table, keys, [overrides]):
            definition = table[name]
            value = value_of(name)
            text = None if value is None else format_value(value)
            synonyms = broker_synonyms(definition)
            if name in overrides:
                synonyms.insert(0, _synonym(name, text, own_source))
            entries.append(self._entry(name, definition, text, synonyms, read_only=False))
        return entries

    def _broker_entry(
        self, name: str, synonyms: list[DescribeConfigsSynonym]
    ) -> DescribeConfigsResourceResult:
        definition = BROKER.get(base_name(name))
        text: str | None = None
        if name in BROKER:
            value = self.settings.own_value(name)
            text = None if value is None else format_value(value)
        elif definition is not None:
            text = next(layer[name] for _, layer in self.settings.layers if name in layer)
        read_only = name not in BROKER or not BROKER[name].dynamic
        return self._entry(name, definition, text, synonyms, read_only=read_only)

    def _entry(
        self,
        name: str,
        definition: Definition | None,
        text: str | None,
        synonyms: list[DescribeConfigsSynonym],
        *,
        read_only: bool,
    ) -> DescribeConfigsResourceResult:
        sensitive = definition is None or definition.sensitive
        documentation = None
        if self.include_documentation:
            from pykbroker.config.documentation import documentation_of

            documentation = documentation_of(name)
        return DescribeConfigsResourceResult(
            name=name,
            value=None if sensitive else text,
            read_only=read_only,
            config_source=synonyms[0].source if synonyms else Source.DEFAULT,
            is_sensitive=sensitive,
            synonyms=synonyms if self.include_synonyms else [],
            config_type=TYPE_NUMBERS[definition.type] if definition is not None else 0,
            documentation=documentation,
        )

    def _synonyms(self, name: str) -> list[DescribeConfigsSynonym]:
        names = synonym_names(name)
        definition = BROKER.get(base_name(name))
        sensitive = definition is None or definition.sensitive
        found = [
            _synonym(synonym, None if sensitive else layer[synonym], source)
            for source, layer in self.settings.layers
            for synonym in names
            if synonym in layer
        ]
        for synonym in names:
            text = self.settings.default(synonym) if synonym in BROKER else None
            if text is not None:
                found.append(_synonym(synonym, None if sensitive else text, Source.DEFAULT))
        for index, synonym_ in enumerate(found):
            if synonym_.name == name:
                return found[index:]
        return []


def synonym_names(name: str) -> tuple[str, ...]:
    """A broker setting and those it falls back to, in Kafka's order, whichever is asked for."""
    for chain in _CHAINS:
        if name in chain:
            return chain
    if name == "log.flush.interval.ms":
        return (name, "log.flush.scheduler.interval.ms")
    base = base_name(name)
    return (name,) if base == name else (name, base)


def _synonym(name: str, value: str | None, source: int) -> DescribeConfigsSynonym:
    return DescribeConfigsSynonym(name=name, value=value, source=source)


def _asked(names: Iterable[str], keys: Collection[str] | None) -> list[str]:
    return [name for name in names if not keys or name in keys]


def _chosen(
    table: Table, keys: Collection[str] | None, layers: list[Mapping[str, str]]
) -> list[str]:
    """Names asked for, or all that are shown; a name that somebody set is always shown."""
    chosen = []
    for name in table.names():
        definition = table[name]
        is_set = any(name in layer for layer in layers)
        if keys and name not in keys:
            continue
        if definition.internal or definition.dynamic_only:
            wanted = is_set
        else:
            wanted = bool(keys) or is_set or is_shown(name)
        if wanted:
            chosen.append(name)
    return chosen
