"""What kafka-python calls PROTOCOL.md's settings."""

from __future__ import annotations

from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.partitioner import DefaultPartitioner

from compat.drivers.python.words import Json, chosen, renamed

CLIENT_SETTINGS = {
    "bootstrap": "bootstrap_servers",
    "client_id": "client_id",
    "request_timeout_ms": "request_timeout_ms",
    "metadata_max_age_ms": "metadata_max_age_ms",
}
PRODUCER_SETTINGS = CLIENT_SETTINGS | {
    "acks": "acks",
    "idempotent": "enable_idempotence",
    "compression": "compression_type",
    "linger_ms": "linger_ms",
    "batch_bytes": "batch_size",
    "max_in_flight": "max_in_flight_requests_per_connection",
    "retries": "retries",
    "retry_backoff_ms": "retry_backoff_ms",
    "delivery_timeout_ms": "delivery_timeout_ms",
    "max_request_bytes": "max_request_size",
    "partitioner": "partitioner",
}
CODECS = {"none": None, "gzip": "gzip", "snappy": "snappy", "lz4": "lz4", "zstd": "zstd"}
# Its own is Java's hash of keys.
PARTITIONERS = dict.fromkeys(("default", "java", "murmur2"), DefaultPartitioner)

CONSUMER_SETTINGS = CLIENT_SETTINGS | {
    "rack": "client_rack",
    "group": "group_id",
    "instance_id": "group_instance_id",
    "auto_commit": "enable_auto_commit",
    "auto_commit_interval_ms": "auto_commit_interval_ms",
    "reset": "auto_offset_reset",
    "session_timeout_ms": "session_timeout_ms",
    "heartbeat_interval_ms": "heartbeat_interval_ms",
    "max_poll_interval_ms": "max_poll_interval_ms",
    "assignor": "partition_assignment_strategy",
    "isolation": "isolation_level",
    "fetch_min_bytes": "fetch_min_bytes",
    "fetch_max_wait_ms": "fetch_max_wait_ms",
    "fetch_max_bytes": "fetch_max_bytes",
    "partition_max_bytes": "max_partition_fetch_bytes",
    "max_poll_records": "max_poll_records",
    "check_crcs": "check_crcs",
    "allow_auto_create_topics": "allow_auto_create_topics",
}
ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative": CooperativeStickyAssignor,
}


def producer_settings(config: Json) -> dict[str, Any]:
    settings = renamed(config, PRODUCER_SETTINGS)
    if "compression" in config:
        settings["compression_type"] = chosen("compression", config["compression"], CODECS)
    if "partitioner" in config:
        settings["partitioner"] = chosen("partitioner", config["partitioner"], PARTITIONERS)()
    return settings


def consumer_settings(config: Json) -> dict[str, Any]:
    settings = renamed(config, CONSUMER_SETTINGS)
    if "assignor" in config:
        assignor = chosen("assignor", config["assignor"], ASSIGNORS)
        settings["partition_assignment_strategy"] = (assignor,)
    return settings
