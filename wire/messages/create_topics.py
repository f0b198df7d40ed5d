"""CreateTopics (KIP-4).

v1 validation alone, error messages - v2 throttle time - v4 the broker's defaults (KIP-464)
v5 flexible, what was made (KIP-525) - v6 THROTTLING_QUOTA_EXCEEDED (KIP-599)
v7 topic ids (KIP-516)
"""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, at, int8, int16, int32, string, uuid


class CreatableReplicaAssignment(Struct):
    partition_index: int32 = 0
    broker_ids: list[int32] = []


class CreatableTopicConfig(Struct):
    name: string = ""
    value: string | None = ""


class CreatableTopic(Struct):
    name: string = ""
    num_partitions: int32 = 0
    replication_factor: int16 = 0
    assignments: list[CreatableReplicaAssignment] = []
    configs: list[CreatableTopicConfig] = []


class CreateTopicsRequest(Request, api_key=19, versions="0-7", flexible="5+"):
    topics: list[CreatableTopic] = []
    timeout_ms: int32 = 60000
    validate_only: bool = at("1+", default=False)


class CreatableTopicConfigs(Struct):
    name: string = ""
    value: string | None = ""
    read_only: bool = False
    config_source: int8 = at("0+", default=-1, ignorable=True)
    is_sensitive: bool = False


class CreatableTopicResult(Struct):
    name: string = ""
    topic_id: uuid = at("7+", default=ZERO_UUID, ignorable=True)
    error_code: int16 = 0
    error_message: string | None = at("1+", default="", ignorable=True)
    topic_config_error_code: int16 = at("5+", default=0, tag=0, ignorable=True)
    num_partitions: int32 = at("5+", default=-1, ignorable=True)
    replication_factor: int16 = at("5+", default=-1, ignorable=True)
    configs: list[CreatableTopicConfigs] | None = at("5+", default=[], ignorable=True)


class CreateTopicsResponse(Response, api_key=19, versions="0-7", flexible="5+"):
    throttle_time_ms: int32 = at("2+", default=0, ignorable=True)
    topics: list[CreatableTopicResult] = []
