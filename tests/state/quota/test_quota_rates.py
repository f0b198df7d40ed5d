"""Measured rates and throttle times, second by second, without waiting for any."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.quota import (
    PRODUCER_BYTE_RATE,
    MutationQuota,
    Rate,
    RateQuota,
    TokenBucket,
)
from tests.support.images import entity

SAMPLES, WINDOW_MS = 11, 1000


def quota(limit: float, **parts: str | None) -> RateQuota:
    made = RateQuota(PRODUCER_BYTE_RATE, SAMPLES, WINDOW_MS)
    made.update({entity(**(parts or {"user": "u"})): {PRODUCER_BYTE_RATE: limit}})
    return made


def test_a_burst_counts_over_all_windows_but_the_newest() -> None:
    rate = Rate(SAMPLES, WINDOW_MS)
    rate.record(1000, 5_000)
    assert rate.measure(5_000) == 100.0
    assert rate.elapsed_ms(5_000) == 10_000


def test_a_steady_rate_is_measured_as_it_is() -> None:
    rate = Rate(SAMPLES, WINDOW_MS)
    now = 0
    for _ in range(400):
        rate.record(50, now)
        now += 100
    assert rate.measure(now) == pytest.approx(500, rel=0.1)


def test_what_is_older_than_all_windows_no_longer_counts() -> None:
    rate = Rate(SAMPLES, WINDOW_MS)
    rate.record(1000, 0)
    assert not rate.is_idle(10_999)
    assert rate.measure(10_999) > 0
    assert rate.is_idle(11_000)
    assert rate.measure(11_000) == 0


def test_a_window_that_reaches_into_the_measured_time_still_counts() -> None:
    rate = Rate(SAMPLES, WINDOW_MS)
    rate.record(500, 0)
    rate.record(500, 900)
    assert rate.measure(11_500) == pytest.approx(1000 / 11.5)
    assert rate.measure(11_900) == 0


def test_a_value_can_be_taken_back() -> None:
    rate = Rate(SAMPLES, WINDOW_MS)
    rate.record(1000, 0)
    rate.record(-1000, 1)
    assert rate.measure(1) == 0


def test_the_throttle_time_brings_the_rate_back_to_the_limit() -> None:
    rate = Rate(SAMPLES, WINDOW_MS)
    rate.record(2000, 0)
    assert rate.throttle_ms(200, 0) == 0
    assert rate.throttle_ms(100, 0) == 10_000


@given(
    limit=st.integers(1_000, 10_000_000),
    batch=st.floats(0.001, 0.2),
    seed=st.integers(0, 1000),
)
def test_a_greedy_client_gets_its_quota_within_15_percent_over_10_seconds(
    limit: int, batch: float, seed: int
) -> None:
    """It sends as fast as it may: the next batch as soon as its throttle time is over."""
    limited = quota(float(limit))
    rng = Random(seed)
    size = max(1, int(limit * batch))
    now, sent_between = 0, 0
    begin, end = 20_000, 30_000
    while now < end:
        throttle_ms = limited.record("u", "c", size, now)
        if begin <= now:
            sent_between += size
        now += throttle_ms + rng.randrange(1, 4)
    # A network of 1 to 3 ms between batches may itself be slower than the quota allows.
    reachable = min(limit, size * 1000 / 2)
    assert sent_between / 10 == pytest.approx(reachable, rel=0.15)


def test_the_first_ten_seconds_keep_the_quota_as_well() -> None:
    limited = quota(1_000_000.0)
    now = sent = 0
    while now < 10_000:
        throttle_ms = limited.record("u", "c", 16_384, now)
        sent += 16_384
        now += throttle_ms + 1
    assert sent / 10 == pytest.approx(1_000_000, rel=0.15)


def test_several_connections_share_the_quota_of_their_user() -> None:
    limited = quota(500_000.0)
    ready = [0, 0, 0]
    sent = 0
    for now in range(30_000):
        for index, at in enumerate(ready):
            if now >= at:
                ready[index] = now + 1 + limited.record("u", f"c{index}", 10_000, now)
                if now >= 20_000:
                    sent += 10_000
    assert sent / 10 == pytest.approx(500_000, rel=0.15)


def test_a_client_within_its_quota_is_never_throttled() -> None:
    limited = quota(1000.0)
    for now in range(0, 60_000, 100):
        assert limited.record("u", "c", 95, now) == 0


def test_buckets_are_apart_where_the_quota_says_so() -> None:
    limited = quota(100.0, user="u", client_id=None)
    assert limited.record("u", "a", 10_000, 0) > 0
    assert limited.record("u", "b", 10, 0) == 0
    assert limited.record("v", "a", 10_000, 0) == 0


def test_a_changed_limit_counts_at_once_and_the_rate_goes_on() -> None:
    limited = quota(100.0)
    assert limited.record("u", "c", 1000, 0) == 0
    limited.update({entity(user="u"): {PRODUCER_BYTE_RATE: 50.0}})
    assert limited.record("u", "c", 0, 0) == 10_000
    limited.update({})
    assert not limited.limits
    assert limited.record("u", "c", 1_000_000, 0) == 0


def test_bytes_that_are_not_sent_after_all_are_taken_back() -> None:
    limited = quota(100.0)
    assert limited.record("u", "c", 5000, 0) > 0
    limited.unrecord("u", "c", 5000, 0)
    assert limited.record("u", "c", 1000, 0) == 0


def test_what_may_pass_at_once_fits_the_window() -> None:
    limited = quota(100.0)
    assert limited.largest_value("u", "c") == 1000.0
    assert limited.largest_value("other", "c") is None
    assert limited.record("u", "c", 1000, 0) == 0


def test_buckets_of_clients_that_are_gone_are_dropped() -> None:
    limited = quota(1e9, client_id=None)
    for number in range(10_000):
        limited.record("u", f"c{number}", 1, 0)
    assert len(list(limited.used(0))) == 10_000
    # To be told of is not to be in use.
    assert len(list(limited.used(59_000))) == 10_000
    limited.record("u", "new", 1, 60_000)
    assert [(used.user, used.client_id) for used in limited.used(60_000)] == [("", "new")]


def test_who_has_no_quota_any_more_or_was_not_heard_of_for_an_hour_is_not_told_of() -> None:
    limited = RateQuota(PRODUCER_BYTE_RATE, SAMPLES, WINDOW_MS)
    limits = {PRODUCER_BYTE_RATE: 1e9}
    limited.update({entity(user="u", client_id=None): limits, entity(client_id="c"): limits})
    limited.record("u", "c", 1, 0)
    limited.record("other", "c", 1, 10)

    def told(now_ms: int) -> list[tuple[str, str]]:
        return [(used.user, used.client_id) for used in limited.used(now_ms)]

    assert told(3_599_999) == [("u", "c"), ("", "c")]
    assert told(3_600_000) == [("", "c")]
    limited.update({entity(user="u", client_id=None): limits})
    assert told(10) == [("u", "c")]
    # Another quota decides now, and another bucket counts.
    limited.update({entity(user="u"): limits})
    assert told(10) == []


def test_what_throttled_clients_wait_is_told_on_average() -> None:
    limited = quota(1000.0)
    limited.record("u", "c", 1000, 0)
    for throttle_ms in (100, 200):
        limited.throttled("u", "c", throttle_ms, 0)
    limited.throttled("other", "c", 7, 0)
    assert list(limited.used(0)) == [("u", "", 100.0, 150.0)]
    assert list(limited.used(20_000)) == [("u", "", 0.0, 0.0)]


def test_a_token_bucket_saves_up_its_burst_and_no_more() -> None:
    bucket = TokenBucket(11.0)
    assert bucket.refill(2.0, 0) == 22.0
    bucket.take(30.0, 2.0, 0)
    assert bucket.throttle_ms(2.0, 0) == 4000
    assert bucket.throttle_ms(2.0, 4000) == 0
    assert bucket.refill(2.0, 1_000_000) == 22.0


def mutation_quota(limit: float) -> MutationQuota:
    made = MutationQuota(SAMPLES, WINDOW_MS)
    made.update({entity(user="u"): {"controller_mutation_rate": limit}})
    return made


def test_a_strict_mutation_is_refused_while_in_debt_and_costs_nothing_then() -> None:
    limited = mutation_quota(1.0)
    assert limited.record("u", "c", 20, 0, strict=True) == 0
    assert limited.record("u", "c", 1, 0, strict=True) == 9000
    assert limited.record("u", "c", 1, 0, strict=True) == 9000
    assert limited.record("u", "c", 1, 9000, strict=True) == 0


def test_a_permissive_mutation_is_done_and_paid_for_by_waiting() -> None:
    limited = mutation_quota(1.0)
    assert limited.record("u", "c", 20, 0, strict=False) == 9000
    assert limited.record("u", "c", 1, 0, strict=False) == 10_000
    assert limited.record("other", "c", 1000, 0, strict=False) == 0


@given(st.floats(0.5, 50), st.integers(1, 20))
def test_mutations_keep_their_rate_over_a_long_time(limit: float, permits: int) -> None:
    limited = mutation_quota(limit)
    limited.record("u", "c", limit * 11, 0, strict=True)
    done, now = 0, 0
    while now < 600_000:
        throttle_ms = limited.record("u", "c", permits, now, strict=True)
        if throttle_ms == 0:
            done += permits
            now += 1
        else:
            now += throttle_ms
    # The last ones may have been taken on credit.
    assert done == pytest.approx(limit * 600, abs=permits * 2 + limit * 600 * 0.15)
