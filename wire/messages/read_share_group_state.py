"""ReadShareGroupState: the messages."""

from __future__ import annotations

from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    int8,
    int16,
    int32,
    int64,
    string,
    uuid,
)


class PartitionData(Struct):
    partition: int32 = 0
    leader_epoch: int32 = 0


class ReadStateData(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[PartitionData] = []


class ReadShareGroupStateRequest(Request, api_key=84, versions="0", flexible="0+"):
    group_id: string = ""
    topics: list[ReadStateData] = []


class StateBatch(Struct):
    first_offset: int64 = 0
    last_offset: int64 = 0
    delivery_state: int8 = 0
    delivery_count: int16 = 0


class PartitionResult(Struct):
    partition: int32 = 0
    error_code: int16 = 0
    error_message: string | None = None
    state_epoch: int32 = 0
    start_offset: int64 = 0
    state_batches: list[StateBatch] = []


class ReadStateResult(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[PartitionResult] = []


class ReadShareGroupStateResponse(Response, api_key=84, versions="0", flexible="0+"):
    results: list[ReadStateResult] = []
