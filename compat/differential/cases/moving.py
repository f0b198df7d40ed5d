"""ElectLeaders and reassignments, as far as one broker goes; log directories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.batches import batch
from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk


def electing(topic: str, *partitions: int, kind: int = 0) -> Body:
    wanted = [{"topic": topic, "partitions": list(partitions)}]
    return {"election_type": kind, "topic_partitions": wanted, "timeout_ms": 30000}


@case("elect-leaders/types", api="elect_leaders")
def elect(t: Talk, v: int) -> None:
    topic = t.topic(2)
    for kind in (0, 1, 2, -1, 127):
        t.try_ask("elect_leaders", v, electing(topic, 0, kind=kind), label=f"type {kind}")


@case("elect-leaders/unknown", api="elect_leaders")
def elect_unknown(t: Talk, v: int) -> None:
    topic = t.topic(2)
    for partitions in ([0, 1], [2], [-1], [0, 0], []):
        t.ask("elect_leaders", v, electing(topic, *partitions), label=f"partitions {partitions}")
    for name in (t.name(), "", "a b"):
        t.ask("elect_leaders", v, electing(name, 0), label=f"name {name[:9]!r}")
    nothing = electing(topic) | {"topic_partitions": []}
    t.ask("elect_leaders", v, nothing, label="nothing")
    twice = electing(topic, 0)
    twice["topic_partitions"] *= 2
    t.ask("elect_leaders", v, twice, label="topic twice")
    t.ask("elect_leaders", v, electing(topic, 0) | {"timeout_ms": 0}, label="timeout 0")
    t.ask("elect_leaders", v, electing(topic, 0) | {"timeout_ms": -1}, label="timeout -1")


def reassigning(topic: str, replicas: list[int] | None, index: int = 0, **more: Any) -> Body:
    partitions = [{"partition_index": index, "replicas": replicas}]
    return {"timeout_ms": 30000, "topics": [{"name": topic, "partitions": partitions}]} | more


@case("reassign/replicas", api="alter_partition_reassignments")
def reassign(t: Talk, v: int) -> None:
    topic = t.topic(2)
    api = "alter_partition_reassignments"
    for replicas in ([1], [1, 1], [9], [-1], [], None, [1, 9]):
        t.ask(api, v, reassigning(topic, replicas), label=f"replicas {replicas}")
        body = reassigning(topic, replicas, allow_replication_factor_change=False)
        t.ask(api, v, body, label=f"replicas {replicas}, no more")
    for index in (2, -1):
        t.ask(api, v, reassigning(topic, [1], index), label=f"partition {index}")
    for name in (t.name(), "", "a b"):
        t.ask(api, v, reassigning(name, [1]), label=f"name {name[:9]!r}")
    twice = reassigning(topic, [1])
    twice["topics"][0]["partitions"] *= 2
    t.ask(api, v, twice, label="partition twice")
    twice = reassigning(topic, [1])
    twice["topics"] *= 2
    t.ask(api, v, twice, label="topic twice")
    nothing = reassigning(topic, [1])
    nothing["topics"][0]["partitions"] = []
    t.ask(api, v, nothing, label="no partitions")
    t.ask(api, v, reassigning(topic, [1], timeout_ms=0), label="timeout 0")


@case("list-reassignments/places", api="list_partition_reassignments")
def list_reassignments(t: Talk, v: int) -> None:
    topic = t.topic(2)
    for label, wanted in {
        "there are none": [{"name": topic, "partition_indexes": [0, 1]}],
        "unknown partition": [{"name": topic, "partition_indexes": [7]}],
        "unknown topic": [{"name": t.name(), "partition_indexes": [0]}],
        "empty name": [{"name": "", "partition_indexes": [0]}],
        "no partitions": [{"name": topic, "partition_indexes": []}],
        "nothing": [],
        "all": None,
    }.items():
        body = {"timeout_ms": 30000, "topics": wanted}
        t.ask("list_partition_reassignments", v, body, label=label)


@case("log-dirs/describe", api="describe_log_dirs")
def describe_log_dirs(t: Talk, v: int) -> None:
    topic = t.topic(2)
    t.produce(topic, batch(b"x"), partition=1)
    for label, wanted in {
        "two": [{"topic": topic, "partitions": [1, 0]}],
        "one": [{"topic": topic, "partitions": [1]}],
        "unknown partition": [{"topic": topic, "partitions": [7]}],
        "unknown topic": [{"topic": t.name(), "partitions": [0]}],
        "no partitions": [{"topic": topic, "partitions": []}],
        "nothing": [],
        "twice": [{"topic": topic, "partitions": [0, 0]}] * 2,
    }.items():
        t.ask("describe_log_dirs", v, {"topics": wanted}, label=label)


@case("log-dirs/alter", api="alter_replica_log_dirs")
def alter_log_dirs(t: Talk, v: int) -> None:
    topic = t.topic(1)
    found = t.quiet("describe_log_dirs", 2, {"topics": []})["results"][0]["log_dir"]
    for label, path, name, partitions in (
        ("where it is", found, topic, [0]),
        ("unknown partition", found, topic, [5]),
        ("unknown topic", found, t.name(), [0]),
        ("no directory of the broker", "/nowhere", topic, [0]),
        ("relative", "x", topic, [0]),
        ("empty path", "", topic, [0]),
        ("nothing", found, topic, []),
        ("twice", found, topic, [0, 0]),
    ):
        body = {"dirs": [{"path": path, "topics": [{"name": name, "partitions": partitions}]}]}
        t.ask("alter_replica_log_dirs", v, body, label=label)
    t.ask("alter_replica_log_dirs", v, {"dirs": []}, label="no directories")
    two = [
        {"path": path, "topics": [{"name": topic, "partitions": [0]}]}
        for path in (found, "/nowhere")
    ]
    t.ask("alter_replica_log_dirs", v, {"dirs": two}, label="in two directories")
