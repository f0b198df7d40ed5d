"""The cleaner's loops: each compacts the dirtiest log, a chunk at a time in a worker.

A group of old segments is rewritten into one ``.cleaned``, synced, renamed to ``.swap``, put in
the place of its sources, and renamed to its own name last; a crash anywhere in between is undone
or completed by the next start. Whatever happened to the log while a worker was busy (truncation,
retention, deletion) makes the result void.

What reads and writes the logs is imported with the first log that is compacted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.log import get_logger
from pykbroker.state.log.names import CLEANER_CHECKPOINT
from wire.records.errors import CorruptBatch
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.storage.directory import LogDirectory
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.manager import LogManager
    from pykbroker.runtime.storage.segment import Segment
    from pykbroker.state.log.cleaning import CleaningPlan
    from pykbroker.state.log.compaction import BatchFilter
    from pykbroker.state.types import TopicPartition

logger = get_logger("pykbroker.storage.cleaner")


class LogChanged(Exception):
    """The log is not the one that was planned for: nothing of this cleaning counts."""


class CleanedLog(NamedTuple):
    """For the log of what was done, and for tests."""

    end_offset: int
    bytes_before: int
    bytes_after: int


class Cleaner:
    def __init__(self, manager: LogManager) -> None:
        self._manager = manager
        self._clock = manager.clock
        self._offsets: dict[str, dict[TopicPartition, int]] = {}
        """By log directory: the cleaner checkpoint."""
        self.uncleanable: set[PartitionLog] = set()
        """Those that it gave up on."""
        self.dirtiest_ratio = 0.0
        """Of the logs that were looked at last."""
        self.last_run_ms = self._clock.monotonic_ms()
        self._busy: set[PartitionLog] = set()
        self._running: set[int] = set()
        self._pauses: set[anyio.CancelScope] = set()
        self._changed = anyio.Event()
        self._writing = anyio.Lock()
        """The checkpoint file."""
        manager.settings.on_change(self._settings_changed)

    # Choosing

    async def run(self) -> None:
        """As many logs at a time as log.cleaner.threads says."""
        if not self._manager.settings.current.bool("log.cleaner.enable"):
            return
        async with anyio.create_task_group() as tasks:
            while True:
                self._changed = anyio.Event()
                for number in set(range(self._threads)) - self._running:
                    self._running.add(number)
                    tasks.start_soon(self._keep_clean, number)
                await self._changed.wait()

    async def _keep_clean(self, number: int) -> None:
        try:
            while number < self._threads:
                if not await self.clean_dirtiest():
                    settings = self._manager.settings.current
                    await self._pause(max(settings.int("log.cleaner.backoff.ms"), 1))
        finally:
            self._running.discard(number)

    @property
    def _threads(self) -> int:
        return self._manager.settings.current.int("log.cleaner.threads")

    async def _pause(self, delay_ms: int) -> None:
        """Cut short when the cleaner's settings change: they may have asked for a shorter one."""
        with anyio.CancelScope() as pause:
            self._pauses.add(pause)
            try:
                await self._clock.sleep(delay_ms)
            finally:
                self._pauses.discard(pause)

    def _settings_changed(self, names: frozenset[str]) -> None:
        if any(name.startswith("log.cleaner.") for name in names):
            for pause in self._pauses:
                pause.cancel()
            self._changed.set()

    async def clean_dirtiest(self) -> bool:
        """Clean the log that needs it most; False if none does."""
        best: tuple[float, PartitionLog, CleaningPlan] | None = None
        dirtiest_ratio = 0.0
        self.last_run_ms = self._clock.monotonic_ms()
        for log in list(self._manager.logs.values()):
            if not log.config.cleanup_compact or log in self.uncleanable or log in self._busy:
                continue
            try:
                plan = self.plan(log)
            except (CorruptBatch, OSError) as error:
                self._give_up(log, error)
                continue
            if plan is not None:
                dirtiest_ratio = max(dirtiest_ratio, plan.cleanable_ratio)
            if plan is None or not plan.is_worth_it(log.config.min_cleanable_dirty_ratio):
                continue
            if best is None or plan.cleanable_ratio > best[0]:
                best = (plan.cleanable_ratio, log, plan)
        self.dirtiest_ratio = dirtiest_ratio
        if best is None:
            return False
        _, log, plan = best
        self._busy.add(log)
        try:
            await self.clean(log, plan)
        except LogChanged:
            logger.info("cleaning given up, the log has changed", log=log.directory)
        except (CorruptBatch, OSError) as error:
            if log.is_closed and isinstance(error, FileNotFoundError):
                # Deleted meanwhile: its folder was renamed under the worker.
                logger.info("cleaning given up, the log has changed", log=log.directory)
            else:
                self._give_up(log, error)
        finally:
            self._busy.discard(log)
        return True

    def _give_up(self, log: PartitionLog, error: Exception) -> None:
        """A log that cannot be cleaned must not keep the others from it."""
        logger.error("log cannot be cleaned", log=log.directory, reason=str(error))
        self.uncleanable.add(log)
        if isinstance(error, OSError):
            log.note_error(error)

    def plan(self, log: PartitionLog) -> CleaningPlan | None:
        if log.is_failed or log.is_closed or not log.may_have_files() or not log.segments:
            return None
        from pykbroker.runtime.storage.rewriting import segment_facts
        from pykbroker.state.log.cleaning import plan_cleaning

        offsets = self._cleaned_offsets(log)
        cleaned = offsets.get(log.topic_partition)
        if cleaned is not None and log.lowest_truncation is not None:
            cleaned = offsets[log.topic_partition] = min(cleaned, log.lowest_truncation)
        log.lowest_truncation = None
        return plan_cleaning(
            segment_facts(log.segments),
            log.config,
            cleaned_offset=cleaned,
            log_start_offset=log.log_start_offset,
            last_stable_offset=log.last_stable_offset,
            log_end_offset=log.log_end_offset,
            now_ms=self._clock.wall_ms(),
        )

    def _cleaned_offsets(self, log: PartitionLog) -> dict[TopicPartition, int]:
        known = self._offsets.get(log.log_directory)
        if known is None:
            directory = self._manager.directory_of(log)
            known = self._offsets[log.log_directory] = directory.read_cleaner_offsets()
        return known

    # Cleaning

    async def clean(self, log: PartitionLog, plan: CleaningPlan) -> CleanedLog:
        """One round over ``log``."""
        from pykbroker.runtime.storage.rewriting import map_offsets, segment_facts, sources_of
        from pykbroker.state.log.cleaning import OffsetMap, group_by_size
        from pykbroker.state.log.compaction import BatchFilter, last_records

        settings = self._manager.settings.current
        generation = log.generation
        offsets = OffsetMap(
            settings.int("log.cleaner.dedupe.buffer.size") // max(self._threads, 1),
            settings.float("log.cleaner.io.buffer.load.factor"),
        )
        dirty = sources_of(log, plan.first_dirty_offset, plan.first_uncleanable_offset)
        aborted = log.aborted_between(plan.first_dirty_offset, plan.first_uncleanable_offset)
        await self._steps(map_offsets(log.context, dirty, plan, offsets, aborted), log, generation)
        end_offset = offsets.latest_offset + 1
        chosen = [s for s in log.segments if s.base_offset < end_offset and not s.is_active]
        groups = group_by_size(
            segment_facts(chosen),
            log.config.segment_bytes,
            log.config.segment_index_bytes,
            plan.first_uncleanable_offset,
        )
        batch_filter = BatchFilter(
            offsets,
            last_records(log.producers.entries.values()),
            plan.first_uncleanable_offset,
            now_ms=self._clock.wall_ms(),
            delete_retention_ms=log.config.delete_retention_ms,
        )
        before = sum(segment.size for segment in chosen)
        after = 0
        for group in groups:
            after += await self._clean_group(
                log, [chosen[index] for index in group], batch_filter, generation
            )
        await self._remember(log, end_offset)
        logger.info("cleaned", log=log.directory, end_offset=end_offset, before=before, after=after)
        return CleanedLog(end_offset, before, after)

    async def _clean_group(
        self,
        log: PartitionLog,
        segments: list[Segment],
        batch_filter: BatchFilter,
        generation: int,
    ) -> int:
        """Rewrite some neighbours into one; its size."""
        from pykbroker.runtime.storage.rewriting import GroupWriter, Source

        _check_unchanged(log, segments, generation)
        ends = [s.base_offset for s in log.segments[1:]] + [log.log_end_offset]
        end_of = dict(zip([s.base_offset for s in log.segments], ends, strict=True))
        sources = [Source(s.path, s.base_offset, s.size, end_of[s.base_offset]) for s in segments]
        for source in sources:
            batch_filter.transactions.add_aborted(
                log.aborted_between(source.base_offset, source.end_offset)
            )
        writer = GroupWriter(log, sources, batch_filter)
        run = self._manager.workers.run
        try:
            await self._steps(writer.steps(), log, generation)
            await run(writer.finish)
            _check_unchanged(log, segments, generation)
        except BaseException:
            writer.discard()
            raise
        swapped = log.files.swap_in(writer.size, segments)
        await run(log.context.disk.sync_dir, log.directory)
        if swapped in log.segments:
            swapped.rename("")
        return writer.size

    async def _steps(self, steps: Iterator[int], log: PartitionLog, generation: int) -> None:
        """Run a worker's turns; each says how many bytes it has read."""
        while True:
            try:
                done = await self._manager.workers.run(next, steps, None)
            except FileNotFoundError:
                raise LogChanged from None
            if log.is_closed or log.is_failed or log.generation != generation:
                raise LogChanged
            if done is None:
                return
            limit = self._manager.settings.current.float("log.cleaner.io.max.bytes.per.second")
            await self._pause(int(done * 1000 * max(self._threads, 1) / limit))

    async def _remember(self, log: PartitionLog, end_offset: int) -> None:
        known = self._cleaned_offsets(log)
        known[log.topic_partition] = end_offset
        directory: LogDirectory = self._manager.directory_of(log)
        async with self._writing:
            in_service = {
                topic_partition: offset
                for topic_partition, offset in known.items()
                if topic_partition in self._manager.logs or topic_partition in directory.partitions
            }
            data = directory.changed(CLEANER_CHECKPOINT, in_service)
            if data is not None:
                await self._manager.workers.run(directory.write_all, [(CLEANER_CHECKPOINT, data)])


def _check_unchanged(log: PartitionLog, segments: list[Segment], generation: int) -> None:
    if log.is_closed or log.is_failed or log.generation != generation:
        raise LogChanged
    first = log.segment_index(segments[0].base_offset)
    if log.segments[first : first + len(segments)] != segments:
        raise LogChanged
