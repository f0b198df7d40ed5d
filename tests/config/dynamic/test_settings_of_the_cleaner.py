"""Settings of log compaction, changed while there is something to clean."""

from __future__ import annotations

import anyio
import pytest

from pykbroker.runtime.storage.cleaner import Cleaner
from tests.support.dynamic_settings import (
    NAME,
    ONE_BATCH,
    VALUE,
    Member,
    Setting,
    changes,
    one_broker,
    until,
)

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
BY_HAND = "log.cleaner.enable=false"
"""The broker makes no rounds of its own: the test says when there is one."""


async def compacted_topic(box: Member, name: str = NAME, **configs: object) -> None:
    """The same key in all batches."""
    await box.create(
        name=name, cleanup_policy="compact", internal_segment_bytes=ONE_BATCH, **configs
    )
    for _ in range(5):
        await box.produce(name=name)


def count(box: Member) -> int:
    return len(box.headers())


@changes("cleanup.policy", "log.cleanup.policy")
async def test_a_log_is_compacted_from_now_on(setting: Setting) -> None:
    async with one_broker(BY_HAND) as box:
        await box.create(internal_segment_bytes=ONE_BATCH)
        for _ in range(5):
            await box.produce()
        cleaner = Cleaner(box.logs)
        assert not await cleaner.clean_dirtiest()
        await box.alter(setting, "compact")
        assert await cleaner.clean_dirtiest()
        assert count(box) == 2


@changes("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio")
async def test_less_dirt_is_enough(setting: Setting) -> None:
    async with one_broker(BY_HAND) as box:
        await compacted_topic(box)
        cleaner = Cleaner(box.logs)
        await box.alter(setting, 1.0)
        assert not await cleaner.clean_dirtiest()
        await box.alter(setting, 0.2)
        assert await cleaner.clean_dirtiest()
        assert count(box) == 2


@changes("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms")
async def test_young_records_stay(setting: Setting) -> None:
    async with one_broker(BY_HAND) as box:
        await compacted_topic(box)
        cleaner = Cleaner(box.logs)
        await box.alter(setting, HOUR_MS)
        assert not await cleaner.clean_dirtiest()
        await box.alter(setting, 0)
        assert await cleaner.clean_dirtiest()
        assert count(box) == 2


@changes("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms")
async def test_old_records_do_not_wait_for_more_dirt(setting: Setting) -> None:
    async with one_broker(BY_HAND) as box:
        await compacted_topic(box, min_cleanable_dirty_ratio=1.0)
        cleaner = Cleaner(box.logs)
        box.clock.ahead_ms += HOUR_MS
        assert not await cleaner.clean_dirtiest()
        await box.alter(setting, HOUR_MS // 2)
        assert await cleaner.clean_dirtiest()
        assert count(box) == 2


@changes("delete.retention.ms", "log.cleaner.delete.retention.ms")
async def test_tombstones_go(setting: Setting) -> None:
    async with one_broker(BY_HAND) as box:
        await compacted_topic(box, min_cleanable_dirty_ratio=0.01)
        cleaner = Cleaner(box.logs)

        async def tombstones_after_two_rounds(key: bytes) -> int:
            await box.produce(None, keys=[key])
            tombstone = box.log().log_end_offset - 1
            for _ in range(2):
                await box.produce(VALUE, VALUE)
                assert await cleaner.clean_dirtiest()
                box.clock.ahead_ms += HOUR_MS
            return [header.base_offset for header in box.headers()].count(tombstone)

        assert await tombstones_after_two_rounds(b"gone") == 1
        await box.alter(setting, HOUR_MS // 2)
        assert await tombstones_after_two_rounds(b"gone too") == 0


async def rounds(box: Member, cleaner: Cleaner) -> int:
    done = 0
    while await cleaner.clean_dirtiest():
        done += 1
    return done


async def many_keys(box: Member, begin: int) -> None:
    """Each batch closes the segment of the one before."""
    for start in range(begin, begin + 8000, 2000):
        keys = [b"%d" % number for number in range(start, start + 2000)]
        await box.produce(*[b"v"] * 2000, keys=keys)
    await box.produce(keys=[b"last"])


@changes(broker="log.cleaner.dedupe.buffer.size")
async def test_a_smaller_map_takes_more_rounds(setting: Setting) -> None:
    async with one_broker(BY_HAND) as box:
        await box.create(
            cleanup_policy="compact",
            internal_segment_bytes=50_000,
            min_cleanable_dirty_ratio=0.01,
        )
        cleaner = Cleaner(box.logs)
        await many_keys(box, 0)
        assert await rounds(box, cleaner) == 1
        await box.alter(setting, (1 << 20) + 1)
        await many_keys(box, 8000)
        assert await rounds(box, cleaner) > 1


@changes(broker="log.cleaner.io.buffer.load.factor")
async def test_a_map_that_may_not_be_full_takes_more_rounds(setting: Setting) -> None:
    async with one_broker(BY_HAND, f"log.cleaner.dedupe.buffer.size={2 << 20}") as box:
        await box.create(
            cleanup_policy="compact",
            internal_segment_bytes=50_000,
            min_cleanable_dirty_ratio=0.01,
        )
        cleaner = Cleaner(box.logs)
        await many_keys(box, 0)
        assert await rounds(box, cleaner) == 1
        await box.alter(setting, 0.2)
        await many_keys(box, 8000)
        assert await rounds(box, cleaner) > 1


@changes(broker="log.cleaner.backoff.ms")
async def test_the_cleaner_looks_again_sooner(setting: Setting) -> None:
    async with one_broker("log.cleaner.backoff.ms=3600000") as box:
        await compacted_topic(box)
        assert count(box) == 5
        await box.alter(setting, 1)
        await until(lambda: count(box) == 2)
        for _ in range(5):
            await box.produce()
        await until(lambda: count(box) == 2)


def held_back(box: Member) -> int:
    return sum(pause_ms > HOUR_MS for pause_ms in box.clock.asleep_ms)


IO_LIMIT = Setting("broker", "log.cleaner.io.max.bytes.per.second")


@changes(broker=IO_LIMIT.name)
async def test_the_cleaner_reads_more_slowly(setting: Setting) -> None:
    async with one_broker(BY_HAND) as box:
        await compacted_topic(box)
        cleaner = Cleaner(box.logs)
        await box.alter(setting, 0.001)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cleaner.clean_dirtiest)
            await until(lambda: held_back(box) == 1)
            assert count(box) == 5
            await box.alter(setting, 1e12)
        assert count(box) == 2


@changes(broker="log.cleaner.threads")
async def test_more_logs_are_cleaned_at_a_time(setting: Setting) -> None:
    options = ("log.cleaner.backoff.ms=1", "log.cleaner.io.max.bytes.per.second=0.001")
    async with one_broker(*options) as box:
        await compacted_topic(box)
        await compacted_topic(box, name="another")
        await until(lambda: held_back(box) == 1)
        await box.alter(setting, 2)
        await until(lambda: held_back(box) == 2)
        await box.alter(IO_LIMIT, 1e12)
        await until(lambda: count(box) == 2)


async def test_a_log_is_not_cleaned_twice_at_a_time() -> None:
    async with one_broker(BY_HAND) as box:
        await compacted_topic(box)
        await box.alter(IO_LIMIT, 0.001)
        cleaner = Cleaner(box.logs)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cleaner.clean_dirtiest)
            await until(lambda: held_back(box) == 1)
            assert not await cleaner.clean_dirtiest()
            tasks.cancel_scope.cancel()
        await box.alter(IO_LIMIT, 1e12)
        assert await cleaner.clean_dirtiest()
        assert count(box) == 2
