"""Rates per second over the last minute, of counters that are read every few seconds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY_MS = 5_000
WINDOW_MS = 60_000


class Rates:
    def __init__(self, now_ms: int, totals: Mapping[str, float] | None = None) -> None:
        """``totals``: what was not 0 at the start."""
        self._read: deque[tuple[int, Mapping[str, float]]] = deque([(now_ms, totals or {})])
        """The oldest first."""

    def read(self, totals: Mapping[str, float], now_ms: int) -> None:
        """Of counters by name; what is missing was 0 so far."""
        self._read.append((now_ms, totals))
        while len(self._read) > 2 and self._read[1][0] <= now_ms - WINDOW_MS:
            self._read.popleft()

    def rate(self, name: str, total: float, now_ms: int) -> float:
        """``total`` is what the counter says now."""
        since_ms, totals = self._read[0]
        passed_ms = now_ms - since_ms
        return (total - totals.get(name, 0)) * 1000 / passed_ms if passed_ms > 0 else 0.0
