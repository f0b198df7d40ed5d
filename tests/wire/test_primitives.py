"""The elements: written and read, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import DecodeError, EncodeError
from wire.primitives import (
    READ_RUNS,
    WRITE_RUNS,
    check_room,
    read_uvarint,
    skip_tags,
    tagged_section,
    uvarint,
)

UVARINTS = [
    (0, "00"),
    (1, "01"),
    (127, "7f"),
    (128, "8001"),
    (300, "ac02"),
    (16383, "ff7f"),
    (16384, "808001"),
    (2**32 - 1, "ffffffff0f"),
]


@pytest.mark.parametrize(("value", "data"), UVARINTS)
def test_unsigned_varints(value: int, data: str) -> None:
    assert uvarint(value).hex() == data
    assert read_uvarint(bytes.fromhex("aa" + data), 1) == (value, 1 + len(data) // 2)


@given(st.integers(0, 2**32 - 1))
def test_any_unsigned_varint(value: int) -> None:
    data = uvarint(value)
    assert len(data) <= 5
    assert read_uvarint(data + b"x", 0) == (value, len(data))


@pytest.mark.parametrize("data", ["808080808000", "ffffffff10", "ffffffffff01", "ff" * 64])
def test_a_varint_of_more_than_32_bits_is_refused(data: str) -> None:
    with pytest.raises(DecodeError, match="more than 32 bits"):
        read_uvarint(bytes.fromhex(data), 0)


@pytest.mark.parametrize("value", [-1, 2**32, -(2**40)])
def test_what_has_no_varint_is_refused(value: int) -> None:
    with pytest.raises(EncodeError):
        uvarint(value)


def test_room_is_checked_by_the_least_that_the_elements_take() -> None:
    check_room(0, 8, 0)
    check_room(3, 8, 24)
    with pytest.raises(DecodeError, match="4 elements of 8 bytes or more claimed, 24 bytes left"):
        check_room(4, 8, 24)
    with pytest.raises(DecodeError, match="25 bytes claimed, 24 bytes left"):
        check_room(25, 1, 24)
    with pytest.raises(DecodeError, match="negative length -2"):
        check_room(-2, 1, 24)
    with pytest.raises(DecodeError, match="null"):
        check_room(-1, 1, 24)


def test_a_tagged_section_is_sorted_and_can_be_skipped() -> None:
    data = tagged_section([(300, b"x" * 200), (2, b""), (5, b"ab")])
    assert data == b"\x03" + b"\x02\0" + b"\x05\x02ab" + b"\xac\x02\xc8\x01" + b"x" * 200
    assert skip_tags(b"??" + data + b"!", 2, 2 + len(data)) == 2 + len(data)
    assert tagged_section([]) == b"\0"


@pytest.mark.parametrize("data", [b"\x01\0\x05ab", b"\x03\0\0\0\0", b"\xff\xff\xff\xff\x0f\0\0"])
def test_a_tagged_section_that_is_not_there_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        skip_tags(data, 0, len(data))


@pytest.mark.parametrize("count", [0, 1, 3, 64, 65, 1000])
def test_runs_read_what_runs_write(count: int) -> None:
    numbers = list(range(count))
    data = WRITE_RUNS["int32"][count](*numbers)
    assert data == b"".join(n.to_bytes(4, "big") for n in numbers)
    assert list(READ_RUNS["int32"][count](b"?" + data, 1)) == numbers
    ids = [bytes([n % 256]) * 16 for n in numbers]
    assert list(READ_RUNS["uuid"][count](b"".join(ids), 0)) == ids


def test_runs_of_odd_lengths_are_not_kept_for_ever() -> None:
    for count in range(1000, 1100):
        WRITE_RUNS["int8"][count](*[1] * count)
    assert not WRITE_RUNS["int8"].keys() & range(1000, 1100)
