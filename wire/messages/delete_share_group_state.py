"""DeleteShareGroupState: the messages."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, int16, int32, string, uuid


class PartitionData(Struct):
    partition: int32 = 0


class DeleteStateData(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[PartitionData] = []


class DeleteShareGroupStateRequest(Request, api_key=86, versions="0", flexible="0+"):
    group_id: string = ""
    topics: list[DeleteStateData] = []


class PartitionResult(Struct):
    partition: int32 = 0
    error_code: int16 = 0
    error_message: string | None = None


class DeleteStateResult(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[PartitionResult] = []


class DeleteShareGroupStateResponse(Response, api_key=86, versions="0", flexible="0+"):
    results: list[DeleteStateResult] = []
