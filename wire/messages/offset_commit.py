"""OffsetCommit: how far a group has read.

v1 generation and member - v2 retention time - v3 throttle time - v5 no retention time (KIP-211)
v6 leader epochs (KIP-320) - v7 static members (KIP-345) - v8 flexible
v9 members of the consumer protocol (KIP-848) - v10 topic ids (KIP-848)
"""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, at, int16, int32, int64, string, uuid


class OffsetCommitRequestPartition(Struct):
    partition_index: int32 = 0
    committed_offset: int64 = 0
    committed_leader_epoch: int32 = at("6+", default=-1, ignorable=True)
    commit_timestamp: int64 = at("1", default=-1)
    committed_metadata: string | None = ""


class OffsetCommitRequestTopic(Struct):
    name: string = at("0-9", default="", ignorable=True)
    topic_id: uuid = at("10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetCommitRequestPartition] = []


class OffsetCommitRequest(Request, api_key=8, versions="0-10", flexible="8+"):
    group_id: string = ""
    generation_id_or_member_epoch: int32 = at("1+", default=-1, ignorable=True)
    member_id: string = at("1+", default="", ignorable=True)
    group_instance_id: string | None = at("7+", default=None)
    retention_time_ms: int64 = at("2-4", default=-1, ignorable=True)
    topics: list[OffsetCommitRequestTopic] = []


class OffsetCommitResponsePartition(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0


class OffsetCommitResponseTopic(Struct):
    name: string = at("0-9", default="", ignorable=True)
    topic_id: uuid = at("10+", default=ZERO_UUID, ignorable=True)
    partitions: list[OffsetCommitResponsePartition] = []


class OffsetCommitResponse(Response, api_key=8, versions="0-10", flexible="8+"):
    throttle_time_ms: int32 = at("3+", default=0, ignorable=True)
    topics: list[OffsetCommitResponseTopic] = []
