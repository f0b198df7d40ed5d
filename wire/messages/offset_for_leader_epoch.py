"""OffsetForLeaderEpoch: where a leader epoch ended in this log (KIP-101).

v1 the epoch found (KIP-279) - v2 current leader epoch (KIP-320) - v3 replica id (KIP-392)
v4 flexible
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class OffsetForLeaderPartition(Struct):
    partition: int32 = 0
    current_leader_epoch: int32 = at("2+", default=-1, ignorable=True)
    leader_epoch: int32 = 0


class OffsetForLeaderTopic(Struct):
    topic: string = ""
    partitions: list[OffsetForLeaderPartition] = []


class OffsetForLeaderEpochRequest(Request, api_key=23, versions="0-4", flexible="4+"):
    replica_id: int32 = at("3+", default=-2, ignorable=True)
    topics: list[OffsetForLeaderTopic] = []


class EpochEndOffset(Struct):
    error_code: int16 = 0
    partition: int32 = 0
    leader_epoch: int32 = at("1+", default=-1, ignorable=True)
    end_offset: int64 = -1


class OffsetForLeaderTopicResult(Struct):
    topic: string = ""
    partitions: list[EpochEndOffset] = []


class OffsetForLeaderEpochResponse(Response, api_key=23, versions="0-4", flexible="4+"):
    throttle_time_ms: int32 = at("2+", default=0, ignorable=True)
    topics: list[OffsetForLeaderTopicResult] = []
