"""Which of a log's oldest segments may go, and why: a plan, carried out by the log.

Only a prefix ever goes, never past the high watermark, and never an empty last segment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykbroker.config.topic import LogConfig


class SegmentFacts(NamedTuple):
    base_offset: int
    end_offset: int
    """The next segment's base, or the log end offset."""
    size: int
    largest_timestamp: Callable[[], int]
    """Asked only where time decides: it may cost a look at the disk."""


class Expired(NamedTuple):
    segments: int
    """How many, from the front."""
    reason: str


def expired_segments(
    segments: Sequence[SegmentFacts],
    config: LogConfig,
    log_start_offset: int,
    high_watermark: int,
    now_ms: int,
) -> Expired:
    """What to delete; the reason is that of the last one."""
    bound = _bound(segments, high_watermark)
    count, reason = 0, ""
    while count < min(bound, len(segments) - 1) and segments[count].end_offset <= log_start_offset:
        count, reason = count + 1, "log start offset breach"
    if not config.cleanup_delete:
        return Expired(count, reason)
    if config.retention_bytes >= 0:
        excess = sum(s.size for s in segments[count:]) - config.retention_bytes
        while count < bound and excess - segments[count].size >= 0:
            excess -= segments[count].size
            count, reason = count + 1, "log retention size breach"
    if config.retention_ms >= 0:
        while count < bound and now_ms - segments[count].largest_timestamp() > config.retention_ms:
            count, reason = count + 1, "log retention time breach"
    return Expired(count, reason)


def _bound(segments: Sequence[SegmentFacts], high_watermark: int) -> int:
    for index, segment in enumerate(segments):
        is_last_and_empty = index == len(segments) - 1 and segment.size == 0
        if segment.end_offset > high_watermark or is_last_and_empty:
            return index
    return len(segments)
