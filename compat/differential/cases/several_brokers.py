"""What only a cluster of several brokers can be asked: who leads, and who does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.batches import batch
from compat.differential.cases.fetch import body, entry
from compat.differential.cases.groups import beating, committing, joining, leaving, syncing
from compat.differential.cases.moving import electing, reassigning
from compat.differential.cases.offsets_of_logs import asked, epoch_asked
from compat.differential.registry import case
from compat.differential.talk import produce_body

if TYPE_CHECKING:
    from compat.differential.talk import Talk


def led_by_first(t: Talk, replicas: int = 3, **configs: str) -> str:
    """A topic that broker 1 leads, with followers on the next ones."""
    assignments = [[1, 2, 3][:replicas]]
    return t.topic(assignments=assignments, configs=configs)


@case("several/produce-elsewhere", api="produce", brokers=3)
def produce_elsewhere(t: Talk, v: int) -> None:
    topic = led_by_first(t, 2)
    for node in (2, 3):
        connection = t.connect(node)
        for acks in (1, -1):
            request = produce_body(topic, batch(b"x"), acks=acks, topic_id=t.id_of(topic))
            t.ask("produce", v, request, on=connection, label=f"at {node}, acks {acks}")
    request = produce_body(topic, batch(b"x"), topic_id=t.id_of(topic))
    t.ask("produce", v, request, on=t.connect(1), label="at the leader")


@case("several/fetch-elsewhere", api="fetch", brokers=3)
def fetch_elsewhere(t: Talk, v: int) -> None:
    topic = led_by_first(t, 2)
    t.quiet_on(1, "produce", 9, produce_body(topic, batch(b"x")))
    caught_up(t, topic, 1, 2)
    for node in (2, 3):
        connection = t.connect(node)
        t.ask("fetch", v, body(t, {topic: [entry()]}), on=connection, label=f"at {node}")
        epochs = body(t, {topic: [entry(current_leader_epoch=0)]})
        t.ask("fetch", v, epochs, on=connection, label=f"at {node} with the epoch")
        debugging = body(t, {topic: [entry()]}, replica_id=-2)
        t.ask("fetch", v, debugging, on=connection, label=f"at {node}, debugging")


def caught_up(t: Talk, topic: str, offset: int, *nodes: int) -> None:
    """Until followers show so much to consumers that ask for it."""

    def high_watermark(node: int) -> int:
        answer = t.quiet_on(node, "fetch", 12, body(t, {topic: [entry()]}))
        mark: int = answer["responses"][0]["partitions"][0]["high_watermark"]
        return mark

    t.until(lambda: all(high_watermark(node) >= offset for node in nodes), "the followers")


@case("several/list-offsets-elsewhere", api="list_offsets", brokers=3)
def list_offsets_elsewhere(t: Talk, v: int) -> None:
    topic = led_by_first(t, 2)
    t.quiet_on(1, "produce", 9, produce_body(topic, batch(b"x")))
    caught_up(t, topic, 1, 2)
    for node in (1, 2, 3):
        connection = t.connect(node)
        for replica in (-1, -2):
            request = asked(topic, -1, replica_id=replica)
            t.ask("list_offsets", v, request, on=connection, label=f"at {node} as {replica}")


@case("several/epochs-elsewhere", api="offset_for_leader_epoch", brokers=3)
def epochs_elsewhere(t: Talk, v: int) -> None:
    topic = led_by_first(t, 2)
    part = {"partition": 0, "current_leader_epoch": -1, "leader_epoch": 0}
    for node in (1, 2, 3):
        for replica in (-1, -2):
            request = epoch_asked(topic, part, replica=replica)
            label = f"at {node} as {replica}"
            t.ask("offset_for_leader_epoch", v, request, on=t.connect(node), label=label)


@case("several/delete-records-elsewhere", api="delete_records", brokers=3)
def delete_records_elsewhere(t: Talk, v: int) -> None:
    topic = led_by_first(t, 3)
    t.quiet_on(1, "produce", 9, produce_body(topic, batch(b"x", b"y")))
    parts = [{"partition_index": 0, "offset": 1}]
    request = {"topics": [{"name": topic, "partitions": parts}], "timeout_ms": 30000}
    for node in (2, 3, 1):
        t.ask("delete_records", v, request, on=t.connect(node), label=f"at {node}")


@case("several/producers-elsewhere", api="describe_producers", brokers=3)
def producers_elsewhere(t: Talk, v: int) -> None:
    topic = led_by_first(t, 2)
    request = {"topics": [{"name": topic, "partition_indexes": [0]}]}
    for node in (1, 2, 3):
        t.ask("describe_producers", v, request, on=t.connect(node), label=f"at {node}")


@case("several/log-dirs-elsewhere", api="describe_log_dirs", brokers=3)
def log_dirs_elsewhere(t: Talk, v: int) -> None:
    topic = led_by_first(t, 2)
    request = {"topics": [{"topic": topic, "partitions": [0]}]}
    t.quiet_on(1, "produce", 9, produce_body(topic, batch(b"x")))
    caught_up(t, topic, 1, 2)
    for node in (1, 2, 3):
        t.ask("describe_log_dirs", v, request, on=t.connect(node), label=f"at {node}")


def elsewhere(t: Talk, group: str) -> int:
    """A broker that is not the group's coordinator."""
    request = {"key": group, "key_type": 0}
    found = t.quiet("find_coordinator", 3, request)["node_id"]
    return next(node for node in sorted(t.side.nodes) if node != found)


GROUP_REQUESTS: dict[str, Any] = {
    "join_group": lambda t, g: joining(g),
    "sync_group": lambda t, g: syncing(g, 1, "m"),
    "heartbeat": lambda t, g: beating(g, 1, "m"),
    "leave_group": lambda t, g: leaving(g, "m"),
    "describe_groups": lambda t, g: {"groups": [g]},
    "delete_groups": lambda t, g: {"groups_names": [g]},
    "offset_commit": lambda t, g: known_topic(t, committing(g, t.topic())),
    "offset_fetch": lambda t, g: {
        "group_id": g,
        "topics": None,
        "groups": [{"group_id": g, "topics": None}],
    },
    "offset_delete": lambda t, g: {
        "group_id": g,
        "topics": [{"name": t.topic(), "partitions": [{"partition_index": 0}]}],
    },
}


def known_topic(t: Talk, request: dict[str, Any]) -> dict[str, Any]:
    for topic in request["topics"]:
        topic["topic_id"] = t.id_of(topic["name"])
    return request


def _register(api: str) -> None:
    @case(f"several/not-the-coordinator/{api.replace('_', '-')}", api=api, brokers=3)
    def not_the_coordinator(t: Talk, v: int) -> None:
        group = t.name("g")
        connection = t.connect(elsewhere(t, group))
        t.ask(api, v, GROUP_REQUESTS[api](t, group), on=connection)


for _api in GROUP_REQUESTS:
    _register(_api)


@case("several/topics", brokers=3)
def topics(t: Talk) -> None:
    """Placement by hand, and what is told of it."""
    for label, assignments in {
        "three": [[1, 2, 3], [2, 3, 1]],
        "two of them": [[3, 1]],
    }.items():
        name = t.topic(assignments=assignments)
        wanted = {"topics": [{"name": name}], "allow_auto_topic_creation": False}
        t.ask("metadata", 12, wanted, label=label)
        described = {"topics": [{"name": name}], "response_partition_limit": 10}
        t.ask("describe_topic_partitions", 0, described, label=f"{label}, described")
    for replication in (3, 4, 2):
        entry = {"name": t.name(), "num_partitions": 1, "replication_factor": replication}
        request = {"topics": [entry], "timeout_ms": 30000, "validate_only": True}
        t.ask("create_topics", 7, request, label=f"{replication} replicas")


@case("several/min-insync", api="produce", brokers=3, versions=lambda v: v in (3, 9, 13))
def min_insync(t: Talk, v: int) -> None:
    topic = t.topic(assignments=[[1, 2]], configs={"min.insync.replicas": "3"})
    for acks in (-1, 1, 0):
        request = produce_body(topic, batch(b"x"), acks=acks, topic_id=t.id_of(topic))
        pending = t.send("produce", v, request, on=t.connect(1), label=f"acks {acks}")
        if acks:
            t.take(pending)


@case("several/elections", api="elect_leaders", brokers=3)
def elections(t: Talk, v: int) -> None:
    topic = led_by_first(t)
    t.ask("elect_leaders", v, electing(topic, 0), label="leads already")
    t.ask("elect_leaders", v, electing(topic, 0, kind=1), label="uncleanly, without need")
    api = "alter_partition_reassignments"
    t.ask(api, 0, reassigning(topic, [2, 1, 3]), label="another order")
    wanted = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}

    def order() -> list[int]:
        replicas: list[int] = t.quiet("metadata", 12, wanted)["topics"][0]["partitions"][0][
            "replica_nodes"
        ]
        return replicas

    t.until(lambda: order() == [2, 1, 3], "the new order")
    t.ask("elect_leaders", v, electing(topic, 0), label="the new first one")

    def leader() -> int:
        found: int = t.quiet("metadata", 12, wanted)["topics"][0]["partitions"][0]["leader_id"]
        return found

    t.until(lambda: leader() == 2, "the election")
    t.ask("metadata", 12, wanted, label="afterwards")


@case("several/reassignment", api="alter_partition_reassignments", brokers=3)
def reassignment(t: Talk, v: int) -> None:
    topic = led_by_first(t, 2)
    t.quiet_on(1, "produce", 9, produce_body(topic, batch(b"x")))
    api = "alter_partition_reassignments"
    wanted = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}
    for label, replicas, leader in (
        ("moved on", [2, 3], 2),
        ("grown", [2, 3, 1], 2),
        ("shrunk", [2], 2),
        ("moved whole", [3], 3),
    ):
        t.ask(api, v, reassigning(topic, replicas), label=label)

        def settled(replicas: list[int] = replicas, leader: int = leader) -> bool:
            part = t.quiet("metadata", 12, wanted)["topics"][0]["partitions"][0]
            return bool(
                part["replica_nodes"] == replicas
                and part["leader_id"] == leader
                and sorted(part["isr_nodes"]) == sorted(replicas)
            )

        t.until(settled, label)
        listed = {"timeout_ms": 30000, "topics": [{"name": topic, "partition_indexes": [0]}]}
        t.ask("list_partition_reassignments", 0, listed, label=f"{label}, listed")
    t.ask(api, v, reassigning(topic, [1, 2], allow_replication_factor_change=False), label="more")


@case("several/configs-of-another", api="describe_configs", brokers=3)
def configs_of_another(t: Talk, v: int) -> None:
    for name in ("1", "2", ""):
        resource = {
            "resource_type": 4,
            "resource_name": name,
            "configuration_keys": ["min.insync.replicas"],
        }
        request = {"resources": [resource]}
        t.ask("describe_configs", v, request, on=t.connect(2), label=f"of {name!r} at 2")


@case("several/stale-sessions", api="fetch", brokers=3, versions=lambda v: v >= 7)
def stale_sessions(t: Talk, v: int) -> None:
    """A session with a follower and one with a leader that it stops being."""
    topic = led_by_first(t)
    t.quiet_on(1, "produce", 9, produce_body(topic, batch(b"x")))
    connection = t.connect(1)
    opened = t.ask(
        "fetch", v, body(t, {topic: [entry(1)]}, session_epoch=0), on=connection, label="opened"
    )["session_id"]
    api = "alter_partition_reassignments"
    t.quiet(api, 0, reassigning(topic, [2, 3]))
    wanted = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}

    def moved() -> bool:
        part = t.quiet("metadata", 12, wanted)["topics"][0]["partitions"][0]
        return bool(part["replica_nodes"] == [2, 3] and part["leader_id"] == 2)

    t.until(moved, "the move")
    probe = body(t, {topic: [entry(1)]})

    def gone() -> bool:
        answer = t.quiet_on(1, "fetch", 12, probe)
        return bool(answer["responses"][0]["partitions"][0]["error_code"])

    t.until(gone, "the replica's end")
    request = body(t, {}, session_id=opened, session_epoch=1)
    t.ask("fetch", v, request, on=connection, label="after the move")
