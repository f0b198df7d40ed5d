"""ShareGroupDescribe (KIP-932)."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, int16, int32, string, uuid


class ShareGroupDescribeRequest(Request, api_key=77, versions="1", flexible="1+"):
    group_ids: list[string] = []
    include_authorized_operations: bool = False


class TopicPartitions(Struct):
    topic_id: uuid = ZERO_UUID
    topic_name: string = ""
    partitions: list[int32] = []


class Assignment(Struct):
    topic_partitions: list[TopicPartitions] = []


class Member(Struct):
    member_id: string = ""
    rack_id: string | None = None
    member_epoch: int32 = 0
    client_id: string = ""
    client_host: string = ""
    subscribed_topic_names: list[string] = []
    assignment: Assignment = Assignment()


class DescribedGroup(Struct):
    error_code: int16 = 0
    error_message: string | None = None
    group_id: string = ""
    group_state: string = ""
    group_epoch: int32 = 0
    assignment_epoch: int32 = 0
    assignor_name: string = ""
    members: list[Member] = []
    authorized_operations: int32 = -2147483648


class ShareGroupDescribeResponse(Response, api_key=77, versions="1", flexible="1+"):
    throttle_time_ms: int32 = 0
    groups: list[DescribedGroup] = []
