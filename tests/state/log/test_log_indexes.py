"""The sparse indexes and the transaction index of a segment."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.log.index import CorruptIndex, OffsetIndex, TimeIndex
from pykbroker.state.log.producers import AbortedTxn
from pykbroker.state.log.txn_index import TxnIndex

rising = st.lists(st.integers(1, 1000), max_size=30).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)


@given(rising, rising, st.integers(0, 40_000))
def test_an_offset_is_looked_up_as_a_walk_would(
    offsets: list[int], positions: list[int], probe: int
) -> None:
    entries = list(zip(offsets, positions, strict=False))
    index = OffsetIndex(100)
    for offset, position in entries:
        index.append(100 + offset, position)
    below = [e for e in entries if e[0] <= probe]
    found = index.lookup(100 + probe)
    assert (found and (found.last_offset - 100, found.position)) == (below[-1] if below else None)
    below = [e for e in entries if e[1] <= probe]
    found = index.at_position(probe)
    assert (found and (found.last_offset - 100, found.position)) == (below[-1] if below else None)
    size = (positions[-1] if positions else 0) + 10
    again = OffsetIndex.decode(100, index.encode(), size)
    assert (again.offsets, again.positions) == (index.offsets, index.positions)
    index.truncate(100 + probe)
    assert list(index.offsets) == [o for o, _ in entries if o < probe]


def test_the_bytes_of_an_offset_index_are_kafkas() -> None:
    index = OffsetIndex(1000)
    index.append(1007, 4100)
    index.append(1019, 8300)
    assert index.encode() == pack(">iiii", 7, 4100, 19, 8300)
    assert index.encode(1) == pack(">ii", 19, 8300)


def test_the_bytes_of_a_time_index_are_kafkas() -> None:
    index = TimeIndex(1000)
    index.append(1_700_000_000_000, 1007)
    assert index.encode() == pack(">qi", 1_700_000_000_000, 7)


def test_unused_room_at_the_end_is_passed_over() -> None:
    """As Kafka leaves it when it is killed: its index files are made large and mapped."""
    offsets = OffsetIndex.decode(0, pack(">ii", 7, 4100) + bytes(80), 9000)
    assert offsets.last() == (7, 4100)
    assert TimeIndex.decode(0, pack(">qi", 5, 7) + bytes(120)).last() == (5, 7)
    assert OffsetIndex.decode(0, bytes(10 << 20), 9000).last() is None


@pytest.mark.parametrize(
    "data",
    [
        b"odd",
        pack(">iiii", 7, 4100, 7, 8300),
        pack(">iiii", 7, 4100, 9, 4100),
        pack(">iiii", 7, 4100, 5, 8300),
        pack(">ii", 7, 9000),
        pack(">ii", -7, 4100),
        pack(">ii", 7, -4100),
    ],
)
def test_what_cannot_be_an_offset_index_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptIndex):
        OffsetIndex.decode(0, data, 9000)


@pytest.mark.parametrize(
    "data",
    [
        b"odd",
        pack(">qiqi", 5, 7, 5, 9),
        pack(">qiqi", 5, 7, 4, 9),
        pack(">qiqi", 5, 7, 6, 6),
        pack(">qi", -5, 7),
        pack(">qi", 5, -7),
    ],
)
def test_what_cannot_be_a_time_index_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptIndex):
        TimeIndex.decode(0, data)


@given(st.lists(st.sampled_from([-1, *range(1, 51)]), max_size=30), st.integers(0, 60))
def test_a_time_index_keeps_each_new_maximum(timestamps: list[int], probe: int) -> None:
    index = TimeIndex(10)
    kept: list[tuple[int, int]] = []
    for number, timestamp in enumerate(timestamps):
        is_news = timestamp >= 0 and (not kept or timestamp > kept[-1][0])
        assert index.append(timestamp, 10 + number) == is_news
        if is_news:
            kept.append((timestamp, 10 + number))
    below = [offset for timestamp, offset in kept if timestamp <= probe]
    assert index.lookup(probe) == (below[-1] if below else 10)
    assert index.last() == (kept[-1] if kept else None)
    again = TimeIndex.decode(10, index.encode())
    assert again.last() == index.last()
    data = index.encode()
    stored = TimeIndex.last_in(10, lambda at, size: data[at : at + size], len(data))
    assert stored == index.last()
    index.truncate(15)
    assert [10 + offset for offset in index.offsets] == [o for _, o in kept if o < 15]


def test_the_end_of_a_time_index_that_cannot_be_told_is_none() -> None:
    assert TimeIndex.last_in(0, lambda at, size: b"", 0) is None
    assert TimeIndex.last_in(0, lambda at, size: b"x" * size, 13) is None
    assert TimeIndex.last_in(0, lambda at, size: bytes(size), 12) is None


FIRST = AbortedTxn(7, 10, 20, 10)
SECOND = AbortedTxn(8, 15, 30, 21)


def test_a_transaction_index_round_trips_in_kafkas_bytes() -> None:
    index = TxnIndex([FIRST, SECOND])
    assert index.encode() == pack(">hqqqqhqqqq", 0, *FIRST, 0, *SECOND)
    assert TxnIndex.decode(index.encode()).entries == [FIRST, SECOND]
    assert index.encode(1) == pack(">hqqqq", 0, *SECOND)


@pytest.mark.parametrize(
    "data",
    [
        b"odd",
        pack(">hqqqq", 1, *FIRST),
        pack(">hqqqqhqqqq", 0, *SECOND, 0, *FIRST),
        pack(">hqqqqhqqqq", 0, *FIRST, 0, *FIRST),
    ],
)
def test_what_cannot_be_a_transaction_index_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptIndex):
        TxnIndex.decode(data)


def test_transactions_end_in_order() -> None:
    with pytest.raises(ValueError):
        TxnIndex([SECOND]).append(FIRST)


@pytest.mark.parametrize(
    ("fetch_offset", "upper_bound", "found", "is_complete"),
    [
        (0, 10, [], True),
        (0, 11, [FIRST], True),
        (0, 40, [FIRST, SECOND], False),
        (20, 40, [FIRST, SECOND], False),
        (21, 40, [SECOND], False),
        (31, 40, [], False),
        (16, 21, [FIRST, SECOND], True),
    ],
)
def test_only_transactions_that_touch_the_range_are_listed(
    fetch_offset: int, upper_bound: int, found: list[AbortedTxn], is_complete: bool
) -> None:
    index = TxnIndex([FIRST, SECOND])
    assert index.collect(fetch_offset, upper_bound) == (found, is_complete)


def test_truncation_drops_transactions_whose_marker_goes() -> None:
    index = TxnIndex([FIRST, SECOND])
    index.truncate(30)
    assert index.entries == [FIRST]
