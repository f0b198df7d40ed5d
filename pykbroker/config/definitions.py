"""What a setting is: name, type, default, rule, where it may be changed.

Tables of settings are text, one line each, parsed when a setting is first asked for::

    name type default rule marks [extras]

``default``: ``~`` is null, ``''`` the empty string, ``!`` none (required). ``rule``: ``-`` none,
``1..``, ``0..1``, ``-1|1..9`` numbers; ``in(a,b)`` one of these; ``each(a,b)`` a list of these;
``some`` a list that is not empty, ``distinct`` any list without duplicates; ``notnull``,
``nonempty``; ``voters``, ``servers``, ``replicas``, ``reset`` have a format of their own.
``marks``: importance ``h m l``, then mode ``r`` read-only, ``b`` per broker, ``c`` cluster-wide,
then ``i`` internal (never described), ``d`` known only as a dynamic setting.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str | tuple[str, ...]

READ_ONLY, PER_BROKER, CLUSTER_WIDE = "read-only", "per-broker", "cluster-wide"
_MODES = {"r": READ_ONLY, "b": PER_BROKER, "c": CLUSTER_WIDE}
_INTEGER_LIMITS = {"short": 1 << 15, "int": 1 << 31, "long": 1 << 63}
_DOUBLE = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?"


class ConfigError(ValueError):
    """A setting that cannot be used. The message is one line and names setting and value."""


class Definition:
    """One setting. Not changed once made."""

    __slots__ = (
        "default",
        "dynamic_only",
        "extras",
        "importance",
        "internal",
        "mode",
        "name",
        "required",
        "rule",
        "type",
    )

    def __init__(self, line: str) -> None:
        name, type_, default, rule, marks, *extras = line.split(" ")
        self.name = name
        self.type = type_
        """bool, int, long, short, double, string, list, class or password."""
        self.default = {"~": None, "''": "", "!": None}.get(default, default)
        self.rule = rule
        self.importance = marks[0]
        self.mode = _MODES[marks[1]]
        self.internal = "i" in marks[2:]
        self.dynamic_only = "d" in marks[2:]
        self.required = default == "!"
        self.extras = tuple(extras)
        """Topic settings: the broker setting they fall back to. Group settings: that, then the
        broker settings that bound them from below and above."""

    @property
    def sensitive(self) -> bool:
        return self.type == "password"

    @property
    def dynamic(self) -> bool:
        return self.mode != READ_ONLY


class Table:
    """Definitions by name, each line parsed on first use."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._lines: dict[str, str] = {}
        self._parsed: dict[str, Definition] = {}

    def _index(self) -> dict[str, str]:
        if not self._lines:
            self._lines = {line[: line.index(" ")]: line for line in self._text.split("\n")}
        return self._lines

    def __contains__(self, name: object) -> bool:
        return name in self._index()

    def __len__(self) -> int:
        return len(self._index())

    def names(self) -> list[str]:
        return list(self._index())

    def get(self, name: str) -> Definition | None:
        known = self._parsed.get(name)
        if known is None:
            line = self._index().get(name)
            if line is not None:
                known = self._parsed[name] = Definition(line)
        return known

    def __getitem__(self, name: str) -> Definition:
        known = self.get(name)
        if known is None:
            raise KeyError(name)
        return known


def invalid(definition: Definition, text: str, reason: str) -> ConfigError:
    shown = "[hidden]" if definition.sensitive else " ".join(text.split())
    return ConfigError(f"Invalid value {shown} for configuration {definition.name}: {reason}")


def parse(definition: Definition, text: str) -> Value:
    """The typed value of ``text``, or ConfigError."""
    value = _parse_type(definition, text)
    if definition.rule != "-":
        from pykbroker.config.rules import check_rule

        check_rule(definition, text, value)
    return value


def _parse_type(definition: Definition, text: str) -> Value:
    trimmed = text.strip()
    kind = definition.type
    if kind in _INTEGER_LIMITS:
        limit = _INTEGER_LIMITS[kind]
        digits = trimmed[1:] if trimmed[:1] in ("+", "-") else trimmed
        if digits.isascii() and digits.isdigit() and len(digits) < 20:
            number = int(trimmed)
            if -limit <= number < limit:
                return number
        raise invalid(definition, text, f"Not a number of type {kind.upper()}")
    if kind == "bool":
        lowered = trimmed.lower()
        if lowered not in ("true", "false"):
            raise invalid(definition, text, "Expected value to be either true or false")
        return lowered == "true"
    if kind == "double":
        if not re.fullmatch(_DOUBLE, trimmed):
            raise invalid(definition, text, "Not a number of type DOUBLE")
        return float(trimmed.rstrip("dDfF"))
    if kind == "list":
        return tuple(item.strip() for item in trimmed.split(",")) if trimmed else ()
    return trimmed


def format_value(value: Value) -> str:
    """As Kafka shows a parsed value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _format_double(value)
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def _format_double(value: float) -> str:
    """Java's Double.toString: plain from 1e-3 up to 1e7, else d.dddE±n."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = repr(value)
        return text if "." in text else text + ".0"
    digits, _, exponent = f"{value!r}".lower().partition("e")
    if not exponent:
        digits, _, exponent = f"{value:.16e}".partition("e")
        digits = digits.rstrip("0")
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction or '0'}E{int(exponent)}"
