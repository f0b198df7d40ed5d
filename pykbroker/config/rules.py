"""The rules a value must keep, beyond its type. Only settings that carry a rule come here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from pykbroker.config.definitions import ConfigError, invalid
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.config.definitions import Definition, Value

_THROTTLED = r"([0-9]+:[0-9]+)?"
_ADDRESS = r"\[?([0-9a-zA-Z\-.:%_]*)\]?:([0-9]+)"
_DURATION = (
    r"(?i)[+-]?P(?=.)([+-]?[0-9]+D)?"
    r"(T(?=.)([+-]?[0-9]+H)?([+-]?[0-9]+M)?([+-]?[0-9]+([.,][0-9]{0,9})?S)?)?"
)


class Voter(NamedTuple):
    """One entry of controller.quorum.voters."""

    node_id: int
    host: str
    port: int


def check_rule(definition: Definition, text: str, value: Value) -> None:
    """Raise ConfigError unless ``value`` keeps the definition's rule."""
    rule = definition.rule
    if rule.startswith("in("):
        allowed = rule[3:-1].split(",")
        if value not in allowed:
            raise invalid(definition, text, f"String must be one of: {', '.join(allowed)}")
    elif isinstance(value, tuple):
        _check_list(definition, text, value)
    elif ".." in rule:
        assert isinstance(value, int | float)
        _check_range(definition, text, value)
    elif rule == "nonempty" and value == "":
        raise invalid(definition, text, "String must be non-empty")
    elif rule == "reset":
        _check_reset(definition, text, str(value))


def _check_range(definition: Definition, text: str, value: float) -> None:
    exception, bar, span = definition.rule.rpartition("|")
    if bar and value == float(exception):
        return
    low, _, high = span.partition("..")
    if value < float(low):
        raise invalid(definition, text, f"Value must be at least {low}")
    if high and value > float(high):
        raise invalid(definition, text, f"Value must be no more than {high}")


def _check_list(definition: Definition, text: str, value: tuple[str, ...]) -> None:
    name, rule = definition.name, definition.rule
    if rule == "replicas":
        _check_replicas(definition, value)
        return
    if rule == "voters":
        parse_voters(definition.name, value)
        return
    if rule == "servers":
        for server in value:
            parse_address(definition.name, server)
        return
    allowed = rule[5:-1].split(",") if rule.startswith("each(") else []
    if rule == "some" and not value:
        raise ConfigError(
            f"Configuration '{name}' must not be empty. Valid values include: any non-empty value"
        )
    if len(set(value)) != len(value):
        raise ConfigError(f"Configuration '{name}' values must not be duplicated: {text}")
    for item in value:
        if not item:
            raise ConfigError(f"Configuration '{name}' values must not be empty: {text}")
        if allowed and item not in allowed:
            raise invalid(definition, item, f"String must be one of: {', '.join(allowed)}")


def _check_replicas(definition: Definition, value: tuple[str, ...]) -> None:
    if "".join(value) == "*" or all(re.fullmatch(_THROTTLED, item) for item in value):
        return
    raise invalid(
        definition,
        f"[{', '.join(value)}]",
        f"{definition.name} must be the literal '*' or a list of replicas in the following format: "
        "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
    )


def _check_reset(definition: Definition, text: str, value: str) -> None:
    strategy, colon, duration = value.partition(":")
    if strategy.lower() in ("earliest", "latest") and not colon:
        return
    if (
        strategy.lower() == "by_duration"
        and re.fullmatch(_DURATION, duration)
        and "-" not in duration
    ):
        return
    raise invalid(
        definition, text, "must be latest, earliest or by_duration:<duration in ISO 8601>"
    )


def parse_voters(name: str, value: tuple[str, ...]) -> list[Voter]:
    """``{id}@{host}:{port}`` each; the same id twice is an error."""
    voters = []
    for entry in value:
        node_id, at, address = entry.partition("@")
        if not at or not node_id.strip().isdecimal():
            _no_voter(name, entry)
        voters.append(Voter(int(node_id), *parse_address(name, address)))
    if len({voter.node_id for voter in voters}) != len(voters):
        raise ConfigError(f"Invalid value {','.join(value)} for configuration {name}: twice one id")
    return voters


def _no_voter(name: str, entry: str) -> NoReturn:
    raise ConfigError(
        f"Invalid value {entry} for configuration {name}: must be {{id}}@{{host}}:{{port}}"
    )


def parse_address(name: str, text: str) -> tuple[str, int]:
    match = re.fullmatch(_ADDRESS, text.strip())
    if match is None or int(match[2]) > 65535:
        raise ConfigError(f"Invalid value {text} for configuration {name}: must be host:port")
    return match[1], int(match[2])
