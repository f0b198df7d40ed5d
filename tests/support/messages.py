"""Every message at every version, and instances of them: from a seed, or from hypothesis."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

import wire.messages
from wire.layout import is_flexible, layout_of
from wire.schema import Message, Struct, fields_of, parse_versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from wire.schema import Field

RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
TEXTS = ("", "a", "orders", "čau \N{SNOWMAN} \N{GRINNING FACE}", "x" * 126, "y" * 127, "z" * 300)
BLOBS = (b"", b"\0", b"abc", bytes(range(256)))
FLOATS = (0.0, -1.5, 1e300, float("inf"))


@cache
def all_messages() -> tuple[type[Message], ...]:
    found = []
    for module in pkgutil.iter_modules(wire.messages.__path__):
        loaded = importlib.import_module(f"wire.messages.{module.name}")
        for value in vars(loaded).values():
            own = isinstance(value, type) and value.__module__ == loaded.__name__
            if own and issubclass(value, Message):
                found.append(value)
    return tuple(found)


@cache
def all_structs() -> tuple[type[Struct], ...]:
    """Messages and whatever is nested in them."""
    found: dict[type[Struct], None] = {}

    def visit(cls: type[Struct]) -> None:
        found[cls] = None
        for field in fields_of(cls):
            if not isinstance(field.type, str):
                visit(field.type)

    for message in all_messages():
        visit(message)
    return tuple(found)


def versions_of(cls: type[Message]) -> range:
    low, high = parse_versions(cls.versions)
    return range(low, high + 1)


def all_pairs() -> Iterator[tuple[type[Message], int]]:
    for cls in all_messages():
        for version in versions_of(cls):
            yield cls, version


def named(name: str) -> type[Message] | None:
    return next((cls for cls in all_messages() if cls.__name__ == name), None)


# From a seed.


def sample(cls: type[Any], version: int, rng: Random, *, depth: int = 0) -> Any:
    """An instance with values, edges among them, in every field that the version has."""
    layout = layout_of(cls, version)
    values = {}
    for field in layout.body + layout.tagged:
        if field in layout.tagged and rng.random() < 0.3:
            continue
        values[field.name] = _sample_field(field, version, rng, depth)
    return cls(**values)


def _sample_field(field: Field, version: int, rng: Random, depth: int) -> Any:
    if version in field.nullable and rng.random() < 0.25:
        return None
    if not field.is_array:
        return _sample_value(field, version, rng, depth)
    many = 130 if isinstance(field.type, str) and rng.random() < 0.05 else 3 - min(depth, 2)
    count = rng.randint(0, many)
    return [_sample_value(field, version, rng, depth) for _ in range(count)]


def _sample_value(field: Field, version: int, rng: Random, depth: int) -> Any:
    kind = field.type
    if not isinstance(kind, str):
        return sample(kind, version, rng, depth=depth + 1)
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "string":
        return rng.choice(TEXTS)
    if kind in ("bytes", "batches"):
        return rng.choice(BLOBS)
    if kind == "uuid":
        return rng.randbytes(16)
    if kind == "float64":
        return rng.choice(FLOATS)
    if field.name.endswith("error_code"):
        return rng.randint(-1, 133)
    low, high = RANGES[kind]
    return rng.choice((low, high, 0, 1, rng.randint(low, high)))


# From hypothesis.

_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "string": st.text(max_size=140),
    "bytes": st.binary(max_size=300),
    "batches": st.binary(max_size=2000),
    "uuid": st.binary(min_size=16, max_size=16),
    "float64": st.floats(allow_nan=False),
} | {kind: st.integers(low, high) for kind, (low, high) in RANGES.items()}


def instances(cls: type[Any], version: int, *, flexible: bool | None = None) -> Any:
    """A strategy; in flexible versions some structures carry tagged fields nobody knows."""
    if flexible is None:
        flexible = is_flexible(cls, version)
    layout = layout_of(cls, version)
    fields = {f.name: _values(f, version, flexible) for f in layout.body}
    optional = {f.name: _values(f, version, flexible) for f in layout.tagged}
    made = st.fixed_dictionaries(fields, optional=optional).map(lambda values: cls(**values))
    if not flexible:
        return made
    taken = {field.tag for field in layout.tagged}
    tags = st.integers(0, 2**31 - 1).filter(lambda tag: tag not in taken)
    unknown = st.none() | st.dictionaries(tags, st.binary(max_size=140), min_size=1, max_size=2)
    return st.tuples(made, unknown).map(_with_unknown_tags)


def _with_unknown_tags(pair: tuple[Any, dict[int, bytes] | None]) -> Any:
    instance, tags = pair
    instance.unknown_tags = sorted(tags.items()) if tags else None
    return instance


def _values(field: Field, version: int, flexible: bool) -> st.SearchStrategy[Any]:
    kind: Any = field.type
    if isinstance(kind, str):
        value = _PLAIN[kind]
    else:
        value = st.deferred(lambda: instances(kind, version, flexible=flexible))
    if field.is_array:
        value = st.lists(value, max_size=3)
    return st.none() | value if version in field.nullable else value
