"""Texts become values by type and rule; what is wrong is said in one line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.config.broker_table import BROKER
from pykbroker.config.definitions import ConfigError, Definition, format_value, parse
from pykbroker.config.resource_tables import GROUP, TOPIC
from pykbroker.config.rules import Voter, parse_address, parse_voters


def definition(type_: str, rule: str = "-") -> Definition:
    return Definition(f"some.name {type_} ~ {rule} lr")


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("bool", " TRUE ", True),
        ("bool", "false", False),
        ("int", " 7 ", 7),
        ("int", "+7", 7),
        ("int", "-2147483648", -2147483648),
        ("short", "32767", 32767),
        ("long", "9223372036854775807", 9223372036854775807),
        ("double", "0.5", 0.5),
        ("double", "1e3", 1000.0),
        ("double", "2d", 2.0),
        ("string", "  a b ", "a b"),
        ("list", "", ()),
        ("list", " a , b ,c", ("a", "b", "c")),
        ("password", "secret", "secret"),
        ("class", "org.example.Thing", "org.example.Thing"),
    ],
)
def test_text_becomes_its_value(type_: str, text: str, value: object) -> None:
    assert parse(definition(type_), text) == value
    assert type(parse(definition(type_), text)) is type(value)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("bool", "yes"),
        ("bool", ""),
        ("int", "1.5"),
        ("int", "1_000"),
        ("int", "\u0661"),
        ("int", ""),
        ("int", "-"),
        ("int", "2147483648"),
        ("int", "9" * 5000),
        ("short", "32768"),
        ("long", "9223372036854775808"),
        ("double", "half"),
        ("double", "1_0.0"),
        ("double", "."),
    ],
)
def test_what_is_no_value_of_the_type_is_refused(type_: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"^Invalid value .* for configuration some\.name: "):
        parse(definition(type_), text)


def test_a_message_is_one_line_whatever_the_value_holds() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(definition("int"), "1\n2\r\n3")
    assert "\n" not in str(caught.value)
    assert "\r" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Definition("a.b password ~ in(x) hr"), "hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("type_", "rule", "good", "bad"),
    [
        ("int", "1..", "1", "0"),
        ("int", "1..9", "9", "10"),
        ("int", "-1|1..9", "-1", "0"),
        ("int", "-1|1..9", "9", "-2"),
        ("double", "0..1", "1.0", "1.1"),
        ("double", "0..1", "0", "-0.1"),
        ("string", "in(a,b)", "b", "c"),
        ("string", "nonempty", "x", " "),
        ("list", "each(a,b)", "b,a", "a,c"),
        ("list", "each(a,b)", "", "a,a"),
        ("list", "some", "x", ""),
        ("list", "some", "x,y", "x,,y"),
        ("list", "distinct", "", "x,x"),
        ("list", "replicas", "*", "0:1,*"),
        ("list", "replicas", "0:1,1:2", "0:a"),
        ("list", "replicas", "", "0"),
        ("list", "voters", "1@h:1,2@[::1]:2", "1@h:1,1@g:1"),
        ("list", "voters", "1@h:1", "h:1"),
        ("list", "voters", "1@h:1", "1@h:99999"),
        ("list", "servers", "h:1", "h"),
        ("string", "reset", "latest", "newest"),
        ("string", "reset", "by_duration:PT1H", "by_duration:1h"),
        ("string", "reset", "by_duration:P1DT2M", "by_duration:-PT1H"),
    ],
)
def test_rules(type_: str, rule: str, good: str, bad: str) -> None:
    parse(definition(type_, rule), good)
    with pytest.raises(ConfigError, match=r"some\.name"):
        parse(definition(type_, rule), bad)


def test_a_refusal_says_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="String must be one of: CreateTime, LogAppendTime"):
        parse(TOPIC["message.timestamp.type"], "Now")
    with pytest.raises(ConfigError, match="Value must be at least 1048576"):
        parse(BROKER["log.segment.bytes"], "100")


def test_voters_are_parsed() -> None:
    voters = parse_voters("controller.quorum.voters", ("1@a.example:9093", "2@[::1]:9094"))
    assert voters == [Voter(1, "a.example", 9093), Voter(2, "::1", 9094)]
    assert parse_address("x", "[fe80::1%eth0]:1") == ("fe80::1%eth0", 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        (1.0, "1.0"),
        (0.0, "0.0"),
        (0.05, "0.05"),
        (1e-4, "1.0E-4"),
        (1234567.0, "1234567.0"),
        (1e7, "1.0E7"),
        (12345678.9, "1.23456789E7"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        ((), ""),
        (("a", "b"), "a,b"),
    ],
)
def test_values_are_shown_as_java_shows_them(value: object, text: str) -> None:
    assert format_value(value) == text  # type: ignore[arg-type]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_shown_double_reads_back_the_same(value: float) -> None:
    assert parse(definition("double"), format_value(value)) == value


@given(st.sampled_from(BROKER.names() + TOPIC.names()), st.text(max_size=30))
def test_any_text_is_a_value_or_a_config_error(name: str, text: str) -> None:
    found = BROKER.get(name) or TOPIC.get(name) or GROUP.get(name)
    assert found is not None
    with contextlib.suppress(ConfigError):
        value = parse(found, text)
        assert parse(found, format_value(value)) == value
