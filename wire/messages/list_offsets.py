"""ListOffsets: the offset at a time, or at either end.

v1 one offset and its timestamp (KIP-79) - v2 isolation level (KIP-98) - v4 leader epochs (KIP-320)
v5 OFFSET_NOT_AVAILABLE (KIP-207) - v6 flexible - v7 offset of the largest timestamp (KIP-734)
v8 earliest local (KIP-405) - v9 latest tiered (KIP-1005) - v10 timeout (KIP-1075)
v11 earliest pending upload (KIP-1023)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import Request, Response, Struct, at, int8, int16, int32, int64, string


class ListOffsetsPartition(Struct):
    partition_index: int32 = 0
    current_leader_epoch: int32 = at("4+", default=-1, ignorable=True)
    timestamp: int64 = 0
    max_num_offsets: int32 = at("0", default=1)


class ListOffsetsTopic(Struct):
    name: string = ""
    partitions: list[ListOffsetsPartition] = []


class ListOffsetsRequest(Request, api_key=2, versions="0-11", flexible="6+"):
    replica_id: int32 = 0
    isolation_level: int8 = at("2+", default=0)
    topics: list[ListOffsetsTopic] = []
    timeout_ms: int32 = at("10+", default=0, ignorable=True)


class ListOffsetsPartitionResponse(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    old_style_offsets: list[int64] = at("0", default=[])
    timestamp: int64 = at("1+", default=-1)
    offset: int64 = at("1+", default=-1)
    leader_epoch: int32 = at("4+", default=-1)


class ListOffsetsTopicResponse(Struct):
    name: string = ""
    partitions: list[ListOffsetsPartitionResponse] = []


class ListOffsetsResponse(Response, api_key=2, versions="0-11", flexible="6+"):
    throttle_time_ms: int32 = at("2+", default=0, ignorable=True)
    topics: list[ListOffsetsTopicResponse] = []


def downgrade(response: ListOffsetsResponse, version: int) -> ListOffsetsResponse:
    """Before v5 a leader that does not know its end yet is none; v0 has a list of offsets."""
    if version >= 5:
        return response
    for topic in response.topics:
        for partition in topic.partitions:
            if partition.error_code == ErrorCode.OFFSET_NOT_AVAILABLE:
                partition.error_code = ErrorCode.LEADER_NOT_AVAILABLE
            if version < 4:
                partition.leader_epoch = -1
            if version == 0:
                if not partition.old_style_offsets and partition.offset >= 0:
                    partition.old_style_offsets = [partition.offset]
                partition.timestamp = partition.offset = -1
    return response
