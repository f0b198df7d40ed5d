"""kafka-topics: --create, --list, --describe, --alter, --delete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pykbroker.tools.client import Refused, ToolError, check
from pykbroker.tools.options import connect, flag, parse, parser, run, settings
from wire.errors import ErrorCode
from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.messages.describe_configs import (
    DEFAULT_CONFIG,
    DescribeConfigsRequest,
    DescribeConfigsResource,
)
from wire.uuids import uuid_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pykbroker.tools.client import Client
    from pykbroker.tools.options import Parser
    from wire.messages.describe_configs import DescribeConfigsResourceResult
    from wire.messages.metadata import MetadataResponsePartition, MetadataResponseTopic

ACTIONS = ("list", "describe", "create", "alter", "delete")
TOPIC = 2
COLLIDING = (
    "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') "
    "could collide. To avoid issues it is best to use either, but not both."
)


def command_line() -> Parser:
    made = parser("kafka-topics", "Create, delete, describe, or change a topic.")
    for action in ACTIONS:
        flag(made, action)
    made.add_argument("--topic", help="its name; but for --create also a regular expression")
    made.add_argument("--partitions", type=int)
    made.add_argument("--replication-factor", type=int)
    made.add_argument("--replica-assignment", metavar="0:1,1:2")
    made.add_argument("--config", action="append", default=[], metavar="name=value")
    flag(made, "if-not-exists", "to create it is no error if it is there")
    flag(made, "if-exists", "it is no error if it is not there")
    flag(made, "exclude-internal")
    flag(made, "topics-with-overrides", "describe only those that have settings of their own")
    flag(made, "under-replicated-partitions", "describe only those")
    flag(made, "unavailable-partitions", "describe only those")
    return made


def main(arguments: Sequence[str]) -> int:
    made = command_line()
    options = parse(made, arguments)
    asked = [action for action in ACTIONS if getattr(options, action)]
    if len(asked) != 1:
        made.error(
            "Command must include exactly one action: "
            "--list, --describe, --create, --alter or --delete"
        )
    (action,) = asked
    if options.topic is None and action in ("create", "alter", "delete"):
        made.error('Missing required argument "[topic]"')
    if options.partitions is None and action == "alter":
        made.error('Missing required argument "[partitions]"')

    def act() -> None:
        for name, least in (("partitions", 1), ("replication_factor", 1)):
            given = getattr(options, name)
            if given is not None and given < least:
                raise ToolError(f"The {name.replace('_', ' ')} must be greater than 0")
        client = connect(options, settings([], options.command_config))
        {"list": show, "describe": describe, "create": create, "alter": alter, "delete": delete}[
            action
        ](client, options)

    return run(act, "Error while executing topic command : ")


def found(
    client: Client, options: argparse.Namespace, *, needed: bool = True
) -> list[MetadataResponseTopic]:
    """Topics by ``--topic``, in the order of their names."""
    topics = [t for t in client.metadata(None).topics if not t.error_code]
    if options.exclude_internal:
        topics = [topic for topic in topics if not topic.is_internal]
    if options.topic is not None:
        try:
            pattern = re.compile(options.topic.strip().replace(",", "|"))
        except re.error as error:
            raise ToolError(f"{options.topic} is not a regular expression: {error}") from error
        topics = [topic for topic in topics if pattern.fullmatch(topic.name or "")]
        if not topics and needed and not options.if_exists:
            raise ToolError(f"Topic '{options.topic}' does not exist as expected")
    return sorted(topics, key=lambda topic: topic.name or "")


def show(client: Client, options: argparse.Namespace) -> None:
    print("\n".join(topic.name or "" for topic in found(client, options, needed=False)))


def create(client: Client, options: argparse.Namespace) -> None:
    name = options.topic
    if "." in name or "_" in name:
        print(COLLIDING, flush=True)
    topic = CreatableTopic(name=name, num_partitions=-1, replication_factor=-1)
    if options.replica_assignment is not None:
        topic.assignments = assignments(options.replica_assignment)
    else:
        topic.num_partitions = options.partitions or -1
        topic.replication_factor = options.replication_factor or -1
    configs = settings(options.config)
    topic.configs = [CreatableTopicConfig(name=n, value=v) for n, v in configs.items()]
    (result,) = client.call(CreateTopicsRequest(topics=[topic])).topics
    if result.error_code == ErrorCode.TOPIC_ALREADY_EXISTS and options.if_not_exists:
        return
    check(result.error_code, result.error_message)
    print(f"Created topic {name}.")


def assignments(text: str) -> list[CreatableReplicaAssignment]:
    """``0:1,1:2``: the replicas of one partition after another."""
    try:
        return [
            CreatableReplicaAssignment(
                partition_index=index, broker_ids=[int(broker) for broker in replicas.split(":")]
            )
            for index, replicas in enumerate(text.split(","))
        ]
    except ValueError:
        raise ToolError(f"{text} is not a replica assignment, such as 0:1,1:2") from None


def alter(client: Client, options: argparse.Namespace) -> None:
    changed = [
        CreatePartitionsTopic(name=topic.name or "", count=options.partitions, assignments=None)
        for topic in found(client, options)
    ]
    if not changed:
        return
    for result in client.call(CreatePartitionsRequest(topics=changed, timeout_ms=60000)).results:
        check(result.error_code, result.error_message)


def delete(client: Client, options: argparse.Namespace) -> None:
    gone = [DeleteTopicState(name=topic.name) for topic in found(client, options)]
    if not gone:
        return
    for result in client.call(DeleteTopicsRequest(topics=gone, timeout_ms=60000)).responses:
        if result.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION and options.if_exists:
            continue
        check(result.error_code, result.error_message)


def describe(client: Client, options: argparse.Namespace) -> None:
    topics = found(client, options)
    configs = topic_configs(client, [topic.name or "" for topic in topics])
    live = {broker.node_id for broker in client.metadata([]).brokers}
    for topic in topics:
        set_here = [c for c in configs[topic.name or ""] if c.config_source != DEFAULT_CONFIG]
        if options.topics_with_overrides and not any(c.config_source == 1 for c in set_here):
            continue
        partial = options.under_replicated_partitions or options.unavailable_partitions
        if not partial:
            texts = ",".join(f"{config.name}={config.value}" for config in set_here)
            replicas = len(topic.partitions[0].replica_nodes) if topic.partitions else 0
            print(
                f"Topic: {topic.name}\tTopicId: {uuid_text(topic.topic_id)}\tPartitionCount: "
                f"{len(topic.partitions)}\tReplicationFactor: {replicas}\tConfigs: {texts}"
            )
        if options.topics_with_overrides:
            continue
        for partition in sorted(topic.partitions, key=lambda p: p.partition_index):
            if not partial or is_ill(partition, options, live):
                print(line(topic.name or "", partition))


def is_ill(p: MetadataResponsePartition, options: argparse.Namespace, live: set[int]) -> bool:
    if options.under_replicated_partitions and len(p.isr_nodes) < len(p.replica_nodes):
        return True
    return bool(options.unavailable_partitions) and p.leader_id not in live


def line(topic: str, p: MetadataResponsePartition) -> str:
    leader = "none" if p.leader_id < 0 else str(p.leader_id)
    replicas, isr = (",".join(map(str, nodes)) for nodes in (p.replica_nodes, p.isr_nodes))
    return (
        f"\tTopic: {topic}\tPartition: {p.partition_index}\tLeader: {leader}\tReplicas: {replicas}"
        f"\tIsr: {isr}\tElr: \tLastKnownElr: "
    )


def topic_configs(
    client: Client, names: list[str]
) -> dict[str, list[DescribeConfigsResourceResult]]:
    resources = [
        DescribeConfigsResource(resource_type=TOPIC, resource_name=name, configuration_keys=None)
        for name in names
    ]
    configs = {}
    if resources:
        for result in client.call(DescribeConfigsRequest(resources=resources)).results:
            if result.error_code:
                raise Refused(result.error_code, result.error_message)
            configs[result.resource_name] = result.configs
    return configs
