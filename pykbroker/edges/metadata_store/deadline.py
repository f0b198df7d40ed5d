"""Bounded waiting on a Clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pykbroker.ports import Clock

T = TypeVar("T")


class TooLate(Exception):
    """The time ran out."""


async def within(clock: Clock, timeout_ms: int, function: Callable[[], Awaitable[T]]) -> T:
    """What ``function`` gives. It is cancelled, and TooLate raised, when the time has run out."""
    with anyio.CancelScope() as scope:
        timer = clock.call_at(clock.monotonic_ms() + timeout_ms, scope.cancel)
        try:
            return await function()
        finally:
            timer.cancel()
    raise TooLate
