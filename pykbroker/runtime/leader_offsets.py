"""A follower's question to its leader: where do the logs begin and end?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.runtime.storage.lookup import EARLIEST, LATEST
from pykbroker.state.types import TopicPartition
from wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.runtime.follower import Link
    from pykbroker.runtime.partition import Partition
    from pykbroker.state.types import NodeId

    Asked = tuple[Partition, int]


async def leader_ranges(
    link: Link, node_id: NodeId, asked: list[Asked], timeout_ms: int
) -> dict[TopicPartition, tuple[int, int]]:
    """(log start offset, log end offset) of each partition, in its leader epoch; those that the
    leader does not tell are missing. Raises LinkLost."""
    ends = await _offsets(link, node_id, asked, LATEST, timeout_ms)
    starts = await _offsets(link, node_id, asked, EARLIEST, timeout_ms)
    return {place: (starts[place], end) for place, end in ends.items() if place in starts}


async def _offsets(
    link: Link, node_id: NodeId, asked: Iterable[Asked], timestamp: int, timeout_ms: int
) -> dict[TopicPartition, int]:
    topics: dict[str, ListOffsetsTopic] = {}
    for partition, leader_epoch in asked:
        name, index = partition.topic_partition
        topic = topics.setdefault(name, ListOffsetsTopic(name=name))
        topic.partitions.append(
            ListOffsetsPartition(
                partition_index=index, current_leader_epoch=leader_epoch, timestamp=timestamp
            )
        )
    request = ListOffsetsRequest(replica_id=node_id, topics=list(topics.values()))
    response: ListOffsetsResponse = await link.call(request, timeout_ms=timeout_ms)
    return {
        TopicPartition(found.name, data.partition_index): data.offset
        for found in response.topics
        for data in found.partitions
        if not data.error_code and data.offset >= 0
    }
