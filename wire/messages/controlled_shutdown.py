"""ControlledShutdown: the messages."""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class ControlledShutdownRequest(Request, api_key=7, versions="0-3", flexible="3+"):
    broker_id: int32 = 0
    broker_epoch: int64 = at("2+", default=-1, ignorable=True)


class RemainingPartition(Struct):
    topic_name: string = ""
    partition_index: int32 = 0


class ControlledShutdownResponse(Response, api_key=7, versions="0-3", flexible="3+"):
    error_code: int16 = 0
    remaining_partitions: list[RemainingPartition] = []
