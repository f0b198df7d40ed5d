"""What a consumer's poll brought, until it is taken."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.drivers.python.words import (
    CommandError,
    Json,
    Partition,
    bad_command,
    name_of,
    split_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_HELD = 10_000
"""Records that wait to be taken before a consumer fetches no more."""


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
    """Records between a background poll and ``take``, with what happened to the assignment.

    A listener may speak from another thread than the one that takes.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._records: deque[Fetched] = deque()
        self._events: list[Json] = []
        self._taken: dict[Partition, Next] = {}
        self._last_error: Json | None = None

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Iterable[Fetched]) -> None:
        with self._lock:
            self._records.extend(records)

    def take(self, count: int) -> list[Fetched]:
        with self._lock:
            took = [self._records.popleft() for _ in range(min(count, len(self._records)))]
            for one in took:
                if one.is_committable:
                    at = one.topic, one.partition
                    self._taken[at] = Next(one.offset + 1, one.leader_epoch)
            return took

    def taken(self) -> dict[Partition, Next]:
        with self._lock:
            return dict(self._taken)

    def next_offset(self, at: Partition) -> int | None:
        """Of what waits to be taken."""
        with self._lock:
            return next((r.offset for r in self._records if (r.topic, r.partition) == at), None)

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forgets what was fetched and not taken, and what was taken, of partitions."""
        gone = set(partitions)
        with self._lock:
            self._records = deque(r for r in self._records if (r.topic, r.partition) not in gone)
            self._forget_taken(gone)

    def disown(self, partitions: Iterable[Partition]) -> None:
        """What was fetched may be taken, but is no longer ours to commit."""
        gone = set(partitions)
        with self._lock:
            self._records = deque(
                r._replace(is_committable=False) if (r.topic, r.partition) in gone else r
                for r in self._records
            )
            self._forget_taken(gone)

    def _forget_taken(self, gone: set[Partition]) -> None:
        self._taken = {at: one for at, one in self._taken.items() if at not in gone}

    def happened(self, event: Json) -> None:
        with self._lock:
            self._events.append(event)

    def report(self, error: CommandError) -> None:
        """One event for an error that comes again and again."""
        if error.line != self._last_error:
            self._last_error = error.line
            self.happened({"event": "error", "error": error.line})

    def succeeded(self) -> None:
        self._last_error = None

    def take_events(self) -> list[Json]:
        with self._lock:
            events, self._events = self._events, []
            return events

    def has_event(self, kind: str) -> bool:
        with self._lock:
            return any(event["event"] == kind for event in self._events)


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
