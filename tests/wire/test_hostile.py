"""Hostile bytes: DecodeError and nothing else, at once, and no memory for what is not there."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.messages import all_messages, all_pairs, sample, versions_of
from wire.codec import decode, encode_bytes
from wire.errors import DecodeError
from wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from wire.messages.fetch import FetchRequest
from wire.messages.heartbeat import HeartbeatRequest
from wire.messages.leave_group import LeaveGroupRequest
from wire.messages.metadata import MetadataRequest
from wire.messages.produce import ProduceRequest
from wire.messages.sasl_authenticate import SaslAuthenticateRequest
from wire.messages.streams_group_heartbeat import StreamsGroupHeartbeatRequest
from wire.primitives import uvarint

if TYPE_CHECKING:
    from wire.schema import Message

MEMORY_FACTOR = 200
"""An element of one byte on the wire may become an object of so many bytes, but no more."""
MEMORY_FLOOR_BYTES = 200_000
"""For compiling what is decoded, and for the interpreter."""

each_message = pytest.mark.parametrize(
    "cls", all_messages(), ids=[cls.__name__ for cls in all_messages()]
)


def read_or_refuse(cls: type[Message], version: int, data: Any) -> bool:
    """Whether it could be read; any other end than DecodeError fails the test."""
    try:
        decode(cls, version, data)
    except DecodeError:
        return False
    return True


def oldest_and_newest(cls: type[Message]) -> list[int]:
    versions = versions_of(cls)
    return sorted({versions[0], versions[-1]})


@each_message
def test_a_message_that_is_cut_off_anywhere_is_refused(cls: type[Message]) -> None:
    for version in oldest_and_newest(cls):
        data = encode_bytes(sample(cls, version, Random(5)), version)
        for size in range(min(len(data), 400)):
            assert not read_or_refuse(cls, version, data[:size]), (version, size)


@each_message
def test_any_byte_may_be_anything(cls: type[Message]) -> None:
    rng = Random(1)
    for version in oldest_and_newest(cls):
        data = bytearray(encode_bytes(sample(cls, version, rng), version))
        for position in rng.sample(range(len(data)), min(len(data), 60)):
            old = data[position]
            for new in (0, 1, 0x7F, 0x80, 0xFF):
                data[position] = new
                read_or_refuse(cls, version, data)
            data[position] = old


@settings(max_examples=settings().max_examples * 8)
@given(st.sampled_from(list(all_pairs())), st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(pair: tuple[type[Message], int], data: bytes) -> None:
    read_or_refuse(*pair, data)


def peak_bytes(cls: type[Message], version: int, data: bytes) -> int:
    read_or_refuse(cls, version, data)  # compiles
    tracemalloc.start()
    try:
        read_or_refuse(cls, version, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


HUGE: list[tuple[Any, int, bytes]] = [
    (MetadataRequest, 0, b"\x7f\xff\xff\xff"),
    (MetadataRequest, 12, b"\xff\xff\xff\xff\x07"),
    (ProduceRequest, 3, b"\xff\xff\0\0\0\0\0\0\x7f\xff\xff\xff"),
    (ProduceRequest, 3, b"\xff\xff\0\0\0\0\0\0\0\0\0\x01\0\x01t\x7f\xff\xff\xff"),
    (ProduceRequest, 3, b"\xff\xff\0\0\0\0\0\0\0\0\0\1\0\1t\0\0\0\1\0\0\0\0\x7f\xff\xff\xff"),
    (FetchRequest, 4, bytes(16) + b"\0\x7f\xff\xff\xff"),
    (SaslAuthenticateRequest, 0, b"\x7f\xff\xff\xff"),
    (SaslAuthenticateRequest, 2, b"\xff\xff\xff\xff\x0f"),
    (HeartbeatRequest, 0, b"\x7f\xff"),
    (HeartbeatRequest, 4, b"\xff\xff\xff\xff\x0f"),
    (ApiVersionsRequest, 3, b"\x01\x01\xff\xff\xff\xff\x0f"),
    (ApiVersionsRequest, 3, b"\x01\x01\x01\x05\xff\xff\xff\xff\x0f"),
    (ApiVersionsResponse, 3, b"\0\0\x01\0\0\0\0\x01\0\xff\xff\xff\xff\x0f"),
    (ApiVersionsResponse, 3, b"\0\0\x01\0\0\0\0\x01\0\x05\xff\xff\xff\xff\x0f"),
    (StreamsGroupHeartbeatRequest, 0, b"\x01\x01" + bytes(8) + b"\0\0\0\0\x01" + b"\xff" * 4),
]


@pytest.mark.parametrize(("cls", "version", "data"), HUGE)
@pytest.mark.parametrize("padding", [0, 2000])
def test_nothing_is_allocated_for_a_claim(
    cls: type[Message], version: int, data: bytes, padding: int
) -> None:
    assert not read_or_refuse(cls, version, data + bytes(padding))
    assert peak_bytes(cls, version, data + bytes(padding)) < 20_000


@each_message
def test_memory_is_in_proportion_to_what_was_sent(cls: type[Message]) -> None:
    """Each integer that is a count becomes the largest that the check lets through."""
    rng = Random(2)
    for version in oldest_and_newest(cls):
        data = bytearray(encode_bytes(sample(cls, version, rng), version)) + bytes(3000)
        for position in rng.sample(range(len(data) - 3000), min(len(data) - 3000, 4)):
            for claim in (b"\xff\x7f", b"\0\0\x0b\xb8"):
                changed = bytes(data[:position] + claim + data[position + len(claim) :])
                limit = MEMORY_FLOOR_BYTES + MEMORY_FACTOR * len(changed)
                assert peak_bytes(cls, version, changed) < limit, (version, position)


@pytest.mark.parametrize("length", [6, 11, 1000])
def test_a_length_that_never_ends_is_refused(length: int) -> None:
    endless = b"\x80" * length
    cases: list[tuple[Any, int, bytes]] = [
        (HeartbeatRequest, 4, b""),
        (MetadataRequest, 12, b""),
        (LeaveGroupRequest, 4, b"\x01"),
        (ApiVersionsRequest, 3, b"\x01\x01"),
        (ApiVersionsRequest, 3, b"\x01\x01\x01"),
        (ApiVersionsRequest, 3, b"\x01\x01\x01\x00"),
    ]
    for cls, version, before in cases:
        with pytest.raises(DecodeError, match="varint of more than 32 bits"):
            decode(cls, version, before + endless)


def test_many_empty_elements_are_limited_by_the_room_they_take() -> None:
    names = uvarint(10001) + b"\x01" * 10000
    assert not read_or_refuse(MetadataRequest, 9, names)
    topics = uvarint(2001) + b"\x01\0" * 2000 + b"\0\0\0\0"
    assert read_or_refuse(MetadataRequest, 9, topics)


def test_the_same_tag_again_and_again_ends_where_the_data_ends() -> None:
    cluster_id = b"\0\x02\x02c"
    body = encode_bytes(FetchRequest(), 13)[:-1]
    request, _ = decode(FetchRequest, 13, body + uvarint(1000) + cluster_id * 1000)
    assert request.cluster_id == "c"
    assert not read_or_refuse(FetchRequest, 13, body + uvarint(1001) + cluster_id * 1000)


def test_a_tagged_field_does_not_reach_beyond_itself() -> None:
    body = encode_bytes(FetchRequest(), 15)[:-1]
    assert not read_or_refuse(FetchRequest, 15, body + b"\x01\x00\x02\x09c" + b"x" * 20)
    assert not read_or_refuse(FetchRequest, 15, body + b"\x01\x01\x03" + b"x" * 200)
