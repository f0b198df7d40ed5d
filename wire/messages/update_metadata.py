"""UpdateMetadata: what a ZooKeeper controller told brokers. Gone in 4.0, never served here."""

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


class UpdateMetadataPartitionState(Struct):
    topic_name: string = at("0+", default="", ignorable=True)
    partition_index: int32 = 0
    controller_epoch: int32 = 0
    leader: int32 = 0
    leader_epoch: int32 = 0
    isr: list[int32] = []
    zk_version: int32 = 0
    replicas: list[int32] = []
    offline_replicas: list[int32] = at("4", default=[], ignorable=True)


class UpdateMetadataTopicPartitionState(Struct):
    partition_index: int32 = 0
    controller_epoch: int32 = 0
    leader: int32 = 0
    leader_epoch: int32 = 0
    isr: list[int32] = []
    zk_version: int32 = 0
    replicas: list[int32] = []
    offline_replicas: list[int32] = at("0+", default=[], ignorable=True)


class UpdateMetadataTopicState(Struct):
    topic_name: string = ""
    topic_id: uuid = at("7+", default=ZERO_UUID, ignorable=True)
    partition_states: list[UpdateMetadataTopicPartitionState] = []


class UpdateMetadataEndpoint(Struct):
    port: int32 = 0
    host: string = ""
    listener: string = at("3+", default="", ignorable=True)
    security_protocol: int16 = 0


class UpdateMetadataBroker(Struct):
    id: int32 = 0
    v0_host: string = at("0", default="", ignorable=True)
    v0_port: int32 = at("0", default=0, ignorable=True)
    endpoints: list[UpdateMetadataEndpoint] = at("1+", default=[], ignorable=True)
    rack: string | None = at("2+", default="", ignorable=True)


class UpdateMetadataRequest(Request, api_key=6, versions="0-8", flexible="6+"):
    controller_id: int32 = 0
    is_k_raft_controller: bool = at("8+", default=False)
    type: int8 = at("8+", default=0, tag=0)
    controller_epoch: int32 = 0
    broker_epoch: int64 = at("5+", default=-1, ignorable=True)
    ungrouped_partition_states: list[UpdateMetadataPartitionState] = at("0-4", default=[])
    topic_states: list[UpdateMetadataTopicState] = at("5+", default=[])
    live_brokers: list[UpdateMetadataBroker] = []


class UpdateMetadataResponse(Response, api_key=6, versions="0-8", flexible="6+"):
    error_code: int16 = 0
