"""Ids and offsets as distinct types, and the pairs everything is keyed by."""

from __future__ import annotations

from typing import NewType

from wire.tuples import NamedTuple

TopicId = NewType("TopicId", bytes)
"""Sixteen bytes; all zero means none."""
Offset = NewType("Offset", int)
LeaderEpoch = NewType("LeaderEpoch", int)
NodeId = NewType("NodeId", int)
ProducerId = NewType("ProducerId", int)
Millis = NewType("Millis", int)

NO_TOPIC_ID = TopicId(bytes(16))
NO_LEADER = NodeId(-1)
NO_EPOCH = LeaderEpoch(-1)
NO_TIMESTAMP = -1


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class TopicIdPartition(NamedTuple):
    topic_id: TopicId
    partition: int
