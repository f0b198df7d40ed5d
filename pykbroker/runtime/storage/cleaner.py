"""The cleaner's loops: each compacts the dirtiest log, a chunk at a time in a worker.

A group of old segments is rewritten into one ``.cleaned``, synced, renamed to ``.swap``, put in
the place of its sources, and renamed to its own name last; a crash anywhere in between is undone
or completed by the next start. Whatever happened to the log while a worker was busy (truncation,
retention, deletion) makes the result void.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.log import get_logger
from pykbroker.runtime.storage.context import LogContext
from pykbroker.runtime.storage.handles import FileHandles
from pykbroker.runtime.storage.scan import scan
from pykbroker.runtime.storage.segment import Segment
from pykbroker.state.log.cleaning import (
    CleanerSegment,
    CleaningPlan,
    OffsetMap,
    group_by_size,
    plan_cleaning,
)
from pykbroker.state.log.compaction import (
    UNBOUNDED,
    BatchFilter,
    TransactionTracker,
    last_records,
)
from pykbroker.state.log.names import CLEANED, CLEANER_CHECKPOINT, SEGMENT_SUFFIXES, SWAP
from wire.records.errors import CorruptBatch
from wire.records.record import iter_records
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.storage.directory import LogDirectory
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.manager import LogManager
    from pykbroker.state.log.producers import AbortedTxn
    from pykbroker.state.types import TopicPartition

logger = get_logger("pykbroker.storage.cleaner")
STEP_BYTES = 128 << 10
"""A worker's turn: short, because it holds the interpreter for all of it."""


class LogChanged(Exception):
    """The log is not the one that was planned for: nothing of this cleaning counts."""


class Source(NamedTuple):
    """A segment to be rewritten, as a worker may use it."""

    path: str
    base_offset: int
    size: int
    end_offset: int


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
        self._uncleanable: set[PartitionLog] = set()
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
        for log in list(self._manager.logs.values()):
            if not log.config.cleanup_compact or log in self._uncleanable or log in self._busy:
                continue
            try:
                plan = self.plan(log)
            except (CorruptBatch, OSError) as error:
                self._give_up(log, error)
                continue
            if plan is None or not plan.is_worth_it(log.config.min_cleanable_dirty_ratio):
                continue
            if best is None or plan.cleanable_ratio > best[0]:
                best = (plan.cleanable_ratio, log, plan)
        if best is None:
            return False
        _, log, plan = best
        self._busy.add(log)
        try:
            await self.clean(log, plan)
        except LogChanged:
            logger.info("cleaning given up, the log has changed", log=log.directory)
        except (CorruptBatch, OSError) as error:
            self._give_up(log, error)
        finally:
            self._busy.discard(log)
        return True

    def _give_up(self, log: PartitionLog, error: Exception) -> None:
        """A log that cannot be cleaned must not keep the others from it."""
        logger.error("log cannot be cleaned", log=log.directory, reason=str(error))
        self._uncleanable.add(log)
        if isinstance(error, OSError):
            log.note_error(error)

    def plan(self, log: PartitionLog) -> CleaningPlan | None:
        if log.is_failed or log.is_closed or not log.may_have_files() or not log.segments:
            return None
        offsets = self._cleaned_offsets(log)
        cleaned = offsets.get(log.topic_partition)
        if cleaned is not None and log.lowest_truncation is not None:
            cleaned = offsets[log.topic_partition] = min(cleaned, log.lowest_truncation)
        log.lowest_truncation = None
        return plan_cleaning(
            _facts(log.segments),
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
        settings = self._manager.settings.current
        generation = log.generation
        offsets = OffsetMap(
            settings.int("log.cleaner.dedupe.buffer.size") // max(self._threads, 1),
            settings.float("log.cleaner.io.buffer.load.factor"),
        )
        dirty = _sources(log, plan.first_dirty_offset, plan.first_uncleanable_offset)
        aborted = log.aborted_between(plan.first_dirty_offset, plan.first_uncleanable_offset)
        await self._steps(_map_offsets(log.context, dirty, plan, offsets, aborted), log, generation)
        end_offset = offsets.latest_offset + 1
        chosen = [s for s in log.segments if s.base_offset < end_offset and not s.is_active]
        groups = group_by_size(
            _facts(chosen),
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


def _facts(segments: list[Segment]) -> list[CleanerSegment]:
    return [
        CleanerSegment(
            segment.base_offset,
            segment.size,
            segment.index_bytes,
            segment.time_index_bytes,
            segment.largest_timestamp,
            segment.first_timestamp,
        )
        for segment in segments
    ]


def _sources(log: PartitionLog, start: int, end: int) -> list[Source]:
    first = max(log.segment_index(start), 0)
    found = [s for s in log.segments[first:] if s.base_offset < end and not s.is_active]
    ends = [s.base_offset for s in found[1:]] + [end]
    return [
        Source(s.path, s.base_offset, s.size, stop) for s, stop in zip(found, ends, strict=True)
    ]


def _check_unchanged(log: PartitionLog, segments: list[Segment], generation: int) -> None:
    if log.is_closed or log.is_failed or log.generation != generation:
        raise LogChanged
    first = log.segment_index(segments[0].base_offset)
    if log.segments[first : first + len(segments)] != segments:
        raise LogChanged


def _map_offsets(
    context: LogContext,
    sources: list[Source],
    plan: CleaningPlan,
    offsets: OffsetMap,
    aborted: list[AbortedTxn],
) -> Iterator[int]:
    """Fill the map from the dirty part, until it is full; in a worker."""
    transactions = TransactionTracker()
    transactions.add_aborted(aborted)
    start = plan.first_dirty_offset
    offsets.latest_offset = start - 1
    for source in sources:
        file = context.disk.open(source.path)
        read = 0
        try:
            for stored in scan(file, 0, source.size, chunk_bytes=STEP_BYTES):
                header = stored.header
                if header.is_control:
                    transactions.on_control(header, stored.data)
                elif not transactions.on_data(header) and header.last_offset >= start:
                    for record in iter_records(stored.data, max_decompressed_bytes=UNBOUNDED):
                        if (
                            record.key is not None
                            and record.offset >= start
                            and not offsets.put(record.key, record.offset)
                        ):
                            return
                offsets.latest_offset = max(offsets.latest_offset, header.last_offset)
                read += header.size_in_bytes
                if read >= STEP_BYTES:
                    yield read
                    read = 0
        finally:
            file.close()
        offsets.latest_offset = max(offsets.latest_offset, source.end_offset - 1)
        yield read


class GroupWriter:
    """Writes one ``.cleaned`` segment. All but ``discard`` runs in a worker, with handles of its
    own."""

    def __init__(self, log: PartitionLog, sources: list[Source], batch_filter: BatchFilter) -> None:
        shared = log.context
        self._context = LogContext(
            shared.disk, shared.clock, shared.rng, handles=FileHandles(shared.disk, 8)
        )
        self._sources = sources
        self._filter = batch_filter
        self._segment = Segment(
            self._context,
            log.directory,
            sources[0].base_offset,
            suffix=CLEANED,
            index_interval_bytes=log.config.index_interval_bytes,
        )

    @property
    def size(self) -> int:
        return self._segment.size

    def steps(self) -> Iterator[int]:
        disk = self._context.disk
        self._segment.create()
        self._segment.is_active = True
        for source in self._sources:
            file = disk.open(source.path)
            read = 0
            try:
                for stored in scan(file, 0, source.size, chunk_bytes=STEP_BYTES):
                    header = stored.header
                    kept = self._filter.filter(header, stored.data)
                    if kept is not None:
                        self._segment.append_batch(kept)
                    read += header.size_in_bytes
                    if read >= STEP_BYTES:
                        yield read
                        read = 0
            finally:
                file.close()
            yield read

    def finish(self) -> None:
        """Make it durable and give it the suffix that says it is whole."""
        disk = self._context.disk
        segment = self._segment
        transactions = self._filter.transactions
        for aborted in transactions.kept:
            segment.add_aborted(aborted)
        transactions.kept = []
        segment.write_ends()
        mtime_ms = disk.mtime_ms(self._sources[-1].path)
        for kind in SEGMENT_SUFFIXES:
            path = segment.file_path(kind)
            if disk.exists(path):
                self._context.handles.get(path).sync()
        segment.drop()
        disk.set_mtime_ms(segment.path, mtime_ms)
        segment.rename(SWAP)
        disk.sync_dir(segment.directory)

    def discard(self) -> None:
        self._context.handles.close_all()
        disk = self._context.disk
        for kind in SEGMENT_SUFFIXES:
            path = self._segment.file_path(kind)
            if disk.exists(path):
                disk.unlink(path)
