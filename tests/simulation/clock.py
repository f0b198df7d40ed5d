"""A broker's clock in virtual time: its own origin, its own speed, a wall clock that jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.ports import TimerHandle
    from tests.simulation.loop import VirtualLoop

START_WALL_MS = 1_700_000_000_000


class SimClock:
    """``rate``: how much faster this machine's clocks run; ``origin_ms``: since it was started."""

    def __init__(self, loop: VirtualLoop, origin_ms: float = 0.0, rate: float = 1.0) -> None:
        self._loop = loop
        self._rate = rate * 1000
        self._origin_ms = origin_ms - loop.time() * self._rate
        self.wall_offset_ms = 0

    def wall_ms(self) -> int:
        return START_WALL_MS + int(self._loop.time() * 1000) + self.wall_offset_ms

    def monotonic_ms(self) -> int:
        return int(self._origin_ms + self._loop.time() * self._rate)

    def monotonic_ns(self) -> int:
        return int((self._origin_ms + self._loop.time() * self._rate) * 1_000_000)

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> TimerHandle:
        # The microsecond makes up for rounding: a callback never finds itself early.
        when_s = (when_ms - self._origin_ms) / self._rate + 1e-6
        return self._loop.call_at(max(when_s, self._loop.time()), callback)

    async def sleep(self, delay_ms: int) -> None:
        if delay_ms <= 0:
            await checkpoint()
        else:
            await anyio.sleep(delay_ms / self._rate)
