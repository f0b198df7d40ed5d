"""Questions about the offsets of one partition: ListOffsets and OffsetForLeaderEpoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.runtime.partition import LOG_END, Partition
from pykbroker.runtime.storage.lookup import (
    EARLIEST,
    EARLIEST_LOCAL,
    EARLIEST_PENDING_UPLOAD,
    LATEST,
    LATEST_TIERED,
    MAX_TIMESTAMP,
)
from pykbroker.runtime.storage.results import NOT_FOUND, TimestampOffset
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_EPOCH
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from pykbroker.state.log.epochs import EpochEnd

SPECIAL_SINCE = {
    EARLIEST: 1,
    LATEST: 1,
    MAX_TIMESTAMP: 7,
    EARLIEST_LOCAL: 8,
    LATEST_TIERED: 9,
    EARLIEST_PENDING_UPLOAD: 11,
}
"""Special timestamps, and the version of ListOffsets that brought each."""


def end_offset_for_epoch(
    partition: Partition, leader_epoch: int, current_leader_epoch: int
) -> EpochEnd:
    log = partition.local_log(current_leader_epoch, only_leader=True)
    return log.leader_epochs.end_offset(leader_epoch, log.log_end_offset)


def offset_for(
    partition: Partition,
    timestamp: int,
    isolation: int,
    current_leader_epoch: int,
    *,
    only_leader: bool,
) -> TimestampOffset:
    """Offset -1 if there is nothing. ``isolation`` is LOG_END for who is no consumer."""
    log = partition.local_log(current_leader_epoch, only_leader=only_leader)
    bound = partition.visible_end(isolation)
    start = partition.state.epoch_start_offset
    # A new leader's high watermark may lag behind what its predecessor showed to clients.
    lags = isolation != LOG_END and start is not None and start > log.high_watermark
    if timestamp == LATEST:
        if lags:
            _refuse(partition)
        return TimestampOffset(-1, bound, partition.leader_epoch)
    found = log.offset_for_timestamp(timestamp)
    if timestamp in (EARLIEST, EARLIEST_LOCAL) or 0 <= found.offset < bound:
        return found
    if lags and timestamp not in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
        _refuse(partition)
    return NOT_FOUND


def offsets_before(
    partition: Partition, timestamp: int, isolation: int, max_count: int
) -> list[int]:
    """ListOffsets v0: where segments begin that were written to last by then, newest first; the
    log's end counts as written to now."""
    log = partition.local_log(NO_EPOCH, only_leader=True)
    starts = [max(segment.base_offset, log.log_start_offset) for segment in log.segments]
    times = [log.context.disk.mtime_ms(segment.path) for segment in log.segments]
    if not log.segments or log.segments[-1].size:
        starts.append(log.log_end_offset)
        times.append(log.context.clock.wall_ms())
    if timestamp == EARLIEST:
        count = 1
    elif timestamp == LATEST:
        count = len(starts)
    else:
        count = max((i + 1 for i, time in enumerate(times) if time <= timestamp), default=0)
    found = sorted(starts[:count][::-1][: max(max_count, 0)], reverse=True)
    bound = partition.visible_end(isolation)
    if found and found[0] > bound:
        found = [bound, *(offset for offset in found if offset <= bound)]
    return found


def _refuse(partition: Partition) -> None:
    state = partition.state
    raise KafkaError(
        ErrorCode.OFFSET_NOT_AVAILABLE,
        f"Failed to fetch offsets for partition {partition.topic_partition} with leader epoch "
        f"{state.leader_epoch} as this partition's high watermark ({partition.high_watermark}) is "
        f"lagging behind the start offset from the beginning of this epoch "
        f"({state.epoch_start_offset}).",
    )
