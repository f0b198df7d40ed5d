"""Committed offsets by group, and those that a transaction still holds back. Hard state only:
every change comes from the log.

A transactional commit stays pending under its producer id until the end-of-transaction marker.
Where transactional and plain commits of one partition mix, the one later in the log wins, whatever
the order in which they took effect (KAFKA-14170).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pykbroker.state.types import NO_TOPIC_ID
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wire.messages.group_records import OffsetCommitValue

K = TypeVar("K")
L = TypeVar("L")
V = TypeVar("V")


class OffsetKey(NamedTuple):
    topic: str
    partition: int


class CommittedOffset(NamedTuple):
    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp_ms: int
    expire_timestamp_ms: int = -1
    """-1: the group's retention applies."""
    topic_id: bytes = NO_TOPIC_ID
    record_offset: int = -1

    def has_expired(self, base_timestamp_ms: int, wall_ms: int, retention_ms: int) -> bool:
        if self.expire_timestamp_ms != -1:
            return wall_ms >= self.expire_timestamp_ms
        return wall_ms - base_timestamp_ms >= retention_ms

    def is_of(self, topic_id: bytes) -> bool:
        """False when both sides know the topic's id and it has been created anew since."""
        return NO_TOPIC_ID in (topic_id, self.topic_id) or topic_id == self.topic_id


def committed_from_record(value: OffsetCommitValue, record_offset: int) -> CommittedOffset:
    return CommittedOffset(
        value.offset,
        value.leader_epoch,
        value.metadata,
        value.commit_timestamp,
        value.expire_timestamp,
        value.topic_id,
        record_offset,
    )


_NOTHING: Mapping[OffsetKey, CommittedOffset] = {}


class GroupOffsets:
    """One shard's. Invariant: ``_open`` has exactly the keys of ``_pending``, turned round."""

    def __init__(self) -> None:
        self._committed: dict[str, dict[OffsetKey, CommittedOffset]] = {}
        self._pending: dict[int, dict[tuple[str, OffsetKey], CommittedOffset]] = {}
        self._open: dict[str, dict[OffsetKey, set[int]]] = {}

    def of_group(self, group_id: str) -> Mapping[OffsetKey, CommittedOffset]:
        return self._committed.get(group_id, _NOTHING)

    def groups(self) -> Iterator[tuple[str, Mapping[OffsetKey, CommittedOffset]]]:
        return iter(self._committed.items())

    def is_pending(self, group_id: str, key: OffsetKey) -> bool:
        return key in self._open.get(group_id, ())

    def has_pending(self, group_id: str) -> bool:
        return group_id in self._open

    def keys_of_group(self, group_id: str) -> list[OffsetKey]:
        """Committed and pending, each once."""
        return list({**self._committed.get(group_id, {}), **self._open.get(group_id, {})})

    def keys_of_topics(self, topics: Iterable[str]) -> list[tuple[str, OffsetKey]]:
        """Committed and pending of every group."""
        wanted = frozenset(topics)
        groups = dict.fromkeys((*self._committed, *self._open))
        return [
            (group_id, key)
            for group_id in groups
            for key in self.keys_of_group(group_id)
            if key.topic in wanted
        ]

    # Replay.

    def put(
        self, group_id: str, key: OffsetKey, committed: CommittedOffset, producer_id: int
    ) -> None:
        if producer_id == -1:
            self._committed.setdefault(group_id, {})[key] = committed
        else:
            self._pending.setdefault(producer_id, {})[group_id, key] = committed
            self._open.setdefault(group_id, {}).setdefault(key, set()).add(producer_id)

    def remove(self, group_id: str, key: OffsetKey) -> None:
        """A tombstone: what is pending for the partition goes too."""
        _discard(self._committed, group_id, key)
        for producer_id in self._open.get(group_id, {}).get(key, ()):
            _discard(self._pending, producer_id, (group_id, key))
        _discard(self._open, group_id, key)

    def end_transaction(self, producer_id: int, committed: bool) -> None:
        for (group_id, key), offset in self._pending.pop(producer_id, {}).items():
            producers = self._open[group_id][key]
            producers.discard(producer_id)
            if not producers:
                _discard(self._open, group_id, key)
            if committed:
                present = self._committed.setdefault(group_id, {})
                known = present.get(key)
                if known is None or offset.record_offset > known.record_offset:
                    present[key] = offset

    def snapshot(self) -> tuple[object, ...]:
        """For comparison: equal logs make equal snapshots."""
        return self._committed, self._pending, self._open


def _discard(table: dict[K, dict[L, V]], outer: K, inner: L) -> None:
    entries = table.get(outer)
    if entries is not None and entries.pop(inner, None) is not None and not entries:
        del table[outer]
