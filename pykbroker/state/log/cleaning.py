"""What the cleaner may clean and what is worth it: the plan of log compaction.

A compacted log keeps, of every key, the record with the highest offset. What has been cleaned
before is the clean part, what was written since the dirty one; the active segment, what is not
stable yet and what is younger than min.compaction.lag.ms is never touched.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from pykbroker.state.log.index import MAX_RELATIVE_OFFSET
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykbroker.config.topic import LogConfig

BYTES_PER_KEY = 160
"""What an entry of the offset map takes, roughly: log.cleaner.dedupe.buffer.size holds so many."""
_RAW_KEY = 15


class CleanerSegment(NamedTuple):
    """A segment as the plan sees it."""

    base_offset: int
    size: int
    index_bytes: int
    time_index_bytes: int
    max_timestamp: Callable[[], int]
    """The largest, or the time of the last write."""
    first_timestamp: Callable[[], int]


class CleaningPlan(NamedTuple):
    first_dirty_offset: int
    first_uncleanable_offset: int
    cleanable_ratio: float
    is_overdue: bool
    """max.compaction.lag.ms has passed: cleaned whatever the ratio."""
    total_bytes: int
    cleanable_bytes: int

    def is_worth_it(self, min_cleanable_ratio: float) -> bool:
        if not self.total_bytes or not self.cleanable_bytes:
            return False
        return self.is_overdue or self.cleanable_ratio > min_cleanable_ratio


def plan_cleaning(
    segments: Sequence[CleanerSegment],
    config: LogConfig,
    *,
    cleaned_offset: int | None,
    log_start_offset: int,
    last_stable_offset: int,
    log_end_offset: int,
    now_ms: int,
) -> CleaningPlan:
    """``cleaned_offset`` is the checkpoint: everything below has been cleaned. A checkpoint
    outside the log is of no use: the whole log is dirty then."""
    first_dirty = log_start_offset if cleaned_offset is None else cleaned_offset
    if not log_start_offset <= first_dirty <= log_end_offset:
        first_dirty = log_start_offset
    active = segments[-1]
    dirty = [s for s in _from_offset(segments, first_dirty) if s is not active]
    uncleanable = min(last_stable_offset, active.base_offset)
    lag_ms = config.min_compaction_lag_ms
    if lag_ms > 0:
        young = [s.base_offset for s in dirty if s.max_timestamp() > now_ms - lag_ms]
        uncleanable = min([uncleanable, *young])
    uncleanable = max(uncleanable, first_dirty)
    # The range is cleaned by whole segments: it ends where the one that holds its end begins.
    end = _from_offset(segments, uncleanable)[0].base_offset
    clean_bytes = sum(s.size for s in segments if s.base_offset < first_dirty)
    cleanable_bytes = sum(s.size for s in dirty if s.base_offset < end)
    if first_dirty >= end:
        cleanable_bytes = 0
    total = clean_bytes + cleanable_bytes
    return CleaningPlan(
        first_dirty,
        end,
        cleanable_bytes / total if total else 0.0,
        _is_overdue(dirty, config.max_compaction_lag_ms, now_ms),
        total,
        cleanable_bytes,
    )


def _from_offset(segments: Sequence[CleanerSegment], offset: int) -> list[CleanerSegment]:
    """The segment that holds ``offset`` and those behind it."""
    first = 0
    while first + 1 < len(segments) and segments[first + 1].base_offset <= offset:
        first += 1
    return list(segments[first:])


def _is_overdue(dirty: Sequence[CleanerSegment], max_lag_ms: int, now_ms: int) -> bool:
    stamps = [stamp for segment in dirty if (stamp := segment.first_timestamp()) > 0]
    return bool(stamps) and min(stamps) < now_ms - max_lag_ms


def group_by_size(
    segments: Sequence[CleanerSegment],
    max_bytes: int,
    max_index_bytes: int,
    first_uncleanable_offset: int,
) -> list[list[int]]:
    """Indexes of neighbours that together still fit one segment: compaction makes them small."""
    groups: list[list[int]] = []
    sizes = (0, 0, 0)
    for index, segment in enumerate(segments):
        grown = (
            sizes[0] + segment.size,
            sizes[1] + segment.index_bytes,
            sizes[2] + segment.time_index_bytes,
        )
        following = segments[index + 1].base_offset if index + 1 < len(segments) else None
        last_offset = (first_uncleanable_offset if following is None else following) - 1
        if (
            groups
            and grown[0] <= max_bytes
            and max(grown[1:]) <= max_index_bytes
            and last_offset - segments[groups[-1][0]].base_offset <= MAX_RELATIVE_OFFSET
        ):
            groups[-1].append(index)
            sizes = grown
        else:
            groups.append([index])
            sizes = (segment.size, segment.index_bytes, segment.time_index_bytes)
    return groups


class OffsetMap:
    """The latest offset of each key in the part of the log that is being mapped."""

    def __init__(self, max_bytes: int, load_factor: float) -> None:
        self._capacity = max(int(max_bytes * load_factor) // BYTES_PER_KEY, 1)
        self._offsets: dict[bytes, int] = {}
        self.latest_offset = -1
        """Everything up to here is mapped."""

    def __len__(self) -> int:
        return len(self._offsets)

    def put(self, key: bytes, offset: int) -> bool:
        """False when the map is full: the rest is for another round."""
        if len(self._offsets) >= self._capacity:
            return False
        self._offsets[_digest(key)] = offset
        return True

    def get(self, key: bytes) -> int:
        """-1 for a key that is not in the mapped part."""
        return self._offsets.get(_digest(key), -1)


def _digest(key: bytes) -> bytes:
    """Short keys are themselves; a digest is longer than any of them."""
    return key if len(key) <= _RAW_KEY else blake2b(key, digest_size=16).digest()
