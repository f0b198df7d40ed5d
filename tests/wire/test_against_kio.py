"""Byte for byte and value for value what kio makes of it, in every version that both have.

kio reads Kafka's own schemas and shares nothing with us.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import io
import pkgutil
import uuid
from functools import cache
from random import Random
from typing import Any

import pytest

from tests.support.messages import named, sample
from wire.codec import decode_exact, encode_bytes
from wire.schema import Field, Struct, fields_of, is_shared

kio_schema = pytest.importorskip("kio.schema")
serial = importlib.import_module("kio.serial")
EntityType = importlib.import_module("kio.static.constants").EntityType

SAMPLES = 2
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MILLISECOND = datetime.timedelta(milliseconds=1)


@cache
def entities() -> dict[tuple[str, int], Any]:
    """kio's classes by name and version."""
    found = {}
    for module in pkgutil.walk_packages(kio_schema.__path__, "kio.schema."):
        if ".v" not in module.name or module.ispkg:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if is_message(value) and value.__module__ == module.name:
                found[value.__name__, int(value.__version__)] = value
    return found


def is_message(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and getattr(value, "__type__", None) in (
        EntityType.request,
        EntityType.response,
        EntityType.header,
        EntityType.data,
    )


PAIRS = sorted(entities())


@pytest.mark.parametrize(("name", "version"), PAIRS, ids=[f"{n}-{v}" for n, v in PAIRS])
def test_kio_reads_what_we_write_and_writes_what_we_read(name: str, version: int) -> None:
    cls, entity = named(name), entities()[name, version]
    assert cls is not None, "kio knows a message that we do not"
    read, write = serial.entity_reader(entity), serial.entity_writer(entity)
    for seed in range(SAMPLES):
        ours = sample(cls, version, Random(seed))
        make_presentable(ours, entity)
        data = encode_bytes(ours, version)
        theirs, size = read(data, 0)
        assert size == len(data)
        compare(ours, theirs, name)
        buffer = io.BytesIO()
        write(buffer, theirs)
        assert buffer.getvalue() == data
        assert decode_exact(cls, version, buffer.getvalue()) == ours


def test_there_is_much_to_compare() -> None:
    assert len(PAIRS) > 600


def make_presentable(ours: Any, entity: Any) -> None:
    """kio has times for some integers; give these a value that a time can have."""
    for field, kind in matched(ours, entity):
        value = getattr(ours, field.name)
        wanted = str(kind.metadata.get("kafka_type", ""))
        if isinstance(field.type, str):
            if "datetime" in wanted or "timedelta_i64" in wanted:
                setattr(ours, field.name, abs(value) % (10**12))
        elif value is not None:
            inner = inner_entity(kind.type)
            for item in value if field.is_array else [value]:
                if not is_shared(item):
                    make_presentable(item, inner)


def inner_entity(kind: Any) -> Any:
    """The class in ``tuple[X, ...]``, ``X | None`` and the like."""
    if dataclasses.is_dataclass(kind):
        return kind
    for part in getattr(kind, "__args__", ()):
        found = inner_entity(part)
        if found is not None:
            return found
    return None


def compare(ours: Any, theirs: Any, path: str) -> None:
    for field, their_field in matched(ours, theirs):
        value = getattr(theirs, their_field.name)
        compare_value(field, getattr(ours, field.name), value, f"{path}.{field.name}")


def matched(ours: Struct, theirs: Any) -> list[tuple[Field, Any]]:
    """kio leaves the unit out of the name of a time, and adds to names that Python has."""
    fields = {field.name: field for field in fields_of(type(ours))}
    pairs = []
    for their_field in dataclasses.fields(theirs):
        name = their_field.name.rstrip("_")
        pairs.append((fields[name if name in fields else name + "_ms"], their_field))
    return pairs


def compare_value(field: Field, ours: Any, theirs: Any, path: str) -> None:
    if field.is_array and ours is not None:
        assert len(ours) == len(theirs), path
        for mine, other in zip(ours, theirs, strict=True):
            compare_one(field, mine, other, path)
    else:
        compare_one(field, ours, theirs, path)


def compare_one(field: Field, ours: Any, theirs: Any, path: str) -> None:
    if isinstance(ours, Struct):
        compare(ours, theirs, path)
    elif field.type == "uuid" and ours is not None:
        assert ours == (bytes(16) if theirs is None else theirs.bytes), path
    else:
        assert ours == plain(theirs), path


def plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // MILLISECOND
    if isinstance(value, datetime.timedelta):
        return value // MILLISECOND
    return value.bytes if isinstance(value, uuid.UUID) else value
