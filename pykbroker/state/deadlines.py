"""Deadlines by key, of which the earliest is always at hand.

Setting a key again moves its deadline. Most deadlines are moved away again and again (a session,
with every heartbeat), so a move to a later time leaves the heap alone: an entry that comes up
before its time is put back.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K")


class Deadlines(Generic[K]):
    def __init__(self) -> None:
        self._at: dict[K, int] = {}
        self._queued: dict[K, int] = {}
        """The earliest heap entry of each key; later ones are leftovers."""
        self._heap: list[tuple[int, int, K]] = []
        self._count = 0

    def __contains__(self, key: K) -> bool:
        return key in self._at

    def __len__(self) -> int:
        return len(self._at)

    def at(self, key: K) -> int | None:
        return self._at.get(key)

    def set(self, key: K, when_ms: int) -> None:
        self._at[key] = when_ms
        queued = self._queued.get(key)
        if queued is None or when_ms < queued:
            self._push(key, when_ms)

    def cancel(self, key: K) -> None:
        self._at.pop(key, None)

    def next(self) -> int | None:
        """The earliest deadline."""
        while self._heap:
            when_ms, _, key = self._heap[0]
            if self._queued.get(key) != when_ms:
                heappop(self._heap)
                continue
            at = self._at.get(key)
            if at == when_ms:
                return when_ms
            heappop(self._heap)
            del self._queued[key]
            if at is not None:
                self._push(key, at)
        return None

    def pop_due(self, now_ms: int) -> K | None:
        """One key whose deadline has come, earliest first, or None; it is no longer set."""
        when_ms = self.next()
        if when_ms is None or when_ms > now_ms:
            return None
        _, _, key = heappop(self._heap)
        del self._queued[key]
        del self._at[key]
        return key

    def _push(self, key: K, when_ms: int) -> None:
        self._queued[key] = when_ms
        self._count += 1
        heappush(self._heap, (when_ms, self._count, key))
        if len(self._heap) > 64 + 4 * len(self._at):
            self._rebuild()

    def _rebuild(self) -> None:
        self._queued = dict(self._at)
        self._heap = [(when_ms, n, key) for n, (key, when_ms) in enumerate(self._at.items())]
        self._count = len(self._heap)
        heapify(self._heap)
