"""The admin client of aiokafka, which gives most answers as they came."""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from compat.drivers.python.aiokafka_words import (
    CLIENT_SETTINGS,
    LOOP,
    broker_error,
    explain,
    outcome,
)
from compat.drivers.python.service import Handle
from compat.drivers.python.words import (
    Json,
    bad_command,
    chosen,
    name_of,
    pairs,
    renamed,
    split_name,
    unsupported,
)

RESOURCES = {"topic": ConfigResourceType.TOPIC, "broker": ConfigResourceType.BROKER}
SOURCES = (
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
)


class Admin(Handle):
    explain = staticmethod(explain)

    def __init__(self, config: Json) -> None:
        self._admin = LOOP.run(_started(renamed(config, CLIENT_SETTINGS)))

    # Topics

    def create_topics(self, topics: list[Json], validate_only: bool = False) -> Json:
        new = [_new_topic(topic) for topic in topics]
        answer = LOOP.run(self._admin.create_topics(new, validate_only=validate_only))
        return {"topics": {name: outcome(*error) for name, *error in answer.topic_errors}}

    def delete_topics(self, topics: list[str]) -> Json:
        answer = LOOP.run(self._admin.delete_topics(topics))
        return {"topics": {name: outcome(code) for name, code in answer.topic_error_codes}}

    def create_partitions(
        self, topic: str, count: int, assignments: list[list[int]] | None = None
    ) -> Json:
        new = NewPartitions(count, assignments)
        LOOP.run(self._admin.create_partitions({topic: new}))
        return {}

    def list_topics(self) -> Json:
        return {"topics": sorted(LOOP.run(self._admin.list_topics()))}

    def describe_topics(self, topics: list[str]) -> Json:
        told = LOOP.run(self._admin.describe_topics(topics))
        return {"topics": {topic["topic"]: _topic(topic) for topic in told}}

    def describe_cluster(self) -> Json:
        told = LOOP.run(self._admin.describe_cluster())
        brokers = [
            {"id": b["node_id"], "host": b["host"], "port": b["port"], "rack": b["rack"]}
            for b in told["brokers"]
        ]
        return {
            "cluster_id": told.get("cluster_id"),
            "controller": told["controller_id"],
            "brokers": brokers,
        }

    def delete_records(self, offsets: dict[str, int]) -> Json:
        wanted = {
            TopicPartition(*split_name(name)): RecordsToDelete(offset)
            for name, offset in offsets.items()
        }
        told = LOOP.run(self._admin.delete_records(wanted))
        return {"offsets": {name_of(*at): {"low_watermark": low} for at, low in told.items()}}

    # Configs

    def describe_configs(self, type: str, name: str) -> Json:
        resource = ConfigResource(chosen("resource", type, RESOURCES), name)
        (answer,) = LOOP.run(self._admin.describe_configs([resource]))
        ((code, message, _, _, entries),) = answer.resources
        if code:
            raise broker_error(code, message)
        return {"configs": {entry[0]: _config(*entry[1:5]) for entry in entries}}

    def alter_configs(
        self, type: str, name: str, set: Json | None = None, unset: list[str] | None = None
    ) -> Json:
        """Not incremental: what is not set goes back to its default, named or not."""
        del unset
        resource = ConfigResource(chosen("resource", type, RESOURCES), name, set or {})
        for answer in LOOP.run(self._admin.alter_configs([resource])):
            for code, message, *_ in answer.resources:
                if code:
                    raise broker_error(code, message)
        return {}

    # Groups

    def list_groups(self, states: list[str] | None = None) -> Json:
        if states is not None:
            raise unsupported("groups by state")
        told = LOOP.run(self._admin.list_consumer_groups())
        groups = [
            {"group": group, "state": None, "protocol_type": protocol_type}
            for group, protocol_type in sorted(told)
        ]
        return {"groups": groups}

    def describe_groups(self, groups: list[str]) -> Json:
        answers = LOOP.run(self._admin.describe_consumer_groups(groups))
        return {"groups": {one[1]: _group(*one) for answer in answers for one in answer.groups}}

    def group_offsets(self, group: str, partitions: list[Json] | None = None) -> Json:
        wanted = None if partitions is None else [TopicPartition(*p) for p in pairs(partitions)]
        told = LOOP.run(self._admin.list_consumer_group_offsets(group, partitions=wanted))
        offsets = {
            name_of(*at): None
            if one.offset < 0
            else {"offset": one.offset, "metadata": one.metadata}
            for at, one in told.items()
        }
        return {"offsets": offsets}

    def close(self) -> Json:
        LOOP.run(self._admin.close())
        return {}


async def _started(settings: Json) -> Any:
    admin = AIOKafkaAdminClient(**settings)
    try:
        await admin.start()
    except BaseException:
        await admin.close()
        raise
    return admin


def _new_topic(topic: Json) -> NewTopic:
    try:
        name = topic["name"]
    except (KeyError, TypeError) as error:
        raise bad_command(f"not a topic: {topic!r}") from error
    configs = {key: str(value) for key, value in (topic.get("configs") or {}).items()}
    if topic.get("assignments"):
        rows = {int(partition): brokers for partition, brokers in topic["assignments"].items()}
        return NewTopic(name, -1, -1, replica_assignments=rows, topic_configs=configs)
    return NewTopic(
        name, topic.get("partitions", -1), topic.get("replication", -1), topic_configs=configs
    )


def _topic(topic: Json) -> Json:
    if topic["error_code"]:
        return outcome(topic["error_code"])
    return {
        "internal": topic["is_internal"],
        "partitions": [
            {
                "partition": p["partition"],
                "leader": p["leader"],
                "replicas": p["replicas"],
                "isr": p["isr"],
            }
            for p in sorted(topic["partitions"], key=lambda p: p["partition"])
        ],
    }


def _config(value: str | None, read_only: bool, source: int, sensitive: bool) -> Json:
    name = SOURCES[source]
    return {
        "value": value,
        "source": name,
        "default": name == "DEFAULT_CONFIG",
        "sensitive": sensitive,
        "read_only": read_only,
    }


def _group(
    code: int,
    group: str,
    state: str,
    protocol_type: str,
    protocol: str,
    members: list[Any],
    *_: object,
) -> Json:
    if code:
        return outcome(code)
    return {
        "state": state,
        "protocol": protocol,
        "protocol_type": protocol_type,
        "coordinator": None,
        "members": [
            {
                "member_id": member_id,
                "instance_id": None,
                "client_id": client_id,
                "assignment": _assignment(assignment),
            }
            for member_id, client_id, _, _, assignment in members
        ],
    }


def _assignment(data: bytes) -> list[str]:
    if not data:
        return []
    decoded = ConsumerProtocolMemberAssignment.decode(data)
    return [name_of(at.topic, at.partition) for at in decoded.partitions()]
