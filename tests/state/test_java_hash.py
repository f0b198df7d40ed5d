"""Java's string hash and Kafka's way from it to a partition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.java_hash import java_hash, partition_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("a", 97),
        ("hello", 99162322),
        ("my-group", -1906497762),
        ("polygenelubricants", -(2**31)),
        ("\u00e9t\u00e9", 227742),
        ("\U0001f600", 1772899),
    ],
)
def test_known_hashes(text: str, expected: int) -> None:
    assert java_hash(text) == expected


def test_the_smallest_integer_goes_to_partition_zero() -> None:
    assert partition_for("polygenelubricants", 50) == 0
    assert partition_for("polygenelubricants", 7) == 0


def test_negative_hashes_lose_their_sign_not_their_bits() -> None:
    assert partition_for("my-group", 50) == 1906497762 % 50


def java_by_the_book(text: str) -> int:
    data = text.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    total = sum(unit * 31 ** (len(units) - 1 - i) for i, unit in enumerate(units)) % 2**32
    return total - 2**32 if total >= 2**31 else total


@given(st.text(), st.integers(1, 10_000))
def test_it_is_the_polynomial_over_utf_16(text: str, partitions: int) -> None:
    assert java_hash(text) == java_by_the_book(text)
    assert 0 <= partition_for(text, partitions) < partitions
