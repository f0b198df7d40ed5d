"""Whatever can be written can be read back, in every version of every message."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.messages import (
    all_messages,
    all_pairs,
    instances,
    sample,
    versions_of,
)
from wire.codec import decode, decode_exact, encode, encode_bytes
from wire.errors import DecodeError

if TYPE_CHECKING:
    from wire.schema import Message

SAMPLES = 4

each_message = pytest.mark.parametrize(
    "cls", all_messages(), ids=[cls.__name__ for cls in all_messages()]
)


@each_message
def test_every_version_survives_a_round_trip(cls: type[Message]) -> None:
    for version in versions_of(cls):
        for seed in range(SAMPLES):
            value = sample(cls, version, Random(seed))
            data = encode_bytes(value, version)
            again = decode_exact(cls, version, data)
            assert again == value, version
            assert encode_bytes(again, version) == data, version


@each_message
def test_defaults_survive_a_round_trip(cls: type[Message]) -> None:
    for version in versions_of(cls):
        value = cls()
        _replace_nulls(value, version)
        assert decode_exact(cls, version, encode_bytes(value, version)) == value


def _replace_nulls(value: Any, version: int) -> None:
    """Two responses have records that default to null and yet may not be null on the wire."""
    for name in value.definitions:
        if name in ("records", "unaligned_records") and getattr(value, name) is None:
            setattr(value, name, b"")


@settings(max_examples=settings().max_examples * 8)
@given(st.sampled_from(list(all_pairs())).flatmap(lambda p: st.tuples(st.just(p), instances(*p))))
def test_any_instance_survives_a_round_trip(case: tuple[tuple[type[Message], int], Any]) -> None:
    (cls, version), value = case
    data = encode_bytes(value, version)
    again = decode_exact(cls, version, data)
    assert again == value
    assert encode_bytes(again, version) == data
    assert b"".join(encode(value, version)) == data


@pytest.mark.parametrize("before", [1, 5, 300])
def test_decoding_begins_and_ends_where_it_is_told(before: int) -> None:
    for cls, version in all_pairs():
        value = sample(cls, version, Random(before))
        data = encode_bytes(value, version)
        framed = b"\xff" * before + data + b"\xff\xff"
        again, end = decode(cls, version, framed, before)
        assert end == before + len(data)
        assert again == value
        with pytest.raises(DecodeError, match="2 bytes left over"):
            decode_exact(cls, version, framed, before)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_can_be_decoded(kind: Any) -> None:
    for cls, version in all_pairs():
        value = sample(cls, version, Random(1))
        data = kind(encode_bytes(value, version))
        assert decode_exact(cls, version, data) == value
