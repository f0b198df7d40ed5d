"""EndQuorumEpoch: the messages."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, at, int16, int32, string, uint16, uuid


class ReplicaInfo(Struct):
    candidate_id: int32 = 0
    candidate_directory_id: uuid = ZERO_UUID


class PartitionData(Struct):
    partition_index: int32 = 0
    leader_id: int32 = 0
    leader_epoch: int32 = 0
    preferred_successors: list[int32] = at("0", default=[], ignorable=True)
    preferred_candidates: list[ReplicaInfo] = at("1+", default=[], ignorable=True)


class TopicData(Struct):
    topic_name: string = ""
    partitions: list[PartitionData] = []


class LeaderEndpoint(Struct):
    name: string = ""
    host: string = ""
    port: uint16 = 0


class EndQuorumEpochRequest(Request, api_key=54, versions="0-1", flexible="1+"):
    cluster_id: string | None = None
    topics: list[TopicData] = []
    leader_endpoints: list[LeaderEndpoint] = at("1+", default=[], ignorable=True)


class EndQuorumEpochResponsePartitionData(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    leader_id: int32 = 0
    leader_epoch: int32 = 0


class EndQuorumEpochResponseTopicData(Struct):
    topic_name: string = ""
    partitions: list[EndQuorumEpochResponsePartitionData] = []


class NodeEndpoint(Struct):
    node_id: int32 = 0
    host: string = ""
    port: uint16 = 0


class EndQuorumEpochResponse(Response, api_key=54, versions="0-1", flexible="1+"):
    error_code: int16 = 0
    topics: list[EndQuorumEpochResponseTopicData] = []
    node_endpoints: list[NodeEndpoint] = at("1+", default=[], tag=0)
