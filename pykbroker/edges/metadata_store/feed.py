"""What changed lately, and who follows it.

Revisions rise by one with every change, so the history is a run without holes; a follower is a
cursor into it. A follower that falls behind the history is told so, never silently skipped.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from pykbroker.ports import StoreUnavailable, StoreUpdate, WatchCompacted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HISTORY_EVENTS = 5_000
"""Events kept for followers that lag or come back; the newest update is kept whatever its size."""


class Feed:
    def __init__(self, revision: int, history_events: int = HISTORY_EVENTS) -> None:
        self.revision = revision
        self._limit = history_events
        self._updates: deque[StoreUpdate] = deque()
        self._events = 0
        self._news = anyio.Event()
        self._closed = False

    @property
    def compacted(self) -> int:
        """Revisions up to this one can no longer be followed."""
        return self.revision - len(self._updates)

    def publish(self, update: StoreUpdate) -> None:
        assert update.revision == self.revision + 1, "revisions have no holes"
        self.revision = update.revision
        self._updates.append(update)
        self._events += len(update.events)
        while self._events > self._limit and len(self._updates) > 1:
            self._events -= len(self._updates.popleft().events)
        self._wake()

    def compact(self, revision: int) -> None:
        """Forget updates up to and including ``revision``."""
        while self._updates and self._updates[0].revision <= revision:
            self._events -= len(self._updates.popleft().events)
        self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()

    @asynccontextmanager
    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[FeedWatch]:
        yield FeedWatch(self, prefix, from_revision)

    def after(self, revision: int) -> StoreUpdate | None:
        """The update that follows ``revision``; None when it has not been made yet."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if revision < self.compacted:
            raise WatchCompacted(f"revision {revision + 1} is gone, {self.compacted + 1} is left")
        index = revision - self.compacted
        return self._updates[index] if index < len(self._updates) else None

    async def news(self) -> None:
        """Until something is published."""
        await self._news.wait()

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


class FeedWatch:
    """One follower; see ``ports.Watch``."""

    def __init__(self, feed: Feed, prefix: str, from_revision: int) -> None:
        self._feed = feed
        self._prefix = prefix
        self._seen = from_revision - 1

    def __aiter__(self) -> FeedWatch:
        return self

    async def __anext__(self) -> StoreUpdate:
        while True:
            update = self._feed.after(self._seen)
            if update is None:
                await self._feed.news()
                continue
            self._seen = update.revision
            events = tuple(e for e in update.events if e.key.startswith(self._prefix))
            if events:
                return StoreUpdate(update.revision, events)
