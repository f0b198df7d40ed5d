"""The checksum against its published check value."""

from __future__ import annotations

from wire.records.crc import crc32c


def test_the_check_value_of_the_catalogue() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_nothing_gives_zero() -> None:
    assert crc32c(b"") == 0


def test_every_kind_of_buffer_is_taken_without_a_copy() -> None:
    data = bytearray(b"..123456789..")
    view = memoryview(data)[2:-2]
    assert crc32c(view) == crc32c(view.toreadonly()) == crc32c(data[2:-2]) == 0xE3069283
