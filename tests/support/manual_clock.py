"""A clock that stands still until a test moves it."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

START_WALL_MS = 1_700_000_000_000


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    def __init__(self, now_ms: int = 1_000) -> None:
        self.now_ms = now_ms
        self._numbers = itertools.count()
        self._timers: list[tuple[int, int, Timer]] = []

    def wall_ms(self) -> int:
        return START_WALL_MS + self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (when_ms, next(self._numbers), timer))
        return timer

    async def sleep(self, delay_ms: int) -> None:
        if delay_ms <= 0:
            await checkpoint()
            return
        done = anyio.Event()
        timer = self.call_at(self.now_ms + delay_ms, done.set)
        try:
            await done.wait()
        finally:
            timer.cancel()

    def advance(self, delay_ms: int) -> None:
        """Fire every timer that becomes due, each at its own time."""
        until = self.now_ms + delay_ms
        while self._timers and self._timers[0][0] <= until:
            when_ms, _, timer = heapq.heappop(self._timers)
            self.now_ms = max(self.now_ms, when_ms)
            if timer.callback is not None:
                timer.callback()
        self.now_ms = until
