"""DeleteRecords: forget records below an offset. DescribeProducers: who writes to a partition.

DeleteRecords v2 flexible
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pykbroker.handlers.api import Context, handles
from pykbroker.handlers.topic_refs import INTERNAL_TOPICS, check_partition, topic_ref
from pykbroker.runtime.purgatory import DELETE_RECORDS, AckWait
from pykbroker.state.errors import KafkaError
from pykbroker.state.topic_names import check_topic_name
from pykbroker.state.types import NO_TOPIC_ID, TopicPartition
from wire.errors import ErrorCode
from wire.messages.delete_records import (
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)
from wire.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)

if TYPE_CHECKING:
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.waiters import Deferral
    from wire.messages.delete_records import DeleteRecordsPartition

Part = tuple[DeleteRecordsPartitionResult, "Partition"]


@handles(DeleteRecordsRequest)
def delete_records(
    request: DeleteRecordsRequest, ctx: Context
) -> DeleteRecordsResponse | Deferral[Any]:
    """Answered once all live replicas have deleted as well."""
    response = DeleteRecordsResponse(topics=[])
    waits: list[tuple[Part, Any]] = []
    for name, partitions in _by_topic(request).items():
        results = []
        for asked in partitions:
            place = TopicPartition(name, asked.partition_index)
            result = DeleteRecordsPartitionResult(partition_index=asked.partition_index)
            results.append(result)
            try:
                partition, offset = _delete(ctx, place, asked)
                result.low_watermark = partition.low_watermark()
                if result.low_watermark < offset:
                    waits.append(((result, partition), partial(partition.when_deleted, offset)))
            except KafkaError as error:
                result.low_watermark = -1
                result.error_code = error.code
        response.topics.append(DeleteRecordsTopicResult(name=name, partitions=results))
    ctx.broker.replicas.wakeups.run()
    if not waits:
        return response
    return AckWait(
        ctx.broker.clock,
        ctx.broker.replicas.counts,
        DELETE_RECORDS,
        request.timeout_ms,
        waits,
        _settle,
        lambda: response,
    ).deferral


def _by_topic(request: DeleteRecordsRequest) -> dict[str, list[DeleteRecordsPartition]]:
    """Each partition once: of those named several times the last counts."""
    wanted = {
        (topic.name, partition.partition_index): partition
        for topic in request.topics
        for partition in topic.partitions
    }
    topics: dict[str, list[DeleteRecordsPartition]] = {}
    for (name, _), partition in wanted.items():
        topics.setdefault(name, []).append(partition)
    return topics


def _delete(
    ctx: Context, place: TopicPartition, asked: DeleteRecordsPartition
) -> tuple[Partition, int]:
    check_partition(topic_ref(ctx.broker.images.current, place.topic, NO_TOPIC_ID), place.partition)
    if place.topic in INTERNAL_TOPICS:
        raise KafkaError(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"Cannot delete records of internal topic {place.topic}",
        )
    partition = ctx.broker.replicas.leader(place)
    return partition, partition.delete_records(asked.offset)


def _settle(part: Part, code: ErrorCode) -> None:
    result, partition = part
    result.error_code = code
    if code is ErrorCode.NONE:
        result.low_watermark = partition.low_watermark()
    elif code is not ErrorCode.REQUEST_TIMED_OUT:
        result.low_watermark = -1


@handles(DescribeProducersRequest)
def describe_producers(
    request: DescribeProducersRequest, ctx: Context
) -> DescribeProducersResponse:
    topics = []
    for topic in request.topics:
        refusal = _topic_refusal(ctx, topic.name)
        partitions = [
            _producers(ctx, TopicPartition(topic.name, index), refusal)
            for index in topic.partition_indexes
        ]
        topics.append(TopicResponse(name=topic.name, partitions=partitions))
    return DescribeProducersResponse(topics=topics)


def _topic_refusal(ctx: Context, name: str) -> KafkaError | None:
    try:
        check_topic_name(name)
    except KafkaError as error:
        return error
    if name not in ctx.broker.images.current.topics:
        return KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition."
        )
    return None


def _producers(
    ctx: Context, place: TopicPartition, refusal: KafkaError | None
) -> PartitionResponse:
    try:
        if refusal is not None:
            raise refusal
        log = ctx.broker.replicas.hosted(place).log
    except KafkaError as error:
        return PartitionResponse(
            partition_index=place.partition, error_code=error.code, error_message=error.message
        )
    return PartitionResponse(
        partition_index=place.partition,
        active_producers=[
            ProducerState(
                producer_id=entry.producer_id,
                producer_epoch=entry.epoch,
                last_sequence=entry.last_sequence,
                last_timestamp=entry.last_timestamp,
                coordinator_epoch=entry.coordinator_epoch,
                current_txn_start_offset=entry.current_txn_first_offset,
            )
            for entry in log.producers.entries.values()
        ],
    )
