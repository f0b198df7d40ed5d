"""What a log knows of each producer id: its epoch, its last batches, its open transaction.

All of it is derived from the batches of the log, on the leader as on followers and in recovery,
so a new leader answers the duplicates of its predecessor (replication-notes 6 and 7). Only a
leader's appends are checked; what is in a log already is believed.

``first_unstable_offset`` is the first offset of any transaction that is open, or whose marker is
not yet below the high watermark.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.tuples import NamedTuple

BATCHES_TO_RETAIN = 5
MAX_SEQUENCE = 2**31 - 1
NO_EPOCH = -1
NO_SEQUENCE = -1
ABORT, COMMIT = 0, 1


class AppendOrigin(StrEnum):
    """Who appends, which says how much is checked."""

    CLIENT = "client"
    COORDINATOR = "coordinator"
    REPLICATION = "replication"


class BatchMetadata(NamedTuple):
    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int

    @property
    def first_offset(self) -> int:
        return self.last_offset - self.offset_delta

    @property
    def first_sequence(self) -> int:
        return decrement_sequence(self.last_sequence, self.offset_delta)


class ProducerEntry:
    __slots__ = (
        "batches",
        "coordinator_epoch",
        "current_txn_first_offset",
        "epoch",
        "last_timestamp",
        "producer_id",
    )

    def __init__(self, producer_id: int, epoch: int = NO_EPOCH) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        self.batches: deque[BatchMetadata] = deque(maxlen=BATCHES_TO_RETAIN)
        """Of the current epoch, oldest first."""
        self.coordinator_epoch = -1
        self.last_timestamp = -1
        self.current_txn_first_offset = -1

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    @property
    def last_data_offset(self) -> int:
        return self.batches[-1].last_offset if self.batches else -1

    @property
    def last_offset_delta(self) -> int:
        return self.batches[-1].offset_delta if self.batches else 0

    def duplicate(
        self, epoch: int, first_sequence: int, last_sequence: int
    ) -> BatchMetadata | None:
        if epoch != self.epoch:
            return None
        for batch in self.batches:
            if batch.last_sequence == last_sequence and batch.first_sequence == first_sequence:
                return batch
        return None

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.batches.clear()
            self.epoch = epoch


class AbortedTxn(NamedTuple):
    """One entry of a segment's transaction index."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


class CompletedTxn(NamedTuple):
    producer_id: int
    first_offset: int
    last_offset: int
    is_aborted: bool


class ProducerState:
    def __init__(self) -> None:
        self.entries: dict[int, ProducerEntry] = {}
        self.map_end_offset = 0
        """All batches below are reflected."""
        self.first_unstable_offset: int | None = None
        self._ongoing: dict[int, int] = {}
        """First offset -> producer id of transactions without a marker."""
        self._unreplicated: dict[int, int] = {}
        """First offset -> marker's offset of transactions whose marker is not below the HW."""

    def find_duplicate(
        self, producer_id: int, epoch: int, first_sequence: int, last_sequence: int
    ) -> BatchMetadata | None:
        entry = self.entries.get(producer_id)
        return entry.duplicate(epoch, first_sequence, last_sequence) if entry else None

    def check_data(
        self,
        producer_id: int,
        epoch: int,
        first_sequence: int,
        is_transactional: bool,
        origin: AppendOrigin,
    ) -> None:
        """May a leader append this batch? Duplicates have been answered before."""
        entry = self.entries.get(producer_id)
        last_epoch = NO_EPOCH if entry is None else entry.epoch
        if epoch < last_epoch:
            raise KafkaError(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"Epoch of producer {producer_id} is {epoch}, below the last seen {last_epoch}",
            )
        if entry is None:
            return
        if origin is AppendOrigin.CLIENT:
            _check_sequence(entry, epoch, first_sequence)
        if entry.current_txn_first_offset >= 0 and not is_transactional:
            raise KafkaError(
                ErrorCode.INVALID_TXN_STATE,
                f"Expected a transactional write from producer {producer_id}",
            )

    def append_data(
        self,
        producer_id: int,
        epoch: int,
        last_sequence: int,
        first_offset: int,
        last_offset: int,
        timestamp: int,
        is_transactional: bool,
    ) -> None:
        entry = self.entries.get(producer_id)
        if entry is None:
            entry = self.entries[producer_id] = ProducerEntry(producer_id, epoch)
        elif entry.epoch != epoch:
            entry.set_epoch(epoch)
        batch = BatchMetadata(last_sequence, last_offset, last_offset - first_offset, timestamp)
        entry.batches.append(batch)
        entry.last_timestamp = timestamp
        if is_transactional and entry.current_txn_first_offset < 0:
            entry.current_txn_first_offset = first_offset
            self._ongoing[first_offset] = producer_id
            self._update_first_unstable()

    def check_marker(
        self, producer_id: int, epoch: int, coordinator_epoch: int, transaction_version: int
    ) -> None:
        """Fences markers of older coordinators and older producer epochs (KIP-890)."""
        entry = self.entries.get(producer_id)
        if entry is None:
            return
        is_late = epoch <= entry.epoch if transaction_version >= 2 else epoch < entry.epoch
        if is_late:
            raise KafkaError(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"Epoch of the marker for producer {producer_id} is {epoch}, "
                f"the last seen is {entry.epoch}",
            )
        if coordinator_epoch < entry.coordinator_epoch:
            raise KafkaError(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"Coordinator epoch {coordinator_epoch} for producer {producer_id} is below "
                f"{entry.coordinator_epoch}",
            )

    def append_marker(
        self,
        producer_id: int,
        epoch: int,
        coordinator_epoch: int,
        offset: int,
        timestamp: int,
        is_abort: bool,
    ) -> CompletedTxn | None:
        """None for a marker without data: it leaves no trace in the transaction index."""
        entry = self.entries.get(producer_id)
        if entry is None:
            entry = self.entries[producer_id] = ProducerEntry(producer_id, epoch)
        entry.set_epoch(epoch)
        entry.coordinator_epoch = coordinator_epoch
        entry.last_timestamp = timestamp
        first_offset, entry.current_txn_first_offset = entry.current_txn_first_offset, -1
        if first_offset < 0:
            return None
        return CompletedTxn(producer_id, first_offset, offset, is_abort)

    def last_stable_offset(self, completed: CompletedTxn) -> int:
        """What the LSO will be once this transaction's marker is replicated."""
        others = [first for first in self._ongoing if first != completed.first_offset]
        return min(others, default=completed.last_offset + 1)

    def complete_txn(self, completed: CompletedTxn) -> None:
        """The marker is in the log; the transaction stays unstable until it is replicated."""
        self._ongoing.pop(completed.first_offset, None)
        self._unreplicated[completed.first_offset] = completed.last_offset
        self._update_first_unstable()

    def on_high_watermark(self, high_watermark: int) -> None:
        """Markers below are replicated: their transactions are stable."""
        if not self._unreplicated:
            return
        done = [first for first, last in self._unreplicated.items() if last < high_watermark]
        for first_offset in done:
            del self._unreplicated[first_offset]
        if done:
            self._update_first_unstable()

    def has_open_transaction(self, producer_id: int, epoch: int) -> bool:
        entry = self.entries.get(producer_id)
        return entry is not None and entry.epoch == epoch and entry.current_txn_first_offset >= 0

    def remove_expired(self, now_ms: int, expiration_ms: int) -> int:
        """Idle producers go, never one with an open transaction."""
        expired = [
            entry.producer_id
            for entry in self.entries.values()
            if entry.current_txn_first_offset < 0 and now_ms - entry.last_timestamp >= expiration_ms
        ]
        for producer_id in expired:
            del self.entries[producer_id]
        return len(expired)

    def clear(self, map_end_offset: int) -> None:
        self.entries.clear()
        self._ongoing.clear()
        self._unreplicated.clear()
        self.first_unstable_offset = None
        self.map_end_offset = map_end_offset

    def load(self, entries: list[ProducerEntry], map_end_offset: int) -> None:
        """Replace everything with what a snapshot taken at ``map_end_offset`` holds."""
        self.clear(map_end_offset)
        for entry in entries:
            self.entries[entry.producer_id] = entry
            if entry.current_txn_first_offset >= 0:
                self._ongoing[entry.current_txn_first_offset] = entry.producer_id
        self._update_first_unstable()

    def _update_first_unstable(self) -> None:
        first = min(self._ongoing, default=None)
        unreplicated = min(self._unreplicated, default=None)
        if first is None or (unreplicated is not None and unreplicated < first):
            first = unreplicated
        self.first_unstable_offset = first


def _check_sequence(entry: ProducerEntry, epoch: int, first_sequence: int) -> None:
    if epoch != entry.epoch:
        if first_sequence != 0 and entry.epoch != NO_EPOCH:
            raise KafkaError(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"Invalid sequence number for new epoch {epoch} of producer "
                f"{entry.producer_id}: {first_sequence}",
            )
        return
    if entry.epoch == NO_EPOCH:
        return
    if first_sequence != increment_sequence(entry.last_sequence, 1):
        raise KafkaError(
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            f"Out of order sequence number for producer {entry.producer_id}: {first_sequence} "
            f"(incoming seq. number), {entry.last_sequence} (current end sequence number)",
        )


def increment_sequence(sequence: int, by: int) -> int:
    """Sequences wrap from 2^31 - 1 to 0."""
    result = sequence + by
    return result - (MAX_SEQUENCE + 1) if result > MAX_SEQUENCE else result


def decrement_sequence(sequence: int, by: int) -> int:
    return sequence - by if sequence >= by else MAX_SEQUENCE - (by - sequence) + 1
