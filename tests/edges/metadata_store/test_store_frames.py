"""The served store's protocol: what goes in comes out, and nothing else does harm."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import chain, zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.edges.metadata_store import bodies
from pykbroker.edges.metadata_store.frames import (
    FRAME_BYTES,
    MORE,
    PARTS_LIMIT,
    PREFACE,
    FrameReader,
    Message,
    OtherVersion,
    dropped,
    frames,
)
from pykbroker.ports import (
    Compare,
    Delete,
    KeyValue,
    Put,
    StoreEvent,
    StoreSnapshot,
    StoreUpdate,
    Transacted,
)
from wire.errors import DecodeError

HEADER_BYTES = 10
IDS = st.integers(0, 2**32 - 1)
MESSAGES = st.lists(
    st.builds(Message, st.integers(0, 255), IDS, st.binary(max_size=40)),
    max_size=8,
    unique_by=lambda message: message.id,
)


def greeted(limit: int = 1_000_000) -> FrameReader:
    reader = FrameReader(limit)
    assert reader.feed(PREFACE) == []
    return reader


@given(MESSAGES, st.lists(st.integers(1, 30), max_size=50))
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    messages: list[Message], cuts: list[int]
) -> None:
    data = PREFACE + b"".join(chain.from_iterable(frames(*m) for m in messages))
    reader, seen = FrameReader(1_000_000), []
    for size in cuts:
        seen += reader.feed(data[:size])
        data = data[size:]
    seen += reader.feed(data)
    assert seen == messages


def test_a_long_message_goes_in_frames_with_others_between_them() -> None:
    rng = random.Random(1)
    long = [Message(3, n, rng.randbytes(FRAME_BYTES * n + n)) for n in range(1, 4)]
    turns = zip_longest(*[frames(*m) for m in long])
    data = b"".join(frame for turn in turns for frame in turn if frame is not None)
    reader = greeted(7 * FRAME_BYTES)
    assert reader.feed(data) == long
    assert reader.feed(b"".join(frames(*long[2]))) == [long[2]], "nothing is kept of the past"


def test_frames_are_never_longer_than_allowed() -> None:
    for size in (0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES):
        made = list(frames(1, 1, bytes(size)))
        assert max(map(len, made)) <= FRAME_BYTES + HEADER_BYTES
        assert len(made) == max(1, -(-size // FRAME_BYTES))


def test_a_message_that_is_given_up_is_forgotten() -> None:
    reader = greeted(FRAME_BYTES)
    first = next(frames(3, 7, bytes(2 * FRAME_BYTES)))
    for _ in range(3):
        assert reader.feed(first + dropped(3, 7)) == []
    assert reader.feed(dropped(3, 8)) == [], "also when nothing of it was sent"


def test_what_is_kept_of_incomplete_messages_is_bounded() -> None:
    reader = greeted(FRAME_BYTES)
    reader.feed(next(frames(3, 1, bytes(2 * FRAME_BYTES))))
    with pytest.raises(DecodeError, match="messages of more than"):
        reader.feed(next(frames(3, 2, bytes(2 * FRAME_BYTES))))


def test_the_number_of_incomplete_messages_is_bounded() -> None:
    part = [b"\x00\x00\x00\x01\x03\x01" + n.to_bytes(4, "big") + b"x" for n in range(99)]
    reader = greeted()
    reader.feed(b"".join(part[:PARTS_LIMIT]))
    with pytest.raises(DecodeError, match="messages at once"):
        reader.feed(part[PARTS_LIMIT])


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x00\x04\x00\x01\x01\x00\x00\x00\x00\x01", "a frame of"),
        (b"\xff\xff\xff\xff\x01\x00\x00\x00\x00\x01", "a frame of"),
        (b"\x00\x00\x00\x00\x01\x07\x00\x00\x00\x01", "unknown flags 7"),
        (b"\x00\x00\x00\x00\x01" + bytes([MORE]) + b"\x00\x00\x00\x01", "nothing in it"),
        (
            b"\x00\x00\x00\x01\x01\x01\x00\x00\x00\x01x\x00\x00\x00\x00\x02\x00\x00\x00\x00\x01",
            "kind",
        ),
    ],
)
def test_wrong_frames_are_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        greeted().feed(data)


def test_another_version_is_told_from_another_protocol() -> None:
    with pytest.raises(OtherVersion, match="version 9, this is version 1"):
        FrameReader(9).feed(b"PKBS\x09")
    for start in (b"GET / HTTP/1.1", b"\x00\x00\x00\x20", b"PKBX", b"X"):
        with pytest.raises(DecodeError, match="not the metadata store's protocol"):
            FrameReader(9).feed(start)
    assert FrameReader(9).feed(b"PK") == []


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reader = greeted(1_000)
    with suppress(DecodeError):
        reader.feed(data)


NUMBERS = st.integers(-(2**63), 2**63 - 1)
OPERATIONS = st.one_of(
    st.builds(Put, st.text(max_size=5), st.binary(max_size=5), NUMBERS),
    st.builds(Delete, st.text(max_size=5)),
)


@given(
    st.lists(st.builds(Compare, st.text(max_size=5), NUMBERS), max_size=5),
    st.lists(OPERATIONS, max_size=5),
)
def test_transactions_come_out_as_they_went_in(compares: list, operations: list) -> None:
    data = bodies.write_transaction(compares, operations)
    assert bodies.read_transaction(data) == (compares, operations)


@given(
    NUMBERS,
    st.lists(st.builds(KeyValue, st.text(max_size=5), st.binary(max_size=5), NUMBERS, NUMBERS)),
    st.lists(
        st.builds(
            StoreEvent, st.text(max_size=5), st.none() | st.binary(max_size=5), NUMBERS, NUMBERS
        )
    ),
)
def test_snapshots_and_updates_come_out_as_they_went_in(
    revision: int, items: list, events: list
) -> None:
    snapshot = StoreSnapshot(revision, tuple(items))
    assert bodies.read_snapshot(bodies.write_snapshot(snapshot)) == snapshot
    update = StoreUpdate(revision, tuple(events))
    assert bodies.read_update(bodies.write_update(update)) == update


READERS = [
    (bodies.read_transaction, bodies.write_transaction([Compare("/a", 1)], [Put("/b", b"x", 2)])),
    (bodies.read_transacted, bodies.write_transacted(Transacted(True, 5))),
    (bodies.read_snapshot, bodies.write_snapshot(StoreSnapshot(3, (KeyValue("/a", b"", 1, 2),)))),
    (bodies.read_update, bodies.write_update(StoreUpdate(3, (StoreEvent("/a", None, 0, 3),)))),
    (bodies.read_welcome, bodies.write_welcome(bodies.Welcome(5, 9))),
    (bodies.read_failure, bodies.write_failure(bodies.MISUSED, "why")),
    (bodies.read_watch, bodies.write_watch("/", 4)),
    (bodies.read_text, bodies.write_text("/")),
    (bodies.read_number, bodies.write_number(-1)),
]


@pytest.mark.parametrize(("read", "data"), READERS)
def test_a_body_that_is_cut_or_too_long_is_refused(read, data: bytes) -> None:
    read(data)
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            read(data[:size])
    with pytest.raises(DecodeError, match="left over"):
        read(data + b"x")


@given(st.sampled_from([read for read, _ in READERS]), st.binary(max_size=60))
def test_any_body_is_read_or_refused(read, data: bytes) -> None:
    with suppress(DecodeError):
        read(data)


def test_a_count_that_cannot_be_there_allocates_nothing() -> None:
    with pytest.raises(DecodeError, match="claimed"):
        bodies.read_snapshot(bytes(8) + b"\xff\xff\xff\xff" + bytes(40))
