"""Share-group (KIP-932) records of __consumer_offsets."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Record, Struct, int8, int32, int64, string, uuid


class ShareGroupMemberMetadataKey(Record, api_key=10, versions="0"):
    group_id: string = ""
    member_id: string = ""


class ShareGroupMemberMetadataValue(Record, api_key=10, versions="0", flexible="0+"):
    rack_id: string | None = ""
    client_id: string = ""
    client_host: string = ""
    subscribed_topic_names: list[string] = []


class ShareGroupMetadataKey(Record, api_key=11, versions="0"):
    group_id: string = ""


class ShareGroupMetadataValue(Record, api_key=11, versions="0", flexible="0+"):
    epoch: int32 = 0
    metadata_hash: int64 = 0


class ShareGroupTargetAssignmentMetadataKey(Record, api_key=12, versions="0"):
    group_id: string = ""


class ShareGroupTargetAssignmentMetadataValue(Record, api_key=12, versions="0", flexible="0+"):
    assignment_epoch: int32 = 0


class ShareGroupTargetAssignmentMemberKey(Record, api_key=13, versions="0"):
    group_id: string = ""
    member_id: string = ""


class TopicPartition(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[int32] = []


class ShareGroupTargetAssignmentMemberValue(Record, api_key=13, versions="0", flexible="0+"):
    topic_partitions: list[TopicPartition] = []


class ShareGroupCurrentMemberAssignmentKey(Record, api_key=14, versions="0"):
    group_id: string = ""
    member_id: string = ""


class TopicPartitions(Struct):
    topic_id: uuid = ZERO_UUID
    partitions: list[int32] = []


class ShareGroupCurrentMemberAssignmentValue(Record, api_key=14, versions="0", flexible="0+"):
    member_epoch: int32 = 0
    previous_member_epoch: int32 = 0
    state: int8 = 0
    assigned_partitions: list[TopicPartitions] = []


class ShareGroupStatePartitionMetadataKey(Record, api_key=15, versions="0"):
    group_id: string = ""


class TopicPartitionsInfo(Struct):
    topic_id: uuid = ZERO_UUID
    topic_name: string = ""
    partitions: list[int32] = []


class TopicInfo(Struct):
    topic_id: uuid = ZERO_UUID
    topic_name: string = ""


class ShareGroupStatePartitionMetadataValue(Record, api_key=15, versions="0", flexible="0+"):
    initializing_topics: list[TopicPartitionsInfo] = []
    initialized_topics: list[TopicPartitionsInfo] = []
    deleting_topics: list[TopicInfo] = []
