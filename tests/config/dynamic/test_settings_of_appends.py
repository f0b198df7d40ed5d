"""Settings that say what may be appended, and what becomes of it, changed between two batches."""

from __future__ import annotations

import random

import pytest

from tests.support.dynamic_settings import Setting, changes, one_broker
from wire.errors import ErrorCode
from wire.records.batch import CREATE_TIME, RECORDS, set_max_timestamp
from wire.records.compression import Compression
from wire.records.record import Record, build_batch

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


@changes("max.message.bytes", "message.max.bytes")
async def test_a_batch_above_the_limit_is_refused(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        assert (await box.produce(b"x" * 2000)).error_code == ErrorCode.NONE
        await box.alter(setting, 1000)
        assert (await box.produce(b"x" * 2000)).error_code == ErrorCode.MESSAGE_TOO_LARGE
        await box.alter(setting, 3000)
        assert (await box.produce(b"x" * 2000)).error_code == ErrorCode.NONE


@changes("max.decompressed.message.bytes", "max.decompressed.message.bytes")
async def test_a_batch_that_would_swell_above_the_limit_is_refused(setting: Setting) -> None:
    async with one_broker("pykbroker.validate.records=true") as box:
        await box.create()
        gzip = {"compression": Compression.GZIP}
        assert (await box.produce(b"x" * 2000, **gzip)).error_code == ErrorCode.NONE
        await box.alter(setting, 1000)
        assert (await box.produce(b"x" * 2000, **gzip)).error_code == ErrorCode.INVALID_RECORD
        assert (await box.produce(b"x" * 500, **gzip)).error_code == ErrorCode.NONE


@changes("message.timestamp.type", "log.message.timestamp.type")
async def test_the_broker_stamps_the_batches(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        stamp = box.clock.wall_ms() - HOUR_MS
        assert (await box.produce(timestamp=stamp)).log_append_time_ms == -1
        await box.alter(setting, "LogAppendTime")
        assert (await box.produce(timestamp=stamp)).log_append_time_ms > stamp
        first, second = box.headers()
        assert first.max_timestamp == stamp
        assert second.max_timestamp > stamp


@changes("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms")
async def test_records_too_old_are_refused(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        old = box.clock.wall_ms() - HOUR_MS
        assert (await box.produce(timestamp=old)).error_code == ErrorCode.NONE
        await box.alter(setting, HOUR_MS // 2)
        assert (await box.produce(timestamp=old)).error_code == ErrorCode.INVALID_TIMESTAMP
        assert (await box.produce()).error_code == ErrorCode.NONE


@changes("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms")
async def test_records_from_the_future_are_refused(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        soon = box.clock.wall_ms() + HOUR_MS // 2
        assert (await box.produce(timestamp=soon)).error_code == ErrorCode.NONE
        await box.alter(setting, HOUR_MS // 4)
        assert (await box.produce(timestamp=soon)).error_code == ErrorCode.INVALID_TIMESTAMP
        assert (await box.produce()).error_code == ErrorCode.NONE


@changes("compression.type", "compression.type")
async def test_batches_are_stored_in_the_topics_own_compression(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        await box.produce()
        for name in ("zstd", "lz4", "snappy", "gzip", "uncompressed", "producer"):
            await box.alter(setting, name)
            await box.produce(compression=Compression.GZIP)
        stored = [header.compression for header in box.headers()]
        assert stored == [
            Compression.NONE,
            Compression.ZSTD,
            Compression.LZ4,
            Compression.SNAPPY,
            Compression.GZIP,
            Compression.NONE,
            Compression.GZIP,
        ]


def prose(seed: int = 1) -> bytes:
    """Compressible, and better with more effort."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(3, 9)).hex().encode() for _ in range(500)]
    return b" ".join(rng.choice(words) for _ in range(8000))


async def size_shrinks(setting: Setting, codec: str, low: int, high: int) -> None:
    async with one_broker() as box:
        await box.create(compression_type=codec)
        text = prose()
        for level in (low, high, low):
            await box.alter(setting, level)
            assert (await box.produce(text)).error_code == ErrorCode.NONE
        fast, small, again = (header.size_in_bytes for header in box.headers())
        assert small < fast == again


@changes("compression.gzip.level", "compression.gzip.level")
async def test_the_level_of_gzip(setting: Setting) -> None:
    await size_shrinks(setting, "gzip", 1, 9)


@changes("compression.lz4.level", "compression.lz4.level")
async def test_the_level_of_lz4(setting: Setting) -> None:
    await size_shrinks(setting, "lz4", 1, 12)


@changes("compression.zstd.level", "compression.zstd.level")
async def test_the_level_of_zstd(setting: Setting) -> None:
    await size_shrinks(setting, "zstd", 1, 19)


@changes(broker="pykbroker.validate.records")
async def test_records_that_make_no_sense_are_refused(setting: Setting) -> None:
    data = build_batch([Record(0, 1, b"k", b"v")])
    data[RECORDS + 3] = 99  # the offset delta of the only record
    set_max_timestamp(data, 0, 1, CREATE_TIME)  # the checksum fits again
    async with one_broker() as box:
        await box.create()
        await box.alter(setting, "false")
        assert (await box.produce(data=bytes(data))).error_code == ErrorCode.NONE
        await box.alter(setting, "true")
        assert (await box.produce(data=bytes(data))).error_code == ErrorCode.INVALID_RECORD
        await box.alter(setting, "false")
        assert (await box.produce(data=bytes(data))).error_code == ErrorCode.NONE
