"""Whether JSON is what Grafana's own types say: every key known, every value of its type.

The types are those of Grafana's Foundation SDK. Its classes drop keys that they do not know, and
check no value: both is done here.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

if typing.TYPE_CHECKING:
    from collections.abc import Iterator


def problems(board: dict[str, Any]) -> list[str]:
    register_default_plugins()
    decoded = Dashboard.from_json(board)
    encoded = JSONEncoder().encode(decoded)
    return [*_lost(board, json.loads(encoded), "$"), *_mistyped(decoded, Dashboard, "$")]


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    """What the types do not know."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from _lost(value, kept[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key} is not known"
    elif isinstance(given, list) and isinstance(kept, list):
        for number, pair in enumerate(zip(given, kept, strict=True)):
            yield from _lost(*pair, f"{path}[{number}]")
    elif given != kept:
        yield f"{path} is {given!r}, kept as {kept!r}"


def _mistyped(value: Any, hint: Any, path: str) -> Iterator[str]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        same = [option for option in options if option is type(value)]
        others = [option for option in options if option is not type(None)]
        found = [list(_mistyped(value, option, path)) for option in same or others]
        yield from min(found, key=len)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path} is no list: {value!r}"
            return
        for number, item in enumerate(value):
            yield from _mistyped(item, typing.get_args(hint)[0], f"{path}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path} is no object: {value!r}"
    elif origin is typing.Literal:
        if value not in typing.get_args(hint):
            yield f"{path} is {value!r}, not one of {typing.get_args(hint)}"
    elif isinstance(hint, type):
        yield from _mistyped_plain(value, hint, path)


def _mistyped_plain(value: Any, hint: type, path: str) -> Iterator[str]:
    if issubclass(hint, enum.Enum):
        if value not in [member.value for member in hint]:
            yield f"{path} is {value!r}, no {hint.__name__}"
        return
    if hint is object:
        hint = type(value)
    if isinstance(value, dict) and hasattr(hint, "from_json"):  # not all is decoded
        value = hint.from_json(value)
    if hint is float and type(value) is int:
        return
    if not isinstance(value, hint) or (hint in (int, float) and isinstance(value, bool)):
        yield f"{path} is {value!r}, no {hint.__name__}"
    elif hasattr(value, "to_json"):
        hints = typing.get_type_hints(type(value))
        for name, inner in hints.items():
            yield from _mistyped(getattr(value, name), inner, f"{path}.{name}")
