"""Vote: the messages."""

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
    replica_epoch: int32 = 0
    replica_id: int32 = 0
    replica_directory_id: uuid = at("1+", default=ZERO_UUID, ignorable=True)
    voter_directory_id: uuid = at("1+", default=ZERO_UUID, ignorable=True)
    last_offset_epoch: int32 = 0
    last_offset: int64 = 0
    pre_vote: bool = at("2+", default=False)


class TopicData(Struct):
    topic_name: string = ""
    partitions: list[PartitionData] = []


class VoteRequest(Request, api_key=52, versions="0-2", flexible="0+"):
    cluster_id: string | None = None
    voter_id: int32 = at("1+", default=-1, ignorable=True)
    topics: list[TopicData] = []


class VoteResponsePartitionData(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    leader_id: int32 = 0
    leader_epoch: int32 = 0
    vote_granted: bool = False


class VoteResponseTopicData(Struct):
    topic_name: string = ""
    partitions: list[VoteResponsePartitionData] = []


class NodeEndpoint(Struct):
    node_id: int32 = 0
    host: string = ""
    port: uint16 = 0


class VoteResponse(Response, api_key=52, versions="0-2", flexible="0+"):
    error_code: int16 = 0
    topics: list[VoteResponseTopicData] = []
    node_endpoints: list[NodeEndpoint] = at("1+", default=[], tag=0)
