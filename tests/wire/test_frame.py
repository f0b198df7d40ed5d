"""Frames: whole ones come out, whatever way the bytes went in, and nothing is made from a claim."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.apis import API_BY_KEY, ApiKey
from wire.codec import encode_bytes
from wire.errors import DecodeError
from wire.frame import (
    GROWTH,
    READY_FRAMES,
    READY_LIMIT_BYTES,
    SHARED_BYTES,
    SMALL_BYTES,
    TURN_BYTES,
    FrameError,
    FrameReader,
    SharedBuffer,
    request_header,
)
from wire.messages.headers import RequestHeader
from wire.primitives import skip_tags, tagged_section

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 100 * 1024 * 1024


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def receive(reader: FrameReader, data: bytes, most: int = 1 << 30) -> list[memoryview]:
    """What a transport does with these bytes; at most so many in one read."""
    frames: list[memoryview] = []
    while data:
        room = reader.get_buffer(65536)
        size = min(len(room), len(data), most)
        assert size > 0
        room[:size] = data[:size]
        del room
        frames += reader.buffer_updated(size)
        data = data[size:]
    return frames


def bodies(seed: int, sizes: Iterable[int]) -> list[bytes]:
    rng = Random(seed)
    return [rng.randbytes(size) for size in sizes]


@given(
    st.lists(st.integers(0, 30) | st.integers(0, 40000), max_size=8),
    st.integers(1, 20) | st.integers(1, 70000),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
)
def test_frames_come_out_as_they_went_in(
    sizes: list[int], most: int, seed: int, by_feeding: bool, sharing: bool
) -> None:
    sent = bodies(seed, sizes)
    data = b"".join(map(frame, sent))
    reader = FrameReader(LIMIT, SharedBuffer() if sharing else None)
    if by_feeding:
        frames = []
        for begin in range(0, len(data), most):
            frames += reader.feed(data[begin : begin + most])
    else:
        frames = receive(reader, data, most)
    assert frames == sent  # all are kept to the end: none was written over
    assert reader.pending == 0


@given(
    st.lists(st.lists(st.integers(0, 20) | st.integers(0, 90000), max_size=6), max_size=4),
    st.integers(1, 100000),
    st.data(),
)
def test_readers_that_share_a_buffer_do_not_disturb_each_other(
    sizes: list[list[int]], most: int, data: st.DataObject
) -> None:
    shared = SharedBuffer()
    sent = [bodies(seed, each) for seed, each in enumerate(sizes)]
    waiting = [b"".join(map(frame, each)) for each in sent]
    readers = [FrameReader(LIMIT, shared) for _ in sizes]
    frames: list[list[memoryview]] = [[] for _ in sizes]
    while any(waiting):
        index = data.draw(st.sampled_from([i for i, left in enumerate(waiting) if left]))
        piece, waiting[index] = waiting[index][:most], waiting[index][most:]
        frames[index] += receive(readers[index], piece)
        readers[index].get_buffer()  # as of a read that finds nothing
    assert frames == sent
    assert [reader.pending for reader in readers] == [0] * len(readers)


@pytest.mark.parametrize("size", [-1, 11])
def test_a_shared_reader_refuses_an_impossible_size(size: int) -> None:
    reader = FrameReader(10, SharedBuffer())
    with pytest.raises(FrameError) as refused:
        receive(reader, frame(b"a") + size.to_bytes(4, "big", signed=True))
    assert refused.value.frames_before == [b"a"]


def test_a_reader_that_shares_holds_nothing_between_small_frames() -> None:
    reader = FrameReader(LIMIT, SharedBuffer())
    for size in (10, 5000, SHARED_BYTES // READY_FRAMES):
        receive(reader, frame(bytes(size)), most=8)
        assert buffer_size(reader) == 0
    receive(reader, frame(bytes(SHARED_BYTES)))
    assert len(reader.get_buffer()) > SHARED_BYTES  # read where it stays, not copied


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30), st.integers(1, 9000), st.data())
def test_a_frame_stays_as_it_is_while_somebody_holds_it(
    sizes: list[int], most: int, data: st.DataObject
) -> None:
    sent = bodies(1, sizes)
    reader = FrameReader(LIMIT)
    held = []
    for body in sent:
        for view in receive(reader, frame(body), most):
            if data.draw(st.booleans()):
                held.append((view[:], body))
            del view
    for view, body in held:
        assert view == body


def test_a_frame_can_be_patched_in_place() -> None:
    reader = FrameReader(LIMIT)
    for received in (reader.feed(frame(b"abc")), receive(reader, frame(b"abc"))):
        received[0][1:2] = b"X"
        assert bytes(received[0]) == b"aXc"


def test_an_incomplete_frame_is_pending() -> None:
    reader = FrameReader(LIMIT)
    assert reader.feed(b"\0\0") == []
    assert reader.pending == 2
    assert reader.feed(b"\0\x03ab") == []
    assert reader.pending == 6
    assert reader.feed(b"c" + b"\0") == [b"abc"]
    assert reader.pending == 1


def test_an_empty_frame_is_a_frame() -> None:
    assert FrameReader(LIMIT).feed(frame(b"") + frame(b"a")) == [b"", b"a"]


@pytest.mark.parametrize("size", [-1, -(2**31), 11, 2**31 - 1])
def test_an_impossible_size_is_refused_with_its_last_byte(size: int) -> None:
    data = size.to_bytes(4, "big", signed=True)
    reader = FrameReader(10)
    assert reader.feed(data[:3]) == []
    with pytest.raises(FrameError, match=f"a frame of {size} bytes, allowed are 10"):
        reader.feed(data[3:])


def test_frames_before_an_impossible_size_are_not_lost() -> None:
    data = frame(b"a") + frame(b"b") + b"\xff\xff\xff\xff"
    for read_on in (FrameReader(10).feed, lambda data: receive(FrameReader(10), data)):
        with pytest.raises(FrameError) as refused:
            read_on(data)
        assert refused.value.frames_before == [b"a", b"b"]


def test_the_largest_size_is_allowed() -> None:
    assert FrameReader(10).feed(frame(b"0123456789")) == [b"0123456789"]


def buffer_size(reader: FrameReader) -> int:
    return len(reader._buffer)


def test_nothing_is_allocated_for_what_is_only_announced() -> None:
    tracemalloc.start()
    try:
        reader = FrameReader(LIMIT)
        reader.feed(LIMIT.to_bytes(4, "big"))
        for _ in range(100):
            with reader.get_buffer() as room:
                room[0] = 7
            reader.buffer_updated(1)
        assert tracemalloc.get_traced_memory()[1] < 2 * SMALL_BYTES
    finally:
        tracemalloc.stop()


def test_the_buffer_grows_with_what_has_come() -> None:
    reader = FrameReader(LIMIT)
    total = 20 * 1024 * 1024
    come = 0
    data = frame(bytes(total))
    for begin in range(0, len(data), 10000):
        frames = reader.feed(data[begin : begin + 10000])
        come += 10000
        assert buffer_size(reader) <= max(SMALL_BYTES, GROWTH * come)
    assert [len(f) for f in frames] == [total]


def test_little_is_held_between_frames() -> None:
    for size in (0, 10, 5000, 9000, 10**6):
        reader = FrameReader(LIMIT)
        for _ in range(3):
            reader.feed(frame(bytes(size)))
            assert buffer_size(reader) <= SMALL_BYTES


def test_the_buffer_is_used_again_when_nobody_holds_its_frames() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(frame(bytes(100)))
    before = reader._buffer
    for _ in range(1000):
        assert reader.feed(frame(b"abc")) == [b"abc"]
    assert reader._buffer is before
    (held,) = reader.feed(frame(b"held"))
    for _ in range(1000):
        reader.feed(frame(b"abc"))
    assert bytes(held) == b"held"
    assert reader._buffer is not before


def test_after_large_frames_more_is_made_ready_within_limits() -> None:
    reader = FrameReader(LIMIT)
    with reader.get_buffer() as room:
        assert len(room) == SMALL_BYTES
    reader.feed(frame(bytes(20000)))
    with reader.get_buffer() as room:
        assert 20000 <= len(room) <= READY_LIMIT_BYTES
    reader = FrameReader(LIMIT)
    reader.feed(frame(bytes(10**7)))
    with reader.get_buffer() as room:
        assert len(room) == READY_LIMIT_BYTES
    reader.feed(frame(b""))
    with reader.get_buffer() as room:
        assert len(room) == SMALL_BYTES


def test_one_read_is_one_turn_of_limited_size() -> None:
    reader = FrameReader(LIMIT)
    reader.feed((5 * 10**6).to_bytes(4, "big") + bytes(4 * 10**6))
    while reader.pending:
        with reader.get_buffer() as room:
            size = len(room)
            assert 0 < size <= TURN_BYTES
        reader.buffer_updated(size)


# Request headers.

HEADERS = [
    (ApiKey.PRODUCE, 3, 1),
    (ApiKey.PRODUCE, 9, 2),
    (ApiKey.API_VERSIONS, 4, 2),
    (ApiKey.API_VERSIONS, 77, 2),
    (ApiKey.SASL_HANDSHAKE, 1, 1),
    (9999, 1, 1),
]


@pytest.mark.parametrize("client_id", ["", "producer-1", "žluťoučký", None, "x" * 300])
@pytest.mark.parametrize(("key", "version", "header_version"), HEADERS)
def test_a_header_is_read_as_the_codec_writes_it(
    key: int, version: int, header_version: int, client_id: str | None
) -> None:
    written = RequestHeader(
        request_api_key=key,
        request_api_version=version,
        correlation_id=-5,
        client_id=client_id,
    )
    data = encode_bytes(written, header_version)
    header, offset = request_header(memoryview(data + b"\0rest"))
    assert offset == len(data)
    assert (header.api_key, header.api_version, header.correlation_id) == (key, version, -5)
    assert header.client_id == client_id
    assert repr(header) == f"RequestHeader({key}, {version}, -5, {client_id!r})"


def test_tagged_fields_of_a_header_are_passed_over() -> None:
    section = tagged_section([(0, b"abc"), (200, bytes(300))])
    head = b"\0\x12\0\x04\0\0\0\x07\0\x01c"
    header, offset = request_header(head + section + b"body")
    assert (header.client_id, offset) == ("c", len(head) + len(section))
    assert skip_tags(section, 0, len(section)) == len(section)


def test_controlled_shutdown_had_no_client_id_at_first() -> None:
    header, offset = request_header(b"\0\x07\0\0\0\0\0\x09body")
    assert (header.client_id, header.correlation_id, offset) == (None, 9, 8)


def test_a_client_id_is_read_as_java_reads_it() -> None:
    fixed = b"\0\x0c\0\0\0\0\0\x09"
    assert request_header(fixed + b"\0\x03a\xffb")[0].client_id == "a\ufffdb"
    assert request_header(fixed + b"\xff\xfe")[0].client_id is None


@pytest.mark.parametrize("key", sorted(API_BY_KEY))
def test_a_header_that_is_cut_off_is_refused(key: int) -> None:
    version = API_BY_KEY[key].max_version
    whole = key.to_bytes(2, "big") + version.to_bytes(2, "big") + b"\0\0\0\x07\0\x02ab\x01\x05\x01z"
    _, end = request_header(whole)
    for size in range(end):
        with pytest.raises(DecodeError):
            request_header(whole[:size])


@pytest.mark.parametrize(
    "rest", [b"\xff\xfe", b"\x7f\xffabc", b"\0\0\x01\0\x09ab", b"\0\0\xff\xff"]
)
def test_a_header_that_makes_no_sense_is_refused(rest: bytes) -> None:
    with pytest.raises(DecodeError):
        request_header(b"\0\x12\0\x04\0\0\0\x07" + rest)
