from __future__ import annotations

import pytest

from pykbroker.edges import entropy
from pykbroker.edges.entropy import SystemRandom


def test_numbers_are_below_the_stop_and_all_of_them_come() -> None:
    rng = SystemRandom()
    for stop in (1, 2, 3, 7, 256, 257):
        assert {rng.randrange(stop) for _ in range(stop * 30)} <= set(range(stop))
    assert {rng.randrange(5) for _ in range(1000)} == set(range(5))
    assert 0 <= rng.randrange(1 << 200) < 1 << 200


def test_no_number_is_likelier_than_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every byte there is, those that would count twice are thrown away."""
    given = iter(range(256))
    monkeypatch.setattr(entropy, "urandom", lambda n: bytes((next(given),)))
    rng = SystemRandom()
    found = [rng.randrange(5) for _ in range(5 * 32)]
    assert [found.count(number) for number in range(5)] == [32] * 5


@pytest.mark.parametrize("stop", [0, -1])
def test_below_zero_there_is_none(stop: int) -> None:
    with pytest.raises(ValueError, match=f"below {stop}"):
        SystemRandom().randrange(stop)


@pytest.mark.parametrize(
    ("entropy_bytes", "expected"), [(b"\0" * 7, 0.0), (b"\xff" * 7, 1 - 2.0**-53)]
)
def test_fractions_reach_from_zero_to_just_below_one(
    monkeypatch: pytest.MonkeyPatch, entropy_bytes: bytes, expected: float
) -> None:
    monkeypatch.setattr(entropy, "urandom", lambda n: entropy_bytes)
    assert SystemRandom().random() == expected


def test_bytes_are_as_many_as_asked_for() -> None:
    rng = SystemRandom()
    assert len(rng.randbytes(16)) == 16
    assert rng.randbytes(16) != rng.randbytes(16)
    assert rng.randbytes(0) == b""
