"""ListOffsets: the messages."""

from __future__ import annotations

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
