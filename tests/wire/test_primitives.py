"""The elements: written and read, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import DecodeError, EncodeError
from wire.primitives import (
    READ_RUNS,
    WRITE_RUNS,
    bytes_,
    check_room,
    read_bytes,
    read_nullable_bytes,
    read_nullable_string,
    read_string,
    read_uvarint,
    read_uvarlong,
    read_varint,
    read_varlong,
    skip_tags,
    string,
    tagged_section,
    uvarint,
    varint,
    varlong,
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
VARINTS = [
    (0, "00"),
    (-1, "01"),
    (1, "02"),
    (63, "7e"),
    (-64, "7f"),
    (64, "8001"),
    (2**31 - 1, "feffffff0f"),
    (-(2**31), "ffffffff0f"),
]
VARLONGS = [(2**63 - 1, "feffffffffffffffff01"), (-(2**63), "ffffffffffffffffff01")]


@pytest.mark.parametrize(("value", "data"), UVARINTS)
def test_unsigned_varints(value: int, data: str) -> None:
    assert uvarint(value).hex() == data
    assert read_uvarint(bytes.fromhex("aa" + data), 1) == (value, 1 + len(data) // 2)
    assert read_uvarlong(bytes.fromhex(data), 0) == (value, len(data) // 2)


@pytest.mark.parametrize(("value", "data"), VARINTS)
def test_signed_varints(value: int, data: str) -> None:
    assert varint(value).hex() == data
    assert read_varint(bytes.fromhex(data), 0) == (value, len(data) // 2)


@pytest.mark.parametrize(("value", "data"), VARINTS + VARLONGS)
def test_signed_varlongs(value: int, data: str) -> None:
    assert varlong(value).hex() == data
    assert read_varlong(bytes.fromhex(data), 0) == (value, len(data) // 2)


@given(st.integers(0, 2**32 - 1))
def test_any_unsigned_varint(value: int) -> None:
    data = uvarint(value)
    assert len(data) <= 5
    assert read_uvarint(data + b"x", 0) == (value, len(data))


@given(st.integers(-(2**31), 2**31 - 1))
def test_any_varint(value: int) -> None:
    assert read_varint(varint(value), 0)[0] == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_varlong(value: int) -> None:
    data = varlong(value)
    assert len(data) <= 10
    assert read_varlong(data, 0) == (value, len(data))


@pytest.mark.parametrize("data", ["808080808000", "ffffffff10", "ffffffffff01", "ff" * 64])
def test_a_varint_of_more_than_32_bits_is_refused(data: str) -> None:
    for read in (read_uvarint, read_varint):
        with pytest.raises(DecodeError, match="more than 32 bits"):
            read(bytes.fromhex(data), 0)


@pytest.mark.parametrize("data", ["80" * 10 + "00", "ff" * 9 + "02", "ff" * 64])
def test_a_varint_of_more_than_64_bits_is_refused(data: str) -> None:
    for read in (read_uvarlong, read_varlong):
        with pytest.raises(DecodeError, match="more than 64 bits"):
            read(bytes.fromhex(data), 0)


@pytest.mark.parametrize(
    ("write", "value"),
    [(uvarint, -1), (varint, 2**31), (varint, -(2**31) - 1), (varlong, 2**63), (varlong, -(2**64))],
)
def test_what_has_no_varint_is_refused(write: Any, value: int) -> None:
    with pytest.raises(EncodeError):
        write(value)


@given(st.text(max_size=200), st.booleans())
def test_strings(value: str, compact: bool) -> None:
    data = string(value, compact=compact)
    assert read_string(data, 0, compact=compact) == (value, len(data))
    assert read_nullable_string(b"?" + data, 1, compact=compact) == (value, 1 + len(data))


@given(st.binary(max_size=300), st.booleans())
def test_byte_strings(value: bytes, compact: bool) -> None:
    data = bytes_(value, compact=compact)
    assert read_bytes(data, 0, compact=compact) == (value, len(data))
    assert read_nullable_bytes(b"?" + data, 1, compact=compact) == (value, 1 + len(data))


def test_strings_on_the_wire() -> None:
    assert string("ab") == b"\0\x02ab"
    assert string("ab", compact=True) == b"\x03ab"
    assert string(None) == b"\xff\xff"
    assert string(None, compact=True) == b"\0"
    assert bytes_(b"ab") == b"\0\0\0\x02ab"
    assert bytes_(b"ab", compact=True) == b"\x03ab"
    assert bytes_(None) == b"\xff\xff\xff\xff"
    assert bytes_(None, compact=True) == b"\0"


@pytest.mark.parametrize("compact", [True, False])
def test_null_is_refused_where_it_may_not_be(compact: bool) -> None:
    assert read_nullable_string(string(None, compact=compact), 0, compact=compact)[0] is None
    assert read_nullable_bytes(bytes_(None, compact=compact), 0, compact=compact)[0] is None
    with pytest.raises(DecodeError, match="null"):
        read_string(string(None, compact=compact), 0, compact=compact)
    with pytest.raises(DecodeError, match="null"):
        read_bytes(bytes_(None, compact=compact), 0, compact=compact)


@pytest.mark.parametrize("data", [b"\x7f\xffabc", b"\xff\xfeabc", b"\x80\0abc"])
def test_a_string_that_is_not_there_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read_string(data, 0)
    with pytest.raises(DecodeError):
        read_bytes(b"\0\0" + data, 0)


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
