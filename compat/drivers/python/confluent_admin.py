"""The admin client of confluent-kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ElectionType,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from compat.drivers.python.buffer import read_offsets
from compat.drivers.python.confluent_words import explain, explain_error, to_commit
from compat.drivers.python.librdkafka_settings import CLIENT_SETTINGS
from compat.drivers.python.service import Handle
from compat.drivers.python.words import (
    Json,
    bad_command,
    chosen,
    name_of,
    pairs,
    renamed,
    split_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

STATES = {
    ConsumerGroupState.UNKNOWN: "Unknown",
    ConsumerGroupState.PREPARING_REBALANCING: "PreparingRebalance",
    ConsumerGroupState.COMPLETING_REBALANCING: "CompletingRebalance",
    ConsumerGroupState.STABLE: "Stable",
    ConsumerGroupState.DEAD: "Dead",
    ConsumerGroupState.EMPTY: "Empty",
}
SPECS = {
    "earliest": OffsetSpec.earliest,
    "latest": OffsetSpec.latest,
    "max_timestamp": OffsetSpec.max_timestamp,
}
ISOLATION = {
    "read_uncommitted": IsolationLevel.READ_UNCOMMITTED,
    "read_committed": IsolationLevel.READ_COMMITTED,
}
ELECTIONS = {"preferred": ElectionType.PREFERRED, "unclean": ElectionType.UNCLEAN}
RESOURCES = {
    "topic": ConfigResource.Type.TOPIC,
    "broker": ConfigResource.Type.BROKER,
    "group": ConfigResource.Type.GROUP,
}


class Admin(Handle):
    explain = staticmethod(explain)

    def __init__(self, config: Json) -> None:
        self._admin = AdminClient(renamed(config, CLIENT_SETTINGS))

    # Topics

    def create_topics(self, topics: list[Json], validate_only: bool = False) -> Json:
        new = [_new_topic(topic) for topic in topics]
        return {"topics": _each(self._admin.create_topics(new, validate_only=validate_only))}

    def delete_topics(self, topics: list[str]) -> Json:
        return {"topics": _each(self._admin.delete_topics(topics))}

    def create_partitions(
        self, topic: str, count: int, assignments: list[list[int]] | None = None
    ) -> Json:
        optional = {"replica_assignment": assignments} if assignments else {}
        self._admin.create_partitions([NewPartitions(topic, count, **optional)])[topic].result()
        return {}

    def list_topics(self) -> Json:
        return {"topics": sorted(self._admin.list_topics().topics)}

    def describe_topics(self, topics: list[str]) -> Json:
        return {"topics": _each(self._admin.describe_topics(TopicCollection(topics)), _topic)}

    def describe_cluster(self) -> Json:
        told = self._admin.describe_cluster().result()
        return {
            "cluster_id": told.cluster_id,
            "controller": told.controller.id if told.controller else -1,
            "brokers": [
                {"id": b.id, "host": b.host, "port": b.port, "rack": b.rack} for b in told.nodes
            ],
        }

    def delete_records(self, offsets: dict[str, int]) -> Json:
        wanted = [TopicPartition(*split_name(name), offset) for name, offset in offsets.items()]
        told = self._admin.delete_records(wanted)
        return {"offsets": _each(told, lambda one: {"low_watermark": one.low_watermark})}

    def elect_leaders(self, type: str, partitions: list[Json]) -> Json:
        wanted = [TopicPartition(*at) for at in pairs(partitions)]
        told = self._admin.elect_leaders(chosen("election", type, ELECTIONS), wanted).result()
        return {"partitions": {_name(at): _failure(error) for at, error in told.items()}}

    def list_offsets(
        self, partitions: list[Json], at: int | str, isolation: str = "read_uncommitted"
    ) -> Json:
        spec = (
            chosen("offsets at", at, SPECS)()
            if isinstance(at, str)
            else OffsetSpec.for_timestamp(at)
        )
        told = self._admin.list_offsets(
            {TopicPartition(*one): spec for one in pairs(partitions)},
            isolation_level=chosen("isolation", isolation, ISOLATION),
        )
        return {
            "offsets": _each(
                told,
                lambda one: {
                    "offset": one.offset,
                    "timestamp": one.timestamp,
                    "leader_epoch": one.leader_epoch,
                },
            )
        }

    # Configs

    def describe_configs(self, type: str, name: str) -> Json:
        resource = ConfigResource(chosen("resource", type, RESOURCES), name)
        (told,) = self._admin.describe_configs([resource]).values()
        return {"configs": {name: _config(entry) for name, entry in told.result().items()}}

    def alter_configs(
        self, type: str, name: str, set: Json | None = None, unset: list[str] | None = None
    ) -> Json:
        changes = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in (set or {}).items()
        ] + [
            ConfigEntry(key, None, incremental_operation=AlterConfigOpType.DELETE)
            for key in unset or ()
        ]
        resource = ConfigResource(
            chosen("resource", type, RESOURCES), name, incremental_configs=changes
        )
        (told,) = self._admin.incremental_alter_configs([resource]).values()
        told.result()
        return {}

    # Groups

    def list_groups(self, states: list[str] | None = None) -> Json:
        by_name = {name: state for state, name in STATES.items()}
        wanted = None if states is None else {chosen("state", s, by_name) for s in states}
        told = self._admin.list_consumer_groups(states=wanted).result()
        for error in told.errors:
            raise error
        return {
            "groups": [
                {"group": group.group_id, "state": STATES[group.state], "protocol_type": None}
                for group in told.valid
            ]
        }

    def describe_groups(self, groups: list[str]) -> Json:
        return {"groups": _each(self._admin.describe_consumer_groups(groups), _group)}

    def delete_groups(self, groups: list[str]) -> Json:
        return {"groups": _each(self._admin.delete_consumer_groups(groups))}

    def group_offsets(self, group: str, partitions: list[Json] | None = None) -> Json:
        wanted = None if partitions is None else [TopicPartition(*p) for p in pairs(partitions)]
        asked = ConsumerGroupTopicPartitions(group, wanted)
        told = self._admin.list_consumer_group_offsets([asked])[group].result()
        offsets: Json = {}
        for one in told.topic_partitions:
            if one.error is not None:
                raise explain_error(one.error)
            is_known = one.offset >= 0
            offsets[_name(one)] = (
                {"offset": one.offset, "metadata": one.metadata or ""} if is_known else None
            )
        return {"offsets": offsets}

    def alter_group_offsets(self, group: str, offsets: Json) -> Json:
        wanted = [to_commit(at, one) for at, one in read_offsets(offsets).items()]
        asked = ConsumerGroupTopicPartitions(group, wanted)
        told = self._admin.alter_consumer_group_offsets([asked])[group].result()
        return {"offsets": {_name(one): _failure(one.error) for one in told.topic_partitions}}


def _each(
    answers: Mapping[Any, Future[Any]], describe: Callable[[Any], Json] = lambda _: {}
) -> Json:
    """What each answer is, or why it failed."""
    told: Json = {}
    for key, answer in answers.items():
        try:
            line = describe(answer.result())
        except KafkaException as error:
            line = {"error": explain(error).line}
        told[_name(key) if isinstance(key, TopicPartition) else key] = line
    return told


def _name(at: TopicPartition) -> str:
    return name_of(at.topic, at.partition)


def _failure(error: KafkaError | KafkaException | None) -> Json:
    if error is None:
        return {}
    if isinstance(error, KafkaError):
        return {"error": explain_error(error).line}
    return {"error": explain(error).line}


def _new_topic(topic: Json) -> NewTopic:
    try:
        name = topic["name"]
    except (KeyError, TypeError) as error:
        raise bad_command(f"not a topic: {topic!r}") from error
    config = {key: str(value) for key, value in (topic.get("configs") or {}).items()}
    assignments = topic.get("assignments")
    if assignments:
        rows = [assignments[str(partition)] for partition in range(len(assignments))]
        return NewTopic(name, len(rows), replica_assignment=rows, config=config)
    return NewTopic(name, topic.get("partitions", -1), topic.get("replication", -1), config=config)


def _topic(topic: Any) -> Json:
    return {
        "id": str(topic.topic_id),
        "internal": topic.is_internal,
        "partitions": [
            {
                "partition": p.id,
                "leader": p.leader.id if p.leader else -1,
                "replicas": [node.id for node in p.replicas],
                "isr": [node.id for node in p.isr],
            }
            for p in sorted(topic.partitions, key=lambda p: p.id)
        ],
    }


def _config(entry: ConfigEntry) -> Json:
    source = ConfigSource(entry.source).name
    return {
        "value": entry.value,
        "source": "DYNAMIC_GROUP_CONFIG" if source == "GROUP_CONFIG" else source,
        "default": entry.is_default,
        "sensitive": entry.is_sensitive,
        "read_only": entry.is_read_only,
    }


def _group(group: Any) -> Json:
    return {
        "state": STATES[group.state],
        "protocol": group.partition_assignor,
        "protocol_type": None,
        "coordinator": group.coordinator.id if group.coordinator else None,
        "members": [
            {
                "member_id": member.member_id,
                "instance_id": member.group_instance_id,
                "client_id": member.client_id,
                "assignment": [_name(at) for at in member.assignment.topic_partitions],
            }
            for member in group.members
        ],
    }
