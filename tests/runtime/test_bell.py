"""A bell wakes everybody who waits, in the order in which they came, and misses nobody."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from pykbroker.runtime.waiters import Bell
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio
FAR_MS = 1_000_000


@pytest.fixture
def anyio_backend() -> str:
    """Trio shuffles its tasks."""
    return "asyncio"


async def test_who_came_first_goes_on_first() -> None:
    bell = Bell(cast("Any", ManualClock()))
    woken: list[int] = []

    async def wait(number: int) -> None:
        await bell.wait(bell.rung, FAR_MS)
        woken.append(number)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
            bell.ring()
    assert woken == list(range(200))


async def test_a_ring_before_the_wait_is_not_missed() -> None:
    bell = Bell(cast("Any", ManualClock()))
    rung = bell.rung
    bell.ring()
    with anyio.fail_after(60):
        await bell.wait(rung, FAR_MS)


async def test_the_time_that_was_set_ends_the_wait() -> None:
    clock = ManualClock()
    bell = Bell(cast("Any", clock))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bell.wait, bell.rung, clock.now_ms + 500)
            await anyio.wait_all_tasks_blocked()
            clock.advance(500)
