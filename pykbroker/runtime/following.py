"""What a follower does with one partition's part of its leader's answer, in one step on the loop.

The batches go to the log as they came. What is cut off, the leader's epochs say (see
``state.truncation``), never the high watermark. An answer to a question that this log would no
longer ask is nothing.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.state.errors import KafkaError
from pykbroker.state.follower import Position
from pykbroker.state.log.epochs import EpochEnd
from pykbroker.state.truncation import follower_high_watermark, out_of_range, truncation
from wire.errors import ErrorCode
from wire.records.batch import read_header, verify_crc
from wire.records.errors import CorruptBatch

if TYPE_CHECKING:
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.storage.log import PartitionLog
    from wire.messages.fetch import PartitionData
    from wire.schema import Buffer

logger = get_logger("pykbroker.runtime.following")


class Outcome(Enum):
    DONE = auto()
    RETRY = auto()
    OUT_OF_RANGE = auto()
    """Ask the leader where its log begins and ends."""


def position(log: PartitionLog) -> Position:
    """What the next fetch is to say: only what is held for good counts as held."""
    return Position(log.durable_end_offset, log.leader_epochs.latest_epoch, log.log_start_offset)


def take(partition: Partition, leader_epoch: int, asked: Position, data: PartitionData) -> Outcome:
    """Raises KafkaError for what this broker's disk or the data are to blame for."""
    code = ErrorCode(data.error_code)
    log = partition.log
    if partition.is_leader or partition.leader_epoch != leader_epoch:
        return Outcome.DONE
    if code is ErrorCode.OFFSET_OUT_OF_RANGE:
        return Outcome.OUT_OF_RANGE
    if code is not ErrorCode.NONE:
        logger.info("not fetched", partition=str(partition.topic_partition), reason=code.name)
        return Outcome.RETRY
    if log.log_end_offset != asked.fetch_offset:
        return Outcome.DONE
    diverging = data.diverging_epoch
    if diverging.epoch >= 0:
        return _truncate(partition, EpochEnd(diverging.epoch, diverging.end_offset))
    records = data.records
    if records:
        _append(log, b"".join(records) if isinstance(records, list) else records, leader_epoch)
    _follow_leader(partition, data.high_watermark, data.log_start_offset)
    return Outcome.DONE


def size_of(data: PartitionData) -> int:
    """Of the records."""
    records = data.records
    if isinstance(records, list):
        return sum(len(part) for part in records)
    return len(records) if records else 0


def _append(log: PartitionLog, records: Buffer, leader_epoch: int) -> None:
    end = log.log_end_offset
    if end == log.log_start_offset and end:
        try:
            first = read_header(records)
            verify_crc(records, 0)
        except CorruptBatch as problem:
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, str(problem)) from None
        if first.base_offset < end <= first.last_offset:
            # The leader's log starts within a batch, and batches are copied whole.
            log.truncate_fully_and_start_at(first.base_offset, end)
    log.append_as_follower(records, leader_epoch)


def _follow_leader(partition: Partition, high_watermark: int, log_start_offset: int) -> None:
    """The high watermark of a new leader may lag behind what its predecessor told."""
    log = partition.log
    committed = follower_high_watermark(high_watermark, log.log_end_offset)
    if committed > log.high_watermark:
        log.update_high_watermark(committed)
        partition.high_watermark_moved()
    start = min(log_start_offset, log.high_watermark)
    if start > log.log_start_offset:
        log.advance_log_start_offset(start)


def _truncate(partition: Partition, leaders_end: EpochEnd) -> Outcome:
    """Not final: the next fetch asks the leader again, by the epoch that ends the log then."""
    log = partition.log
    before = position(log)
    cut = truncation(log.leader_epochs, log.log_end_offset, leaders_end)
    if cut.offset < log.high_watermark:
        logger.warning(
            "truncating below the high watermark",
            partition=str(partition.topic_partition),
            high_watermark=log.high_watermark,
            offset=cut.offset,
        )
    _cut(log, cut.offset)
    return Outcome.RETRY if position(log) == before else Outcome.DONE


def _cut(log: PartitionLog, offset: int) -> None:
    try:
        log.truncate_to(offset)
    except OSError as error:
        log.storage_error(error)


def settle_range(
    partition: Partition, asked: Position, leader_start: int, leader_end: int
) -> Outcome:
    """Our end is not within the leader's log, which begins and ends there."""
    log = partition.log
    if log.log_end_offset != asked.fetch_offset:
        return Outcome.DONE
    decided = out_of_range(log.log_end_offset, leader_start, leader_end)
    if decided.restart:
        logger.warning(
            "replica begins anew",
            partition=str(partition.topic_partition),
            log_end_offset=log.log_end_offset,
            leader_start_offset=leader_start,
        )
        try:
            log.truncate_fully_and_start_at(decided.offset)
        except OSError as error:
            log.storage_error(error)
        return Outcome.DONE
    if decided.offset == log.log_end_offset:
        return Outcome.RETRY
    logger.warning(
        "replica is ahead of its leader",
        partition=str(partition.topic_partition),
        log_end_offset=log.log_end_offset,
        leader_end_offset=leader_end,
    )
    _cut(log, decided.offset)
    return Outcome.DONE


def is_fatal(error: KafkaError) -> bool:
    """Whether this replica cannot go on until it is told to anew."""
    return error.code is ErrorCode.KAFKA_STORAGE_ERROR
