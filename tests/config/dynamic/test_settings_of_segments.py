"""Settings of segments, of their files, of retention and of syncing, changed under a log."""

from __future__ import annotations

import pytest

from tests.support.dynamic_settings import (
    NEVER,
    ONE_BATCH,
    VALUE,
    Member,
    Setting,
    changes,
    one_broker,
    until,
)
from wire.messages.describe_producers import DescribeProducersRequest, TopicRequest

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


def segments(box: Member) -> int:
    return len(box.log().segments)


# Rolling


@changes(topic="internal.segment.bytes")
async def test_a_segment_is_as_small_as_tests_want_it(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        await box.produce()
        await box.produce()
        assert segments(box) == 1
        await box.alter(setting, ONE_BATCH)
        await box.produce()
        await box.produce()
        assert segments(box) == 3


@changes("segment.bytes", "log.segment.bytes")
async def test_a_segment_is_closed_when_it_is_full(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        for _ in range(3):
            await box.produce(b"x" * 600_000)
        assert segments(box) == 1
        await box.alter(setting, 1 << 20)
        await box.produce(b"x" * 600_000)
        await box.produce(b"x" * 600_000)
        assert segments(box) == 3


@changes("segment.ms", "log.roll.ms")
async def test_a_segment_is_closed_when_it_is_old(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()
        begin = box.clock.wall_ms() - HOUR_MS
        await box.produce(timestamp=begin)
        await box.produce(timestamp=begin + 10_000)
        assert segments(box) == 1
        await box.alter(setting, 15_000)
        await box.produce(timestamp=begin + 15_000)
        assert segments(box) == 1
        await box.produce(timestamp=begin + 15_001)
        assert segments(box) == 2


@changes("segment.jitter.ms", "log.roll.jitter.ms")
async def test_a_segment_is_closed_a_little_early(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create(segment_ms=HOUR_MS)
        begin = box.clock.wall_ms() - 10 * HOUR_MS
        await box.produce(timestamp=begin)
        await box.produce(timestamp=begin + HOUR_MS)
        assert segments(box) == 1
        await box.alter(setting, HOUR_MS)
        await box.produce(timestamp=begin + HOUR_MS + 1)
        assert segments(box) == 2
        # The random part of an hour is nothing once in millions.
        await box.produce(timestamp=begin + HOUR_MS + 1 + HOUR_MS)
        assert segments(box) == 3


@changes("index.interval.bytes", "log.index.interval.bytes")
async def test_the_index_of_the_next_segment_is_denser(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create()

        async def entries_of_a_new_segment() -> int:
            box.log().roll()
            for _ in range(5):
                await box.produce()
            return len(box.log().segments[-1].offset_index)

        assert await entries_of_a_new_segment() == 0
        await box.alter(setting, 1)
        assert await entries_of_a_new_segment() == 4


@changes("segment.index.bytes", "log.index.size.max.bytes")
async def test_a_segment_is_closed_when_its_index_is_full(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create(index_interval_bytes=1)
        begin = box.clock.wall_ms() - HOUR_MS
        for index in range(5):
            await box.produce(timestamp=begin + index)
        assert segments(box) == 1
        await box.alter(setting, 36)
        for index in range(5, 10):
            await box.produce(timestamp=begin + index)
        assert segments(box) > 2


# Retention


@changes("retention.ms", "log.retention.ms")
async def test_old_segments_go(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create(internal_segment_bytes=ONE_BATCH)
        for _ in range(3):
            await box.produce(timestamp=box.clock.wall_ms() - 2 * HOUR_MS)
        await box.produce()
        assert await box.logs.upkeep.apply_retention() == 0
        await box.alter(setting, HOUR_MS)
        assert await box.logs.upkeep.apply_retention() == 3
        assert box.log().log_start_offset == 3


@changes("retention.bytes", "log.retention.bytes")
async def test_the_oldest_segments_of_a_big_log_go(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create(internal_segment_bytes=ONE_BATCH)
        for _ in range(4):
            await box.produce()
        assert await box.logs.upkeep.apply_retention() == 0
        await box.alter(setting, box.log().size_in_bytes // 2)
        assert await box.logs.upkeep.apply_retention() == 2
        assert box.log().log_start_offset == 2


@changes("cleanup.policy", "log.cleanup.policy")
async def test_a_log_that_is_compacted_keeps_its_old_segments(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create(internal_segment_bytes=ONE_BATCH, retention_ms=HOUR_MS)
        old = box.clock.wall_ms() - 2 * HOUR_MS
        await box.produce(timestamp=old)
        assert await box.logs.upkeep.apply_retention() == 1
        await box.alter(setting, "compact")
        await box.produce(timestamp=old)
        assert await box.logs.upkeep.apply_retention() == 0
        await box.alter(setting, "compact,delete")
        assert await box.logs.upkeep.apply_retention() == 1


@changes("file.delete.delay.ms", "log.segment.delete.delay.ms")
async def test_files_out_of_use_go_at_once(setting: Setting) -> None:
    async with one_broker() as box:
        await box.create(internal_segment_bytes=ONE_BATCH, retention_ms=HOUR_MS)
        old = box.clock.wall_ms() - 2 * HOUR_MS
        await box.produce(timestamp=old)
        assert await box.logs.upkeep.apply_retention() == 1
        kept = box.files(".deleted")
        assert kept
        await box.alter(setting, 0)
        await box.produce(timestamp=old)
        assert await box.logs.upkeep.apply_retention() == 1
        assert len(box.files(".deleted")) > len(kept)
        await until(lambda: box.files(".deleted") == kept)


# Syncing


async def written_but_not_synced(box: Member) -> None:
    """New files are synced whatever the settings say."""
    await box.create()
    await box.produce()
    await until(lambda: box.log().recovery_point == 1)
    await box.produce()
    assert box.log().recovery_point == 1


@changes("flush.messages", "log.flush.interval.messages")
async def test_records_are_synced_when_there_are_enough(setting: Setting) -> None:
    async with one_broker() as box:
        await written_but_not_synced(box)
        await box.alter(setting, 1)
        await until(lambda: box.log().recovery_point == 2)
        await box.produce()
        await until(lambda: box.log().recovery_point == 3)
        await box.alter(setting, NEVER)
        await box.produce()
        assert box.log().recovery_point == 3


@changes("flush.ms", "log.flush.interval.ms")
async def test_records_are_synced_after_a_while(setting: Setting) -> None:
    async with one_broker() as box:
        await written_but_not_synced(box)
        await box.alter(setting, HOUR_MS)
        await box.produce()
        assert box.log().recovery_point == 1
        await box.alter(setting, 1)
        await until(lambda: box.log().recovery_point == 3)
        await box.produce()
        await until(lambda: box.log().recovery_point == 4)


# Producers


@changes(broker="producer.id.expiration.ms")
async def test_producers_are_forgotten(setting: Setting) -> None:
    async with one_broker("producer.id.expiration.check.interval.ms=1") as box:
        await box.create()
        request = DescribeProducersRequest(topics=[TopicRequest(name="t", partition_indexes=[0])])

        async def active() -> list[int]:
            [topic] = (await box.ask(request)).topics
            return [p.producer_id for p in topic.partitions[0].active_producers]

        old = box.clock.wall_ms() - HOUR_MS
        await box.produce(VALUE, timestamp=old, producer_id=7, producer_epoch=0, base_sequence=0)
        checks = box.clock.sleeps
        await until(lambda: box.clock.sleeps > checks + 3)
        assert await active() == [7]
        await box.alter(setting, HOUR_MS // 2)
        await until(lambda: not box.log().producers.entries)
        assert await active() == []
