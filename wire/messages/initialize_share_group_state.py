"""InitializeShareGroupState: the messages."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, int16, int32, int64, string, uuid


class PartitionData(Struct):
    partition: int32 = 0
    state_epoch: int32 = 0
    start_offset: int64 = 0


class InitializeStateData(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[PartitionData] = []


class InitializeShareGroupStateRequest(Request, api_key=83, versions="0", flexible="0+"):
    group_id: string = ""
    topics: list[InitializeStateData] = []


class PartitionResult(Struct):
    partition: int32 = 0
    error_code: int16 = 0
    error_message: string | None = None


class InitializeStateResult(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[PartitionResult] = []


class InitializeShareGroupStateResponse(Response, api_key=83, versions="0", flexible="0+"):
    results: list[InitializeStateResult] = []
