"""LeaderAndIsr: what a ZooKeeper controller told brokers. Gone in 4.0, never served here."""

from __future__ import annotations

from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    at,
    int8,
    int16,
    int32,
    int64,
    string,
    uuid,
)


class LeaderAndIsrPartitionState(Struct):
    topic_name: string = at("0+", default="", ignorable=True)
    partition_index: int32 = 0
    controller_epoch: int32 = 0
    leader: int32 = 0
    leader_epoch: int32 = 0
    isr: list[int32] = []
    partition_epoch: int32 = 0
    replicas: list[int32] = []
    is_new: bool = at("1", default=False, ignorable=True)


class LeaderAndIsrTopicPartitionState(Struct):
    partition_index: int32 = 0
    controller_epoch: int32 = 0
    leader: int32 = 0
    leader_epoch: int32 = 0
    isr: list[int32] = []
    partition_epoch: int32 = 0
    replicas: list[int32] = []
    adding_replicas: list[int32] = at("3+", default=[], ignorable=True)
    removing_replicas: list[int32] = at("3+", default=[], ignorable=True)
    is_new: bool = at("0+", default=False, ignorable=True)
    leader_recovery_state: int8 = at("6+", default=0)


class LeaderAndIsrTopicState(Struct):
    topic_name: string = ""
    topic_id: uuid = at("5+", default=ZERO_UUID, ignorable=True)
    partition_states: list[LeaderAndIsrTopicPartitionState] = []


class LeaderAndIsrLiveLeader(Struct):
    broker_id: int32 = 0
    host_name: string = ""
    port: int32 = 0


class LeaderAndIsrRequest(Request, api_key=4, versions="0-7", flexible="4+"):
    controller_id: int32 = 0
    is_k_raft_controller: bool = at("7+", default=False)
    controller_epoch: int32 = 0
    broker_epoch: int64 = at("2+", default=-1, ignorable=True)
    type: int8 = at("5+", default=0)
    ungrouped_partition_states: list[LeaderAndIsrPartitionState] = at("0-1", default=[])
    topic_states: list[LeaderAndIsrTopicState] = at("2+", default=[])
    live_leaders: list[LeaderAndIsrLiveLeader] = []


class LeaderAndIsrPartitionError(Struct):
    topic_name: string = at("0+", default="", ignorable=True)
    partition_index: int32 = 0
    error_code: int16 = 0


class LeaderAndIsrTopicPartitionError(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0


class LeaderAndIsrTopicError(Struct):
    topic_id: uuid = ZERO_UUID
    partition_errors: list[LeaderAndIsrTopicPartitionError] = []


class LeaderAndIsrResponse(Response, api_key=4, versions="0-7", flexible="4+"):
    error_code: int16 = 0
    partition_errors: list[LeaderAndIsrPartitionError] = at("0-4", default=[])
    topics: list[LeaderAndIsrTopicError] = at("5+", default=[])
