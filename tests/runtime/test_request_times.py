"""Which requests are timed, and what is made of their times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pykbroker.runtime.distribution import (
    WINDOW_NS,
    Distribution,
    bucket_of,
    quantiles,
    value_of,
)
from pykbroker.runtime.request_counts import MAX_STRIDE, Answered
from wire.apis import ApiKey

HALVES = (0.5, 0.99)


@given(st.integers(0, 1 << 40))
def test_a_value_is_found_again_to_three_percent(value: int) -> None:
    assert abs(value_of(bucket_of(value)) - value) <= value * 0.032


def test_buckets_rise_with_their_values() -> None:
    buckets = [bucket_of(value) for value in range(100_000)]
    assert buckets == sorted(buckets)


@given(st.lists(st.integers(0, 100_000), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 0.999]))
def test_quantiles_are_those_of_the_values(values: list[int], quantile: float) -> None:
    distribution = Distribution()
    for value in values:
        distribution.add([value], 1, 0)
    [found] = quantiles(distribution.buckets(0), [quantile])
    exact = next(v for v in sorted(values) if sum(x <= v for x in values) >= quantile * len(values))
    assert abs(found - exact) <= exact * 0.032


def test_a_value_counts_for_those_that_it_stands_for() -> None:
    distribution = Distribution()
    distribution.add([10], 3, 0)
    distribution.add([20], 1, 0)
    distribution.add([30], 4, 0)
    assert quantiles(distribution.buckets(0), [0.25, 0.5, 0.51, 1.0]) == [10, 20, 30, 30]


def test_what_was_two_windows_ago_is_forgotten_once_there_is_something_new() -> None:
    distribution = Distribution()
    distribution.add([1, 100], 1, 0)
    distribution.add([2, 200], 1, WINDOW_NS)
    assert distribution.buckets(0) == {1: 1, 2: 1}
    distribution.add([3, 300], 1, 2 * WINDOW_NS)
    assert distribution.buckets(0) == {2: 1, 3: 1}
    distribution.add([4, 400], 1, 9 * WINDOW_NS)
    assert distribution.buckets(0) == {4: 1}
    assert distribution.buckets(1) == {bucket_of(400): 1}


def test_nothing_has_no_quantiles_but_zero() -> None:
    assert quantiles({}, HALVES) == [0, 0]


def timed(answered: Answered, count: int, apart_ns: int) -> list[int]:
    """The weights of those requests that are timed."""
    before = answered.count
    weights, now_ns = [], 1_000_000_000
    for _ in range(count):
        now_ns += apart_ns
        if answered.left <= 0:
            weights.append(answered.begin(now_ns, now_ns).weight)
        answered.left -= 1
    assert answered.count == before + count
    return weights


def test_every_request_is_timed_where_there_are_few() -> None:
    assert timed(Answered(ApiKey.FETCH), 500, 6_000_000) == [1] * 500


def test_of_many_requests_some_are_timed_and_stand_for_all() -> None:
    weights = timed(Answered(ApiKey.FETCH), 100_000, 100_000)
    assert 500 < len(weights) < 2_500  # in ten seconds
    assert 0.9 < sum(weights) / 100_000 < 1.1


def test_more_are_timed_again_when_requests_become_few() -> None:
    answered = Answered(ApiKey.FETCH)
    assert max(timed(answered, 10_000, 1_000)) == MAX_STRIDE
    assert timed(answered, 3_000, 1_000_000_000)[-100:] == [1] * 100


def test_what_is_counted_elsewhere_takes_its_turn_all_the_same() -> None:
    answered = Answered(ApiKey.FETCH)
    timed(answered, 1_000, 1_000)
    count, left = answered.count, answered.left
    answered.left -= 1
    answered.passed_on()
    assert (answered.count, answered.left) == (count, left - 1)
