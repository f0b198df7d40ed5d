"""StopReplica: the messages."""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class StopReplicaPartitionV0(Struct):
    topic_name: string = ""
    partition_index: int32 = 0


class StopReplicaTopicV1(Struct):
    name: string = ""
    partition_indexes: list[int32] = []


class StopReplicaPartitionState(Struct):
    partition_index: int32 = 0
    leader_epoch: int32 = -1
    delete_partition: bool = False


class StopReplicaTopicState(Struct):
    topic_name: string = ""
    partition_states: list[StopReplicaPartitionState] = []


class StopReplicaRequest(Request, api_key=5, versions="0-4", flexible="2+"):
    controller_id: int32 = 0
    is_k_raft_controller: bool = at("4+", default=False)
    controller_epoch: int32 = 0
    broker_epoch: int64 = at("1+", default=-1, ignorable=True)
    delete_partitions: bool = at("0-2", default=False)
    ungrouped_partitions: list[StopReplicaPartitionV0] = at("0", default=[])
    topics: list[StopReplicaTopicV1] = at("1-2", default=[])
    topic_states: list[StopReplicaTopicState] = at("3+", default=[])


class StopReplicaPartitionError(Struct):
    topic_name: string = ""
    partition_index: int32 = 0
    error_code: int16 = 0


class StopReplicaResponse(Response, api_key=5, versions="0-4", flexible="2+"):
    error_code: int16 = 0
    partition_errors: list[StopReplicaPartitionError] = []
