"""Every client API in every version, right once and wrong in every place that has a length.

A request that cannot be read ends the connection; one that can is answered, whatever is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.batches import batch
from compat.differential.codec import is_flexible, request_schema
from compat.differential.mutations import mutations
from compat.differential.registry import Case, add

if TYPE_CHECKING:
    from collections.abc import Callable

    from compat.differential.codec import Body
    from compat.differential.talk import Talk


def _topic(topic: str, t: Talk, partitions: str, entry: Any, **more: Any) -> Body:
    return {"name": topic, "topic": topic, "topic_id": t.id_of(topic), partitions: [entry], **more}


def _produce(t: Talk, topic: str, name: str) -> Body:
    data = _topic(topic, t, "partition_data", {"index": 0, "records": batch(b"m")})
    return {"acks": -1, "timeout_ms": 5000, "topic_data": [data]}


def _fetch(t: Talk, topic: str, name: str) -> Body:
    entry = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}
    return {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 0,
        "max_bytes": 1000,
        "session_epoch": -1,
        "topics": [_topic(topic, t, "partitions", entry)],
    }


def _list_offsets(t: Talk, topic: str, name: str) -> Body:
    entry = {"partition_index": 0, "timestamp_ms": -1, "timestamp": -1, "current_leader_epoch": -1}
    return {"replica_id": -1, "topics": [_topic(topic, t, "partitions", entry)]}


def _metadata(t: Talk, topic: str, name: str) -> Body:
    return {"topics": [{"name": topic}], "allow_auto_topic_creation": False}


def _offset_commit(t: Talk, topic: str, name: str) -> Body:
    entry = {"partition_index": 0, "committed_offset": 3, "committed_metadata": "m"}
    return {
        "group_id": name,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "retention_time_ms": -1,
        "topics": [_topic(topic, t, "partitions", entry)],
    }


def _offset_fetch(t: Talk, topic: str, name: str) -> Body:
    topics = [{"name": topic, "topic_id": t.id_of(topic), "partition_indexes": [0]}]
    group = {"group_id": name, "topics": topics, "member_epoch": -1}
    return {"group_id": name, "topics": topics, "groups": [group]}


def _join_group(t: Talk, topic: str, name: str) -> Body:
    return {
        "group_id": name,
        "session_timeout_ms": 10000,
        "rebalance_timeout_ms": 1000,
        "member_id": "",
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": b"\x00"}],
    }


def _create_topics(t: Talk, topic: str, name: str) -> Body:
    topics = [
        {"name": f"{name}.x", "num_partitions": 1, "replication_factor": 1},
        {
            "name": f"{name}.y",
            "num_partitions": -1,
            "replication_factor": -1,
            "assignments": [{"partition_index": 0, "broker_ids": [1]}],
            "configs": [{"name": "retention.ms", "value": "5"}],
        },
    ]
    return {"topics": topics, "timeout_ms": 5000, "validate_only": True}


def _configs(t: Talk, topic: str, name: str, **more: Any) -> Body:
    configs = [{"name": "retention.ms", "value": "7", "config_operation": 0}]
    resource = {"resource_type": 2, "resource_name": topic, "configs": configs}
    return {"resources": [resource], "validate_only": True, **more}


def _quotas(t: Talk, topic: str, name: str) -> Body:
    entity = [{"entity_type": "client-id", "entity_name": name}]
    ops = [{"key": "producer_byte_rate", "value": 1000.0, "remove": False}]
    return {"entries": [{"entity": entity, "ops": ops}], "validate_only": True}


BODIES: dict[str, Callable[[Talk, str, str], Body]] = {
    "produce": _produce,
    "fetch": _fetch,
    "list_offsets": _list_offsets,
    "metadata": _metadata,
    "offset_commit": _offset_commit,
    "offset_fetch": _offset_fetch,
    "find_coordinator": lambda t, topic, n: {"key": n, "key_type": 0, "coordinator_keys": [n]},
    "join_group": _join_group,
    "heartbeat": lambda t, topic, n: {"group_id": n, "generation_id": 1, "member_id": "m"},
    "leave_group": lambda t, topic, n: {
        "group_id": n,
        "member_id": "m",
        "members": [{"member_id": "m"}],
    },
    "sync_group": lambda t, topic, n: {
        "group_id": n,
        "generation_id": 1,
        "member_id": "m",
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [{"member_id": "m", "assignment": b"\x01"}],
    },
    "describe_groups": lambda t, topic, n: {"groups": [n]},
    "list_groups": lambda t, topic, n: {"states_filter": ["NoSuchState"], "types_filter": ["None"]},
    "api_versions": lambda t, topic, n: {
        "client_software_name": "diff",
        "client_software_version": "1.0",
    },
    "create_topics": _create_topics,
    "delete_topics": lambda t, topic, n: {
        "topics": [{"name": f"{n}.none"}],
        "topic_names": [f"{n}.none"],
        "timeout_ms": 5000,
    },
    "delete_records": lambda t, topic, n: {
        "topics": [{"name": topic, "partitions": [{"partition_index": 0, "offset": 0}]}],
        "timeout_ms": 5000,
    },
    "init_producer_id": lambda t, topic, n: {"transactional_id": None, "transaction_timeout_ms": 1},
    "offset_for_leader_epoch": lambda t, topic, n: {
        "replica_id": -1,
        "topics": [
            {
                "topic": topic,
                "partitions": [{"partition": 0, "current_leader_epoch": -1, "leader_epoch": 0}],
            }
        ],
    },
    "describe_configs": lambda t, topic, n: {
        "resources": [
            {"resource_type": 2, "resource_name": topic, "configuration_keys": ["retention.ms"]}
        ]
    },
    "alter_configs": _configs,
    "incremental_alter_configs": _configs,
    "alter_replica_log_dirs": lambda t, topic, n: {
        "dirs": [{"path": "/nowhere", "topics": [{"name": topic, "partitions": [0]}]}]
    },
    "describe_log_dirs": lambda t, topic, n: {"topics": [{"topic": topic, "partitions": [0]}]},
    "create_partitions": lambda t, topic, n: {
        "topics": [{"name": topic, "count": 3, "assignments": [{"broker_ids": [1]}] * 2}],
        "timeout_ms": 5000,
        "validate_only": True,
    },
    "delete_groups": lambda t, topic, n: {"groups_names": [n]},
    "elect_leaders": lambda t, topic, n: {
        "election_type": 0,
        "topic_partitions": [{"topic": topic, "partitions": [0]}],
        "timeout_ms": 5000,
    },
    "alter_partition_reassignments": lambda t, topic, n: {
        "timeout_ms": 5000,
        "topics": [{"name": topic, "partitions": [{"partition_index": 0, "replicas": [1]}]}],
    },
    "list_partition_reassignments": lambda t, topic, n: {
        "timeout_ms": 5000,
        "topics": [{"name": topic, "partition_indexes": [0]}],
    },
    "offset_delete": lambda t, topic, n: {
        "group_id": n,
        "topics": [{"name": topic, "partitions": [{"partition_index": 0}]}],
    },
    "describe_client_quotas": lambda t, topic, n: {
        "components": [{"entity_type": "client-id", "match_type": 0, "match": n}],
        "strict": False,
    },
    "alter_client_quotas": _quotas,
    "describe_quorum": lambda t, topic, n: {
        "topics": [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]
    },
    "update_features": lambda t, topic, n: {
        "timeout_ms": 5000,
        "feature_updates": [{"feature": "no.such", "max_version_level": 1, "upgrade_type": 1}],
        "validate_only": True,
    },
    "describe_cluster": lambda t, topic, n: {"endpoint_type": 1},
    "describe_producers": lambda t, topic, n: {
        "topics": [{"name": topic, "partition_indexes": [0]}]
    },
    "unregister_broker": lambda t, topic, n: {"broker_id": 4711},
    "list_config_resources": lambda t, topic, n: {"resource_types": [16]},
    "describe_topic_partitions": lambda t, topic, n: {
        "topics": [{"name": topic}],
        "response_partition_limit": 10,
        "cursor": {"topic_name": topic, "partition_index": 0},
    },
}

EVERYTHING = {
    ("metadata", "topics"),
    ("elect_leaders", "topic_partitions"),
    ("describe_log_dirs", "topics"),
    ("list_partition_reassignments", "topics"),
    ("describe_client_quotas", "components"),
    ("list_config_resources", "resource_types"),
    ("list_groups", "states_filter"),
    ("list_groups", "types_filter"),
    ("describe_topic_partitions", "topics"),
}
"""Where null or nothing asks for all there is, which other cases change meanwhile."""


SHARED = {
    ("offset_commit", "empty", "group_id"),
    ("create_partitions", "null with contents", "topics[0].assignments"),
    ("create_partitions", "length -2 of", "topics[0].assignments"),
}
"""What would be a group of all cases; what the least of time limits would decide."""


def _run(api: str) -> Callable[[Talk, int], None]:
    def run(t: Talk, version: int) -> None:
        topic = t.topic()
        build = BODIES[api]
        flexible = is_flexible(request_schema(api, version))
        first = t.encode(api, version, build(t, topic, t.name("g")))
        labels = [label for label, _ in mutations(first, flexible)]
        for index, label in enumerate(labels):
            what, _, place = label.rpartition(" ")
            if (api, place) in EVERYTHING and not what.startswith(("huge", "one element")):
                continue
            if place.endswith(".records") and what.startswith(("null", "length -2")):
                continue  # Kafka never answers
            if (api, what, place) in SHARED:
                continue
            encoded = t.encode(api, version, build(t, topic, t.name("g")))
            payload = list(mutations(encoded, flexible))[index][1]
            t.send_raw(api, version, payload, label=label, in_short=api == "api_versions")

    return run


for _api in BODIES:
    add(Case(f"malformed/{_api}", _run(_api), _api, alone=False, brokers=1, versions=None))
