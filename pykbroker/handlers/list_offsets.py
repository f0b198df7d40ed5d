"""ListOffsets: the offset of a time, or of an end of a log. OffsetForLeaderEpoch: where an epoch
ended.

ListOffsets v1 one offset with its timestamp - v2 isolation level - v4 leader epoch (KIP-320) -
v5 OFFSET_NOT_AVAILABLE (KIP-207) - v6 flexible - v7 latest timestamp (KIP-734) - v8, v9, v11
ends of tiered storage (KIP-405, 1005, 1023) - v10 timeout
OffsetForLeaderEpoch v1 leader epoch - v2 current leader epoch (KIP-320) - v3 replica id -
v4 flexible
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.handlers.api import Context, handles
from pykbroker.handlers.fetch import isolation_of
from pykbroker.runtime.offset_lookup import (
    SPECIAL_SINCE,
    end_offset_for_epoch,
    offset_for,
    offsets_before,
)
from pykbroker.runtime.partition import LOG_END
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import TopicPartition
from wire.errors import ErrorCode
from wire.messages.list_offsets import (
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from wire.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
)

if TYPE_CHECKING:
    from wire.messages.list_offsets import ListOffsetsPartition
    from wire.messages.offset_for_leader_epoch import OffsetForLeaderPartition

CONSUMER, DEBUGGING = -1, -2
"""Replica ids that are no broker's. A debugging consumer may ask followers."""


@handles(ListOffsetsRequest)
def list_offsets(request: ListOffsetsRequest, ctx: Context) -> ListOffsetsResponse:
    asked = Counter(
        (topic.name, partition.partition_index)
        for topic in request.topics
        for partition in topic.partitions
    )
    isolation = LOG_END
    if request.replica_id == CONSUMER:
        isolation = isolation_of(request.isolation_level)
    twice = {place for place, times in asked.items() if times > 1}
    response = ListOffsetsResponse(topics=[])
    for topic in request.topics:
        answers = []
        for partition in topic.partitions:
            place = TopicPartition(topic.name, partition.partition_index)
            if place not in twice:
                answers.append(_offset(request, ctx, place, partition, isolation))
            elif place in asked:
                del asked[place]  # Named twice, refused once.
                answers.append(_refused(partition, ErrorCode.INVALID_REQUEST))
        if answers:
            response.topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=answers))
    return response


def _offset(
    request: ListOffsetsRequest,
    ctx: Context,
    place: TopicPartition,
    asked: ListOffsetsPartition,
    isolation: int,
) -> ListOffsetsPartitionResponse:
    try:
        if asked.timestamp < 0:
            _check_special(asked.timestamp, ctx.api_version)
        partition = ctx.broker.replicas.hosted(place)
        if ctx.api_version == 0:
            return ListOffsetsPartitionResponse(
                partition_index=asked.partition_index,
                old_style_offsets=offsets_before(
                    partition, asked.timestamp, isolation, asked.max_num_offsets
                ),
            )
        found = offset_for(
            partition,
            asked.timestamp,
            isolation,
            asked.current_leader_epoch,
            only_leader=request.replica_id != DEBUGGING,
        )
    except KafkaError as error:
        return _refused(asked, error.code)
    return ListOffsetsPartitionResponse(
        partition_index=asked.partition_index,
        timestamp=found.timestamp,
        offset=found.offset,
        leader_epoch=found.leader_epoch,
    )


def _check_special(timestamp: int, version: int) -> None:
    since = SPECIAL_SINCE.get(timestamp)
    if since is None or max(version, 1) < since:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)


def _refused(asked: ListOffsetsPartition, code: ErrorCode) -> ListOffsetsPartitionResponse:
    return ListOffsetsPartitionResponse(partition_index=asked.partition_index, error_code=code)


@handles(OffsetForLeaderEpochRequest)
def offset_for_leader_epoch(
    request: OffsetForLeaderEpochRequest, ctx: Context
) -> OffsetForLeaderEpochResponse:
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[_epoch_end(ctx, topic.topic, asked) for asked in topic.partitions],
            )
            for topic in request.topics
        ]
    )


def _epoch_end(ctx: Context, name: str, asked: OffsetForLeaderPartition) -> EpochEndOffset:
    try:
        partition = ctx.broker.replicas.hosted(TopicPartition(name, asked.partition))
        end = end_offset_for_epoch(partition, asked.leader_epoch, asked.current_leader_epoch)
    except KafkaError as error:
        return EpochEndOffset(partition=asked.partition, error_code=error.code)
    return EpochEndOffset(
        partition=asked.partition, leader_epoch=end.epoch, end_offset=end.end_offset
    )
