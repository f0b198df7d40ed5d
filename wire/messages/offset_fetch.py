"""OffsetFetch: the messages."""

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
