"""The real clock: wall time, monotonic time, and timers on the running event loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pykbroker.ports import TimerHandle


class SystemClock:
    """Usable on one event loop, the one that runs when the first timer is set."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> TimerHandle:
        loop = self._loop
        if loop is None:
            import asyncio

            loop = self._loop = asyncio.get_running_loop()
        # The loop counts in its own epoch: only the difference is ours. The extra half
        # millisecond makes up for truncation, so that a callback never finds itself early.
        delay = when_ms - self.monotonic_ms()
        return loop.call_later(max(0.0, (delay + 0.5) / 1000), callback)

    async def sleep(self, delay_ms: int) -> None:
        if delay_ms <= 0:
            await checkpoint()
        else:
            await anyio.sleep(delay_ms / 1000)
