from __future__ import annotations

from typing import Any

import pytest

from pykbroker.state.log.retention import SegmentFacts, expired_segments
from tests.support.storage import config

NOW_MS = 1_000_000


def plan(
    sizes: list[int],
    *,
    ages_ms: list[int] | None = None,
    start: int = 0,
    high_watermark: int | None = None,
    **settings: Any,
) -> int:
    """Segments of ten offsets each."""
    settings = {"retention_ms": -1, **settings}
    ages = ages_ms or [0] * len(sizes)
    segments = [
        SegmentFacts(10 * i, 10 * i + 10 if size else 10 * i, size, lambda age=age: NOW_MS - age)
        for i, (size, age) in enumerate(zip(sizes, ages, strict=True))
    ]
    end = segments[-1].end_offset
    return expired_segments(
        segments,
        config(**settings),
        start,
        end if high_watermark is None else high_watermark,
        NOW_MS,
    ).segments


def test_without_limits_nothing_goes() -> None:
    assert plan([100, 100, 100]) == 0


@pytest.mark.parametrize(
    ("retention", "gone"), [(300, 0), (250, 0), (200, 1), (199, 1), (100, 2), (0, 3)]
)
def test_the_oldest_go_while_what_is_left_reaches_the_limit(retention: int, gone: int) -> None:
    assert plan([100, 100, 100], retention_bytes=retention) == gone


def test_segments_older_than_the_limit_go_up_to_the_first_that_is_not() -> None:
    assert plan([1, 1, 1], ages_ms=[300, 200, 100], retention_ms=150) == 2
    assert plan([1, 1, 1], ages_ms=[300, 100, 300], retention_ms=150) == 1
    assert plan([1, 1, 1], ages_ms=[150, 100, 100], retention_ms=150) == 0


def test_even_the_active_segment_goes_when_it_is_old() -> None:
    assert plan([1, 1], ages_ms=[300, 300], retention_ms=150) == 2


def test_an_empty_active_segment_stays() -> None:
    assert plan([1, 0], ages_ms=[300, 300], retention_ms=150) == 1
    assert plan([0], ages_ms=[300], retention_ms=150) == 0


def test_nothing_beyond_the_high_watermark_goes() -> None:
    assert plan([1, 1, 1], ages_ms=[300] * 3, retention_ms=150, high_watermark=19) == 1
    assert plan([1, 1, 1], retention_bytes=0, high_watermark=20) == 2


def test_segments_wholly_below_the_log_start_go_under_every_policy() -> None:
    for policy in ("delete", "compact"):
        assert plan([1, 1, 1], start=19, cleanup_policy=policy) == 1
        assert plan([1, 1, 1], start=20, cleanup_policy=policy) == 2
        # The last one is the one that is written to.
        assert plan([1, 1, 1], start=30, cleanup_policy=policy) == 2


def test_a_compacted_log_has_no_other_limit() -> None:
    assert plan([100] * 3, ages_ms=[999] * 3, cleanup_policy="compact", retention_bytes=0) == 0
    assert plan([100] * 3, cleanup_policy="compact,delete", retention_bytes=100) == 2


def test_the_reason_is_named() -> None:
    segments = [SegmentFacts(0, 10, 5, lambda: 0), SegmentFacts(10, 20, 5, lambda: 0)]
    by_time = expired_segments(segments, config(retention_ms=1), 0, 20, NOW_MS)
    assert (by_time.segments, by_time.reason) == (2, "log retention time breach")
    by_size = expired_segments(segments, config(retention_bytes=5, retention_ms=-1), 0, 20, NOW_MS)
    assert (by_size.segments, by_size.reason) == (1, "log retention size breach")
    by_start = expired_segments(segments, config(retention_ms=-1), 10, 20, NOW_MS)
    assert (by_start.segments, by_start.reason) == (1, "log start offset breach")


def test_time_is_asked_of_no_more_segments_than_needed() -> None:
    asked = []

    def age(index: int) -> int:
        asked.append(index)
        return NOW_MS

    segments = [SegmentFacts(10 * i, 10 * i + 10, 5, lambda i=i: age(i)) for i in range(5)]
    expired_segments(segments, config(retention_ms=10), 0, 50, NOW_MS)
    assert asked == [0]
