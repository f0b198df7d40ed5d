"""Cluster metadata, one record per fact, as Kafka's metadata log has them."""

from __future__ import annotations

from wire.schema import (
    ZERO_UUID,
    Record,
    Struct,
    at,
    float64,
    int8,
    int16,
    int32,
    int64,
    string,
    uint16,
    uuid,
)


class BrokerEndpoint(Struct):
    name: string = ""
    host: string = ""
    port: uint16 = 0
    security_protocol: int16 = 0


class BrokerFeature(Struct):
    name: string = ""
    min_supported_version: int16 = 0
    max_supported_version: int16 = 0


class RegisterBrokerRecord(Record, api_key=0, versions="0-3", flexible="0+"):
    broker_id: int32 = 0
    is_migrating_zk_broker: bool = at("2+", default=False)
    incarnation_id: uuid = ZERO_UUID
    broker_epoch: int64 = 0
    end_points: list[BrokerEndpoint] = []
    features: list[BrokerFeature] = []
    rack: string | None = ""
    fenced: bool = True
    in_controlled_shutdown: bool = at("1+", default=False)
    log_dirs: list[uuid] = at("3+", default=[], tag=0)


class UnregisterBrokerRecord(Record, api_key=1, versions="0", flexible="0+"):
    broker_id: int32 = 0
    broker_epoch: int64 = 0


class TopicRecord(Record, api_key=2, versions="0", flexible="0+"):
    name: string = ""
    topic_id: uuid = ZERO_UUID


class PartitionRecord(Record, api_key=3, versions="0-2", flexible="0+"):
    partition_id: int32 = -1
    topic_id: uuid = ZERO_UUID
    replicas: list[int32] = []
    isr: list[int32] = []
    removing_replicas: list[int32] = []
    adding_replicas: list[int32] = []
    leader: int32 = -1
    leader_recovery_state: int8 = at("0+", default=0, tag=0)
    leader_epoch: int32 = -1
    partition_epoch: int32 = -1
    directories: list[uuid] = at("1+", default=[])
    eligible_leader_replicas: list[int32] | None = at("2+", default=None, tag=1)
    last_known_elr: list[int32] | None = at("2+", default=None, tag=2)


class ConfigRecord(Record, api_key=4, versions="0", flexible="0+"):
    resource_type: int8 = 0
    resource_name: string = ""
    name: string = ""
    value: string | None = ""


class PartitionChangeRecord(Record, api_key=5, versions="0-2", flexible="0+"):
    partition_id: int32 = -1
    topic_id: uuid = ZERO_UUID
    isr: list[int32] | None = at("0+", default=None, tag=0)
    leader: int32 = at("0+", default=-2, tag=1)
    replicas: list[int32] | None = at("0+", default=None, tag=2)
    removing_replicas: list[int32] | None = at("0+", default=None, tag=3)
    adding_replicas: list[int32] | None = at("0+", default=None, tag=4)
    leader_recovery_state: int8 = at("0+", default=-1, tag=5)
    directories: list[uuid] | None = at("1+", default=None, tag=8)
    eligible_leader_replicas: list[int32] | None = at("2+", default=None, tag=6)
    last_known_elr: list[int32] | None = at("2+", default=None, tag=7)


class FenceBrokerRecord(Record, api_key=7, versions="0", flexible="0+"):
    id: int32 = 0
    epoch: int64 = 0


class UnfenceBrokerRecord(Record, api_key=8, versions="0", flexible="0+"):
    id: int32 = 0
    epoch: int64 = 0


class RemoveTopicRecord(Record, api_key=9, versions="0", flexible="0+"):
    topic_id: uuid = ZERO_UUID


class DelegationTokenRecord(Record, api_key=10, versions="0", flexible="0+"):
    owner: string = ""
    requester: string = ""
    renewers: list[string] = []
    issue_timestamp: int64 = 0
    max_timestamp: int64 = 0
    expiration_timestamp: int64 = 0
    token_id: string = ""


class UserScramCredentialRecord(Record, api_key=11, versions="0", flexible="0+"):
    name: string = ""
    mechanism: int8 = 0
    salt: bytes = b""
    stored_key: bytes = b""
    server_key: bytes = b""
    iterations: int32 = 0


class FeatureLevelRecord(Record, api_key=12, versions="0", flexible="0+"):
    name: string = ""
    feature_level: int16 = 0


class EntityData(Struct):
    entity_type: string = ""
    entity_name: string | None = ""


class ClientQuotaRecord(Record, api_key=14, versions="0", flexible="0+"):
    entity: list[EntityData] = []
    key: string = ""
    value: float64 = 0.0
    remove: bool = False


class ProducerIdsRecord(Record, api_key=15, versions="0", flexible="0+"):
    broker_id: int32 = 0
    broker_epoch: int64 = -1
    next_producer_id: int64 = 0


class BrokerRegistrationChangeRecord(Record, api_key=17, versions="0-2", flexible="0+"):
    broker_id: int32 = 0
    broker_epoch: int64 = 0
    fenced: int8 = at("0+", default=0, tag=0)
    in_controlled_shutdown: int8 = at("1+", default=0, tag=1)
    log_dirs: list[uuid] = at("2+", default=[], tag=2)


class AccessControlEntryRecord(Record, api_key=18, versions="0", flexible="0+"):
    id: uuid = ZERO_UUID
    resource_type: int8 = 0
    resource_name: string = ""
    pattern_type: int8 = 0
    principal: string = ""
    host: string = ""
    operation: int8 = 0
    permission_type: int8 = 0


class RemoveAccessControlEntryRecord(Record, api_key=19, versions="0", flexible="0+"):
    id: uuid = ZERO_UUID


class NoOpRecord(Record, api_key=20, versions="0", flexible="0+"):
    pass


class ZkMigrationRecord(Record, api_key=21, versions="0", flexible="0+"):
    zk_migration_state: int8 = 0


class RemoveUserScramCredentialRecord(Record, api_key=22, versions="0", flexible="0+"):
    name: string = ""
    mechanism: int8 = 0


class BeginTransactionRecord(Record, api_key=23, versions="0", flexible="0+"):
    name: string | None = at("0+", default=None, tag=0)


class EndTransactionRecord(Record, api_key=24, versions="0", flexible="0+"):
    pass


class AbortTransactionRecord(Record, api_key=25, versions="0", flexible="0+"):
    reason: string | None = at("0+", default=None, tag=0)


class RemoveDelegationTokenRecord(Record, api_key=26, versions="0", flexible="0+"):
    token_id: string = ""


class ControllerEndpoint(Struct):
    name: string = ""
    host: string = ""
    port: uint16 = 0
    security_protocol: int16 = 0


class ControllerFeature(Struct):
    name: string = ""
    min_supported_version: int16 = 0
    max_supported_version: int16 = 0


class RegisterControllerRecord(Record, api_key=27, versions="0", flexible="0+"):
    controller_id: int32 = 0
    incarnation_id: uuid = ZERO_UUID
    zk_migration_ready: bool = False
    end_points: list[ControllerEndpoint] = []
    features: list[ControllerFeature] = []


class ClearElrRecord(Record, api_key=28, versions="0", flexible="0+"):
    topic_name: string = ""
