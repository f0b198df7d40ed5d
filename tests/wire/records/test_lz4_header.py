"""The check byte of lz4 headers, right and as Kafka first wrote it."""

from __future__ import annotations

import pytest

from wire.records.compression import Compression, compress, decompress
from wire.records.lz4_header import broken_lz4_header, mended_lz4_header, xxh32_short

BROKEN = bytes.fromhex(
    "04224d1860401a3e0000006f6b61666b61200600d7f023000102030405060708090a0b0c0d0e0f10111213141516171819"
    "1a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303100000000"
)
"""Written by kafka-python for brokers before 0.10."""
PLAIN = b"kafka " * 40 + bytes(range(50))


@pytest.mark.parametrize(
    ("data", "digest"),
    [(b"", 0x02CC5D05), (b"a", 0x550D7456), (b"abc", 0x32D153FF)],
)
def test_the_hash_gives_its_published_values(data: bytes, digest: int) -> None:
    assert xxh32_short(data) == digest


def test_the_hash_is_for_headers_only() -> None:
    with pytest.raises(ValueError, match="not short"):
        xxh32_short(bytes(16))


def test_a_broken_header_is_mended() -> None:
    mended = mended_lz4_header(BROKEN)
    assert mended[:7] == bytes.fromhex("04224d18604082")
    assert decompress(Compression.LZ4, mended, 1000) == PLAIN


def test_our_broken_header_is_that_of_kafka() -> None:
    assert broken_lz4_header(compress(Compression.LZ4, PLAIN)) == BROKEN


def test_mending_a_sound_header_changes_nothing() -> None:
    frame = compress(Compression.LZ4, PLAIN)
    assert mended_lz4_header(memoryview(frame)) == frame


def test_a_header_with_the_size_is_mended_too() -> None:
    frame = bytes.fromhex("04224d186840220100000000000094") + BROKEN[7:]
    broken = broken_lz4_header(frame)
    assert broken != frame
    assert mended_lz4_header(broken) == frame
    assert decompress(Compression.LZ4, frame, 1000) == PLAIN


@pytest.mark.parametrize("size", range(7))
def test_what_is_no_header_stays_as_it_is(size: int) -> None:
    assert mended_lz4_header(BROKEN[:size]) == BROKEN[:size]


def test_frames_with_a_dictionary_stay_as_they_are() -> None:
    frame = BROKEN[:4] + b"\x61" + BROKEN[5:]
    assert mended_lz4_header(frame) == frame
