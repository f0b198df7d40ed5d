"""AlterPartitionReassignments: replicas move, or stop moving (KIP-455).

v1 whether the replication factor may change (KIP-860)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, string


class ReassignablePartition(Struct):
    partition_index: int32 = 0
    replicas: list[int32] | None = None


class ReassignableTopic(Struct):
    name: string = ""
    partitions: list[ReassignablePartition] = []


class AlterPartitionReassignmentsRequest(Request, api_key=45, versions="0-1", flexible="0+"):
    timeout_ms: int32 = 60000
    allow_replication_factor_change: bool = at("1+", default=True)
    topics: list[ReassignableTopic] = []


class ReassignablePartitionResponse(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    error_message: string | None = ""


class ReassignableTopicResponse(Struct):
    name: string = ""
    partitions: list[ReassignablePartitionResponse] = []


class AlterPartitionReassignmentsResponse(Response, api_key=45, versions="0-1", flexible="0+"):
    throttle_time_ms: int32 = 0
    allow_replication_factor_change: bool = at("1+", default=True, ignorable=True)
    error_code: int16 = 0
    error_message: string | None = ""
    responses: list[ReassignableTopicResponse] = []
