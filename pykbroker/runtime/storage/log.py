"""One partition's log: segments in order, what is known of producers and leader epochs, and how
far the log is committed.

    log_start_offset <= last_stable_offset <= high_watermark <= log_end_offset

Nothing is created on disk before the first append.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from pykbroker.log import get_logger
from pykbroker.runtime.storage.log_state import NEVER, LogState
from pykbroker.runtime.storage.replay import note_batch
from pykbroker.runtime.storage.results import AppendInfo, LogRead, TimestampOffset
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.producers import AppendOrigin
from wire.errors import ErrorCode
from wire.records.batch import LOG_OVERHEAD, TIMESTAMP_TYPE_BIT, iter_headers, verify_crc
from wire.records.errors import CorruptBatch

if TYPE_CHECKING:
    from pykbroker.runtime.storage.append import Intake
    from pykbroker.runtime.storage.results import KnownPartition, Recovery
    from pykbroker.runtime.storage.segment import Segment
    from pykbroker.state.log.producers import AbortedTxn, BatchMetadata
    from wire.records.batch import BatchHeader
    from wire.schema import Buffer

logger = get_logger("pykbroker.storage.log")
_new = tuple.__new__  # what AppendInfo._make does, in half the time
_ASSIGNED = Struct(">qii")
"""base offset, batch length, leader epoch: the fields that no checksum covers."""


_LOADED = frozenset(
    (
        "durable_end_offset",
        "high_watermark",
        "leader_epochs",
        "log_end_offset",
        "log_start_offset",
        "producers",
        "recovery_point",
    )
)


class PartitionLog(LogState):
    """All methods are synchronous and belong to the loop's thread; ``load`` also to a worker's
    before the log is in service. Every log begins as an UnloadedLog."""

    def __new__(cls, *_args: Any, **_options: Any) -> PartitionLog:
        return super().__new__(UnloadedLog)

    def load(
        self, *, recover: bool = False, known: KnownPartition | None = None
    ) -> Recovery | None:
        """Read the files; with ``recover``, after an unclean stop, judge their contents first."""
        if self.is_loaded:
            return None
        recovery = super().load(recover=recover, known=known)
        self.__class__ = PartitionLog
        return recovery

    def _intake(self, origin: AppendOrigin) -> Intake:
        from pykbroker.runtime.storage.append import Intake

        context, config = self.context, self._config
        walk = context.validate_records
        made_for, intake = context.intakes.get(origin, (None, None))
        if intake is None or made_for != (config, walk):
            intake = Intake(config, origin, walk=walk)
            context.intakes[origin] = (config, walk), intake
        self._intakes[origin] = intake
        return intake

    # Appending

    def append_as_leader(
        self,
        data: Buffer,
        leader_epoch: int,
        now_ms: int,
        *,
        origin: AppendOrigin = AppendOrigin.CLIENT,
        transaction_version: int = 0,
    ) -> AppendInfo:
        """Check, number and write one produced batch, or raise KafkaError and write nothing.

        ``data`` is patched in place if it is writable and needs no conversion.
        """
        if self.is_failed:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, self.directory)
        intake = self._intakes.get(origin) or self._intake(origin)
        data, header = intake.prepare(data, now_ms)
        (_, length, _, _, _, attributes, last, _, timestamp, producer_id, _, _, count) = header
        producers = self.producers
        if producer_id >= 0:
            original = intake.find_duplicate(producers, header)
            if original is not None:
                return self._duplicate(original, leader_epoch)
            intake.check_producer(producers, header, data, transaction_version)
        first_offset = self.log_end_offset
        last_offset = first_offset + last
        size = length + LOG_OVERHEAD
        _ASSIGNED.pack_into(data, 0, first_offset, length, leader_epoch)
        try:
            segment = self._segment_for(size, first_offset, last_offset, timestamp, now_ms)
            segment.append_one(data, size, last_offset, timestamp)
        except OSError as error:
            self.storage_error(error)
        if leader_epoch != self.leader_epochs.latest_epoch:
            self.leader_epochs.assign(leader_epoch, first_offset)
        if producer_id >= 0:
            note_batch(producers, header._replace(base_offset=first_offset), data, segment)
        self._set_end(last_offset + 1)
        return _new(
            AppendInfo,
            (
                first_offset,
                last_offset,
                timestamp if attributes & TIMESTAMP_TYPE_BIT else -1,
                self.log_start_offset,
                leader_epoch,
                False,
                timestamp,
                count,
                size,
            ),
        )

    def _duplicate(self, original: BatchMetadata, leader_epoch: int) -> AppendInfo:
        return AppendInfo(
            original.first_offset,
            original.last_offset,
            original.timestamp,
            self.log_start_offset,
            leader_epoch,
            duplicate=True,
        )

    def append_as_follower(self, data: Buffer, leader_epoch: int | None = None) -> AppendInfo:
        """Append replicated batches byte for byte; what is cut off at the end is left out.

        Batches of an epoch above ``leader_epoch``, if that is given, come from a leader that this
        replica does not follow yet: they and what is behind them are left out too.
        """
        if self.is_failed:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, self.directory)
        view = memoryview(data)
        batches = self._checked_batches(view, leader_epoch)
        first_offset = batches[0][1].base_offset if batches else self.log_end_offset
        now_ms = self.context.clock.wall_ms()
        for position, header in batches:
            stored = view[position : position + header.size_in_bytes]
            self._append_replicated(stored, header, now_ms)
        return AppendInfo(
            first_offset,
            self.log_end_offset - 1,
            -1,
            self.log_start_offset,
            self.leader_epochs.latest_epoch,
            max_timestamp=max((h.max_timestamp for _, h in batches), default=-1),
            record_count=sum(h.record_count for _, h in batches),
            size_in_bytes=sum(h.size_in_bytes for _, h in batches),
        )

    def _checked_batches(
        self, view: memoryview, leader_epoch: int | None
    ) -> list[tuple[int, BatchHeader]]:
        """All is checked before anything is written."""
        batches = []
        expected = self.log_end_offset
        try:
            for position, header in iter_headers(view, partial=True):
                if leader_epoch is not None and header.partition_leader_epoch > leader_epoch:
                    break
                verify_crc(view, position)
                if header.base_offset < expected:
                    raise CorruptBatch(
                        f"offset {header.base_offset} where {expected} or more was expected"
                    )
                expected = header.last_offset + 1
                batches.append((position, header))
        except CorruptBatch as problem:
            raise KafkaError(
                ErrorCode.CORRUPT_MESSAGE, f"{self.topic_partition}: {problem}"
            ) from None
        return batches

    def _append_replicated(self, stored: memoryview, header: BatchHeader, now_ms: int) -> None:
        last_offset = header.last_offset
        timestamp = header.max_timestamp
        try:
            segment = self._segment_for(
                len(stored), header.base_offset, last_offset, timestamp, now_ms
            )
            segment.append_one(stored, len(stored), last_offset, timestamp)
        except OSError as error:
            self.storage_error(error)
        if header.partition_leader_epoch >= 0:
            self.leader_epochs.assign(header.partition_leader_epoch, header.base_offset)
        if header.producer_id >= 0:
            note_batch(self.producers, header, stored, segment)
        self._set_end(last_offset + 1)

    def _set_end(self, end_offset: int) -> None:
        self.log_end_offset = end_offset
        self.producers.map_end_offset = end_offset
        if not self._flushes:
            self.durable_end_offset = end_offset
            return
        if end_offset - self.recovery_point < self._config.flush_messages:
            self.durable_end_offset = end_offset
            if self._config.flush_ms != NEVER and not self._flush_is_due:
                self._flush_is_due = True
                self.upkeep.flush_within(self, self._config.flush_ms)
        else:
            self.upkeep.flush_soon(self)

    # Segments

    def _segment_for(
        self, size: int, first_offset: int, last_offset: int, timestamp: int, now_ms: int
    ) -> Segment:
        """The active segment, or a new one if this batch does not fit it any more."""
        files = self.files
        if not files.exists:
            self._make_files()
        segment = files.segments[-1]
        if segment.takes(size, last_offset, timestamp, now_ms, self._config):
            return segment
        return self.roll(first_offset)

    def _make_files(self) -> None:
        self.files.make(self.log_end_offset, self.topic_id)
        self.leader_epochs.dirty = True
        self.upkeep.flush_soon(self)

    def roll(self, base_offset: int | None = None) -> Segment:
        """Close the active segment and begin another at ``base_offset``, or the log's end."""
        base = self.log_end_offset if base_offset is None else base_offset
        files = self.files
        if not files.exists:
            self._make_files()
        active = files.segments[-1]
        if not active.size:
            return active if active.base_offset == base else files.replace_empty_segment(base)
        active.write_ends()
        segment = files.add_segment(base)
        active.deactivate()
        self.producers.map_end_offset = base
        files.write_snapshot(self.producers)
        self.upkeep.flush_soon(self)
        return segment

    # Reading

    def read(
        self,
        offset: int,
        max_bytes: int,
        *,
        upper_bound: int | None = None,
        min_one_batch: bool = False,
        with_aborted: bool = False,
    ) -> LogRead:
        """Whole batches from the one that holds ``offset`` on, all of them below ``upper_bound``
        (the log's end if not said), of one segment, at most ``max_bytes``; yet one batch of any
        size if ``min_one_batch``.
        """
        end = self.log_end_offset
        if not self.log_start_offset <= offset <= end:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"Offset {offset} of {self.topic_partition} is not within "
                f"[{self.log_start_offset}, {end}]",
            )
        bound = end if upper_bound is None or upper_bound > end else upper_bound
        records: Buffer = b""
        aborted: list[AbortedTxn] | None = [] if with_aborted else None
        if offset < bound:
            try:
                records = self._read_segments(offset, max_bytes, bound, min_one_batch)
                if with_aborted and records:
                    aborted = self._aborted_in(offset, records)
            except CorruptBatch as problem:
                raise KafkaError(
                    ErrorCode.CORRUPT_MESSAGE, f"{self.topic_partition}: {problem}"
                ) from None
            except OSError as error:
                self.storage_error(error)
        return LogRead(
            records,
            self.log_start_offset,
            self.last_stable_offset,
            self.high_watermark,
            end,
            aborted,
        )

    def _read_segments(self, offset: int, max_bytes: int, bound: int, min_one: bool) -> Buffer:
        limit = None if bound == self.log_end_offset else bound
        for segment in self.files.from_offset(offset):
            if segment.base_offset >= bound:
                break
            found = segment.read(offset, max_bytes, limit, min_one)
            if found is not None:
                return found[1]
        return b""

    def _aborted_in(self, offset: int, records: Buffer) -> list[AbortedTxn]:
        """Aborted transactions that touch what was read."""
        end = offset
        for _, header in iter_headers(records):
            end = header.next_offset
        return self.aborted_between(offset, end)

    def aborted_between(self, offset: int, end: int) -> list[AbortedTxn]:
        found: list[AbortedTxn] = []
        for segment in self.files.from_offset(offset):
            aborted, is_complete = segment.txn_index.collect(offset, end)
            found += aborted
            if is_complete:
                break
        return found

    def offset_for_timestamp(self, timestamp: int) -> TimestampOffset:
        """ListOffsets: a time, or one of its special values."""
        from pykbroker.runtime.storage.lookup import offset_for_timestamp

        return offset_for_timestamp(self, timestamp)

    # Cutting

    def advance_log_start_offset(self, offset: int) -> bool:
        """Forget records below; their segments go with the next round of retention."""
        if offset > self.high_watermark:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"Log start offset {offset} of {self.topic_partition} would be above the high "
                f"watermark {self.high_watermark}",
            )
        if offset <= self.log_start_offset:
            return False
        self.log_start_offset = offset
        self.upkeep.log_start_moved(self)
        self.leader_epochs.truncate_from_start(offset)
        self.producers.on_high_watermark(max(self.high_watermark, offset))
        return True

    def delete_old_segments(self, now_ms: int) -> int:
        """What retention and DeleteRecords leave behind; how many segments went."""
        from pykbroker.state.log.retention import SegmentFacts, expired_segments

        segments = self.segments
        if not segments:
            return 0
        ends = [segment.base_offset for segment in segments[1:]] + [self.log_end_offset]
        facts = [
            SegmentFacts(segment.base_offset, end, segment.size, segment.largest_timestamp)
            for segment, end in zip(segments, ends, strict=True)
        ]
        expired = expired_segments(
            facts, self.config, self.log_start_offset, self.high_watermark, now_ms
        )
        if not expired.segments:
            return 0
        if expired.segments == len(segments):
            self.roll()
        gone = self.segments[: expired.segments]
        logger.info(
            "deleting segments",
            partition=str(self.topic_partition),
            segments=[segment.base_offset for segment in gone],
            reason=expired.reason,
        )
        self.advance_log_start_offset(self.segments[expired.segments].base_offset)
        del self.segments[: expired.segments]
        self.files.delete(gone)
        self.files.delete_snapshots([segment.base_offset for segment in gone])
        return expired.segments

    def truncate_to(self, offset: int) -> bool:
        """Drop every batch that reaches ``offset``; False if there was none.

        The log then ends at ``offset``, or before it if a batch was in the way.
        """
        from pykbroker.runtime.storage.loader import rebuild_producers

        if offset >= self.log_end_offset:
            # An epoch that began at the end and brought nothing is no other leader's.
            self.leader_epochs.truncate_from_end(self.log_end_offset)
            return False
        if (
            offset < self.log_start_offset
            or not self.segments
            or (offset < self.segments[0].base_offset)
        ):
            self.truncate_fully_and_start_at(offset)
            return True
        logger.info(
            "truncating",
            partition=str(self.topic_partition),
            offset=offset,
            log_end_offset=self.log_end_offset,
        )
        self._truncated(offset)
        keep = self.segment_index(offset) + 1
        gone = self.segments[keep:]
        del self.segments[keep:]
        self.files.drop_snapshots_above(offset)
        self.files.delete(reversed(gone), at_once=True)
        self.segments[-1].truncate(offset)
        self.files.truncated(self.segments[-1])
        end = self.segments[-1].next_offset()
        self._ended_at(end)
        self.leader_epochs.truncate_from_end(end)
        rebuild_producers(self, end)
        self.producers.on_high_watermark(self.high_watermark)
        return True

    def truncate_fully_and_start_at(self, offset: int, log_start_offset: int | None = None) -> None:
        """Drop everything; the next record is to have ``offset``."""
        logger.info(
            "truncating fully",
            partition=str(self.topic_partition),
            offset=offset,
            log_end_offset=self.log_end_offset,
        )
        self._truncated(offset)
        gone, self.segments[:] = self.segments[:], []
        self.files.drop_snapshots_above(-1)
        self.files.delete(reversed(gone), at_once=True)
        self.log_start_offset = offset if log_start_offset is None else log_start_offset
        self.recovery_point = min(self.recovery_point, offset)
        self.log_end_offset = self.durable_end_offset = offset
        self.high_watermark = offset
        self.leader_epochs.clear()
        self.producers.clear(offset)
        if self.files.exists:
            self.files.add_segment(offset)
        elif offset:
            self._make_files()

    def _truncated(self, offset: int) -> None:
        self.generation += 1
        self.upkeep.truncated(self)
        lowest = self.lowest_truncation
        self.lowest_truncation = offset if lowest is None else min(lowest, offset)

    def _ended_at(self, offset: int) -> None:
        self.log_end_offset = offset
        self.durable_end_offset = min(self.durable_end_offset, offset)
        self.recovery_point = min(self.recovery_point, offset)
        self.high_watermark = min(self.high_watermark, offset)


class UnloadedLog(PartitionLog):
    """Loads itself when something is asked for that comes from the files, and is a PartitionLog
    from then on: in a class with ``__getattr__`` every attribute is slow."""

    def __getattr__(self, name: str) -> Any:
        # Only what load() has yet to set gets here.
        if name not in _LOADED or self.is_loaded:
            raise AttributeError(name)
        self.load()
        return getattr(self, name)
