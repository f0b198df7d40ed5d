"""Which records of a batch compaction keeps, and the batch that remains.

Tombstones stay until their delete horizon, which the first cleaning that finds them sets to
delete.retention.ms from then (KIP-534); markers of transactions likewise, counted from when
nothing of their transaction is left. Offsets never change. A batch that holds the last sequence
of a producer, or the last offset of the round, stays even without records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.log.producers import ABORT, COMMIT
from wire.records.batch import LOG_APPEND_TIME, set_max_timestamp
from wire.records.record import RecordBatchBuilder, control_type, iter_records
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pykbroker.state.log.cleaning import OffsetMap
    from pykbroker.state.log.producers import AbortedTxn, ProducerEntry
    from wire.records.batch import BatchHeader
    from wire.records.record import Record
    from wire.schema import Buffer


UNBOUNDED = 2**31 - 1
"""What is in the log was accepted once, whatever the limits are now."""


class LastRecord(NamedTuple):
    """Of an active producer; the offset is -1 if its last entry is a marker."""

    data_offset: int
    epoch: int


def last_records(entries: Iterable[ProducerEntry]) -> dict[int, LastRecord]:
    return {e.producer_id: LastRecord(e.last_data_offset, e.epoch) for e in entries}


class TransactionTracker:
    """Follows transactions over the batches in order of offsets, from their first batch on."""

    def __init__(self) -> None:
        self._waiting: list[AbortedTxn] = []
        self._aborted: dict[int, AbortedTxn] = {}
        """By producer id, transactions that are being walked through."""
        self._seen: set[int] = set()
        """Producer ids of aborted transactions of which a batch was found."""
        self._committed: set[int] = set()
        self.kept: list[AbortedTxn] = []
        """Entries for the new segment's transaction index: their marker stays."""

    def add_aborted(self, transactions: Iterable[AbortedTxn]) -> None:
        known = set(self._waiting) | set(self._aborted.values())
        self._waiting += [txn for txn in transactions if txn not in known]
        self._waiting.sort(key=_first_offset, reverse=True)

    def on_data(self, header: BatchHeader) -> bool:
        """True if the batch belongs to an aborted transaction."""
        self._take_up_to(header.last_offset)
        if not header.is_transactional:
            return False
        if header.producer_id in self._aborted:
            self._seen.add(header.producer_id)
            return True
        self._committed.add(header.producer_id)
        return False

    def on_control(self, header: BatchHeader, data: Buffer) -> bool:
        """True if nothing of the marker's transaction is left, so that it may go."""
        self._take_up_to(header.last_offset)
        if not header.record_count:
            return True
        kind = control_type(next(iter_records(data)))
        producer_id = header.producer_id
        if kind == ABORT:
            aborted = self._aborted.pop(producer_id, None)
            if aborted is not None and producer_id in self._seen:
                self._seen.discard(producer_id)
                self.kept.append(aborted)
                return False
            return True
        if kind == COMMIT:
            was_seen = producer_id in self._committed
            self._committed.discard(producer_id)
            return not was_seen
        return False

    def _take_up_to(self, offset: int) -> None:
        while self._waiting and self._waiting[-1].first_offset <= offset:
            aborted = self._waiting.pop()
            self._aborted.setdefault(aborted.producer_id, aborted)


class BatchFilter:
    """One round's decisions, batch by batch in order of offsets."""

    def __init__(
        self,
        offsets: OffsetMap,
        active_producers: Mapping[int, LastRecord],
        end_offset: int,
        *,
        now_ms: int,
        delete_retention_ms: int,
    ) -> None:
        """``end_offset`` is the end of the cleaning round."""
        self._offsets = offsets
        self._producers = active_producers
        self._end_offset = end_offset
        self._now_ms = now_ms
        self._horizon_ms = now_ms + delete_retention_ms
        self.transactions = TransactionTracker()

    def filter(self, header: BatchHeader, data: Buffer) -> Buffer | None:
        """What remains of the batch; None if nothing does, ``data`` itself if all of it."""
        horizon = header.delete_horizon
        if header.is_control:
            is_spent = self.transactions.on_control(header, data)
            discard = is_spent and horizon is not None and horizon <= self._now_ms
            starts_horizon = is_spent and horizon is None
        else:
            discard = self.transactions.on_data(header)
            starts_horizon = False
        keep_empty = self._must_stay(header)
        if discard:
            return _empty(header) if keep_empty else None
        records = list(iter_records(data, max_decompressed_bytes=UNBOUNDED))
        kept = records if header.is_control else [r for r in records if self._keeps(r, horizon)]
        if not kept:
            return _empty(header) if keep_empty else None
        if not header.is_control and horizon is None:
            starts_horizon = any(record.value is None for record in kept)
        if len(kept) == len(records) and not starts_horizon:
            return data
        return _rebuilt(header, kept, self._horizon_ms if starts_horizon else horizon)

    def _keeps(self, record: Record, horizon: int | None) -> bool:
        if record.offset > self._offsets.latest_offset:
            return True
        if record.key is None or record.offset < self._offsets.get(record.key):
            return False
        return record.value is not None or horizon is None or self._now_ms < horizon

    def _must_stay(self, header: BatchHeader) -> bool:
        if header.next_offset == self._end_offset:
            return True
        last = self._producers.get(header.producer_id) if header.has_producer_id else None
        if last is None:
            return False
        if last.data_offset >= 0:
            return header.last_offset == last.data_offset
        return header.is_control and header.producer_epoch == last.epoch


def _empty(header: BatchHeader) -> bytearray:
    batch = _builder(header, None, compression=0).build()
    set_max_timestamp(batch, 0, header.max_timestamp, header.timestamp_type)
    return batch


def _rebuilt(header: BatchHeader, kept: list[Record], horizon: int | None) -> bytearray:
    builder = _builder(header, horizon, compression=header.compression)
    for record in kept:
        builder.append(record)
    return builder.build()


def _builder(header: BatchHeader, horizon: int | None, *, compression: int) -> RecordBatchBuilder:
    is_stamped = header.timestamp_type == LOG_APPEND_TIME
    return RecordBatchBuilder(
        base_offset=header.base_offset,
        compression=compression,
        timestamp_type=header.timestamp_type,
        log_append_time=header.max_timestamp if is_stamped else None,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        is_transactional=header.is_transactional,
        is_control=header.is_control,
        partition_leader_epoch=header.partition_leader_epoch,
        delete_horizon=horizon,
        last_offset_delta=header.last_offset_delta,
    )


def _first_offset(aborted: AbortedTxn) -> int:
    return aborted.first_offset
