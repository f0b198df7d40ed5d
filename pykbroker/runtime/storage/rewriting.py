"""Reading dirty segments and rewriting them: what workers do for the cleaner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.runtime.storage.context import LogContext
from pykbroker.runtime.storage.handles import FileHandles
from pykbroker.runtime.storage.scan import scan
from pykbroker.runtime.storage.segment import Segment
from pykbroker.state.log.cleaning import CleanerSegment
from pykbroker.state.log.compaction import UNBOUNDED, TransactionTracker
from pykbroker.state.log.names import CLEANED, SEGMENT_SUFFIXES, SWAP
from wire.records.record import iter_records
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.state.log.cleaning import CleaningPlan, OffsetMap
    from pykbroker.state.log.compaction import BatchFilter
    from pykbroker.state.log.producers import AbortedTxn

STEP_BYTES = 128 << 10
"""A worker's turn: short, because it holds the interpreter for all of it."""


class Source(NamedTuple):
    """A segment to be rewritten, as a worker may use it."""

    path: str
    base_offset: int
    size: int
    end_offset: int


def segment_facts(segments: list[Segment]) -> list[CleanerSegment]:
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


def sources_of(log: PartitionLog, start: int, end: int) -> list[Source]:
    first = max(log.segment_index(start), 0)
    found = [s for s in log.segments[first:] if s.base_offset < end and not s.is_active]
    ends = [s.base_offset for s in found[1:]] + [end]
    return [
        Source(s.path, s.base_offset, s.size, stop) for s, stop in zip(found, ends, strict=True)
    ]


def map_offsets(
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
