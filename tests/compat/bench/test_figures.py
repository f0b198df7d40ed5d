"""Medians, percentiles and ratios by hand-made figures."""

from __future__ import annotations

import pytest

from compat.bench.figures import Spread, latency, percentile, ratios, spread
from compat.bench.report import judged, number


def test_a_spread_is_the_median_and_the_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.0, 1), (1.0, 100)]
)
def test_percentiles_are_samples(share: float, expected: float) -> None:
    assert percentile(list(range(1, 101)), share) == expected


def test_a_rare_percentile_needs_enough_samples() -> None:
    assert set(latency([0.001] * 999)) == {"p50_ms", "p99_ms"}
    assert latency([0.001] * 998 + [0.5, 0.5])["p99.9_ms"] == 500


def test_ratios_are_of_the_same_round() -> None:
    assert ratios({1: 2.0, 2: 9.0, 4: 1.0}, {1: 4.0, 2: 3.0, 3: 1.0}) == [0.5, 3.0]
    assert ratios({1: 2.0}, {1: 0.0}) == []


def test_ahead_and_behind_are_what_every_round_says() -> None:
    assert judged(Spread(2, 1, 3), higher=True) == "ahead"
    assert judged(Spread(2, 1, 3), higher=False) == "behind"
    assert judged(Spread(2, 0.9, 3), higher=True) == "even"
    assert judged(Spread(0.5, 0.1, 0.9), higher=False) == "ahead"
    assert judged(Spread(0.5, 0.1, 0.9), higher=True) == "behind"


def test_numbers_have_three_digits() -> None:
    assert [number(n) for n in (0, 0.01234, 1.234, 99.94, 123.4, 12345)] == [
        "0",
        "0.0123",
        "1.23",
        "99.9",
        "123",
        "12,345",
    ]
