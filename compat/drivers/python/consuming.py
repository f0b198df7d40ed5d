"""A consumer's handle: a poll in the background, and what it brought until it is taken."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.drivers.python.service import Handle
from compat.drivers.python.words import (
    CommandError,
    Json,
    Partition,
    bad_command,
    lines,
    name_of,
    pairs,
    split_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST_HELD = 10_000
"""Records that wait to be taken before a consumer fetches no more."""
BLOCK_SECONDS = 0.05
"""How long a poll keeps the next command waiting."""


class Fetched(NamedTuple):
    topic: str
    partition: int
    offset: int
    leader_epoch: int | None
    size: int
    """Of the value, in bytes."""
    record: Any
    """The client's own object."""
    is_committable: bool = True
    """Whether taking it counts for ``consumer.commit`` with null."""


class Next(NamedTuple):
    """Where a group continues: the offset after the last one taken, and that one's epoch."""

    offset: int
    leader_epoch: int | None = None
    metadata: str = ""


class Buffer:
    """Records between a background poll and ``take``, with what happened to the assignment."""

    def __init__(self) -> None:
        self.records: deque[Fetched] = deque()
        self.happened: list[Json] = []
        self.taken: dict[Partition, Next] = {}
        self._last_error: Json | None = None

    def take(self, count: int) -> list[Fetched]:
        took = [self.records.popleft() for _ in range(min(count, len(self.records)))]
        for one in took:
            if one.is_committable:
                at = one.topic, one.partition
                self.taken[at] = Next(one.offset + 1, one.leader_epoch)
        return took

    def next_offset(self, at: Partition) -> int | None:
        return next((r.offset for r in self.records if (r.topic, r.partition) == at), None)

    def drop(self, partitions: Iterable[Partition]) -> None:
        """What was fetched and not taken, and what was taken, of partitions."""
        gone = set(partitions)
        self.records = deque(r for r in self.records if (r.topic, r.partition) not in gone)
        self._forget_taken(gone)

    def disown(self, partitions: Iterable[Partition]) -> None:
        """What was fetched may be taken, but is no longer ours to commit."""
        gone = set(partitions)
        self.records = deque(
            r._replace(is_committable=False) if (r.topic, r.partition) in gone else r
            for r in self.records
        )
        self._forget_taken(gone)

    def _forget_taken(self, gone: set[Partition]) -> None:
        self.taken = {at: one for at, one in self.taken.items() if at not in gone}

    def report(self, error: CommandError) -> None:
        """One event for an error that comes again and again."""
        if error.line != self._last_error:
            self._last_error = error.line
            self.happened.append({"event": "error", "error": error.line})

    def succeeded(self) -> None:
        self._last_error = None

    def take_events(self) -> list[Json]:
        happened, self.happened = self.happened, []
        return happened

    def has_event(self, kind: str) -> bool:
        return any(event["event"] == kind for event in self.happened)


class Summary:
    """The result of ``consumer.drain``."""

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self.in_order = True
        self.partitions: dict[str, Json] = {}
        self._began = time.monotonic()

    def add(self, one: Fetched) -> None:
        self.count += 1
        self.bytes += one.size
        at = self.partitions.setdefault(
            name_of(one.topic, one.partition), {"first": one.offset, "last": -1, "count": 0}
        )
        self.in_order = self.in_order and one.offset > at["last"]
        at["last"] = one.offset
        at["count"] += 1

    def result(self) -> Json:
        return {
            "count": self.count,
            "bytes": self.bytes,
            "elapsed_ms": (time.monotonic() - self._began) * 1000,
            "partitions": self.partitions,
            "in_order": self.in_order,
        }


def read_offsets(offsets: Json) -> dict[Partition, Next]:
    """What ``consumer.commit`` and ``admin.alter_group_offsets`` name."""
    try:
        return {
            split_name(name): Next(
                one["offset"], one.get("leader_epoch"), one.get("metadata") or ""
            )
            for name, one in offsets.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise bad_command(f"not offsets: {offsets!r}") from error


def one_of(topics: Any, pattern: Any, assign: Any) -> None:
    """Raises BAD_COMMAND unless a consumer is opened in one way."""
    if sum(way is not None for way in (topics, pattern, assign)) != 1:
        raise bad_command("a consumer is opened with one of topics, pattern, assign")


class PollingConsumer(Handle):
    """A consumer whose poll is called by its handle's thread while no command is done.

    Subclasses have what their client does; listeners call ``assigned``, ``revoked`` and ``lost``.
    """

    empty_poll_is_success = True
    """Whether a poll that brings nothing says that the last error is over."""

    def __init__(self, *, auto_commit: bool) -> None:
        self.buffer = Buffer()
        self._auto_commit = auto_commit
        self._paused: set[Partition] = set()
        self._held: set[Partition] = set()
        self._is_over = False

    def poll_client(self, seconds: float) -> Sequence[Fetched]:
        raise NotImplementedError

    def assignment(self) -> set[Partition]:
        raise NotImplementedError

    def pause_client(self, partitions: set[Partition]) -> None:
        raise NotImplementedError

    def resume_client(self, partitions: set[Partition]) -> None:
        raise NotImplementedError

    def seek_client(self, at: Partition, offset: int | str) -> None:
        raise NotImplementedError

    def commit_client(self, offsets: dict[Partition, Next]) -> None:
        raise NotImplementedError

    def line(self, one: Fetched) -> Json:
        raise NotImplementedError

    def membership(self) -> Json:
        """``generation`` and ``member_id``, where the client lets them be known."""
        return {}

    # What listeners say

    def assigned(self, partitions: Iterable[Partition]) -> None:
        self._happened("assigned", partitions)

    def revoked(self, partitions: Iterable[Partition], event: str = "revoked") -> None:
        gone = set(partitions)
        if not gone:
            return  # some clients revoke nothing when they first join
        if self._auto_commit:
            self.buffer.disown(gone)
        else:
            self.buffer.drop(gone)
        self._paused -= gone
        self._held -= gone
        self._happened(event, gone)

    def lost(self, partitions: Iterable[Partition]) -> None:
        self.revoked(partitions, "lost")

    def _happened(self, event: str, partitions: Iterable[Partition]) -> None:
        self.buffer.happened.append(
            {"event": event, "partitions": lines(partitions)} | self.membership()
        )

    # Polling

    @property
    def idle_seconds(self) -> float | None:  # type: ignore[override]
        return None if self._is_over else 0.0

    def idle(self) -> None:
        self._poll(BLOCK_SECONDS)

    def _poll(self, seconds: float, most: int = MOST_HELD) -> None:
        if self._is_over:
            time.sleep(seconds)
            return
        try:
            self._hold_or_release(most)
            fetched = self.poll_client(seconds)
        except Exception as error:
            explained = self.explained(error)
            self.buffer.report(explained)
            self._is_over = explained.fatal
            time.sleep(BLOCK_SECONDS)  # an error that stays is not asked for without a pause
            return
        if fetched or self.empty_poll_is_success:
            self.buffer.succeeded()
        self.buffer.records.extend(fetched)

    def _hold_or_release(self, most: int) -> None:
        """Stops fetching while much is held; polling goes on, for not polling ends membership."""
        held = len(self.buffer.records)
        if held >= most:
            more = self.assignment() - self._paused - self._held
            if more:
                self.pause_client(more)
                self._held |= more
        elif self._held and held <= most // 2:
            self.resume_client(self._held & self.assignment())
            self._held.clear()

    def _until(self, done: Callable[[], bool], timeout_ms: float, most: int = MOST_HELD) -> None:
        deadline = time.monotonic() + timeout_ms / 1000
        while not done() and (left := deadline - time.monotonic()) > 0:
            self._poll(min(BLOCK_SECONDS, left), most)

    # Commands

    def take(self, count: int, timeout_ms: float) -> Json:
        most = max(MOST_HELD, 2 * count)
        self._until(lambda: len(self.buffer.records) >= count, timeout_ms, most)
        return {"records": [self.line(one) for one in self.buffer.take(count)]}

    def drain(self, count: int, timeout_ms: float) -> Json:
        summary = Summary()

        def is_enough() -> bool:
            for one in self.buffer.take(count - summary.count):
                summary.add(one)
            return summary.count >= count

        self._until(is_enough, timeout_ms)
        is_enough()
        return summary.result()

    def events(self, timeout_ms: float = 0, wait_for: str | None = None) -> Json:
        if wait_for is not None:
            self._until(lambda: self.buffer.has_event(wait_for), timeout_ms)
        return {"events": self.buffer.take_events(), "assignment": lines(self.assignment())}

    def commit(self, offsets: Json | None = None) -> Json:
        chosen = dict(self.buffer.taken) if offsets is None else read_offsets(offsets)
        if chosen:
            self.commit_client(chosen)
        return {}

    def seek(self, partition: Json, offset: int | str) -> Json:
        (at,) = pairs([partition])
        self.seek_client(at, offset)
        self.buffer.drop([at])
        return {}

    def pause(self, partitions: list[Json]) -> Json:
        chosen = set(pairs(partitions))
        self.pause_client(chosen)
        self._paused |= chosen
        self._held -= chosen
        return {}

    def resume(self, partitions: list[Json]) -> Json:
        chosen = set(pairs(partitions))
        self.resume_client(chosen)
        self._paused -= chosen
        return {}
