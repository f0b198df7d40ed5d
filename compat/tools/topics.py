"""kafka-topics and kafka-configs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compat.tools.registry import check
from compat.tools.runner import expect, expect_none

if TYPE_CHECKING:
    from pathlib import Path

    from compat.tools.runner import Tools


@check("kafka-topics", "Create, delete, describe, or change a topic.")
def topics(bootstrap: str, work: Path, tools: Tools) -> None:
    name = tools.name("topic")
    to = ("--bootstrap-server", bootstrap)
    made = ("--partitions", "2", "--config", "retention.ms=5000")
    expect(tools.run("kafka-topics", *to, "--create", "--topic", name, *made), f"^Created .*{name}")
    expect(tools.refused("kafka-topics", *to, "--create", "--topic", name), "already exists")
    tools.run("kafka-topics", *to, "--create", "--topic", name, "--if-not-exists")
    expect(tools.run("kafka-topics", *to, "--list", "--exclude-internal"), f"^{name}$")
    described = tools.run("kafka-topics", *to, "--describe", "--topic", name)
    expect(
        described,
        rf"Topic: {name}\s+TopicId: \S{{22}}\s+PartitionCount: 2\s+ReplicationFactor: \d",
        r"Configs: .*retention\.ms=5000",
        r"Partition: 0\s+Leader: \d+\s+Replicas: \S+\s+Isr: \S+",
        r"Partition: 1\s+Leader: \d+",
    )
    tools.run("kafka-topics", *to, "--alter", "--topic", name, "--partitions", "4")
    fewer = tools.refused("kafka-topics", *to, "--alter", "--topic", name, "--partitions", "1")
    expect(fewer, r"currently has 4 partition")
    expect(tools.run("kafka-topics", *to, "--describe", "--topic", name), "PartitionCount: 4")
    overridden = tools.run("kafka-topics", *to, "--describe", "--topics-with-overrides")
    expect(overridden, f"Topic: {name}")
    unwell = tools.run("kafka-topics", *to, "--describe", "--unavailable-partitions")
    expect_none(unwell, name)
    tools.run("kafka-topics", *to, "--delete", "--topic", name)
    expect(tools.refused("kafka-topics", *to, "--describe", "--topic", name), "does not exist")
    tools.run("kafka-topics", *to, "--delete", "--topic", name, "--if-exists")


@check("kafka-topics: refusals", "What is wrong is said, and nothing is created.")
def topics_refused(bootstrap: str, work: Path, tools: Tools) -> None:
    name = tools.name("topic")
    create = ("--bootstrap-server", bootstrap, "--create", "--topic")
    for arguments, reason in (
        ((name, "--replication-factor", "99"), "replication factor|InvalidReplicationFactor"),
        ((name, "--config", "retention.ms=x"), "retention.ms"),
        ((name, "--config", "no.such=1"), "no.such"),
        (("a b",), "invalid|illegal"),
        ((name, "--replica-assignment", "98:99"), "98|99"),
    ):
        expect(tools.refused("kafka-topics", *create, *arguments), reason)
    expect_none(tools.run("kafka-topics", "--bootstrap-server", bootstrap, "--list"), name)


@check("kafka-configs: topics", "Add, describe and remove the settings of a topic.")
def configs_of_topics(bootstrap: str, work: Path, tools: Tools) -> None:
    name = tools.name("topic")
    to = ("--bootstrap-server", bootstrap)
    tools.run("kafka-topics", *to, "--create", "--topic", name)
    of = (*to, "--entity-type", "topics", "--entity-name", name)
    several = "cleanup.policy=[compact,delete],max.message.bytes=2000000"
    tools.run("kafka-configs", *of, "--alter", "--add-config", several)
    described = tools.run("kafka-configs", *of, "--describe")
    expect(
        described,
        r"cleanup\.policy=compact,delete sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:",
        r"max\.message\.bytes=2000000 .*DEFAULT_CONFIG:message\.max\.bytes=1048588",
    )
    everything = tools.run("kafka-configs", *of, "--describe", "--all")
    expect(everything, r" retention\.ms=\d+ ", r"min\.insync\.replicas=\d")
    wrong = ("--alter", "--add-config", "max.message.bytes=x")
    expect(tools.refused("kafka-configs", *of, *wrong), "max.message.bytes")
    tools.run("kafka-configs", *of, "--alter", "--delete-config", "max.message.bytes")
    expect_none(tools.run("kafka-configs", *of, "--describe"), "max.message.bytes")


@check("kafka-configs: brokers", "Change a broker's settings without a restart.")
def configs_of_brokers(bootstrap: str, work: Path, tools: Tools) -> None:
    to = ("--bootstrap-server", bootstrap)
    default = (*to, "--entity-type", "brokers", "--entity-default")
    tools.run("kafka-configs", *default, "--alter", "--add-config", "log.retention.ms=600000000")
    try:
        expect(tools.run("kafka-configs", *default, "--describe"), "log.retention.ms=600000000")
    finally:
        tools.run("kafka-configs", *default, "--alter", "--delete-config", "log.retention.ms")
    expect_none(tools.run("kafka-configs", *default, "--describe"), "log.retention.ms=600000000")
    one = (*to, "--entity-type", "brokers", "--entity-name", "1")
    everything = tools.run("kafka-configs", *one, "--describe", "--all")
    expect(everything, r"node\.id=1 .*STATIC_BROKER_CONFIG|node\.id=1 ", r"num\.io\.threads=\d+")
    read_only = ("--alter", "--add-config", "node.id=7")
    expect(tools.refused("kafka-configs", *one, *read_only), "node.id")


@check("kafka-configs: quotas", "Quotas of users and clients are set, described and removed.")
def quotas(bootstrap: str, work: Path, tools: Tools) -> None:
    client, user = tools.name("client"), tools.name("user")
    to = ("--bootstrap-server", bootstrap)
    of_user = (*to, "--entity-type", "users", "--entity-name", user)
    both = (*of_user, "--entity-type", "clients", "--entity-name", client)
    rate = "producer_byte_rate=10000000,consumer_byte_rate=20000000"
    tools.run("kafka-configs", *both, "--alter", "--add-config", rate)
    described = tools.run("kafka-configs", *both, "--describe")
    expect(described, rf"user-principal '{user}', client-id '{client}'", "producer_byte_rate=1")
    expect(described, r"consumer_byte_rate=2\.0E7")
    removed = ("--alter", "--delete-config", "producer_byte_rate,consumer_byte_rate")
    tools.run("kafka-configs", *both, *removed)
    expect_none(tools.run("kafka-configs", *both, "--describe"), "byte_rate=")


@check("kafka-client-metrics", "Subscriptions of client metrics are made, listed and deleted.")
def client_metrics(bootstrap: str, work: Path, tools: Tools) -> None:
    name = tools.name("metrics")
    to = ("--bootstrap-server", bootstrap)
    wanted = ("--metrics", "org.apache.kafka.producer.", "--interval", "10000")
    tools.run("kafka-client-metrics", *to, "--alter", "--name", name, *wanted)
    described = tools.run("kafka-client-metrics", *to, "--describe", "--name", name)
    expect(described, r"interval\.ms=10000", r"metrics=org\.apache\.kafka\.producer\.")
    expect(tools.run("kafka-client-metrics", *to, "--list"), f"^{name}$")
    tools.run("kafka-client-metrics", *to, "--delete", "--name", name)
    left = tools.run("kafka-client-metrics", *to, "--list")
    assert not re.search(f"^{name}$", left, re.MULTILINE), left
