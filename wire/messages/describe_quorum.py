"""DescribeQuorum: voters and observers of the metadata log (KIP-595).

v1 timestamps (KIP-836) - v2 directory ids and endpoints (KIP-853)
"""

from __future__ import annotations

from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    at,
    int16,
    int32,
    int64,
    string,
    uint16,
    uuid,
)


class PartitionData(Struct):
    partition_index: int32 = 0


class TopicData(Struct):
    topic_name: string = ""
    partitions: list[PartitionData] = []


class DescribeQuorumRequest(Request, api_key=55, versions="0-2", flexible="0+"):
    topics: list[TopicData] = []


class ReplicaState(Struct):
    replica_id: int32 = 0
    replica_directory_id: uuid = at("2+", default=ZERO_UUID)
    log_end_offset: int64 = 0
    last_fetch_timestamp: int64 = at("1+", default=-1, ignorable=True)
    last_caught_up_timestamp: int64 = at("1+", default=-1, ignorable=True)


class DescribeQuorumResponsePartitionData(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    error_message: string | None = at("2+", default="", ignorable=True)
    leader_id: int32 = 0
    leader_epoch: int32 = 0
    high_watermark: int64 = 0
    current_voters: list[ReplicaState] = []
    observers: list[ReplicaState] = []


class DescribeQuorumResponseTopicData(Struct):
    topic_name: string = ""
    partitions: list[DescribeQuorumResponsePartitionData] = []


class Listener(Struct):
    name: string = ""
    host: string = ""
    port: uint16 = 0


class Node(Struct):
    node_id: int32 = 0
    listeners: list[Listener] = []


class DescribeQuorumResponse(Response, api_key=55, versions="0-2", flexible="0+"):
    error_code: int16 = 0
    error_message: string | None = at("2+", default="", ignorable=True)
    topics: list[DescribeQuorumResponseTopicData] = []
    nodes: list[Node] = at("2+", default=[])


def downgrade(response: DescribeQuorumResponse, version: int) -> DescribeQuorumResponse:
    """Before v2 voters have no directories and no endpoints."""
    if version < 2:
        response.nodes = []
        for topic in response.topics:
            for partition in topic.partitions:
                for replica in (*partition.current_voters, *partition.observers):
                    replica.replica_directory_id = ZERO_UUID
    return response
