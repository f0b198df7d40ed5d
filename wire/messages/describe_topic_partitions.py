"""DescribeTopicPartitions: Metadata page by page, with eligible replicas (KIP-966)."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, at, int16, int32, string, uuid


class TopicRequest(Struct):
    name: string = ""


class Cursor(Struct):
    topic_name: string = ""
    partition_index: int32 = 0


class DescribeTopicPartitionsRequest(Request, api_key=75, versions="0", flexible="0+"):
    topics: list[TopicRequest] = []
    response_partition_limit: int32 = 2000
    cursor: Cursor | None = None


class DescribeTopicPartitionsResponsePartition(Struct):
    error_code: int16 = 0
    partition_index: int32 = 0
    leader_id: int32 = 0
    leader_epoch: int32 = at("0+", default=-1, ignorable=True)
    replica_nodes: list[int32] = []
    isr_nodes: list[int32] = []
    eligible_leader_replicas: list[int32] | None = None
    last_known_elr: list[int32] | None = None
    offline_replicas: list[int32] = at("0+", default=[], ignorable=True)


class DescribeTopicPartitionsResponseTopic(Struct):
    error_code: int16 = 0
    name: string | None = ""
    topic_id: uuid = at("0+", default=ZERO_UUID, ignorable=True)
    is_internal: bool = at("0+", default=False, ignorable=True)
    partitions: list[DescribeTopicPartitionsResponsePartition] = []
    topic_authorized_operations: int32 = -2147483648


class DescribeTopicPartitionsResponse(Response, api_key=75, versions="0", flexible="0+"):
    throttle_time_ms: int32 = at("0+", default=0, ignorable=True)
    topics: list[DescribeTopicPartitionsResponseTopic] = []
    next_cursor: Cursor | None = None
