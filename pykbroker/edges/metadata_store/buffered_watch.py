"""A watch that is fed from a connection, and read when its reader comes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

from pykbroker.ports import WatchCompacted

if TYPE_CHECKING:
    from pykbroker.ports import StoreUpdate

BEHIND_EVENTS = 10_000
"""Events kept for a reader that does not come; then it is told that it missed some."""


class BufferedWatch:
    """See ``ports.Watch``. What came before the end is still read."""

    def __init__(self) -> None:
        self._updates: deque[StoreUpdate] = deque()
        self._events = 0
        self._news = anyio.Event()
        self._error: Exception | None = None

    def __aiter__(self) -> BufferedWatch:
        return self

    async def __anext__(self) -> StoreUpdate:
        while not self._updates:
            if self._error is not None:
                raise self._error
            self._news = anyio.Event()
            await self._news.wait()
        update = self._updates.popleft()
        self._events -= len(update.events)
        return update

    def add(self, update: StoreUpdate) -> None:
        if self._error is not None:
            return
        self._updates.append(update)
        self._events += len(update.events)
        if self._events > BEHIND_EVENTS and len(self._updates) > 1:
            self._updates.clear()
            self.fail(WatchCompacted("the reader of a watch is too far behind"))
        self._news.set()

    def fail(self, error: Exception) -> None:
        """Nothing comes after this."""
        if self._error is None:
            self._error = error
        self._news.set()
