"""AssignReplicasToDirs: the messages."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, int16, int32, int64, uuid


class PartitionData(Struct):
    partition_index: int32 = 0


class TopicData(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[PartitionData] = []


class DirectoryData(Struct):
    id: uuid = ZERO_UUID
    topics: list[TopicData] = []


class AssignReplicasToDirsRequest(Request, api_key=73, versions="0", flexible="0+"):
    broker_id: int32 = 0
    broker_epoch: int64 = -1
    directories: list[DirectoryData] = []


class AssignReplicasToDirsResponsePartitionData(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0


class AssignReplicasToDirsResponseTopicData(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[AssignReplicasToDirsResponsePartitionData] = []


class AssignReplicasToDirsResponseDirectoryData(Struct):
    id: uuid = ZERO_UUID
    topics: list[AssignReplicasToDirsResponseTopicData] = []


class AssignReplicasToDirsResponse(Response, api_key=73, versions="0", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    directories: list[AssignReplicasToDirsResponseDirectoryData] = []
