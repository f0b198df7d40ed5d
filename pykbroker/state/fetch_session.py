"""Fetch sessions (KIP-227): what a client fetches is remembered, and only changes are exchanged.

A session has an id and an epoch that counts its requests: 1, 2, ... 2^31-1, 1. An answer names
the partitions with records, an error or other news; the rest is as it was. The cache is bounded:
without room there is no session, and the answer carries id 0, which is always a legal answer.

A partition whose topic id is unknown stays in its session as such and is answered with an error
until its name is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pykbroker.state.seams import Random
    from wire.messages.fetch import FetchPartition, PartitionData

NO_SESSION = 0
INITIAL_EPOCH = 0
FINAL_EPOCH = -1
MAX_EPOCH = 2**31 - 1
EVICTION_MS = 120_000
"""A session unused that long may go for any other; a younger one is not driven out by size."""

TopicKey = str | bytes
"""A topic's name, or from version 13 on its id. A session uses one or the other."""


Counted = Callable[[str | None, int], None]
"""(topic, None where only its id is known; how many of its partitions were read)"""


def next_epoch(epoch: int) -> int:
    if epoch < 0:
        return FINAL_EPOCH
    return 1 if epoch == MAX_EPOCH else epoch + 1


class FetchEntry:
    """One partition of a fetch, for one request or for as long as its session lives."""

    __slots__ = ("high_watermark", "key", "log_start_offset", "partition", "request", "topic")

    def __init__(self, key: TopicKey, topic: str | None, request: FetchPartition) -> None:
        self.key = key
        self.topic = topic
        """None while the topic of an id is unknown."""
        self.partition = request.partition
        self.request = request
        # What the client was told last.
        self.high_watermark = -1
        self.log_start_offset = -1

    def is_news(self, data: PartitionData, size: int) -> bool:
        """Must this go into an incremental answer?"""
        return (
            size > 0
            or data.error_code != 0
            or data.high_watermark != self.high_watermark
            or data.log_start_offset != self.log_start_offset
            or data.diverging_epoch.epoch >= 0
            or data.preferred_read_replica >= 0
        )

    def told(self, data: PartitionData) -> None:
        """After an error the partition is news again, whatever comes next."""
        self.high_watermark = -1 if data.error_code else data.high_watermark
        self.log_start_offset = data.log_start_offset


class Answer:
    """One partition's part of a response; ``size`` is that of its records."""

    __slots__ = ("data", "entry", "size")

    def __init__(self, entry: FetchEntry, data: PartitionData, size: int) -> None:
        self.entry = entry
        self.data = data
        self.size = size


_new = object.__new__


def entries_of(
    key: TopicKey, topic: str | None, requests: Iterable[FetchPartition]
) -> list[FetchEntry]:
    """Of one topic. Written out, for there may be thousands: calling a class costs as much again
    as all that it does."""
    entries = []
    for request in requests:
        entry = _new(FetchEntry)
        entry.key = key
        entry.topic = topic
        entry.partition = request.partition
        entry.request = request
        entry.high_watermark = entry.log_start_offset = -1
        entries.append(entry)
    return entries


class FetchSession:
    __slots__ = (
        "_counted",
        "cached_size",
        "created_ms",
        "entries",
        "epoch",
        "is_privileged",
        "last_used_ms",
        "reads",
        "session_id",
        "uses_topic_ids",
    )

    def __init__(
        self,
        session_id: int,
        *,
        is_privileged: bool,
        uses_topic_ids: bool,
        now_ms: int,
        counted: Counted,
    ) -> None:
        self.session_id = session_id
        self.is_privileged = is_privileged
        self.uses_topic_ids = uses_topic_ids
        self.entries: dict[tuple[TopicKey, int], FetchEntry] = {}
        """In the order in which they are read."""
        self.created_ms = self.last_used_ms = now_ms
        self.epoch = 1
        self.cached_size = 0
        self.reads = 0
        """How often all of its partitions were read since ``settle``."""
        self._counted = counted

    def update(
        self, wanted: Iterable[FetchEntry], forgotten: Iterable[tuple[TopicKey, int]]
    ) -> None:
        for entry in wanted:
            key = (entry.key, entry.partition)
            known = self.entries.get(key)
            if known is None:
                if self.reads:
                    self.settle()
                self.entries[key] = entry
            else:
                known.request = entry.request
        for key in forgotten:
            if self.reads:
                self.settle()
            self.entries.pop(key, None)

    def settle(self) -> None:
        """Say how often the partitions of each topic were read. Not with each fetch: most of them
        find most of their partitions idle, and that must cost next to nothing."""
        reads, self.reads = self.reads, 0
        if reads:
            for topic, entries in Counter(e.topic for e in self.entries.values()).items():
                self._counted(topic, entries * reads)

    def resolve(self, names: Callable[[bytes], str | None]) -> None:
        """Names of ids that were unknown may be known by now."""
        for entry in self.entries.values():
            if entry.topic is None and isinstance(entry.key, bytes):
                entry.topic = names(entry.key)


class FetchContext:
    """One request's partitions, and what its answer does to the session.

    ``error``: the session is refused, and nothing is fetched.
    """

    __slots__ = ("_cache", "_entries", "_epoch", "_full", "error", "is_incremental", "session")

    def __init__(
        self,
        cache: FetchSessionCache,
        entries: Iterable[FetchEntry],
        *,
        session: FetchSession | None = None,
        full: tuple[bool, bool] | None = None,
        error: ErrorCode = ErrorCode.NONE,
    ) -> None:
        self._cache = cache
        self._entries = entries
        self._full = full
        self._epoch = session.epoch if session else 0
        # The session's until its next request: by it an overtaken one knows itself.
        self.session = session
        self.is_incremental = session is not None
        self.error = error

    def entries(self) -> Iterable[FetchEntry]:
        return self._entries

    def count_fetch(self) -> None:
        """Its partitions are about to be read. Without a session whoever reads them counts."""
        if self.session is not None:
            self.session.reads += 1

    def finish(self, answers: list[Answer], now_ms: int) -> tuple[ErrorCode, int, list[Answer]]:
        """(error, session id, what to answer). Partitions with records go to the end of their
        session, so that the next fetch begins with the others."""
        session = self.session
        if session is not None:
            if session.epoch != self._epoch:
                return ErrorCode.INVALID_FETCH_SESSION_EPOCH, session.session_id, []
            told = [a for a in answers if a.entry.is_news(a.data, a.size)]
            for answer in told:
                entry = answer.entry
                entry.told(answer.data)
                if answer.size:
                    key = (entry.key, entry.partition)
                    if session.entries.pop(key, None) is not None:
                        session.entries[key] = entry
            return ErrorCode.NONE, session.session_id, told
        if self._full is None:
            return self.error, NO_SESSION, answers
        is_privileged, uses_topic_ids = self._full
        session = self._cache.create(
            len(answers), is_privileged=is_privileged, uses_topic_ids=uses_topic_ids, now_ms=now_ms
        )
        if session is None:
            return ErrorCode.NONE, NO_SESSION, answers
        for answer in answers:
            answer.entry.told(answer.data)
        session.update((answer.entry for answer in answers), ())
        self._cache.resized(session)
        return ErrorCode.NONE, session.session_id, answers

    def finish_throttled(self) -> tuple[ErrorCode, int]:
        """An empty answer: the session learns nothing, the next one says it all."""
        session = self.session
        if session is None:
            return ErrorCode.NONE, NO_SESSION
        if session.epoch != self._epoch:
            return ErrorCode.INVALID_FETCH_SESSION_EPOCH, session.session_id
        return ErrorCode.NONE, session.session_id


class FetchSessionCache:
    """All sessions of a broker, at most ``max_slots``.

    A new session may drive out one that is stale; else, among those that are not new themselves,
    the least valuable one, if it is worth no more: consumers' before followers', smaller before
    larger. A follower may drive out any consumer's.
    """

    def __init__(self, rng: Random, max_slots: Callable[[], int], counted: Counted) -> None:
        """``counted`` is told how many partitions of a topic were read, some time after."""
        self._counted = counted
        self._rng = rng
        self._max_slots = max_slots
        self._sessions: dict[int, FetchSession] = {}
        """The least recently used first."""
        self.partitions = 0
        """In all sessions together."""
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session_id: int) -> FetchSession | None:
        return self._sessions.get(session_id)

    def context(
        self,
        session_id: int,
        session_epoch: int,
        wanted: list[FetchEntry],
        forgotten: Iterable[tuple[TopicKey, int]],
        *,
        uses_topic_ids: bool,
        is_follower: bool,
        now_ms: int,
        names: Callable[[bytes], str | None],
        are_distinct: bool = False,
    ) -> FetchContext:
        """``names`` tells the topic of an id, if there is one. ``are_distinct``: it is known that
        no partition is named twice."""
        if session_epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            # A full fetch closes the session that it names.
            self.remove(session_id)
            entries = wanted if are_distinct else _unique(wanted).values()
            if session_epoch == FINAL_EPOCH:
                return FetchContext(self, entries)
            return FetchContext(self, entries, full=(is_follower, uses_topic_ids))
        session = self._sessions.get(session_id)
        if session is None:
            return FetchContext(self, (), error=ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != session_epoch:
            return FetchContext(self, (), error=ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.uses_topic_ids != uses_topic_ids:
            return FetchContext(self, (), error=ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        session.update(wanted, forgotten)
        if not session.entries:
            self.remove(session_id)
            return FetchContext(self, _unique(wanted).values())
        self._touch(session, now_ms)
        session.epoch = next_epoch(session.epoch)
        if uses_topic_ids:
            session.resolve(names)
        return FetchContext(self, session.entries.values(), session=session)

    def create(
        self, size: int, *, is_privileged: bool, uses_topic_ids: bool, now_ms: int
    ) -> FetchSession | None:
        """None when the cache is full of worthier ones."""
        limit = self._max_slots()
        if len(self._sessions) >= limit and not (
            self._sessions and self._evict(is_privileged, size, now_ms)
        ):
            return None
        session_id = NO_SESSION
        while session_id == NO_SESSION or session_id in self._sessions:
            session_id = self._rng.randrange(MAX_EPOCH)
        session = self._sessions[session_id] = FetchSession(
            session_id,
            is_privileged=is_privileged,
            uses_topic_ids=uses_topic_ids,
            now_ms=now_ms,
            counted=self._counted,
        )
        return session

    def remove(self, session_id: int) -> bool:
        session = self._sessions.pop(session_id, None)
        if session is None:
            return False
        session.settle()
        self.partitions -= session.cached_size
        return True

    def sessions(self) -> list[FetchSession]:
        return list(self._sessions.values())

    def resized(self, session: FetchSession) -> None:
        self.partitions += len(session.entries) - session.cached_size
        session.cached_size = len(session.entries)

    def connection_closed(self, connection: int) -> None:
        """Sessions outlive their connection: a client may go on over a new one."""

    def _touch(self, session: FetchSession, now_ms: int) -> None:
        session.last_used_ms = now_ms
        del self._sessions[session.session_id]
        self._sessions[session.session_id] = session
        self.resized(session)

    def _evict(self, is_privileged: bool, size: int, now_ms: int) -> bool:
        oldest = next(iter(self._sessions.values()))
        if now_ms - oldest.last_used_ms > EVICTION_MS:
            return self._evicted(oldest)
        candidates = [
            session
            for session in self._sessions.values()
            if session.last_used_ms - session.created_ms > EVICTION_MS
            or (is_privileged and not session.is_privileged)
        ]
        if not candidates:
            return False
        least = min(candidates, key=_value)
        # The newcomer's id counts as the lowest, so that equal worth keeps what is there.
        if (is_privileged, size, NO_SESSION) < _value(least):
            return False
        return self._evicted(least)

    def _evicted(self, session: FetchSession) -> bool:
        self.evictions += 1
        return self.remove(session.session_id)


def _value(session: FetchSession) -> tuple[bool, int, int]:
    return session.is_privileged, session.cached_size, session.session_id


def _unique(wanted: Iterable[FetchEntry]) -> Mapping[tuple[TopicKey, int], FetchEntry]:
    """Of a partition named twice the last counts, in the first one's place."""
    return {(entry.key, entry.partition): entry for entry in wanted}
