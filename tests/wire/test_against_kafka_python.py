"""Byte for byte and value for value what kafka-python makes of it, for the APIs that it has."""

from __future__ import annotations

import importlib
import pkgutil
import uuid
from functools import cache
from random import Random
from typing import Any

import pytest

from tests.support.messages import named, sample, versions_of
from wire.codec import decode_exact, encode_bytes
from wire.layout import layout_of
from wire.schema import Struct

protocol = pytest.importorskip("kafka.protocol")
SAMPLES = 2
WITH_OPERATIONS = {"DescribeClusterResponse", "DescribeGroupsResponse", "MetadataResponse"}
"""Their authorized operations are bits to us and a set to them, which they do not write again."""


@cache
def their_messages() -> dict[str, Any]:
    for module in pkgutil.walk_packages(protocol.__path__, "kafka.protocol."):
        if not any(part in module.name for part in (".old", "generate_stubs", ".schemas")):
            importlib.import_module(module.name)
    base = importlib.import_module("kafka.protocol.api_message").ApiMessage
    found, left = {}, type.__subclasses__(base)
    while left:
        cls = left.pop()
        left += type.__subclasses__(cls)
        if cls._class_version is None:
            found[cls.__name__] = cls
    return found


def shared_pairs() -> list[tuple[str, int]]:
    pairs = []
    for name, theirs in sorted(their_messages().items()):
        ours = named(name)
        assert ours is not None, name
        low, high = theirs.valid_versions
        pairs += [(name, v) for v in versions_of(ours) if low <= v <= high]
    return pairs


PAIRS = shared_pairs()


@pytest.mark.parametrize(("name", "version"), PAIRS, ids=[f"{n}-{v}" for n, v in PAIRS])
def test_kafka_python_reads_what_we_write_and_writes_what_we_read(name: str, version: int) -> None:
    cls, their_class = named(name), their_messages()[name]
    assert cls is not None
    for seed in range(SAMPLES):
        ours = sample(cls, version, Random(seed))
        if name == "ApiVersionsResponse":
            ours.error_code = 0  # or they take it for version 0, as of a broker that is older
        data = encode_bytes(ours, version)
        theirs = their_class.decode(data, version=version)
        theirs._header = None  # which its decoding leaves out and its encoding asks for
        compare(ours, theirs, version, name)
        if name in WITH_OPERATIONS:
            continue
        again = bytes(theirs.encode(version=version))
        assert again == data
        assert decode_exact(cls, version, again) == ours


def test_there_is_much_to_compare() -> None:
    assert len(PAIRS) > 300


def compare(ours: Any, theirs: Any, version: int, path: str) -> None:
    layout = layout_of(type(ours), version)
    for field in layout.body + layout.tagged:
        if field.type == "int32" and field.name.endswith("authorized_operations"):
            continue
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field in layout.tagged and other is None and mine == field.default:
            continue
        where = f"{path}.{field.name}"
        if isinstance(mine, list):
            assert len(mine) == len(other), where
            for one, their_one in zip(mine, other, strict=True):
                compare_one(one, their_one, version, where)
        else:
            compare_one(mine, other, version, where)


def compare_one(mine: Any, other: Any, version: int, path: str) -> None:
    if isinstance(mine, Struct):
        compare(mine, other, version, path)
    else:
        assert mine == (other.bytes if isinstance(other, uuid.UUID) else other), path
