"""What a log answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.config.topic import LogConfig
    from pykbroker.state.log.producers import AbortedTxn
    from wire.schema import Buffer


class AppendInfo(NamedTuple):
    """``log_append_time`` is -1 unless the broker stamped the records.

    For a duplicate the offsets are those of the batch that is in the log already, and
    ``log_append_time`` is its newest timestamp, whoever set it: so answers Kafka.
    """

    first_offset: int
    last_offset: int
    log_append_time: int
    log_start_offset: int
    leader_epoch: int
    duplicate: bool = False
    max_timestamp: int = -1
    record_count: int = 0
    size_in_bytes: int = 0


class LogRead(NamedTuple):
    """Whole batches as stored. ``aborted`` is None unless it was asked for."""

    records: Buffer
    log_start_offset: int
    last_stable_offset: int
    high_watermark: int
    log_end_offset: int
    aborted: list[AbortedTxn] | None = None


class TimestampOffset(NamedTuple):
    """-1 where there is nothing to say."""

    timestamp: int
    offset: int
    leader_epoch: int


NOT_FOUND = TimestampOffset(-1, -1, -1)


class Recovery(NamedTuple):
    """What was done to a log after an unclean stop."""

    scanned_bytes: int
    cut_bytes: int
    """Torn or damaged bytes taken off the end, the segments behind them included."""
    end_offset: int
    reason: str
    """Why the cut was made; empty without one."""


class KnownPartition(NamedTuple):
    """What the metadata says of a partition that is to be recovered: with it, damage can be seen
    in two fields that no checksum covers. None is not known."""

    config: LogConfig
    leader_epoch: int | None = None
    """No batch can have a higher one."""
