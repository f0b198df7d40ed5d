"""What stored batches tell of producers and transactions, on a leader as on a follower and in
recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.log.producers import ABORT, AbortedTxn

if TYPE_CHECKING:
    from pykbroker.runtime.storage.segment import Segment
    from pykbroker.state.log.producers import CompletedTxn, ProducerState
    from wire.records.batch import BatchHeader
    from wire.schema import Buffer


def note_batch(
    producers: ProducerState, header: BatchHeader, data: Buffer, segment: Segment | None
) -> None:
    """Take a stored batch of a producer id into its state. ``segment``, which holds the batch, is
    told of a transaction that it aborts, unless it knows already (None)."""
    if not header.is_control:
        producers.append_data(
            header.producer_id,
            header.producer_epoch,
            header.last_sequence,
            header.base_offset,
            header.base_offset + header.last_offset_delta,
            header.max_timestamp,
            header.is_transactional,
        )
        return
    completed = _note_marker(producers, header, data)
    if completed is None:
        return
    if completed.is_aborted and segment is not None:
        stable = producers.last_stable_offset(completed)
        segment.add_aborted(AbortedTxn(*completed[:3], stable))
    producers.complete_txn(completed)


def _note_marker(
    producers: ProducerState, header: BatchHeader, data: Buffer
) -> CompletedTxn | None:
    """The transaction that the marker ends."""
    if not header.record_count:
        return None  # The cleaner took the marker; nothing of its transaction is left.
    from wire.records.record import control_type, iter_records, marker_coordinator_epoch

    marker = next(iter_records(data))
    return producers.append_marker(
        header.producer_id,
        header.producer_epoch,
        marker_coordinator_epoch(marker),
        header.base_offset,
        marker.timestamp,
        control_type(marker) == ABORT,
    )
