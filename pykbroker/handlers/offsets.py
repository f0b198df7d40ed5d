"""Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete.

OffsetCommit: v1 generation - v2 retention time, gone in v5 (KIP-211) - v6 leader epoch (KIP-320) -
v7 group.instance.id - v9 GROUP_ID_NOT_FOUND - v10 topic ids
OffsetFetch: v2 all topics, group error - v5 leader epoch - v7 stable only (KIP-447) - v8 several
groups (KIP-709) - v9 member epoch - v10 topic ids
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import Context, handles
from pykbroker.runtime.waiters import gather
from pykbroker.state.types import NO_TOPIC_ID, TopicId
from wire.errors import ErrorCode
from wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)

if TYPE_CHECKING:
    from pykbroker.runtime.waiters import Deferral
    from pykbroker.state.controller.image import MetadataImage
    from wire.messages.offset_fetch import OffsetFetchRequestTopics


Codes = dict[tuple[str, bytes, int], ErrorCode]
"""By name, topic id and partition of a commit."""


@handles(OffsetCommitRequest)
def offset_commit(
    request: OffsetCommitRequest, ctx: Context
) -> OffsetCommitResponse | Deferral[OffsetCommitResponse]:
    valid, codes = _check_commit(request, ctx)
    if not valid.topics:
        return _commit_response(request, codes)

    def failure(code: ErrorCode) -> OffsetCommitResponse:
        if code is ErrorCode.GROUP_ID_NOT_FOUND and ctx.api_version < 9:
            code = ErrorCode.ILLEGAL_GENERATION
        return _commit_response(valid, dict.fromkeys(codes, code))

    def merged(response: OffsetCommitResponse) -> OffsetCommitResponse:
        for topic in response.topics:
            for p in topic.partitions:
                code = ErrorCode(p.error_code)
                codes[topic.name, topic.topic_id, p.partition_index] = code
        return _commit_response(request, codes)

    return ctx.broker.groups.commit_offsets(valid, failure).then(merged)


def _check_commit(request: OffsetCommitRequest, ctx: Context) -> tuple[OffsetCommitRequest, Codes]:
    """The part of it that concerns partitions there are, and what is wrong with the rest."""
    image = ctx.broker.images.current
    codes: Codes = {}
    topics = []
    for topic in request.topics:
        unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if ctx.api_version >= 10:
            topic.name = _name_of(image, topic.topic_id)
            if not topic.name:
                unknown = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            topic.topic_id = _id_of(image, topic.name)
        partitions = []
        for p in topic.partitions:
            exists = _exists(image, topic.name, p.partition_index)
            key = (topic.name, topic.topic_id, p.partition_index)
            codes[key] = ErrorCode.NONE if exists else unknown
            if exists:
                partitions.append(p)
        if partitions:
            topics.append(
                OffsetCommitRequestTopic(
                    name=topic.name, topic_id=topic.topic_id, partitions=partitions
                )
            )
    valid = OffsetCommitRequest(
        group_id=request.group_id,
        generation_id_or_member_epoch=request.generation_id_or_member_epoch,
        member_id=request.member_id,
        group_instance_id=request.group_instance_id,
        retention_time_ms=request.retention_time_ms,
        topics=topics,
    )
    return valid, codes


def _commit_response(request: OffsetCommitRequest, codes: Codes) -> OffsetCommitResponse:
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(
                        partition_index=p.partition_index,
                        error_code=codes[topic.name, topic.topic_id, p.partition_index],
                    )
                    for p in topic.partitions
                ],
            )
            for topic in request.topics
            if topic.partitions
        ]
    )


def _name_of(image: MetadataImage, topic_id: bytes) -> str:
    return image.topic_names.get(TopicId(topic_id), "")


def _id_of(image: MetadataImage, name: str) -> bytes:
    """All zero where there is no such topic. Offsets are kept with the id, so that a topic created
    anew under an old name does not inherit them."""
    topic = image.topics.get(name)
    return NO_TOPIC_ID if topic is None else topic.topic_id


def _exists(image: MetadataImage, name: str, partition: int) -> bool:
    topic = image.topics.get(name)
    return topic is not None and 0 <= partition < len(topic.partitions)


@handles(OffsetFetchRequest)
def offset_fetch(request: OffsetFetchRequest, ctx: Context) -> Deferral[OffsetFetchResponse]:
    groups = [_fetch_group(group, request.require_stable, ctx) for group in request.groups]
    return gather(groups).then(lambda found: OffsetFetchResponse(groups=found))


def _fetch_group(
    group: OffsetFetchRequestGroup, require_stable: bool, ctx: Context
) -> Deferral[OffsetFetchResponseGroup]:
    image = ctx.broker.images.current
    by_id = ctx.api_version >= 10
    asked = group
    unknown: list[OffsetFetchRequestTopics] = []
    if group.topics is not None and not by_id:
        for topic in group.topics:
            topic.topic_id = _id_of(image, topic.name)
    if group.topics is not None and by_id:
        for topic in group.topics:
            topic.name = _name_of(image, topic.topic_id)
        unknown = [topic for topic in group.topics if not topic.name]
        asked = OffsetFetchRequestGroup(
            group_id=group.group_id, topics=[topic for topic in group.topics if topic.name]
        )

    def failure(code: ErrorCode) -> OffsetFetchResponseGroup:
        if code is ErrorCode.COORDINATOR_NOT_AVAILABLE:
            # Which every consumer asks again for; librdkafka never does for NOT_COORDINATOR.
            code = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        return OffsetFetchResponseGroup(group_id=group.group_id, error_code=code)

    def completed(response: OffsetFetchResponseGroup) -> OffsetFetchResponseGroup:
        if response.error_code and ctx.api_version < 2:
            code, response.error_code = response.error_code, ErrorCode.NONE
            response.topics = [_without_offsets(topic, code) for topic in group.topics or ()]
        elif by_id and not response.error_code:
            _identify(response, image)
            code = ErrorCode.UNKNOWN_TOPIC_ID
            response.topics += [_without_offsets(topic, code) for topic in unknown]
        return response

    return ctx.broker.groups.fetch_offsets(asked, require_stable, failure).then(completed)


def _identify(response: OffsetFetchResponseGroup, image: MetadataImage) -> None:
    """Offsets of topics that are no more cannot be told of where topics go by their ids."""
    for found in response.topics:
        topic = image.topics.get(found.name)
        if found.topic_id == NO_TOPIC_ID and topic is not None:
            found.topic_id = topic.topic_id
    response.topics = [found for found in response.topics if found.topic_id != NO_TOPIC_ID]


def _without_offsets(topic: OffsetFetchRequestTopics, code: int) -> OffsetFetchResponseTopics:
    return OffsetFetchResponseTopics(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            OffsetFetchResponsePartitions(
                partition_index=index, committed_offset=-1, error_code=code
            )
            for index in topic.partition_indexes
        ],
    )


@handles(OffsetDeleteRequest)
def offset_delete(request: OffsetDeleteRequest, ctx: Context) -> Deferral[OffsetDeleteResponse]:
    image = ctx.broker.images.current
    unknown: list[OffsetDeleteResponseTopic] = []
    topics = []
    for topic in request.topics:
        found: list[OffsetDeleteRequestPartition] = []
        missing: list[OffsetDeleteRequestPartition] = []
        for p in topic.partitions:
            known = _exists(image, topic.name, p.partition_index)
            (found if known else missing).append(p)
        if found:
            topics.append(OffsetDeleteRequestTopic(name=topic.name, partitions=found))
        if missing:
            unknown.append(
                OffsetDeleteResponseTopic(
                    name=topic.name,
                    partitions=[
                        OffsetDeleteResponsePartition(
                            partition_index=p.partition_index,
                            error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                        )
                        for p in missing
                    ],
                )
            )

    def merged(response: OffsetDeleteResponse) -> OffsetDeleteResponse:
        if not response.error_code:
            _merge(response, unknown)
        return response

    valid = OffsetDeleteRequest(group_id=request.group_id, topics=topics)
    deleted = ctx.broker.groups.delete_offsets(
        valid, lambda code: OffsetDeleteResponse(error_code=code)
    )
    return deleted.then(merged)


def _merge(response: OffsetDeleteResponse, unknown: list[OffsetDeleteResponseTopic]) -> None:
    by_name = {topic.name: topic for topic in response.topics}
    for topic in unknown:
        if topic.name in by_name:
            by_name[topic.name].partitions += topic.partitions
        else:
            response.topics.append(topic)
