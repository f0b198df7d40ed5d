"""Streams-group (KIP-1071) records of __consumer_offsets."""

from __future__ import annotations

from wire.schema import Record, Struct, at, int8, int16, int32, int64, string, uint16


class StreamsGroupMetadataKey(Record, api_key=17, versions="0"):
    group_id: string = ""


class LastAssignmentConfig(Struct):
    key: string = ""
    value: string = ""


class StreamsGroupMetadataValue(Record, api_key=17, versions="0", flexible="0+"):
    epoch: int32 = 0
    metadata_hash: int64 = 0
    validated_topology_epoch: int32 = at("0+", default=-1, tag=0)
    last_assignment_configs: list[LastAssignmentConfig] | None = at("0+", default=[], tag=1)


class StreamsGroupMemberMetadataKey(Record, api_key=19, versions="0"):
    group_id: string = ""
    member_id: string = ""


class Endpoint(Struct):
    host: string = ""
    port: uint16 = 0


class KeyValue(Struct):
    key: string = ""
    value: string = ""


class StreamsGroupMemberMetadataValue(Record, api_key=19, versions="0", flexible="0+"):
    instance_id: string | None = ""
    rack_id: string | None = ""
    client_id: string = ""
    client_host: string = ""
    rebalance_timeout_ms: int32 = -1
    topology_epoch: int32 = 0
    process_id: string = ""
    user_endpoint: Endpoint | None = None
    client_tags: list[KeyValue] = []


class StreamsGroupTargetAssignmentMetadataKey(Record, api_key=20, versions="0"):
    group_id: string = ""


class StreamsGroupTargetAssignmentMetadataValue(Record, api_key=20, versions="0", flexible="0+"):
    assignment_epoch: int32 = 0


class StreamsGroupTargetAssignmentMemberKey(Record, api_key=21, versions="0"):
    group_id: string = ""
    member_id: string = ""


class TaskIds(Struct):
    subtopology_id: string = ""
    partitions: list[int32] = []


class StreamsGroupTargetAssignmentMemberValue(Record, api_key=21, versions="0", flexible="0+"):
    active_tasks: list[TaskIds] = []
    standby_tasks: list[TaskIds] = []
    warmup_tasks: list[TaskIds] = []


class StreamsGroupCurrentMemberAssignmentKey(Record, api_key=22, versions="0"):
    group_id: string = ""
    member_id: string = ""


class StreamsGroupCurrentMemberAssignmentValueTaskIds(Struct):
    subtopology_id: string = ""
    partitions: list[int32] = []
    assignment_epochs: list[int32] | None = at("0+", default=[], tag=0)


class StreamsGroupCurrentMemberAssignmentValue(Record, api_key=22, versions="0", flexible="0+"):
    member_epoch: int32 = 0
    previous_member_epoch: int32 = 0
    state: int8 = 0
    active_tasks: list[StreamsGroupCurrentMemberAssignmentValueTaskIds] = []
    standby_tasks: list[StreamsGroupCurrentMemberAssignmentValueTaskIds] = []
    warmup_tasks: list[StreamsGroupCurrentMemberAssignmentValueTaskIds] = []
    active_tasks_pending_revocation: list[StreamsGroupCurrentMemberAssignmentValueTaskIds] = []
    standby_tasks_pending_revocation: list[StreamsGroupCurrentMemberAssignmentValueTaskIds] = []
    warmup_tasks_pending_revocation: list[StreamsGroupCurrentMemberAssignmentValueTaskIds] = []


class StreamsGroupTopologyKey(Record, api_key=23, versions="0"):
    group_id: string = ""


class TopicConfig(Struct):
    key: string = ""
    value: string = ""


class TopicInfo(Struct):
    name: string = ""
    partitions: int32 = 0
    replication_factor: int16 = 0
    topic_configs: list[TopicConfig] = []


class CopartitionGroup(Struct):
    source_topics: list[int16] = []
    source_topic_regex: list[int16] = []
    repartition_source_topics: list[int16] = []


class Subtopology(Struct):
    subtopology_id: string = ""
    source_topics: list[string] = []
    source_topic_regex: list[string] = []
    state_changelog_topics: list[TopicInfo] = []
    repartition_sink_topics: list[string] = []
    repartition_source_topics: list[TopicInfo] = []
    copartition_groups: list[CopartitionGroup] = []


class StreamsGroupTopologyValue(Record, api_key=23, versions="0", flexible="0+"):
    epoch: int32 = 0
    subtopologies: list[Subtopology] = []
