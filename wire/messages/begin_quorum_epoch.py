"""BeginQuorumEpoch: the messages."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, at, int16, int32, string, uint16, uuid


class PartitionData(Struct):
    partition_index: int32 = 0
    voter_directory_id: uuid = at("1+", default=ZERO_UUID, ignorable=True)
    leader_id: int32 = 0
    leader_epoch: int32 = 0


class TopicData(Struct):
    topic_name: string = ""
    partitions: list[PartitionData] = []


class LeaderEndpoint(Struct):
    name: string = ""
    host: string = ""
    port: uint16 = 0


class BeginQuorumEpochRequest(Request, api_key=53, versions="0-1", flexible="1+"):
    cluster_id: string | None = None
    voter_id: int32 = at("1+", default=-1, ignorable=True)
    topics: list[TopicData] = []
    leader_endpoints: list[LeaderEndpoint] = at("1+", default=[], ignorable=True)


class BeginQuorumEpochResponsePartitionData(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    leader_id: int32 = 0
    leader_epoch: int32 = 0


class BeginQuorumEpochResponseTopicData(Struct):
    topic_name: string = ""
    partitions: list[BeginQuorumEpochResponsePartitionData] = []


class NodeEndpoint(Struct):
    node_id: int32 = 0
    host: string = ""
    port: uint16 = 0


class BeginQuorumEpochResponse(Response, api_key=53, versions="0-1", flexible="1+"):
    error_code: int16 = 0
    topics: list[BeginQuorumEpochResponseTopicData] = []
    node_endpoints: list[NodeEndpoint] = at("1+", default=[], tag=0)
