"""What a follower cuts off to agree with its leader, told by leader epochs alone (KIP-101, 279).

It never truncates to its high watermark: that may lag, and what lies above it may be committed.
The leader says where the follower's last epoch ended in the leader's own log (``diverging_epoch``
in ``replica``); the follower cuts there, as often as it takes until both agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.log.epochs import UNDEFINED_EPOCH
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.state.log.epochs import EpochEnd, LeaderEpochCache


class Truncation(NamedTuple):
    """``is_final`` False: after it, ask the leader again."""

    offset: int
    is_final: bool


def truncation(epochs: LeaderEpochCache, log_end_offset: int, leaders_end: EpochEnd) -> Truncation:
    """What a follower does on a diverging epoch."""
    own = epochs.end_offset(leaders_end.epoch, log_end_offset)
    if own.epoch == UNDEFINED_EPOCH:
        return Truncation(min(leaders_end.end_offset, log_end_offset), True)
    if own.epoch == leaders_end.epoch:
        return Truncation(min(leaders_end.end_offset, own.end_offset, log_end_offset), True)
    return Truncation(min(own.end_offset, log_end_offset), False)


class OutOfRange(NamedTuple):
    """``restart``: drop everything and start the log at ``offset``; else truncate to it."""

    offset: int
    restart: bool


def out_of_range(log_end_offset: int, leader_start: int, leader_end: int) -> OutOfRange:
    """What a follower does when its end is outside its leader's log."""
    if leader_end < log_end_offset:
        # Only after an unclean election.
        return OutOfRange(leader_end, False)
    return OutOfRange(max(leader_start, log_end_offset), log_end_offset < leader_start)


def follower_high_watermark(leader_high_watermark: int, log_end_offset: int) -> int:
    return min(leader_high_watermark, log_end_offset)
