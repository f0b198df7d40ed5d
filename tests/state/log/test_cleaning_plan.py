from __future__ import annotations

from typing import Any

import pytest

from pykbroker.state.log.cleaning import (
    BYTES_PER_KEY,
    CleanerSegment,
    CleaningPlan,
    OffsetMap,
    group_by_size,
    plan_cleaning,
)
from tests.support.storage import config

NOW_MS = 1_000_000


def segments(sizes: list[int], ages_ms: list[int] | None = None) -> list[CleanerSegment]:
    """Of ten offsets each; the last is the active one."""
    ages = ages_ms or [5000] * len(sizes)
    return [
        CleanerSegment(
            10 * i,
            size,
            size // 10,
            size // 10,
            lambda age=age: NOW_MS - age,
            lambda age=age: NOW_MS - age,
        )
        for i, (size, age) in enumerate(zip(sizes, ages, strict=True))
    ]


def plan(
    sizes: list[int],
    cleaned: int | None = None,
    *,
    ages_ms: list[int] | None = None,
    start: int = 0,
    stable: int | None = None,
    **settings: Any,
) -> CleaningPlan:
    end = 10 * len(sizes)
    return plan_cleaning(
        segments(sizes, ages_ms),
        config(cleanup_policy="compact", **settings),
        cleaned_offset=cleaned,
        log_start_offset=start,
        last_stable_offset=end if stable is None else stable,
        log_end_offset=end,
        now_ms=NOW_MS,
    )


def test_a_log_never_cleaned_is_dirty_up_to_its_active_segment() -> None:
    found = plan([100, 100, 50])
    assert (found.first_dirty_offset, found.first_uncleanable_offset) == (0, 20)
    assert (found.cleanable_ratio, found.cleanable_bytes) == (1.0, 200)
    assert found.is_worth_it(0.5)


def test_what_was_cleaned_makes_the_rest_less_worth_it() -> None:
    found = plan([300, 100, 50], 10)
    assert (found.first_dirty_offset, found.cleanable_ratio) == (10, 0.25)
    assert not found.is_worth_it(0.5)
    assert found.is_worth_it(0.2)
    assert not found.is_worth_it(0.25)


def test_an_active_segment_alone_gives_nothing_to_do() -> None:
    assert not plan([100]).is_worth_it(0.0)
    assert not plan([100, 100], 10).is_worth_it(0.0)


@pytest.mark.parametrize("cleaned", [3, 31])
def test_a_checkpoint_outside_the_log_makes_all_of_it_dirty(cleaned: int) -> None:
    assert plan([100, 100, 50], cleaned, start=5).first_dirty_offset == 5


def test_nothing_that_is_not_stable_is_cleaned() -> None:
    assert plan([100, 100, 50], stable=15).first_uncleanable_offset == 10
    assert plan([100, 100, 50], stable=10).first_uncleanable_offset == 10
    assert not plan([100, 100, 50], stable=5).is_worth_it(0.0)


def test_segments_with_young_records_wait() -> None:
    found = plan([100, 100, 100, 50], ages_ms=[900, 500, 900, 0], min_compaction_lag_ms=600)
    assert found.first_uncleanable_offset == 10
    assert plan([100, 50], ages_ms=[500, 0], min_compaction_lag_ms=600).cleanable_bytes == 0


def test_what_waited_too_long_is_cleaned_whatever_the_ratio() -> None:
    found = plan([900, 100, 50], 10, ages_ms=[100, 700, 0], max_compaction_lag_ms=600)
    assert found.is_overdue
    assert found.is_worth_it(0.99)
    # The clean part does not count, however old.
    assert not plan([900, 100, 50], 10, ages_ms=[700, 100, 0], max_compaction_lag_ms=600).is_overdue


def test_small_neighbours_become_one_segment() -> None:
    found = segments([40, 40, 40, 100, 10, 10])
    assert group_by_size(found, 100, 1000, 60) == [[0, 1], [2], [3], [4, 5]]
    assert group_by_size(found, 1000, 1000, 60) == [[0, 1, 2, 3, 4, 5]]
    assert group_by_size(found, 1000, 8, 60) == [[0, 1], [2], [3], [4, 5]]
    assert group_by_size([], 100, 100, 0) == []


def test_no_group_spans_more_offsets_than_an_index_can_tell() -> None:
    wide = [
        CleanerSegment(base, 1, 1, 1, lambda: 0, lambda: 0) for base in (0, 2**30, 2**31, 2**32)
    ]
    assert group_by_size(wide, 100, 100, 2**32 + 10) == [[0, 1], [2], [3]]
    assert group_by_size(wide[:3], 100, 100, 2**31) == [[0, 1, 2]]
    assert group_by_size(wide[:3], 100, 100, 2**31 + 1) == [[0, 1], [2]]


def test_the_map_tells_the_latest_offset_of_each_key() -> None:
    offsets = OffsetMap(10**6, 0.9)
    keys = [b"", b"short", b"x" * 15, b"x" * 16, b"x" * 1000, b"y" * 1000]
    for number, key in enumerate(keys * 2):
        assert offsets.put(key, number)
    assert [offsets.get(key) for key in keys] == [6, 7, 8, 9, 10, 11]
    assert offsets.get(b"unknown") == -1
    assert len(offsets) == 6


def test_a_full_map_takes_no_more() -> None:
    offsets = OffsetMap(4 * BYTES_PER_KEY, 0.5)
    assert offsets.put(b"a", 1)
    assert offsets.put(b"b", 2)
    assert not offsets.put(b"c", 3)
    assert offsets.get(b"c") == -1


def test_even_the_smallest_map_holds_a_key() -> None:
    assert OffsetMap(1, 0.1).put(b"a", 1)
