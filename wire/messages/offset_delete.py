"""OffsetDelete: a group forgets partitions (KIP-496)."""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, string


class OffsetDeleteRequestPartition(Struct):
    partition_index: int32 = 0


class OffsetDeleteRequestTopic(Struct):
    name: string = ""
    partitions: list[OffsetDeleteRequestPartition] = []


class OffsetDeleteRequest(Request, api_key=47, versions="0"):
    group_id: string = ""
    topics: list[OffsetDeleteRequestTopic] = []


class OffsetDeleteResponsePartition(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0


class OffsetDeleteResponseTopic(Struct):
    name: string = ""
    partitions: list[OffsetDeleteResponsePartition] = []


class OffsetDeleteResponse(Response, api_key=47, versions="0"):
    error_code: int16 = 0
    throttle_time_ms: int32 = at("0+", default=0, ignorable=True)
    topics: list[OffsetDeleteResponseTopic] = []
