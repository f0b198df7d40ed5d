"""CreatePartitions: more of them for a topic (KIP-195).

v2 flexible - v3 THROTTLING_QUOTA_EXCEEDED (KIP-599)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, int16, int32, string


class CreatePartitionsAssignment(Struct):
    broker_ids: list[int32] = []


class CreatePartitionsTopic(Struct):
    name: string = ""
    count: int32 = 0
    assignments: list[CreatePartitionsAssignment] | None = []


class CreatePartitionsRequest(Request, api_key=37, versions="0-3", flexible="2+"):
    topics: list[CreatePartitionsTopic] = []
    timeout_ms: int32 = 0
    validate_only: bool = False


class CreatePartitionsTopicResult(Struct):
    name: string = ""
    error_code: int16 = 0
    error_message: string | None = None


class CreatePartitionsResponse(Response, api_key=37, versions="0-3", flexible="2+"):
    throttle_time_ms: int32 = 0
    results: list[CreatePartitionsTopicResult] = []
