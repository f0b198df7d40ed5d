"""ShareGroupHeartbeat (KIP-932)."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, int16, int32, string, uuid


class ShareGroupHeartbeatRequest(Request, api_key=76, versions="1", flexible="1+"):
    group_id: string = ""
    member_id: string = ""
    member_epoch: int32 = 0
    rack_id: string | None = None
    subscribed_topic_names: list[string] | None = None


class TopicPartitions(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[int32] = []


class Assignment(Struct):
    topic_partitions: list[TopicPartitions] = []


class ShareGroupHeartbeatResponse(Response, api_key=76, versions="1", flexible="1+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: string | None = None
    member_id: string | None = None
    member_epoch: int32 = 0
    heartbeat_interval_ms: int32 = 0
    assignment: Assignment | None = None
