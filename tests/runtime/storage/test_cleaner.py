"""The cleaner at work on whole logs, against a naive model, and broken off at every step."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from pykbroker.edges.workers import InlineWorkers
from pykbroker.runtime.storage.cleaner import Cleaner, LogChanged
from pykbroker.runtime.storage.results import KnownPartition
from pykbroker.state.log.checkpoints import decode_offsets
from pykbroker.state.log.producers import AppendOrigin
from tests.support.faulty_disk import Crash
from tests.support.storage import ManagerBox, batch, config, read_all
from wire.records.record import ControlType, control_batch

if TYPE_CHECKING:
    from pykbroker.runtime.storage.log import PartitionLog

pytestmark = pytest.mark.anyio
COMPACT = {
    "cleanup_policy": "compact",
    "internal_segment_bytes": 400,
    "index_interval_bytes": 50,
    "min_cleanable_dirty_ratio": 0.01,
}


def fill(box: ManagerBox, log: PartitionLog, rng: Random, batches: int = 30) -> None:
    for _ in range(batches):
        box.clock.now_ms += 5
        count = rng.randrange(1, 4)
        keys = [b"key%d" % rng.randrange(8) for _ in range(count)]
        values = [None if rng.randrange(6) == 0 else rng.randbytes(10) for _ in range(count)]
        box.append(log, *values, keys=keys)


def compacted(log: PartitionLog, end: int) -> list[tuple[int, bytes | None, bytes | None]]:
    """What must remain of the log if everything below ``end`` is cleaned."""
    records = [(r.offset, r.key, r.value) for r in read_all(log)]
    last = {key: offset for offset, key, _ in records if offset < end}
    return [r for r in records if r[0] >= end or last[r[1]] == r[0]]


def contents(log: PartitionLog) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(r.offset, r.key, r.value) for r in read_all(log)]


async def clean_everything(box: ManagerBox) -> None:
    await clean_everything_with(Cleaner(box.manager))


async def clean_everything_with(cleaner: Cleaner) -> None:
    while await cleaner.clean_dirtiest():
        pass


@pytest.fixture
async def box() -> ManagerBox:
    box = ManagerBox()
    await box.start()
    return box


@pytest.mark.parametrize("seed", range(10))
async def test_of_each_key_the_last_record_remains(box: ManagerBox, seed: int) -> None:
    rng = Random(seed)
    log = box.log(**COMPACT)
    cleaner = Cleaner(box.manager)
    for _ in range(4):
        fill(box, log, rng)
        active = log.segments[-1].base_offset
        expected = compacted(log, active)
        end = log.log_end_offset
        while await cleaner.clean_dirtiest():
            pass
        assert contents(log) == expected
        assert log.log_end_offset == end
        for offset in range(log.log_start_offset, end, 3):
            records = [r for r in read_from(log, offset) if r >= offset]
            remaining = [r[0] for r in expected if r[0] >= offset]
            assert records[:1] == remaining[:1]
        await box.manager.close()
        await box.start()
        log = box.log(**COMPACT)
        cleaner = Cleaner(box.manager)
        assert contents(log) == expected


def read_from(log: PartitionLog, offset: int) -> list[int]:
    from wire.records.batch import iter_headers
    from wire.records.record import decode_records

    while offset < log.log_end_offset:
        records = log.read(offset, 1, min_one_batch=True).records
        if not records:
            return []
        found = [r.offset for at, _ in iter_headers(records) for r in decode_records(records, at)]
        if [r for r in found if r >= offset]:
            return found
        offset = next(iter_headers(records))[1].next_offset
    return []


@pytest.mark.parametrize("merging", [False, True])
async def test_the_log_is_there_whole_whenever_cleaning_breaks_off(merging: bool) -> None:
    """Whichever operation on the disk is the last: no key loses its latest value, no old value
    comes back over it, and the next cleaning gets done."""

    async def prepared() -> tuple[ManagerBox, PartitionLog]:
        box = ManagerBox()
        await box.start()
        log = box.log(**COMPACT)
        if merging:
            for number in range(8):
                box.append(log, b"x", key=b"%d" % number)
                log.roll()
        else:
            fill(box, log, Random(5), 30)
        log.flush()
        return box, log

    box, log = await prepared()
    before = contents(log)
    active = log.segments[-1].base_offset
    expected = compacted(log, active)
    first_step = box.disk.steps
    await clean_everything(box)
    steps = box.disk.steps - first_step
    assert steps > 40
    for crash_at in range(steps):
        box, log = await prepared()
        box.disk.crash_at = first_step + crash_at
        with pytest.raises(Crash):
            await clean_everything(box)
        box.disk.kill()
        known = KnownPartition(config(**COMPACT), 0)
        box.manager.handles.close_all()
        await box.start(known=lambda tp, topic_id, known=known: known)
        log = box.log(**COMPACT)
        found = contents(log)
        assert set(expected) <= set(found) <= set(before), crash_at
        assert [r[0] for r in found] == sorted({r[0] for r in found})
        assert log.log_end_offset == before[-1][0] + 1
        ends = [segment.next_offset() for segment in log.segments]
        bases = [segment.base_offset for segment in log.segments]
        assert all(end <= base for end, base in zip(ends, bases[1:], strict=False)), crash_at
        log.update_high_watermark(log.log_end_offset)
        await clean_everything(box)
        assert contents(log) == expected, crash_at
        names = box.disk.listdir(log.directory)
        assert not [n for n in names if n.endswith((".cleaned", ".swap"))]


async def test_tombstones_go_once_their_time_is_over(box: ManagerBox) -> None:
    log = box.log(**COMPACT, delete_retention_ms=1000)
    cleaner = Cleaner(box.manager)
    box.append(log, b"1", key=b"a")
    box.append(log, None, key=b"a")
    log.roll()
    assert await cleaner.clean_dirtiest()
    assert contents(log) == [(1, b"a", None)]
    box.append(log, b"x", key=b"b")
    log.roll()
    box.clock.now_ms += 999
    await cleaner.clean_dirtiest()
    assert (1, b"a", None) in contents(log)
    box.append(log, b"y", key=b"b")
    log.roll()
    box.clock.now_ms += 1
    await cleaner.clean_dirtiest()
    assert contents(log) == [(3, b"b", b"y")]


async def test_a_clean_log_is_left_alone(box: ManagerBox) -> None:
    log = box.log(**COMPACT)
    fill(box, log, Random(1))
    cleaner = Cleaner(box.manager)
    while await cleaner.clean_dirtiest():
        pass
    steps = box.disk.steps
    assert not await cleaner.clean_dirtiest()
    assert box.disk.steps == steps


async def test_the_dirtiest_log_comes_first(box: ManagerBox) -> None:
    cleaner = Cleaner(box.manager)
    half = box.log("half", **{**COMPACT, "min_cleanable_dirty_ratio": 0.0})
    whole = box.log("whole", **COMPACT)
    never = box.log("never", **{**COMPACT, "cleanup_policy": "delete"})
    for log in (half, never):
        fill(box, log, Random(1))
    await cleaner.clean_dirtiest()
    for log in (half, whole, never):
        fill(box, log, Random(2), 15)
    before = {log: log.size_in_bytes for log in (half, whole, never)}
    assert await cleaner.clean_dirtiest()
    assert whole.size_in_bytes < before[whole]
    assert half.size_in_bytes == before[half]
    assert await cleaner.clean_dirtiest()
    assert half.size_in_bytes < before[half]
    assert never.size_in_bytes == before[never]


async def test_how_far_it_got_is_remembered(box: ManagerBox) -> None:
    log = box.log(**COMPACT)
    fill(box, log, Random(1))
    active = log.segments[-1].base_offset
    await Cleaner(box.manager).clean_dirtiest()
    data = box.disk.read_bytes("/data/cleaner-offset-checkpoint")
    assert decode_offsets(data) == {log.topic_partition: active}
    plan = Cleaner(box.manager).plan(log)
    assert plan is not None
    assert plan.first_dirty_offset == active


async def test_after_a_truncation_what_comes_is_dirty_again(box: ManagerBox) -> None:
    log = box.log(**COMPACT)
    fill(box, log, Random(1))
    cleaner = Cleaner(box.manager)
    await cleaner.clean_dirtiest()
    offset = log.segments[1].base_offset
    log.truncate_to(offset)
    plan = cleaner.plan(log)
    assert plan is not None
    assert plan.first_dirty_offset == offset
    fill(box, log, Random(2))
    await clean_everything_with(cleaner)
    plan = cleaner.plan(log)
    assert plan is not None
    assert plan.first_dirty_offset == log.segments[-1].base_offset


async def test_cleaned_records_are_as_old_as_they_were(box: ManagerBox) -> None:
    """Retention goes by the file's time where records have none."""
    log = box.log(**COMPACT)
    for _ in range(2):
        log.append_as_leader(batch(b"x", key=b"k", timestamp=-1), 0, box.clock.now_ms)
    log.update_high_watermark(2)
    log.roll()
    before_ms = log.segments[0].largest_timestamp()
    box.clock.now_ms += 50_000
    await clean_everything(box)
    assert [r.offset for r in read_all(log)] == [1]
    assert log.segments[0].largest_timestamp() == before_ms


async def test_a_map_too_small_for_all_keys_takes_several_rounds(box: ManagerBox) -> None:
    box.settings["log.cleaner.dedupe.buffer.size"] = "800"
    await box.restart()
    log = box.log(**COMPACT)
    fill(box, log, Random(3), 40)
    expected = compacted(log, log.segments[-1].base_offset)
    rounds = 0
    cleaner = Cleaner(box.manager)
    while await cleaner.clean_dirtiest():
        rounds += 1
        assert rounds < 100
    assert rounds > 1
    found = contents(log)
    # An old value may outlive several rounds, the latest must outlive all.
    assert set(expected) <= set(found)


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
async def test_compressed_batches_are_compacted(box: ManagerBox, codec: int) -> None:
    log = box.log(**COMPACT)
    for number in range(30):
        box.append(
            log, b"v%d" % number, b"w" * 30, keys=[b"k", b"l%d" % (number % 3)], compression=codec
        )
    expected = compacted(log, log.segments[-1].base_offset)
    await clean_everything(box)
    assert contents(log) == expected


class MovesAway(InlineWorkers):
    """``act`` comes in place of the cleaner's sync of a folder."""

    acted = False
    act: Any = None

    async def run(self, function: Any, *args: Any) -> Any:
        if getattr(function, "__name__", "") == "sync_dir":
            self.acted = True
            self.act()
        return await super().run(function, *args)


class Meddling(InlineWorkers):
    """Something happens to the log while the worker is busy."""

    def __init__(self) -> None:
        self.after = -1
        self.act: Any = None

    async def run(self, function: Any, *args: Any) -> Any:
        result = function(*args)
        if self.act is not None:
            self.after -= 1
            if self.after == 0:
                self.act()
        return result


@pytest.mark.parametrize("after", range(1, 36))
@pytest.mark.parametrize("event", ["truncate", "retention", "delete"])
async def test_a_log_that_changes_meanwhile_is_not_overwritten(event: str, after: int) -> None:
    box = ManagerBox()
    workers = Meddling()
    manager = box.make(workers)
    manager.acquire()
    await manager.start("cluster", 1)
    log = box.log(**COMPACT)
    fill(box, log, Random(4))
    target = log.segments[2].base_offset

    def truncate() -> None:
        log.truncate_to(target)
        log.append_as_leader(batch(b"new", key=b"new"), 0, box.clock.now_ms)

    def retention() -> None:
        log.advance_log_start_offset(target)
        log.delete_old_segments(box.clock.now_ms)

    workers.after, workers.act = (
        after,
        {
            "truncate": truncate,
            "retention": retention,
            "delete": lambda: manager.delete(log.topic_partition),
        }[event],
    )
    await Cleaner(manager).clean_dirtiest()
    if event == "delete":
        assert not box.disk.exists("/data/t-0")
        return
    workers.act = None
    names = box.disk.listdir(log.directory)
    assert not [name for name in names if name.endswith((".cleaned", ".swap"))]
    found = contents(log)
    offsets = [r[0] for r in found]
    assert offsets == sorted(set(offsets))
    if event == "truncate" and workers.after <= 0:
        assert found[-1] == (target, b"new", b"new")
        assert log.log_end_offset == target + 1
    reopened = await box.restart()
    log = reopened.get_or_create(log.topic_partition, log.topic_id, config(**COMPACT))
    assert contents(log) == found


async def test_a_log_that_is_moved_away_before_its_folder_is_synced_fails_no_directory() -> None:
    """What was deleted is nobody's loss: the other logs of the directory stay in service."""
    box = ManagerBox()
    workers = MovesAway()
    manager = box.make(workers)
    manager.acquire()
    await manager.start("cluster", 1)
    log = box.log(**COMPACT)
    other = box.log("other")
    fill(box, log, Random(4))

    def gone() -> None:
        manager.delete(log.topic_partition)
        raise FileNotFoundError(log.directory)

    workers.act = gone
    assert await Cleaner(manager).clean_dirtiest()
    assert workers.acted
    assert not other.is_failed
    assert box.append(other, b"still").first_offset == 0


async def test_a_log_that_cannot_be_read_does_not_keep_others_from_being_cleaned(
    box: ManagerBox,
) -> None:
    bad, good = box.log("bad", **COMPACT), box.log("good", **COMPACT)
    for log in (bad, good):
        fill(box, log, Random(6))
    box.disk.open(bad.segments[0].path).pwrite(8, b"\xff\xff\xff\xff")
    cleaner = Cleaner(box.manager)
    before = good.size_in_bytes
    while await cleaner.clean_dirtiest():
        pass
    assert good.size_in_bytes < before
    assert not bad.is_failed


async def test_producers_are_known_after_their_records_are_gone(box: ManagerBox) -> None:
    log = box.log(**COMPACT)
    for sequence in range(3):
        box.append(log, b"x", key=b"k", producer_id=9, producer_epoch=0, base_sequence=sequence)
    box.append(log, b"last", key=b"k")
    log.roll()
    await Cleaner(box.manager).clean_dirtiest()
    assert contents(log) == [(3, b"k", b"last")]
    for name in list(box.disk.listdir(log.directory)):
        if name.endswith(".snapshot"):
            box.disk.unlink(f"{log.directory}/{name}")
    await box.restart()
    log = box.log(**COMPACT)
    again = batch(b"x", key=b"k", producer_id=9, producer_epoch=0, base_sequence=2)
    assert log.append_as_leader(again, 0, box.clock.now_ms).duplicate


async def test_aborted_records_go_and_readers_are_still_told(box: ManagerBox) -> None:
    log = box.log(**COMPACT)

    def end(kind: ControlType, producer_id: int) -> None:
        data = control_batch(
            kind, timestamp=box.clock.now_ms, producer_id=producer_id, producer_epoch=0
        )
        log.append_as_leader(data, 0, box.clock.now_ms, origin=AppendOrigin.COORDINATOR)
        log.update_high_watermark(log.log_end_offset)

    for producer_id, kind in ((1, ControlType.ABORT), (2, ControlType.COMMIT)):
        box.append(
            log,
            b"%d" % producer_id,
            key=b"k%d" % producer_id,
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=0,
            is_transactional=True,
        )
        end(kind, producer_id)
    log.roll()
    await Cleaner(box.manager).clean_dirtiest()
    assert contents(log) == [(2, b"k2", b"2")]
    # The batch of producer 1 stays as its last sequence, so its marker and its entry stay.
    assert [a[:3] for a in log.aborted_between(0, 10)] == [(1, 0, 1)]


async def test_a_producers_committed_records_are_mapped_after_its_aborted_ones(
    box: ManagerBox,
) -> None:
    log = box.log(**COMPACT)
    box.append(log, b"old", key=b"k")
    for sequence, kind in enumerate((ControlType.ABORT, ControlType.COMMIT)):
        box.append(
            log,
            b"%d" % sequence,
            key=b"k",
            producer_id=1,
            producer_epoch=0,
            base_sequence=sequence,
            is_transactional=True,
        )
        data = control_batch(kind, timestamp=box.clock.now_ms, producer_id=1, producer_epoch=0)
        log.append_as_leader(data, 0, box.clock.now_ms, origin=AppendOrigin.COORDINATOR)
        log.update_high_watermark(log.log_end_offset)
    log.roll()
    await clean_everything(box)
    assert contents(log) == [(3, b"k", b"1")]


async def test_snapshots_go_with_the_segments_that_were_merged_away(box: ManagerBox) -> None:
    log = box.log(**COMPACT)
    fill(box, log, Random(1))
    await clean_everything(box)
    fill(box, log, Random(2))
    bases = [segment.base_offset for segment in log.segments]
    await clean_everything(box)
    left = [segment.base_offset for segment in log.segments]
    assert len(left) < len(bases)
    assert log.files.snapshots == [base for base in left if base]
    names = box.disk.listdir(log.directory)
    found = [int(n.removesuffix(".snapshot")) for n in names if n.endswith(".snapshot")]
    assert found == log.files.snapshots


async def test_the_cleaner_can_be_switched_off(box: ManagerBox) -> None:
    box.settings["log.cleaner.enable"] = "false"
    await box.restart()
    await Cleaner(box.manager).run()


async def test_a_closed_log_breaks_the_cleaning_off(box: ManagerBox) -> None:
    log = box.log(**COMPACT)
    fill(box, log, Random(1))
    cleaner = Cleaner(box.manager)
    plan = cleaner.plan(log)
    assert plan is not None
    log.release_files()
    with pytest.raises(LogChanged):
        await cleaner.clean(log, plan)
    assert cleaner.plan(log) is None


async def test_the_throttle_holds_the_cleaner_back(box: ManagerBox) -> None:
    box.settings["log.cleaner.io.max.bytes.per.second"] = "1000"
    await box.restart()
    log = box.log(**COMPACT)
    fill(box, log, Random(1))
    size = sum(segment.size for segment in log.segments[:-1])
    before_ms = box.clock.now_ms
    await Cleaner(box.manager).clean_dirtiest()
    # It reads everything twice.
    assert box.clock.now_ms - before_ms >= 2 * size * 0.9
