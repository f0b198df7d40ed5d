"""ListOffsets: from a time, or one of its special values, to an offset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.runtime.storage.results import NOT_FOUND, TimestampOffset
from pykbroker.runtime.storage.scan import scan
from wire.records.record import iter_records

if TYPE_CHECKING:
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.segment import Segment

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3
EARLIEST_LOCAL = -4
LATEST_TIERED = -5
EARLIEST_PENDING_UPLOAD = -6


def offset_for_timestamp(log: PartitionLog, timestamp: int) -> TimestampOffset:
    """The first record whose timestamp is at or after ``timestamp``."""
    if timestamp == LATEST:
        return TimestampOffset(-1, log.log_end_offset, log.leader_epochs.latest_epoch)
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        start = log.log_start_offset
        return TimestampOffset(-1, start, log.leader_epochs.epoch_for_offset(start))
    if timestamp == MAX_TIMESTAMP:
        return _latest_in_time(log)
    if timestamp < 0:
        return NOT_FOUND  # Without tiered storage there is nothing tiered.
    for segment in log.segments:
        if segment.largest_timestamp() >= timestamp:
            found = _first_at_or_after(log, segment, timestamp)
            if found is not None:
                return found
    return NOT_FOUND


def _first_at_or_after(
    log: PartitionLog, segment: Segment, timestamp: int
) -> TimestampOffset | None:
    start = log.log_start_offset
    offset = max(segment.time_index.lookup(timestamp), start)
    entry = segment.offset_index.lookup(offset)
    position = segment.locate(entry.last_offset) if entry else 0
    for stored in scan(segment.file(), position, segment.size):
        header = stored.header
        if header.max_timestamp < timestamp or header.last_offset < start:
            continue
        for record in iter_records(stored.data):
            if record.timestamp >= timestamp and record.offset >= start:
                return TimestampOffset(
                    record.timestamp, record.offset, header.partition_leader_epoch
                )
    return None


def _latest_in_time(log: PartitionLog) -> TimestampOffset:
    """The first record that has the largest timestamp of all, which is -1 where none has one."""
    best = max(log.segments, key=lambda segment: segment.max_timestamp, default=None)
    if best is None:
        return NOT_FOUND
    timestamp, last_offset = best.max_timestamp_and_offset()
    position = best.locate(last_offset)
    for stored in scan(best.file(), position, best.size):
        header = stored.header
        if header.max_timestamp != timestamp:
            continue
        for record in iter_records(stored.data):
            if record.timestamp == timestamp:
                return TimestampOffset(timestamp, record.offset, header.partition_leader_epoch)
    return NOT_FOUND
