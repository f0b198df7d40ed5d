"""Rates of counters that are looked at now and then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from pykbroker.runtime.figures.broker import Watch
from pykbroker.runtime.figures.rates import EVERY_MS, WINDOW_MS, Rates
from tests.support.manual_clock import ManualClock


def test_at_first_a_rate_is_that_since_the_start() -> None:
    rates = Rates(1_000)
    assert rates.rate("x", 0, 1_000) == 0
    assert rates.rate("x", 30, 4_000) == 10


def test_a_rate_is_of_the_last_minute_and_forgets_what_was_before() -> None:
    rates = Rates(0)
    for now_ms in range(EVERY_MS, WINDOW_MS + 1, EVERY_MS):
        rates.read({"x": now_ms / 10}, now_ms)
    assert rates.rate("x", WINDOW_MS / 10, WINDOW_MS) == 100
    for now_ms in range(WINDOW_MS + EVERY_MS, 3 * WINDOW_MS, EVERY_MS):
        rates.read({"x": WINDOW_MS / 10}, now_ms)
    assert rates.rate("x", WINDOW_MS / 10, 3 * WINDOW_MS) == 0


def test_what_was_not_there_before_was_zero() -> None:
    rates = Rates(0)
    rates.read({"x": 5}, 10_000)
    assert rates.rate("y", 10, 10_000) == 1


@pytest.mark.anyio
async def test_counters_are_read_every_few_seconds() -> None:
    clock: Any = ManualClock(0)
    seen: list[int] = []
    counter = SimpleNamespace(value=0)

    def totals() -> dict[str, float]:
        seen.append(clock.now_ms)
        return {"x": counter.value}

    watch = Watch(clock, totals)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        while clock.now_ms < 3 * WINDOW_MS:
            await anyio.wait_all_tasks_blocked()
            clock.advance(500)
            counter.value += 50
        tasks.cancel_scope.cancel()
    assert seen == list(range(EVERY_MS, 3 * WINDOW_MS + 1, EVERY_MS))
    assert watch.rates.rate("x", counter.value, clock.now_ms) == pytest.approx(100, rel=0.01)
