"""DescribeCluster, DescribeQuorum, UpdateFeatures, UnregisterBroker, FindCoordinator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.talk import Talk


@case("describe-cluster/kinds", api="describe_cluster")
def describe_cluster(t: Talk, v: int) -> None:
    for kind in (1, 2, 0, 3, -1):
        t.try_ask("describe_cluster", v, {"endpoint_type": kind}, label=f"endpoints {kind}")
    body = {"include_cluster_authorized_operations": True}
    t.ask("describe_cluster", v, body, label="operations")
    t.ask("describe_cluster", v, {"include_fenced_brokers": True}, label="fenced ones too")


@case("describe-quorum/places", api="describe_quorum")
def describe_quorum(t: Talk, v: int) -> None:
    for name, *partitions in (
        ("__cluster_metadata", 0),
        ("__cluster_metadata", 1),
        ("__cluster_metadata",),
        ("__cluster_metadata", 0, 0),
        ("__cluster_metadata", 0, 1),
        ("other", 0),
        ("", 0),
    ):
        wanted = [{"partition_index": index} for index in partitions]
        body = {"topics": [{"topic_name": name, "partitions": wanted}]}
        t.ask("describe_quorum", v, body, label=f"{name} {partitions}")
    t.ask("describe_quorum", v, {"topics": []}, label="nothing")


def update(name: str, level: int, kind: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "feature": name,
        "max_version_level": level,
        "upgrade_type": kind,
        "allow_downgrade": kind != 1,
    } | more


@case("update-features/checked-only", api="update_features", versions=lambda v: v >= 1)
def update_features(t: Talk, v: int) -> None:
    for label, updates in {
        "unknown": [update("no.such", 1)],
        "unknown to 0": [update("no.such", 0, 2)],
        "empty name": [update("", 1)],
        "version too high": [update("metadata.version", 99)],
        "version 0": [update("metadata.version", 0, 3)],
        "version 1": [update("metadata.version", 1, 3)],
        "version negative": [update("metadata.version", -1)],
        "type 0": [update("metadata.version", 25, 0)],
        "type 9": [update("metadata.version", 25, 9)],
        "twice": [update("metadata.version", 99), update("metadata.version", 98)],
        "nothing": [],
    }.items():
        body = {"timeout_ms": 30000, "feature_updates": updates, "validate_only": True}
        t.try_ask("update_features", v, body, label=label)


@case("unregister-broker/who", api="unregister_broker")
def unregister(t: Talk, v: int) -> None:
    for broker in (77, -1):
        t.ask("unregister_broker", v, {"broker_id": broker}, label=f"broker {broker}")


@case("find-coordinator/kinds", api="find_coordinator")
def find_coordinator(t: Talk, v: int) -> None:
    name = t.name("g")
    for kind in (0, 3, 4, -1, 127):
        body = {"key": name, "key_type": kind, "coordinator_keys": [name]}
        t.try_ask("find_coordinator", v, body, label=f"type {kind}")
    for key in ("", "a b", "ä", "x" * 1000):
        body = {"key": key, "key_type": 0, "coordinator_keys": [key]}
        t.ask("find_coordinator", v, body, label=f"key {key[:9]!r}")


@case("find-coordinator/several", api="find_coordinator", versions=lambda v: v >= 4)
def find_several(t: Talk, v: int) -> None:
    one, two = t.name("g"), t.name("g")
    for label, keys in {"two": [one, two], "twice": [one, one], "none": []}.items():
        t.ask("find_coordinator", v, {"key_type": 0, "coordinator_keys": keys}, label=label)
