"""CreateTopics, DeleteTopics, CreatePartitions: what is made, and what is refused how."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from compat.differential.batches import batch
from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

DRAWN = uuid.UUID("12345678-1234-4234-8234-123456789abc")


def topic(name: str, partitions: int = 1, replication: int = 1, **more: Any) -> Body:
    return {"name": name, "num_partitions": partitions, "replication_factor": replication} | more


def assigned(name: str, assignments: dict[int, list[int]], **more: Any) -> Body:
    found = [{"partition_index": k, "broker_ids": v} for k, v in assignments.items()]
    return topic(name, -1, -1, assignments=found, **more)


def creating(*topics: Body, timeout: int = 30000, validate_only: bool = False) -> Body:
    return {"topics": list(topics), "timeout_ms": timeout, "validate_only": validate_only}


def create(t: Talk, v: int, label: str, *topics: Body, **how: Any) -> Body:
    answer = t.ask("create_topics", v, creating(*topics, **how), label=label)
    for one in answer["topics"]:
        if one["error_code"] == 0 and not how.get("validate_only"):
            t.forget_later(one["name"])
    return answer


@case("create-topics/plain", api="create_topics")
def plain(t: Talk, v: int) -> None:
    name = t.name()
    create(t, v, "checked only", topic(name, 3), validate_only=True)
    create(t, v, "new", topic(name, 3))
    create(t, v, "again", topic(name, 3))
    create(t, v, "again, checked only", topic(name, 3), validate_only=True)
    t.await_leaders(name, 3)
    t.ask("metadata", 12, {"topics": [{"name": name}]})


@case("create-topics/names", api="create_topics")
def names(t: Talk, v: int) -> None:
    for name in ("", ".", "..", "a b", "a/b", "ä", "x" * 250, "a\x00", "a:b"):
        create(t, v, f"name {name[:9]!r}", topic(name))
    long = t.name().ljust(249, "x")
    create(t, v, "249 characters", topic(long))
    dotted = t.name() + ".a"
    create(t, v, "with a dot", topic(dotted))
    create(t, v, "collides with it", topic(dotted.replace(".a", "_a")))
    create(t, v, "internal", topic("__consumer_offsets"))
    create(t, v, "metadata log", topic("__cluster_metadata"))
    create(t, v, "with underscores", topic("__" + t.name()))


@case("create-topics/counts", api="create_topics")
def counts(t: Talk, v: int) -> None:
    for partitions in (0, -1, -2, 10001, 2**31 - 1):
        create(t, v, f"{partitions} partitions", topic(t.name(), partitions), validate_only=True)
    for replication in (0, -1, -2, 9, 32767):
        create(t, v, f"{replication} replicas", topic(t.name(), 1, replication))
    create(t, v, "both by default", topic(t.name(), -1, -1))


@case("create-topics/assignments", api="create_topics")
def assignments(t: Talk, v: int) -> None:
    odd: dict[str, dict[int, list[int]]] = {
        "one": {0: [1]},
        "two": {0: [1], 1: [1]},
        "broker twice": {0: [1, 1]},
        "unknown broker": {0: [99]},
        "negative broker": {0: [-1]},
        "no replicas": {0: []},
        "not from 0": {1: [1]},
        "a gap": {0: [1], 2: [1]},
        "negative partition": {-1: [1], 0: [1]},
        "some without": {0: [1], 1: []},
        "uneven": {0: [1], 1: [1, 99]},
    }
    for label, wanted in odd.items():
        create(t, v, label, assigned(t.name(), wanted))
    with_count = assigned(t.name(), {0: [1]}) | {"num_partitions": 1}
    create(t, v, "with a count", with_count)
    with_factor = assigned(t.name(), {0: [1]}) | {"replication_factor": 1}
    create(t, v, "with a factor", with_factor)
    twice = assigned(t.name(), {0: [1]})
    twice["assignments"] *= 2
    create(t, v, "partition twice", twice)


@case("create-topics/configs", api="create_topics")
def configs(t: Talk, v: int) -> None:
    for name, value in (
        ("retention.ms", "5000"),
        ("retention.ms", "-2"),
        ("retention.ms", "x"),
        ("retention.ms", ""),
        ("retention.ms", None),
        ("no.such", "1"),
        ("", "1"),
        ("cleanup.policy", "compact,delete"),
        ("cleanup.policy", "neither"),
        ("cleanup.policy", ""),
        ("compression.type", "GZIP"),
        ("compression.type", "brotli"),
        ("min.insync.replicas", "0"),
        ("min.insync.replicas", "3"),
        ("max.message.bytes", "-1"),
        ("segment.bytes", "10"),
        ("segment.bytes", "1048576"),
        ("unclean.leader.election.enable", "yes"),
        ("unclean.leader.election.enable", "TRUE"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.type", "createtime"),
        ("message.format.version", "3.0"),
        ("leader.replication.throttled.replicas", "0:1"),
        ("leader.replication.throttled.replicas", "x"),
        ("local.retention.ms", "5"),
        ("preallocate", "true"),
        ("retention.bytes", "99999999999999999999"),
    ):
        entry = topic(t.name(), configs=[{"name": name, "value": value}])
        create(t, v, f"{name}={value}", entry)
    pair = [{"name": "retention.ms", "value": str(n)} for n in (1, 2)]
    create(t, v, "twice", topic(t.name(), configs=pair))
    both = [{"name": "max.compaction.lag.ms", "value": "1"}]
    both.append({"name": "min.compaction.lag.ms", "value": "2"})
    create(t, v, "that contradict each other", topic(t.name(), configs=both))


@case("create-topics/several", api="create_topics")
def several(t: Talk, v: int) -> None:
    name, other = t.name(), t.name()
    create(t, v, "one good, one bad", topic(name), topic("a b"), topic(other, 0))
    create(t, v, "twice", topic(t.name(), 1), topic(t.name(), 1))
    twice = t.name()
    create(t, v, "the same twice", topic(twice), topic(twice))
    create(t, v, "the same twice and another", topic(twice), topic(other, 2), topic(twice))
    create(t, v, "nothing")
    create(t, v, "timeout 0", topic(t.name()), timeout=0)
    create(t, v, "timeout -1", topic(t.name()), timeout=-1)


@case("delete-topics/names", api="delete_topics", versions=lambda v: v < 6)
def delete_names(t: Talk, v: int) -> None:
    name, other = t.topic(), t.topic()
    for label, wanted in {
        "one there is, one there is not": [name, t.name()],
        "again": [name],
        "the same twice": [other, other],
        "empty": [""],
        "bad": ["a b", "x" * 300],
        "metadata log": ["__cluster_metadata"],
        "nothing": [],
    }.items():
        body = {"topic_names": wanted, "timeout_ms": 30000}
        t.ask("delete_topics", v, body, label=label)


@case("delete-topics/names-and-ids", api="delete_topics", versions=lambda v: v >= 6)
def delete_ids(t: Talk, v: int) -> None:
    names = [t.topic() for _ in range(5)]
    ids = [t.id_of(name) for name in names]
    none = uuid.UUID(int=0)
    for label, wanted in {
        "by name": [{"name": names[0]}],
        "by id": [{"name": None, "topic_id": ids[1]}],
        "by id again": [{"name": None, "topic_id": ids[1]}],
        "unknown id": [{"name": None, "topic_id": DRAWN}],
        "unknown name": [{"name": names[0]}],
        "both": [{"name": names[2], "topic_id": ids[2]}],
        "both, not of the same": [{"name": names[2], "topic_id": ids[3]}],
        "neither": [{"name": None, "topic_id": none}],
        "empty name": [{"name": "", "topic_id": none}],
        "name twice": [{"name": names[3]}, {"name": names[3]}],
        "id twice": [{"name": None, "topic_id": ids[3]}, {"name": None, "topic_id": ids[3]}],
        "name and id of one": [{"name": names[4]}, {"name": None, "topic_id": ids[4]}],
        "nothing": [],
    }.items():
        t.ask("delete_topics", v, {"topics": wanted, "timeout_ms": 30000}, label=label)


@case("delete-topics/and-made-again")
def made_again(t: Talk) -> None:
    name = t.topic(2)
    t.produce(name, batch(b"x"))
    t.ask("delete_topics", 5, {"topic_names": [name], "timeout_ms": 30000})
    gone = {"topics": [{"name": name}], "allow_auto_topic_creation": False}
    t.until(lambda: t.quiet("metadata", 12, gone)["topics"][0]["error_code"] != 0, "the deletion")
    t.ask("metadata", 12, gone, label="gone")
    t.topic(1, name=name)
    t.ask("metadata", 12, gone, label="there again")
    partitions = [{"partition_index": 0, "timestamp": -1}]
    body = {"replica_id": -1, "topics": [{"name": name, "partitions": partitions}]}
    t.ask("list_offsets", 1, body, label="and empty")


def more(name: str, count: int, *assignments: list[int], **how: Any) -> Body:
    entry: Body = {"name": name, "count": count, "assignments": None}
    if assignments:
        entry["assignments"] = [{"broker_ids": one} for one in assignments]
    return {"topics": [entry], "timeout_ms": 30000, "validate_only": False} | how


@case("create-partitions/counts", api="create_partitions")
def more_partitions(t: Talk, v: int) -> None:
    name = t.topic(2)
    for count in (2, 1, 0, -1, 10**6):
        t.ask("create_partitions", v, more(name, count), label=f"{count}")
    t.ask("create_partitions", v, more(name, 3, validate_only=True), label="checked only")
    t.ask("create_partitions", v, more(name, 3), label="3")
    t.ask("create_partitions", v, more(name, 5, [1], [1]), label="5, assigned")
    for label, wanted in {
        "too few": [[1]],
        "too many": [[1], [1], [1]],
        "unknown broker": [[1], [9]],
        "uneven": [[1], [1, 9]],
        "broker twice": [[1], [1, 1]],
        "no replicas": [[1], []],
        "negative": [[-1], [1]],
    }.items():
        t.ask("create_partitions", v, more(name, 7, *wanted), label=label)
    empty = more(name, 7)
    empty["topics"][0]["assignments"] = []
    t.ask("create_partitions", v, empty, label="no assignments")
    t.await_leaders(name, 5)
    t.ask("metadata", 12, {"topics": [{"name": name}]})


@case("create-partitions/names", api="create_partitions")
def more_names(t: Talk, v: int) -> None:
    name = t.topic(1)
    for wanted in (t.name(), "", "a b", "x" * 300):
        t.ask("create_partitions", v, more(wanted, 2), label=f"name {wanted[:9]!r}")
    twice = more(name, 2)
    twice["topics"] *= 2
    t.ask("create_partitions", v, twice, label="twice")
    different = more(name, 2)
    different["topics"] += more(name, 3)["topics"]
    t.ask("create_partitions", v, different, label="twice, not the same")
    t.ask("create_partitions", v, more(name, 2) | {"topics": []}, label="nothing")
    t.ask("create_partitions", v, more(name, 2, timeout_ms=0), label="timeout 0")
    t.ask("create_partitions", v, more(name, 3, timeout_ms=-1), label="timeout -1")
