"""The codecs: round trips, other writers' framings, and data that is out to do harm."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
from contextlib import suppress

import aiokafka.codec
import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import CODECS, some_records
from wire.errors import DecodeError, EncodeError
from wire.records import compression
from wire.records.compression import (
    XERIAL_HEADER,
    Compression,
    compress,
    decompress,
)
from wire.records.errors import CorruptBatch, UnsupportedCodec
from wire.records.record import build_batch, decode_records

PACKED = CODECS[1:]

SAMPLE = b"kafka " * 40 + bytes(range(50))
_LZ4_TAIL = (
    "3e0000006f6b61666b61200600d7f023000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e"
    "1f202122232425262728292a2b2c2d2e2f303100000000"
)
_SNAPPY = (
    "a202146b61666b6120fe0600fe0600fe0600a60600c4000102030405060708090a0b0c0d0e0f101112131415161718"
    "191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031"
)
_ZSTD_TAIL = (
    "05020084036b61666b6120000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324"
    "25262728292a2b2c2d2e2f30310100e750a508"
)
WRITTEN_ELSEWHERE = {
    "python-lz4, size in the header": (3, "04224d186840220100000000000094" + _LZ4_TAIL),
    "python-snappy": (2, _SNAPPY),
    "kafka-python, xerial": (2, "82534e41505059000000000100000001" + "00000048" + _SNAPPY),
    "xerial, versions little-endian": (
        2,
        "82534e41505059000100000001000000" + "00000048" + _SNAPPY,
    ),
    "zstandard": (4, "28b52ffd602200" + _ZSTD_TAIL),
    "zstandard, a stream": (4, "28b52ffd0058" + _ZSTD_TAIL),
    "gzip": (
        1,
        "1f8b0800000000000203cb4e4ccb4e54c81e3124032313330b2b1b3b072717370f2f1fbf80a090b088a898b884a4"
        "94b48cac9cbc82a292b28aaa9aba86a696b68eae9ebe8121006a7e3f3d22010000",
    ),
}


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=500), times=st.integers(0, 300))
def test_what_is_compressed_comes_back(codec: Compression, data: bytes, times: int) -> None:
    data *= times
    packed = compress(codec, memoryview(data))
    assert type(packed) is bytes
    assert decompress(codec, memoryview(packed), len(data)) == data


@pytest.mark.parametrize("name", WRITTEN_ELSEWHERE)
def test_other_writers_are_read(name: str) -> None:
    codec, packed = WRITTEN_ELSEWHERE[name]
    assert decompress(codec, bytes.fromhex(packed), len(SAMPLE)) == SAMPLE


@pytest.mark.parametrize("size", [1, 1000, 32768, 32769, 200_000])
def test_aiokafka_and_we_read_each_other(size: int) -> None:
    data = (SAMPLE * (size // len(SAMPLE) + 1))[:size]
    for codec in PACKED:
        name = codec.config_name
        encode = getattr(aiokafka.codec, f"{name}_encode")
        decode = getattr(aiokafka.codec, f"{name}_decode")
        assert decompress(codec, encode(data), size) == data
        assert decode(compress(codec, data)) == data


def test_snappy_is_written_in_the_framing_of_java() -> None:
    packed = compress(Compression.SNAPPY, bytes(100_000))
    assert packed.startswith(XERIAL_HEADER)
    sizes, pos = [], len(XERIAL_HEADER)
    while pos < len(packed):
        size = int.from_bytes(packed[pos : pos + 4], "big")
        sizes.append(cramjam.snappy.decompress_raw_len(packed[pos + 4 : pos + 4 + size]))
        pos += 4 + size
    assert sizes == [32768, 32768, 32768, 1696]


def test_lz4_frames_are_those_of_java() -> None:
    """Independent blocks of 64 KB, no checksums, no content size; what does not shrink as is."""
    noise = random.Random(1).randbytes(65536)
    packed = compress(Compression.LZ4, noise + SAMPLE)
    assert packed[:7] == bytes.fromhex("04224d18604082")
    assert packed[7:11] == bytes.fromhex("00000180")
    assert packed[11:65547] == noise
    assert packed[65547:] == bytes.fromhex(_LZ4_TAIL)


@pytest.mark.parametrize("codec", [Compression.GZIP, Compression.LZ4, Compression.ZSTD])
def test_members_and_frames_may_follow_each_other(codec: Compression) -> None:
    packed = compress(codec, b"first ") + compress(codec, b"second")
    assert decompress(codec, packed, 12) == b"first second"
    with pytest.raises(CorruptBatch):
        decompress(codec, packed, 11)


@pytest.mark.parametrize("junk", [b"x", b"\0" * 9, b"\x1f"])
def test_what_follows_a_gzip_member_is_passed_over(junk: bytes) -> None:
    assert decompress(Compression.GZIP, gzip.compress(SAMPLE) + junk, 1000) == SAMPLE


def test_levels_reach_the_codec() -> None:
    data = b"".join(b"%d,%d;" % (i * i, i % 7) for i in range(20_000))
    for codec, low, high in ((1, 1, 9), (3, 1, 12), (4, 1, 19)):
        small, large = compress(codec, data, high), compress(codec, data, low)
        assert len(small) < len(large)
        assert decompress(codec, small, len(data)) == data
    # Level 9 is the name of the fast compressor in Kafka's lz4.
    assert compress(3, data, 9) == compress(3, data)


@pytest.mark.parametrize("codec", CODECS)
def test_the_bound_is_exact(codec: Compression) -> None:
    data = bytes(100_000)
    packed = compress(codec, data)
    assert decompress(codec, packed, 100_000) == data
    for bound in (99_999, 1, 0):
        with pytest.raises(CorruptBatch, match=r"more than|too"):
            decompress(codec, packed, bound)


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("data", [SAMPLE, b""])
def test_data_cut_anywhere_is_refused(codec: Compression, data: bytes) -> None:
    packed = compress(codec, data)
    for size in range(len(packed)):
        if codec == Compression.SNAPPY and size == len(XERIAL_HEADER):
            continue  # a stream of no blocks
        with pytest.raises(CorruptBatch):
            decompress(codec, packed[:size], 1000)


@pytest.mark.parametrize("codec", PACKED)
@given(noise=st.binary(max_size=80), kept=st.integers(0, 30))
def test_noise_gives_bytes_or_a_decode_error(codec: Compression, noise: bytes, kept: int) -> None:
    packed = compress(codec, SAMPLE)[:kept] + noise
    with suppress(DecodeError):
        assert len(decompress(codec, packed, 4096)) <= 4096


@pytest.mark.parametrize("codec", PACKED)
def test_any_byte_changed_gives_bytes_or_a_decode_error(codec: Compression) -> None:
    packed = bytearray(compress(codec, SAMPLE))
    for place in range(len(packed)):
        for value in (0, 0x7F, 0xFF, packed[place] ^ 1):
            kept, packed[place] = packed[place], value
            with suppress(DecodeError):
                assert len(decompress(codec, packed, 4096)) <= 4096
            packed[place] = kept


@pytest.mark.parametrize("codec", [Compression.LZ4, Compression.ZSTD])
def test_a_library_that_does_not_complain_is_caught(codec: Compression) -> None:
    with pytest.raises(AssertionError, match="four bytes"):
        compression._complaint_when_full(codec, lambda data, room: len(room))


def test_a_snappy_block_cannot_claim_what_it_cannot_hold() -> None:
    claim = b"\x80\x80\x80\x08" + b"\0x"  # 16 MB in six bytes
    with pytest.raises(CorruptBatch, match="says it holds"):
        decompress(Compression.SNAPPY, claim, 32 << 20)


@pytest.mark.parametrize("codec", [-1, 5, 6, 7])
def test_unknown_codecs_are_named(codec: int) -> None:
    with pytest.raises(UnsupportedCodec):
        decompress(codec, b"", 10)
    with pytest.raises(EncodeError):
        compress(codec, b"")


def test_names_are_those_of_the_settings() -> None:
    assert [c.config_name for c in Compression] == ["none", "gzip", "snappy", "lz4", "zstd"]
    assert [Compression.from_config(c.config_name) for c in Compression] == CODECS
    assert Compression.from_config("uncompressed") is Compression.NONE
    with pytest.raises(KeyError):
        Compression.from_config("producer")


BOMBS = """
import resource, struct, sys, zlib
from wire.records.compression import compress, decompress
from wire.records.errors import CorruptBatch

UNIT = 1 if sys.platform == "darwin" else 1024
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

def gzip_bomb():
    writer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join(writer.compress(bytes(1 << 20)) for _ in range(256)) + writer.flush()

def zstd_bomb(window):
    block = (1 << 1 | 131072 << 3).to_bytes(3, "little") + b"z"  # 128 KB of one byte, in four
    last = (1 | 1 << 1 | 131072 << 3).to_bytes(3, "little") + b"z"
    return bytes.fromhex("28b52ffd00") + bytes((window,)) + block * 8191 + last

def zstd_liar():
    frame = bytearray(compress(4, b"tiny"))
    # Eight bytes of content size, all of them large.
    return bytes.fromhex("28b52ffde0") + b"\\xff" * 7 + b"\\x7f" + bytes(frame[6:])

bombs = {
    "gzip": (1, gzip_bomb()),
    "gzip members": (1, compress(1, bytes(1 << 20)) * 1024),
    "snappy": (2, compress(2, bytes(1 << 20))[:16] + compress(2, bytes(1 << 20))[16:] * 1024),
    "snappy block": (2, struct.pack("<BBBBB", 0xff, 0xff, 0xff, 0xff, 0x07) + bytes(60)),
    "lz4": (3, compress(3, bytes(1 << 20)) * 1024),
    "zstd": (4, zstd_bomb(0x50)),
    "zstd, wide window": (4, zstd_bomb(0x88)),
    "zstd frames": (4, compress(4, bytes(1 << 20)) * 1024),
    "zstd that lies": (4, zstd_liar()),
}
for name, (codec, data) in bombs.items():
    before = peak()
    try:
        decompress(codec, data)
    except CorruptBatch:
        pass
    else:
        raise SystemExit(f"{name} was let through")
    assert peak() - before < 64 << 20, f"{name} took {(peak() - before) >> 20} MB"
"""


def test_a_bomb_stays_below_64_megabytes() -> None:
    """In a process of its own: the peak of this one may be anything already."""
    subprocess.run([sys.executable, "-c", BOMBS], check=True, timeout=120)


def test_records_have_the_same_bound() -> None:
    batch = build_batch(some_records(20), compression=Compression.ZSTD)
    with pytest.raises(CorruptBatch):
        decode_records(batch, max_decompressed_bytes=100)


def test_the_library_is_imported_by_the_first_compressed_batch_alone() -> None:
    code = (
        "import sys, wire.records.record as r, wire.records.validate\n"
        "r.decode_records(r.build_batch([r.Record()]))\n"
        "assert 'cramjam' not in sys.modules\n"
        "r.build_batch([r.Record()], compression=4)\n"
        "assert 'cramjam' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
