"""What librdkafka calls PROTOCOL.md's settings."""

from __future__ import annotations

from compat.drivers.python.words import Json, chosen, renamed

CLIENT_SETTINGS = {
    "bootstrap": "bootstrap.servers",
    "client_id": "client.id",
    "request_timeout_ms": "socket.timeout.ms",
    # metadata.max.age.ms is when an entry is forgotten; this is when it is asked for again.
    "metadata_max_age_ms": "topic.metadata.refresh.interval.ms",
    "rack": "client.rack",
}
PRODUCER_SETTINGS = CLIENT_SETTINGS | {
    "acks": "acks",
    "idempotent": "enable.idempotence",
    "compression": "compression.type",
    "linger_ms": "linger.ms",
    "batch_bytes": "batch.size",
    "max_in_flight": "max.in.flight.requests.per.connection",
    "retries": "retries",
    "retry_backoff_ms": "retry.backoff.ms",
    "delivery_timeout_ms": "delivery.timeout.ms",
    "max_request_bytes": "message.max.bytes",
    "partitioner": "partitioner",
}
CONSUMER_SETTINGS = CLIENT_SETTINGS | {
    "group": "group.id",
    "instance_id": "group.instance.id",
    "auto_commit": "enable.auto.commit",
    "auto_commit_interval_ms": "auto.commit.interval.ms",
    "reset": "auto.offset.reset",
    "session_timeout_ms": "session.timeout.ms",
    "heartbeat_interval_ms": "heartbeat.interval.ms",
    "max_poll_interval_ms": "max.poll.interval.ms",
    "assignor": "partition.assignment.strategy",
    "isolation": "isolation.level",
    "fetch_min_bytes": "fetch.min.bytes",
    "fetch_max_wait_ms": "fetch.wait.max.ms",
    "fetch_max_bytes": "fetch.max.bytes",
    "partition_max_bytes": "max.partition.fetch.bytes",
    "check_crcs": "check.crcs",
    "allow_auto_create_topics": "allow.auto.create.topics",
}
PARTITIONERS = {
    "default": None,
    "java": "murmur2_random",
    "murmur2": "murmur2_random",
    "librdkafka": "consistent_random",
}
RESETS = {"earliest": "earliest", "latest": "latest", "none": "error"}
ASSIGNORS = {"range": "range", "roundrobin": "roundrobin", "cooperative": "cooperative-sticky"}


def producer_settings(config: Json) -> Json:
    settings = renamed(config, PRODUCER_SETTINGS)
    if "request_timeout_ms" in config:
        # socket.timeout.ms is how long it waits; this is what it asks of the broker.
        settings["request.timeout.ms"] = config["request_timeout_ms"]
    if "partitioner" in config:
        partitioner = chosen("partitioner", config["partitioner"], PARTITIONERS)
        del settings["partitioner"]
        if partitioner is not None:
            settings["partitioner"] = partitioner
    return settings


def consumer_settings(config: Json) -> Json:
    settings = renamed(config, CONSUMER_SETTINGS)
    if "reset" in config:
        settings["auto.offset.reset"] = chosen("reset", config["reset"], RESETS)
    if "assignor" in config:
        assignor = chosen("assignor", config["assignor"], ASSIGNORS)
        settings["partition.assignment.strategy"] = assignor
    return settings
