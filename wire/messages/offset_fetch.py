"""OffsetFetch: what a group has committed.

v1 offsets from the internal topic - v2 all topics, error of the group - v3 throttle time
v5 leader epochs (KIP-320) - v6 flexible - v7 stable offsets only (KIP-447)
v8 several groups (KIP-709) - v9 members of the consumer protocol (KIP-848) - v10 topic ids
"""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, at, int16, int32, int64, string, uuid


class OffsetFetchRequestTopic(Struct):
    name: string = ""
    partition_indexes: list[int32] = []


class OffsetFetchRequestTopics(Struct):
    name: string = at("8-9", default="", ignorable=True)
    topic_id: uuid = at("10+", default=ZERO_UUID, ignorable=True)
    partition_indexes: list[int32] = []


class OffsetFetchRequestGroup(Struct):
    group_id: string = ""
    member_id: string | None = at("9+", default=None, ignorable=True)
    member_epoch: int32 = at("9+", default=-1, ignorable=True)
    topics: list[OffsetFetchRequestTopics] | None = []


class OffsetFetchRequest(Request, api_key=9, versions="0-10", flexible="6+"):
    group_id: string = at("0-7", default="")
    topics: list[OffsetFetchRequestTopic] | None = at("0-7", default=[], nullable="2-7")
    groups: list[OffsetFetchRequestGroup] = at("8+", default=[])
    require_stable: bool = at("7+", default=False)


class OffsetFetchResponsePartition(Struct):
    partition_index: int32 = 0
    committed_offset: int64 = 0
    committed_leader_epoch: int32 = at("5-7", default=-1, ignorable=True)
    metadata: string | None = ""
    error_code: int16 = 0


class OffsetFetchResponseTopic(Struct):
    name: string = ""
    partitions: list[OffsetFetchResponsePartition] = []


class OffsetFetchResponsePartitions(Struct):
    partition_index: int32 = 0
    committed_offset: int64 = 0
    committed_leader_epoch: int32 = at("0+", default=-1, ignorable=True)
    metadata: string | None = ""
    error_code: int16 = 0


class OffsetFetchResponseTopics(Struct):
    name: string = at("8-9", default="", ignorable=True)
    topic_id: uuid = at("10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetFetchResponsePartitions] = []


class OffsetFetchResponseGroup(Struct):
    group_id: string = ""
    topics: list[OffsetFetchResponseTopics] = []
    error_code: int16 = 0


class OffsetFetchResponse(Response, api_key=9, versions="0-10", flexible="6+"):
    throttle_time_ms: int32 = at("3+", default=0, ignorable=True)
    topics: list[OffsetFetchResponseTopic] = at("0-7", default=[])
    error_code: int16 = at("2-7", default=0, ignorable=True)
    groups: list[OffsetFetchResponseGroup] = at("8+", default=[])


def upgrade(request: OffsetFetchRequest, version: int) -> OffsetFetchRequest:
    """Before v8 there is one group, at the top."""
    if version >= 8:
        return request
    topics = None
    if request.topics is not None:
        topics = [
            OffsetFetchRequestTopics(name=t.name, partition_indexes=t.partition_indexes)
            for t in request.topics
        ]
    group = OffsetFetchRequestGroup(group_id=request.group_id, topics=topics)
    return OffsetFetchRequest(groups=[group], require_stable=request.require_stable)


def downgrade(response: OffsetFetchResponse, version: int) -> OffsetFetchResponse:
    """Before v8 there is one group, at the top; before v2 its error stands in every partition."""
    if version >= 8 or not response.groups:
        return response
    group = response.groups[0]
    error = group.error_code if version < 2 else 0
    topics = [
        OffsetFetchResponseTopic(
            name=topic.name, partitions=[_old_partition(p, error) for p in topic.partitions]
        )
        for topic in group.topics
    ]
    return OffsetFetchResponse(
        throttle_time_ms=response.throttle_time_ms, topics=topics, error_code=group.error_code
    )


def _old_partition(p: OffsetFetchResponsePartitions, error: int) -> OffsetFetchResponsePartition:
    if error:
        return OffsetFetchResponsePartition(
            partition_index=p.partition_index, committed_offset=-1, error_code=error
        )
    return OffsetFetchResponsePartition(
        partition_index=p.partition_index,
        committed_offset=p.committed_offset,
        committed_leader_epoch=p.committed_leader_epoch,
        metadata=p.metadata,
        error_code=p.error_code,
    )
