"""One segment: a ``.log`` file, its two sparse indexes and its transaction index.

Index entries of the active segment are kept in memory and written when the segment is flushed,
rolled or closed: they only have to be on disk before the recovery point passes them, and can be
rebuilt from the batches at any time. An index that does not fit the batches is rebuilt when it is
found out.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain
from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.runtime.storage.scan import HOP, Hop, hop, scan
from pykbroker.state.log.index import MAX_RELATIVE_OFFSET, CorruptIndex, OffsetIndex, TimeIndex
from pykbroker.state.log.names import (
    INDEX,
    LOG,
    SEGMENT_SUFFIXES,
    TIME_INDEX,
    TXN_INDEX,
    segment_file,
)
from pykbroker.state.log.txn_index import TxnIndex
from wire.records.batch import LOG_OVERHEAD, read_header
from wire.records.errors import CorruptBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.config.topic import LogConfig
    from pykbroker.ports import File
    from pykbroker.runtime.storage.context import LogContext
    from pykbroker.state.log.index import IndexEntry
    from pykbroker.state.log.producers import AbortedTxn
    from wire.schema import Buffer

log = get_logger("pykbroker.storage.segment")
NO_TIMESTAMP = -1


class Segment:
    __slots__ = (
        "_bytes_since_index",
        "_context",
        "_first_timestamp",
        "_index_interval",
        "_max_timestamp",
        "_offset_index",
        "_path",
        "_tail_floor",
        "_tail_offsets",
        "_tail_positions",
        "_time_index",
        "_txn_index",
        "_written",
        "base_offset",
        "created_ms",
        "directory",
        "is_active",
        "needs_sync",
        "roll_jitter_ms",
        "size",
        "suffix",
    )

    def __init__(
        self,
        context: LogContext,
        directory: str,
        base_offset: int,
        *,
        size: int = 0,
        suffix: str = "",
        index_interval_bytes: int = 4096,
        roll_jitter_ms: int = 0,
    ) -> None:
        self._context = context
        self.directory = directory
        self.base_offset = base_offset
        self.suffix = suffix
        self.size = size
        self.is_active = False
        self.needs_sync = False
        """Its indexes were written since they were last synced."""
        self.created_ms = context.clock.wall_ms()
        self.roll_jitter_ms = roll_jitter_ms
        self._index_interval = index_interval_bytes
        self._path = f"{directory}/{segment_file(base_offset, LOG, suffix)}"
        self._offset_index: OffsetIndex | None = None if size else OffsetIndex(base_offset)
        self._time_index: TimeIndex | None = None if size else TimeIndex(base_offset)
        self._txn_index: TxnIndex | None = None if size else TxnIndex()
        self._written = [0, 0, 0]
        """How many entries of the offset, time and transaction index are on disk."""
        self._bytes_since_index = 0
        self._max_timestamp: tuple[int, int] | None = None if size else (NO_TIMESTAMP, base_offset)
        self._first_timestamp: int | None = None
        # Every batch since the last index entry, so that tailing readers need no read to find one.
        self._tail_floor = base_offset - 1
        self._tail_offsets: list[int] = []
        self._tail_positions: list[int] = []

    # Files

    @property
    def path(self) -> str:
        """Of the ``.log`` file."""
        return self._path

    def file_path(self, kind: str) -> str:
        return f"{self.directory}/{segment_file(self.base_offset, kind, self.suffix)}"

    def file(self) -> File:
        return self._context.handles.get(self._path)

    def create(self, *, in_new_folder: bool = False) -> None:
        """Make an empty segment, in place of whatever bore its name: in a new folder nothing."""
        for kind in SEGMENT_SUFFIXES:
            path = self.file_path(kind)
            self._context.handles.forget(path)
            if not in_new_folder and self._context.disk.exists(path):
                self._context.disk.unlink(path)
        self._context.handles.get(self._path, create=True)

    def rename(self, suffix: str) -> list[str]:
        """Give all files another suffix; the new paths."""
        disk, handles = self._context.disk, self._context.handles
        renamed = []
        for kind in SEGMENT_SUFFIXES:
            old = self.file_path(kind)
            handles.forget(old)
            if disk.exists(old):
                new = f"{self.directory}/{segment_file(self.base_offset, kind, suffix)}"
                disk.rename(old, new)
                renamed.append(new)
        self.suffix = suffix
        self._path = self.file_path(LOG)
        return renamed

    def moved(self, directory: str) -> None:
        """The partition's folder has another name now."""
        for kind in SEGMENT_SUFFIXES:
            self._context.handles.forget(self.file_path(kind))
        self.directory = directory
        self._path = self.file_path(LOG)

    # Appending

    def append_one(self, data: Buffer, size: int, last_offset: int, max_timestamp: int) -> None:
        """Write a batch that is to follow what is here; the caller has read its header."""
        self._context.handles.get(self._path).append((data,))
        self._note(size, last_offset, max_timestamp)

    def append_batch(self, data: Buffer) -> None:
        """The same, reading the header."""
        header = read_header(data)
        self.append_one(data, len(data), header.last_offset, header.max_timestamp)

    def _note(self, size: int, last_offset: int, max_timestamp: int) -> None:
        position = self.size
        if self._first_timestamp is None:
            self._first_timestamp = max_timestamp
        best = self._max_timestamp or self.max_timestamp_and_offset()
        if max_timestamp > best[0]:
            best = self._max_timestamp = (max_timestamp, last_offset)
        if self._bytes_since_index > self._index_interval:
            self.offset_index.append(last_offset, position)
            self.time_index.append(*best)
            self._bytes_since_index = 0
            if self._tail_offsets:
                self._tail_floor = self._tail_offsets[-1]
                self._tail_offsets.clear()
                self._tail_positions.clear()
        self._tail_offsets.append(last_offset)
        self._tail_positions.append(position)
        self._bytes_since_index += size
        self.size = position + size

    def takes(
        self, size: int, last_offset: int, timestamp: int, now_ms: int, config: LogConfig
    ) -> bool:
        """May one more batch go in here, or is it time for another segment?"""
        own = self.size
        offsets, times = self._offset_index, self._time_index
        if offsets is None or times is None:
            offsets, times = self.offset_index, self.time_index
        if (
            own > config.segment_bytes - size
            or not 0 <= last_offset - self.base_offset <= MAX_RELATIVE_OFFSET
            or len(offsets.offsets) >= config.segment_index_bytes // 8
            or len(times.offsets) >= config.segment_index_bytes // 12 - 1
        ):
            return False
        if not own:
            return True
        # By the records' own time where they have one, else since the segment was made.
        first = self._first_timestamp
        if first is None:
            first = self.first_timestamp()
        waited_ms = timestamp - first if first >= 0 else now_ms - self.created_ms
        return waited_ms <= config.roll_ms - self.roll_jitter_ms

    def would_overflow(self, last_offset: int) -> bool:
        """Offsets are kept in 32 bits relative to the base."""
        return not 0 <= last_offset - self.base_offset <= MAX_RELATIVE_OFFSET

    # Reading

    def locate(self, offset: int) -> int:
        """Where the first batch begins that holds ``offset`` or what comes after; else the end."""
        if offset > self._tail_floor and self._tail_offsets:
            index = bisect_left(self._tail_offsets, offset)
            if index < len(self._tail_positions):
                return self._tail_positions[index]
            return self.size
        known = self._context.recent.place(self, offset)
        if known is not None:
            return known
        for found in self._walk(self.offset_index.lookup(offset)):
            if found.last_offset >= offset:
                return found.position
        return self.size

    def read(
        self, offset: int, max_bytes: int, end_offset: int | None, min_one_batch: bool
    ) -> tuple[int, Buffer] | None:
        """(position, whole batches) from ``offset`` up to ``end_offset``; None if all are below.

        ``end_offset`` None means the segment's end.
        """
        start = self.locate(offset)
        if start >= self.size:
            return None
        limit = self.size if end_offset is None else self.locate(end_offset)
        available = limit - start
        if available <= 0:
            return start, b""
        recent = self._context.recent
        if available <= max_bytes:
            return start, recent.pread(self, start, available)
        data = recent.pread(self, start, min(max(max_bytes, HOP.size), self.size - start))
        end = self._last_whole(data, start, max_bytes)
        if end:
            return start, memoryview(data)[:end]
        if not min_one_batch:
            return start, b""
        first = next(hop(self.file(), start, self.size))
        recent.note(self, first.last_offset + 1, start + first.size)
        return start, recent.pread(self, start, first.size)

    def _last_whole(self, data: bytes, start: int, max_bytes: int) -> int:
        """The length of the whole batches at the beginning of ``data``."""
        known = self.offset_index.at_position(start + len(data) - HOP.size)
        end = 0
        if known is not None and known.position > start:
            end = known.position - start
            if not _is_batch_of(data, end, known.last_offset):
                end = 0
        next_offset = -1
        while end + HOP.size <= len(data):
            base_offset, length, magic, delta = HOP.unpack_from(data, end)
            if magic != 2 or length < 0 or delta < 0:
                raise CorruptBatch(f"no batch begins at position {start + end} of {self._path}")
            if end + LOG_OVERHEAD + length > max_bytes:
                if next_offset < 0:
                    next_offset = base_offset
                break
            end += LOG_OVERHEAD + length
            next_offset = base_offset + delta + 1
        if end and next_offset >= 0:
            # Whoever reads on asks for that next.
            self._context.recent.note(self, next_offset, start + end)
        return end

    def _walk(self, entry: IndexEntry | None) -> Iterator[Hop]:
        """From an index entry to the end, if the index tells the truth; else from a new one."""
        if entry is None:
            return hop(self.file(), 0, self.size)
        walk = hop(self.file(), entry.position, self.size)
        try:
            first = next(walk)
            if first.last_offset == entry.last_offset:
                return chain((first,), walk)
        except (CorruptBatch, StopIteration):
            pass
        log.warning("index does not fit its log, rebuilding it", segment=self._path)
        self.rebuild_indexes()
        entry = self.offset_index.lookup(entry.last_offset)
        return hop(self.file(), entry.position if entry else 0, self.size)

    def next_offset(self) -> int:
        """One past the last batch."""
        if self._tail_offsets:
            return self._tail_offsets[-1] + 1
        last = self.base_offset - 1
        for found in self._walk(self.offset_index.last()):
            last = found.last_offset
        return last + 1

    # Time

    def max_timestamp_and_offset(self) -> tuple[int, int]:
        """(largest timestamp, last offset of its batch); (-1, base offset) without any."""
        if self._max_timestamp is None:
            last = self._last_of_time_index() if self._time_index is None else None
            last = last or self.time_index.last()
            self._max_timestamp = last or (NO_TIMESTAMP, self.base_offset)
        return self._max_timestamp

    def _last_of_time_index(self) -> tuple[int, int] | None:
        """Without loading the index: retention asks this of every segment."""
        path = self.file_path(TIME_INDEX)
        if not self._context.disk.exists(path):
            return None
        file = self._context.handles.get(path)
        return TimeIndex.last_in(self.base_offset, file.pread, file.size)

    @property
    def max_timestamp(self) -> int:
        return self.max_timestamp_and_offset()[0]

    def largest_timestamp(self) -> int:
        """For retention: the time of the last write stands in where records have no time."""
        largest = self.max_timestamp
        return largest if largest >= 0 else self._context.disk.mtime_ms(self._path)

    def first_timestamp(self) -> int:
        """The first batch's largest; -1 without any."""
        if self._first_timestamp is None:
            if not self.size:
                return NO_TIMESTAMP
            first = next(scan(self.file(), 0, self.size, chunk_bytes=4096))
            self._first_timestamp = first.header.max_timestamp
        return self._first_timestamp

    # Indexes

    @property
    def offset_index(self) -> OffsetIndex:
        if self._offset_index is None:
            self._load_indexes()
        elif not self.is_active:
            self._context.index_used(self)
        return self._offset_index  # type: ignore[return-value]

    @property
    def time_index(self) -> TimeIndex:
        if self._time_index is None:
            self._load_indexes()
        return self._time_index  # type: ignore[return-value]

    @property
    def txn_index(self) -> TxnIndex:
        if self._txn_index is None:
            self._load_indexes()
        return self._txn_index  # type: ignore[return-value]

    @property
    def index_bytes(self) -> int:
        """Of the offset index, without loading it."""
        if self._offset_index is not None:
            return len(self._offset_index) * OffsetIndex.ENTRY_SIZE
        return self._stored_bytes(INDEX)

    @property
    def time_index_bytes(self) -> int:
        if self._time_index is not None:
            return len(self._time_index) * TimeIndex.ENTRY_SIZE
        return self._stored_bytes(TIME_INDEX)

    def _stored_bytes(self, kind: str) -> int:
        path = self.file_path(kind)
        return self._context.disk.size(path) if self._context.disk.exists(path) else 0

    def _load_indexes(self) -> None:
        disk = self._context.disk
        try:
            raw = disk.read_bytes(self.file_path(INDEX))
            offsets = OffsetIndex.decode(self.base_offset, raw, self.size)
            raw = disk.read_bytes(self.file_path(TIME_INDEX))
            times = TimeIndex.decode(self.base_offset, raw)
            if not times and self.size and not self.is_active:
                # A closed segment's ends with its largest timestamp: this one has lost it, or the
                # records have none, which is as good as never.
                raise CorruptIndex("the time index of a closed segment is empty")
            txns = TxnIndex()
            if disk.exists(self.file_path(TXN_INDEX)):
                txns = TxnIndex.decode(disk.read_bytes(self.file_path(TXN_INDEX)))
        except (CorruptIndex, FileNotFoundError) as problem:
            if isinstance(problem, CorruptIndex):
                log.warning("rebuilding a damaged index", segment=self._path, reason=str(problem))
            self.rebuild_indexes()
            return
        self._offset_index, self._time_index, self._txn_index = offsets, times, txns
        self._written = [len(offsets), len(times), len(txns)]
        if not self.is_active:
            self._context.index_used(self)

    def adopt_tail(self) -> None:
        """Become the active segment after a start: learn what lies behind the last index entry."""
        self.is_active = True
        if not self.size:
            return
        self._context.index_gone(self)
        first = next(self._walk(self.offset_index.last()))
        start = first.position
        best = self.time_index.last() or (NO_TIMESTAMP, self.base_offset)
        self._tail_offsets, self._tail_positions = [], []
        # Below that, batches may lie before the tail.
        self._tail_floor = first.base_offset - 1 if start else self.base_offset - 1
        for stored in scan(self.file(), start, self.size, chunk_bytes=16384):
            self._tail_offsets.append(stored.header.last_offset)
            self._tail_positions.append(stored.position)
            if stored.header.max_timestamp > best[0]:
                best = (stored.header.max_timestamp, stored.header.last_offset)
        self._max_timestamp = best
        self._bytes_since_index = self.size - start

    def rebuild_indexes(self) -> None:
        """From the batches. The transaction index keeps what it says: only the producer state of
        the whole log could make it anew, which recovery does."""
        offsets, times = OffsetIndex(self.base_offset), TimeIndex(self.base_offset)
        best = (NO_TIMESTAMP, self.base_offset)
        since = 0
        for stored in scan(self.file(), 0, self.size):
            header = stored.header
            if header.max_timestamp > best[0]:
                best = (header.max_timestamp, header.last_offset)
            if since > self._index_interval:
                offsets.append(header.last_offset, stored.position)
                times.append(*best)
                since = 0
            since += header.size_in_bytes
        times.append(*best)
        self._offset_index, self._time_index = offsets, times
        self._max_timestamp = best
        if self._txn_index is None:
            self._txn_index = self._stored_txns()
        self._written = [-1, -1, self._written[2]]
        self.write_indexes()

    def _stored_txns(self) -> TxnIndex:
        path = self.file_path(TXN_INDEX)
        if not self._context.disk.exists(path):
            return TxnIndex()
        try:
            return TxnIndex.decode(self._context.disk.read_bytes(path))
        except CorruptIndex as problem:
            log.warning("dropping a damaged transaction index", path=path, reason=str(problem))
            return TxnIndex()

    def write_indexes(self) -> None:
        """Put new entries on disk; a count of -1 has the whole file written anew."""
        self._write_index(0, INDEX, self._offset_index)
        self._write_index(1, TIME_INDEX, self._time_index)
        self._write_index(2, TXN_INDEX, self._txn_index)

    def _write_index(
        self, which: int, kind: str, index: OffsetIndex | TimeIndex | TxnIndex | None
    ) -> None:
        if index is None:
            return
        written = self._written[which]
        count = len(index)
        path = self.file_path(kind)
        if written == count and (count or kind == TXN_INDEX or self._context.disk.exists(path)):
            return
        if kind == TXN_INDEX and not count and not self._context.disk.exists(path):
            return
        file = self._context.handles.get(path, create=True)
        self.needs_sync = True
        if written < 0 or written > count or file.size != written * index.ENTRY_SIZE:
            file.truncate(0)
            written = 0
        if count > written:
            file.append((index.encode(written),))
        self._written[which] = count

    def add_aborted(self, aborted: AbortedTxn) -> None:
        self.txn_index.append(aborted)

    def write_ends(self) -> None:
        """Put on disk what is only in memory. The time index ends with the largest timestamp, so
        that it can be read alone."""
        self.time_index.append(*self.max_timestamp_and_offset())
        self.write_indexes()

    def deactivate(self) -> None:
        """Another segment is written to from now on."""
        self.is_active = False
        self._tail_offsets, self._tail_positions = [], []
        self._tail_floor = MAX_RELATIVE_OFFSET + self.base_offset
        self._context.index_used(self)

    def unload(self) -> None:
        """Give the memory of the indexes back; they are on disk."""
        if not self.is_active:
            self._offset_index = self._time_index = self._txn_index = None

    # Ends

    def truncate(self, end_offset: int) -> int:
        """Drop batches that reach ``end_offset`` or beyond; the number of bytes cut."""
        position = self.locate(end_offset)
        self._cut_reads()
        cut = self.size - position
        self.offset_index.truncate(end_offset)
        self.time_index.truncate(end_offset)
        self.txn_index.truncate(end_offset)
        self.file().truncate(position)
        self.size = position
        self._written = [-1, -1, -1]
        self.write_indexes()
        if not position:
            self.created_ms = self._context.clock.wall_ms()
            self._first_timestamp = None
        self._max_timestamp = None
        self._tail_offsets, self._tail_positions = [], []
        self._tail_floor = self.base_offset - 1
        self._bytes_since_index = 0
        self.adopt_tail()
        return cut

    def cut(self, position: int) -> None:
        """Drop the bytes from ``position`` on; the indexes are the caller's to rebuild."""
        self.file().truncate(position)
        self.size = position
        self._first_timestamp = self._max_timestamp = None
        self._cut_reads()

    def _cut_reads(self) -> None:
        """What was read may be no more what is there."""
        self._context.recent.forget()

    def reset_txn_index(self) -> None:
        self._txn_index = TxnIndex()
        self._written[2] = -1

    def drop(self) -> None:
        """Its files are going: no handle, no index and no bytes of it may stay."""
        self._cut_reads()
        for kind in SEGMENT_SUFFIXES:
            self._context.handles.forget(self.file_path(kind))
        self._context.index_gone(self)


def _is_batch_of(data: bytes, at: int, last_offset: int) -> bool:
    if at + HOP.size > len(data):
        return False
    base_offset, length, magic, delta = HOP.unpack_from(data, at)
    return bool(magic == 2 and length > 0 and base_offset + delta == last_offset)
