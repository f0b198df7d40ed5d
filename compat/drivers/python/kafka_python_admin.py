"""The admin client of kafka-python."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

from kafka import IsolationLevel, KafkaAdminClient, OffsetAndMetadata, OffsetSpec, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import AlterConfigOp, ConfigResource

from compat.drivers.python.buffer import read_offsets
from compat.drivers.python.kafka_python_settings import CLIENT_SETTINGS
from compat.drivers.python.kafka_python_words import (
    broker_error,
    error_of_text,
    explain,
    outcome,
    outcome_of_type,
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
)

SPECS = {
    "earliest": OffsetSpec.EARLIEST,
    "latest": OffsetSpec.LATEST,
    "max_timestamp": OffsetSpec.MAX_TIMESTAMP,
}
ISOLATION = {
    "read_uncommitted": IsolationLevel.READ_UNCOMMITTED,
    "read_committed": IsolationLevel.READ_COMMITTED,
}
ELECTIONS = {"preferred": 0, "unclean": 1}
RESOURCES = {"topic": "topic", "broker": "broker", "group": "group"}


class Admin(Handle):
    explain = staticmethod(explain)

    def __init__(self, config: Json) -> None:
        self._admin = KafkaAdminClient(**renamed(config, CLIENT_SETTINGS))

    # Topics

    def create_topics(self, topics: list[Json], validate_only: bool = False) -> Json:
        answer = self._admin.create_topics(
            dict(_new_topic(topic) for topic in topics),
            validate_only=validate_only,
            raise_errors=False,
        )
        return {"topics": _outcomes(answer["topics"])}

    def delete_topics(self, topics: list[str]) -> Json:
        answer = self._admin.delete_topics(topics, raise_errors=False)
        return {"topics": _outcomes(answer["topics"])}

    def create_partitions(
        self, topic: str, count: int, assignments: list[list[int]] | None = None
    ) -> Json:
        new: Any = {"count": count, "assignments": assignments} if assignments else count
        answer = self._admin.create_partitions({topic: new}, raise_errors=False)
        for result in answer.results:
            if result.error_code:
                raise broker_error(result.error_code, result.error_message)
        return {}

    def list_topics(self) -> Json:
        return {"topics": sorted(self._admin.list_topics())}

    def describe_topics(self, topics: list[str]) -> Json:
        return {"topics": {t["name"]: _described(t) for t in self._admin.describe_topics(topics)}}

    def describe_cluster(self) -> Json:
        told = self._admin.describe_cluster()
        brokers = [
            {"id": b["broker_id"], "host": b["host"], "port": b["port"], "rack": b["rack"]}
            for b in told["brokers"]
        ]
        return {
            "cluster_id": told["cluster_id"],
            "controller": told["controller_id"],
            "brokers": brokers,
        }

    def delete_records(self, offsets: dict[str, int]) -> Json:
        wanted = {TopicPartition(*split_name(name)): offset for name, offset in offsets.items()}
        answer = self._admin.delete_records(wanted)
        return {
            "offsets": {
                name_of(*at): {"low_watermark": one["low_watermark"]} for at, one in answer.items()
            }
        }

    def elect_leaders(self, type: str, partitions: list[Json]) -> Json:
        by_topic: dict[str, list[int]] = {}
        for topic, partition in pairs(partitions):
            by_topic.setdefault(topic, []).append(partition)
        kind = chosen("election", type, ELECTIONS)
        answer = self._admin.elect_leaders(kind, by_topic, raise_errors=False)
        if answer.error_code:
            raise broker_error(answer.error_code)
        return {
            "partitions": {
                name_of(one.topic, p.partition_id): outcome(p.error_code, p.error_message)
                for one in answer.replica_election_results
                for p in one.partition_result
            }
        }

    def list_offsets(
        self, partitions: list[Json], at: int | str, isolation: str = "read_uncommitted"
    ) -> Json:
        spec = chosen("offsets at", at, SPECS) if isinstance(at, str) else at
        wanted = {TopicPartition(*one): spec for one in pairs(partitions)}
        level = chosen("isolation", isolation, ISOLATION)
        answer = self._admin.list_partition_offsets(wanted, isolation_level=level)
        return {"offsets": {name_of(*at): one._asdict() for at, one in answer.items()}}

    # Configs

    def describe_configs(self, type: str, name: str) -> Json:
        kind = chosen("resource", type, RESOURCES)
        told = self._admin.describe_configs([ConfigResource(kind, name)], config_filter="all")
        return {"configs": {k: _config(v) for k, v in told[kind][name].items()}}

    def alter_configs(
        self, type: str, name: str, set: Json | None = None, unset: list[str] | None = None
    ) -> Json:
        kind = chosen("resource", type, RESOURCES)
        changes = {key: (AlterConfigOp.SET, value) for key, value in (set or {}).items()}
        changes |= {key: (AlterConfigOp.DELETE, None) for key in unset or ()}
        told = self._admin.alter_configs([ConfigResource(kind, name, changes)])[kind][name]
        if told != "OK":
            raise error_of_text(told)
        return {}

    # Groups

    def list_groups(self, states: list[str] | None = None) -> Json:
        told = self._admin.list_groups(states_filter=states)
        return {
            "groups": [
                {
                    "group": group["group_id"],
                    "state": group.get("group_state"),
                    "protocol_type": group["protocol_type"],
                }
                for group in told
            ]
        }

    def describe_groups(self, groups: list[str]) -> Json:
        told = self._admin.describe_groups(groups)
        return {"groups": {group: _group(one) for group, one in told.items()}}

    def delete_groups(self, groups: list[str]) -> Json:
        told = self._admin.delete_groups(groups)
        return {"groups": {group: _deletion(result) for group, result in told.items()}}

    def group_offsets(self, group: str, partitions: list[Json] | None = None) -> Json:
        wanted = partitions and [TopicPartition(*at) for at in pairs(partitions)]
        told = self._admin.list_group_offsets({group: wanted})[group]
        offsets = {
            name_of(*at): None
            if one.offset < 0
            else {"offset": one.offset, "metadata": one.metadata}
            for at, one in told.items()
        }
        return {"offsets": offsets}

    def alter_group_offsets(self, group: str, offsets: Json) -> Json:
        wanted = {
            TopicPartition(*at): OffsetAndMetadata(
                one.offset, one.metadata, -1 if one.leader_epoch is None else one.leader_epoch
            )
            for at, one in read_offsets(offsets).items()
        }
        told = self._admin.alter_group_offsets(group, wanted)
        return {"offsets": {name_of(*at): outcome_of_type(error) for at, error in told.items()}}

    def delete_group_offsets(self, group: str, partitions: list[Json]) -> Json:
        wanted = [TopicPartition(*at) for at in pairs(partitions)]
        told = self._admin.delete_group_offsets(group, wanted)
        return {"offsets": {name_of(*at): outcome_of_type(error) for at, error in told.items()}}

    def close(self) -> Json:
        self._admin.close()
        return {}


def _new_topic(topic: Json) -> tuple[str, Json]:
    try:
        name = topic["name"]
    except (KeyError, TypeError) as error:
        raise bad_command(f"not a topic: {topic!r}") from error
    new: Json = {"configs": topic.get("configs") or {}}
    if topic.get("assignments"):
        new["assignments"] = {int(p): brokers for p, brokers in topic["assignments"].items()}
    else:
        new["num_partitions"] = topic.get("partitions", -1)
        new["replication_factor"] = topic.get("replication", -1)
    return name, new


def _outcomes(topics: list[Json]) -> Json:
    return {t["name"]: outcome(t["error_code"], t.get("error_message")) for t in topics}


def _described(topic: Json) -> Json:
    if topic["error_code"]:
        return outcome(topic["error_code"])
    return {
        "id": _topic_id(topic["topic_id"]),
        "internal": topic["is_internal"],
        "partitions": [
            {
                "partition": p["partition_index"],
                "leader": p["leader_id"],
                "replicas": list(p["replica_nodes"]),
                "isr": list(p["isr_nodes"]),
                "leader_epoch": p["leader_epoch"],
            }
            for p in sorted(topic["partitions"], key=lambda p: p["partition_index"])
        ],
    }


def _topic_id(topic_id: str) -> str:
    """As Kafka writes it; kafka-python writes it as a UUID."""
    return base64.urlsafe_b64encode(UUID(topic_id).bytes).decode().rstrip("=")


def _config(entry: Json) -> Json:
    return {
        "value": entry["value"],
        "source": entry["config_source"],
        "default": entry["config_source"] == "DEFAULT_CONFIG",
        "sensitive": entry["is_sensitive"],
        "read_only": entry["read_only"],
    }


def _group(group: Json) -> Json:
    if group["error"] is not None:
        return {"error": error_of_text(group["error"]).line}
    return {
        "state": group["group_state"],
        "protocol": group["protocol_data"],
        "protocol_type": group["protocol_type"],
        "coordinator": None,
        "members": [_member(member) for member in group["members"]],
    }


def _member(member: Json) -> Json:
    assigned = member["member_assignment"] or {"assigned_partitions": []}
    return {
        "member_id": member["member_id"],
        "instance_id": member["group_instance_id"],
        "client_id": member["client_id"],
        "assignment": [
            name_of(one["topic"], partition)
            for one in assigned["assigned_partitions"]
            for partition in one["partitions"]
        ],
    }


def _deletion(result: str) -> Json:
    """From ``OK`` or the name of an error's class."""
    return {} if result == "OK" else outcome_of_type(getattr(kafka_errors, result))
