"""Where a value comes from, and what changes when dynamic settings do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pykbroker.config.broker_table import BROKER
from pykbroker.config.settings import DynamicSettings, Settings, Source, base_name

NAME = "log.segment.bytes"
LAYERS = ("broker", "default", "static", "profile")


def settings_of(layers: dict[str, dict[str, str]]) -> Settings:
    return Settings(
        layers.get("static", {}),
        layers.get("profile", {}),
        dynamic_broker=layers.get("broker", {}),
        dynamic_default=layers.get("default", {}),
    )


@given(st.dictionaries(st.sampled_from(LAYERS), st.integers(1 << 20, 1 << 30), max_size=4))
def test_the_first_layer_that_has_a_value_decides(values: dict[str, int]) -> None:
    settings = settings_of({layer: {NAME: str(value)} for layer, value in values.items()})
    first = next((layer for layer in LAYERS if layer in values), None)
    assert settings.int(NAME) == (1 << 30 if first is None else values[first])
    sources = {
        "broker": Source.DYNAMIC_BROKER,
        "default": Source.DYNAMIC_DEFAULT_BROKER,
        "static": Source.STATIC_BROKER,
    }
    assert settings.source(NAME) == sources.get(first or "", Source.DEFAULT)
    assert settings.is_explicit(NAME) == (first in sources)


def test_types_have_their_readers() -> None:
    settings = Settings({"log.dirs": "/a, /b", "broker.rack": "r1"})
    assert settings.int("num.partitions") == 1
    assert settings.bool("auto.create.topics.enable") is True
    assert settings.float("log.cleaner.min.cleanable.ratio") == 0.5
    assert settings.str("broker.rack") == "r1"
    assert settings.str("replica.selector.class") is None
    assert settings.list("log.dirs") == ("/a", "/b")
    assert settings.list("advertised.listeners") == ()
    assert settings.optional_int("num.replica.alter.log.dirs.threads") is None


def test_an_unknown_name_is_a_mistake_in_the_program() -> None:
    with pytest.raises(KeyError):
        Settings({}).int("no.such.setting")


@pytest.mark.parametrize(
    ("given_values", "name", "value"),
    [
        ({}, "log.retention.ms", 168 * 3_600_000),
        ({"log.retention.hours": "2"}, "log.retention.ms", 7_200_000),
        (
            {"log.retention.hours": "2", "log.retention.minutes": "3"},
            "log.retention.ms",
            180_000,
        ),
        (
            {"log.retention.ms": "5", "log.retention.minutes": "3"},
            "log.retention.ms",
            5,
        ),
        ({"log.roll.hours": "1"}, "log.roll.ms", 3_600_000),
        ({"log.roll.jitter.hours": "1"}, "log.roll.jitter.ms", 3_600_000),
        ({"log.flush.scheduler.interval.ms": "9"}, "log.flush.interval.ms", 9),
        ({}, "log.flush.interval.ms", (1 << 63) - 1),
    ],
)
def test_the_first_synonym_that_is_set_counts(
    given_values: dict[str, str], name: str, value: int
) -> None:
    assert Settings(given_values).int(name) == value
    if name not in given_values:
        assert Settings(given_values).own_value(name) is None


def test_log_dir_stands_in_for_log_dirs() -> None:
    assert Settings({"log.dir": "/x"}).list("log.dirs") == ("/x",)
    assert Settings({"log.dir": "/x", "log.dirs": "/y,/z"}).list("log.dirs") == ("/y", "/z")


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("max.connections", "max.connections"),
        ("listener.name.internal.max.connections", "max.connections"),
        ("listener.name.internal.ssl.keystore.location", "ssl.keystore.location"),
        ("listener.name.a.scram-sha-256.sasl.jaas.config", "sasl.jaas.config"),
        ("listener.name.a.nonsense", "listener.name.a.nonsense"),
        ("listener.name", "listener.name"),
        ("foo", "foo"),
    ],
)
def test_listener_prefixes_lead_to_the_setting_they_override(name: str, base: str) -> None:
    assert base_name(name) == base


def test_a_listener_sees_its_own_values_first() -> None:
    settings = Settings(
        {"max.connections": "7", "listener.name.internal.max.connections": "5"},
        dynamic_default={"max.connections": "9"},
    )
    assert settings.int("max.connections") == 9
    assert settings.for_listener("EXTERNAL").int("max.connections") == 9
    own = Settings({"max.connections": "7", "listener.name.internal.max.connections": "5"})
    assert own.for_listener("INTERNAL").int("max.connections") == 5


def test_a_change_is_told_once_with_the_names_that_changed() -> None:
    dynamic = DynamicSettings(Settings({"log.retention.ms": "5"}))
    told: list[frozenset[str]] = []
    dynamic.on_change(told.append)
    assert dynamic.update({}, {"log.retention.ms": "5", "message.max.bytes": "9"}) == []
    assert told == [{"message.max.bytes"}]
    assert dynamic.current.int("message.max.bytes") == 9
    dynamic.update({}, {"log.retention.ms": "5", "message.max.bytes": "9"})
    assert len(told) == 1
    dynamic.update({"message.max.bytes": "8"}, {"message.max.bytes": "9"})
    dynamic.update({}, {})
    assert told[1:] == [{"message.max.bytes"}, {"message.max.bytes"}]
    assert dynamic.current.int("message.max.bytes") == 1048588


def test_settings_already_read_do_not_change_under_the_reader() -> None:
    dynamic = DynamicSettings(Settings({}))
    before = dynamic.current
    dynamic.update({"message.max.bytes": "8"}, {})
    assert before.int("message.max.bytes") == 1048588
    assert dynamic.current is not before


@pytest.mark.parametrize(
    ("own", "default", "reason"),
    [
        ({"num.partitions": "3"}, {}, "num.partitions"),
        ({"message.max.bytes": "many"}, {}, "message.max.bytes"),
        ({}, {"listeners": "A://:1"}, "listeners"),
        ({"listener.name.a.max.connections": "x"}, {}, "max.connections"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_said(
    own: dict[str, str], default: dict[str, str], reason: str
) -> None:
    dynamic = DynamicSettings(Settings({}))
    problems = dynamic.update(
        {**own, "log.retention.bytes": "5"}, {**default, "log.retention.ms": "5"}
    )
    assert len(problems) == 1
    assert reason in problems[0]
    assert dynamic.current.int("log.retention.ms") == 5
    assert dynamic.current.int("log.retention.bytes") == 5
    assert not dynamic.current.is_explicit(reason)


def test_unknown_dynamic_names_are_kept_to_be_described() -> None:
    dynamic = DynamicSettings(Settings({}))
    told: list[frozenset[str]] = []
    dynamic.on_change(told.append)
    assert dynamic.update({"my.plugin.thing": "x"}, {}) == []
    assert dynamic.current.layers[0][1] == {"my.plugin.thing": "x"}
    assert told == [{"my.plugin.thing"}]


DYNAMIC = ("log.retention.ms", "message.max.bytes", "log.segment.bytes", "max.connections")


class DynamicSettingsModel(RuleBasedStateMachine):
    """Against the plainest model: dictionaries looked through in order."""

    def __init__(self) -> None:
        super().__init__()
        self.static = {"message.max.bytes": "77", "log.retention.ms": "5000000"}
        self.dynamic = DynamicSettings(Settings(self.static))
        self.own: dict[str, str] = {}
        self.default: dict[str, str] = {}
        self.dynamic.on_change(self.seen_change)
        self.seen: dict[str, str | None] = {n: self.expected(n) for n in DYNAMIC}

    def expected(self, name: str) -> str | None:
        for layer in (self.own, self.default, self.static):
            if name in layer:
                return layer[name]
        return BROKER[name].default

    def seen_change(self, names: frozenset[str]) -> None:
        for name in names:
            self.seen[name] = self.dynamic.current.raw(name)

    @rule(
        name=st.sampled_from(DYNAMIC),
        value=st.integers(1 << 20, 1 << 22).map(str),
        own=st.booleans(),
    )
    def set_value(self, name: str, value: str, own: bool) -> None:
        (self.own if own else self.default)[name] = value
        self.dynamic.update(dict(self.own), dict(self.default))

    @rule(name=st.sampled_from(DYNAMIC), own=st.booleans())
    def remove(self, name: str, own: bool) -> None:
        (self.own if own else self.default).pop(name, None)
        self.dynamic.update(dict(self.own), dict(self.default))

    @invariant()
    def values_are_the_models(self) -> None:
        for name in DYNAMIC:
            assert self.dynamic.current.raw(name) == self.expected(name)
            assert self.seen[name] == self.expected(name)


TestDynamicSettingsModel = DynamicSettingsModel.TestCase
