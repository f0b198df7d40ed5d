"""Consumer-group (KIP-848) records of __consumer_offsets."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Record, Struct, at, int8, int32, int64, string, uuid


class ConsumerGroupMetadataKey(Record, api_key=3, versions="0"):
    group_id: string = ""


class ConsumerGroupMetadataValue(Record, api_key=3, versions="0", flexible="0+"):
    epoch: int32 = 0
    metadata_hash: int64 = at("0+", default=0, tag=0)


class ConsumerGroupPartitionMetadataKey(Record, api_key=4, versions="0"):
    group_id: string = ""


class PartitionMetadata(Struct):
    partition: int32 = 0
    racks: list[string] = []


class TopicMetadata(Struct):
    topic_id: uuid = ZERO_UUID
    topic_name: string = ""
    num_partitions: int32 = 0
    partition_metadata: list[PartitionMetadata] = []


class ConsumerGroupPartitionMetadataValue(Record, api_key=4, versions="0", flexible="0+"):
    topics: list[TopicMetadata] = []


class ConsumerGroupMemberMetadataKey(Record, api_key=5, versions="0"):
    group_id: string = ""
    member_id: string = ""


class ClassicProtocol(Struct):
    name: string = ""
    metadata: bytes = b""


class ClassicMemberMetadata(Struct):
    session_timeout_ms: int32 = 0
    supported_protocols: list[ClassicProtocol] = []


class ConsumerGroupMemberMetadataValue(Record, api_key=5, versions="0", flexible="0+"):
    instance_id: string | None = ""
    rack_id: string | None = ""
    client_id: string = ""
    client_host: string = ""
    subscribed_topic_names: list[string] = []
    subscribed_topic_regex: string | None = ""
    rebalance_timeout_ms: int32 = -1
    server_assignor: string | None = ""
    classic_member_metadata: ClassicMemberMetadata | None = at(
        "0+", default=ClassicMemberMetadata(), tag=0
    )


class ConsumerGroupTargetAssignmentMetadataKey(Record, api_key=6, versions="0"):
    group_id: string = ""


class ConsumerGroupTargetAssignmentMetadataValue(Record, api_key=6, versions="0", flexible="0+"):
    assignment_epoch: int32 = 0


class ConsumerGroupTargetAssignmentMemberKey(Record, api_key=7, versions="0"):
    group_id: string = ""
    member_id: string = ""


class TopicPartition(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[int32] = []


class ConsumerGroupTargetAssignmentMemberValue(Record, api_key=7, versions="0", flexible="0+"):
    topic_partitions: list[TopicPartition] = []


class ConsumerGroupCurrentMemberAssignmentKey(Record, api_key=8, versions="0"):
    group_id: string = ""
    member_id: string = ""


class TopicPartitions(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[int32] = []


class ConsumerGroupCurrentMemberAssignmentValue(Record, api_key=8, versions="0", flexible="0+"):
    member_epoch: int32 = 0
    previous_member_epoch: int32 = 0
    state: int8 = 0
    assigned_partitions: list[TopicPartitions] = []
    partitions_pending_revocation: list[TopicPartitions] = []


class ConsumerGroupRegularExpressionKey(Record, api_key=16, versions="0"):
    group_id: string = ""
    regular_expression: string = ""


class ConsumerGroupRegularExpressionValue(Record, api_key=16, versions="0", flexible="0+"):
    topics: list[string] = []
    version: int64 = 0
    timestamp: int64 = 0
