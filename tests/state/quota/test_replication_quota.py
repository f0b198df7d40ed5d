"""Replication throttles: Kafka's arithmetic, and what it bounds."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.replication_quota import UNLIMITED, ReplicationQuota, SimpleRate

SAMPLES, WINDOW_MS = 11, 1_000


def quota(limit: int, samples: int = SAMPLES, window_ms: int = WINDOW_MS) -> ReplicationQuota:
    made = ReplicationQuota(samples, window_ms)
    made.limit = limit
    return made


def test_within_the_first_window_the_whole_of_it_counts() -> None:
    rate = SimpleRate(SAMPLES, WINDOW_MS)
    rate.record(500, 5_000)
    assert rate.measure(5_000) == 500.0
    assert rate.measure(5_999) == 500.0


def test_after_that_the_time_since_the_oldest_sample_counts() -> None:
    rate = SimpleRate(SAMPLES, WINDOW_MS)
    rate.record(500, 5_000)
    assert rate.measure(7_500) == 200.0
    rate.record(1_000, 7_500)
    assert rate.measure(8_000) == 500.0


def test_what_is_older_than_all_windows_counts_no_more() -> None:
    rate = SimpleRate(SAMPLES, WINDOW_MS)
    rate.record(500, 0)
    rate.record(100, 6_000)
    assert rate.measure(10_999) == pytest.approx(600 / 10.999)
    assert rate.measure(11_000) == pytest.approx(100 / 5)
    assert rate.measure(17_000) == 0


def test_a_quota_is_exceeded_above_its_limit_not_at_it() -> None:
    limited = quota(1_000)
    assert not limited.is_exceeded(0)
    limited.record(1_000, 0)
    assert not limited.is_exceeded(0)
    limited.record(1, 0)
    assert limited.is_exceeded(0)
    assert limited.is_exceeded(1_000)
    assert not limited.is_exceeded(1_001)


def test_without_a_limit_it_is_never_exceeded_and_measured_all_the_same() -> None:
    free = quota(UNLIMITED)
    free.record(2**62, 0)
    assert not free.is_exceeded(0)
    assert free.rate(0) == 2.0**62
    free.limit = 1_000
    assert free.is_exceeded(0), "a limit that is set looks back"
    free.limit = UNLIMITED
    assert not free.is_exceeded(0)


def test_a_limit_of_zero_lets_through_what_comes_after_silence_alone() -> None:
    closed = quota(0)
    assert not closed.is_exceeded(0)
    closed.record(1, 0)
    assert closed.is_exceeded(10_999)
    assert not closed.is_exceeded(11_000)


pieces = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 5_000)), max_size=60)
"""(time until the next is asked for, its size)"""


@given(
    pieces=pieces,
    limit=st.integers(1, 5_000),
    samples=st.integers(1, 12),
    window_ms=st.sampled_from([100, 1_000, 3_000]),
)
def test_who_asks_first_exceeds_no_span_by_more_than_one_piece(
    pieces: list[tuple[int, int]], limit: int, samples: int, window_ms: int
) -> None:
    """Over as long as the samples reach back, and one window for the one that is cut off."""
    limited = quota(limit, samples, window_ms)
    span_ms = samples * window_ms
    now_ms = 0
    sent: list[tuple[int, int]] = []
    for pause_ms, size in pieces:
        now_ms += pause_ms
        if limited.is_exceeded(now_ms):
            continue
        before = sum(passed for at_ms, passed in sent if at_ms > now_ms - span_ms)
        assert before <= limit * (span_ms + window_ms) / 1_000
        limited.record(size, now_ms)
        sent.append((now_ms, size))


@given(pieces=pieces, limit=st.integers(1, 5_000), samples=st.integers(1, 12))
def test_silence_ends_every_throttle(
    pieces: list[tuple[int, int]], limit: int, samples: int
) -> None:
    limited = quota(limit, samples)
    now_ms = 0
    for pause_ms, size in pieces:
        now_ms += pause_ms
        limited.record(size, now_ms)
    assert not limited.is_exceeded(now_ms + samples * WINDOW_MS)


@pytest.mark.parametrize("limit", [50_000, 1_000_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_greedy_follower_gets_what_it_may_over_a_minute(limit: int, seed: int) -> None:
    """In pieces of a twentieth of it, asked for as soon as that is allowed."""
    limited = quota(limit)
    rng = Random(seed)
    now_ms = sent = 0
    while now_ms < 60_000:
        if not limited.is_exceeded(now_ms):
            size = rng.randrange(limit // 20)
            limited.record(size, now_ms)
            sent += size
        now_ms += rng.randrange(1, 20)
    assert sent / 60 == pytest.approx(limit, rel=0.15)
