"""Admin calls, made by each client that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.client import check
from compat.driver import DriverError
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case
    from compat.client import Admin


def code_of(answer: dict[str, object]) -> object:
    error = answer.get("error")
    return error.get("code") if isinstance(error, dict) else None


def refused(admin: Admin, verb: str, **fields: object) -> object:
    """The code with which a whole call, or its only part, is refused; None if it is not."""
    try:
        answer = admin.do(verb, **fields)
    except DriverError as error:
        return error.code
    for part in answer.values():
        if isinstance(part, dict):
            for one in part.values():
                if isinstance(one, dict) and code_of(one) is not None:
                    return code_of(one)
    return None


def new_topic(name: str, partitions: int = 1, replication: int = 1, **more: object) -> object:
    base = {"name": name, "partitions": partitions, "replication": replication, "configs": {}}
    return base | more


@behaviour(
    "createTopics, describeTopics, listTopics, deleteTopics.",
    needs="admin.create_topics admin.delete_topics admin.list_topics",
)
def topics(case: Case) -> None:
    admin, name = case.admin(), case.name("topic")
    admin.create_topic(name, 3, case.replication, {"retention.ms": "12345000"})
    case.wait_for(lambda: name in admin.do("list_topics")["topics"], "the topic in the list")
    described = case.setup.describe_topic(name)
    same("partitions", len(described["partitions"]), 3)
    same("replicas", {len(p["replicas"]) for p in described["partitions"]}, {case.replication})
    configs = case.setup.do("describe_configs", type="topic", name=name)["configs"]
    same("retention.ms", configs["retention.ms"]["value"], "12345000")
    admin.delete_topic(name)
    case.wait_for(lambda: name not in admin.do("list_topics")["topics"], "the end of the topic")


@behaviour("describeTopics: leader, replicas and in-sync replicas.", needs="admin.describe_topics")
def topic_description(case: Case) -> None:
    name = case.topic(partitions=3)
    described = case.admin().describe_topic(name)["partitions"]
    same("partitions", sorted(p["partition"] for p in described), [0, 1, 2])
    for one in described:
        holds("the leader is a replica", one["leader"] in one["replicas"], one)
        same("in sync", sorted(one["isr"]), sorted(one["replicas"]))


@behaviour(
    "TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION, INVALID_PARTITIONS, "
    "INVALID_REPLICATION_FACTOR, INVALID_CONFIG: what createTopics refuses, and nothing is made.",
    needs="admin.create_topics",
)
def topics_that_are_refused(case: Case) -> None:
    admin, there = case.admin(), case.topic()
    name = case.name("refused")

    def code(**changes: object) -> object:
        base = new_topic(name) | changes  # type: ignore[operator]
        return refused(admin, "create_topics", topics=[base], validate_only=False)

    same("one that exists", code(name=there), "TOPIC_ALREADY_EXISTS")
    for bad in ("a/b", "with space", "..", "x" * 250):
        holds(f"{bad[:12]!r}", code(name=bad) in ("INVALID_TOPIC_EXCEPTION", "CLIENT"))
    same("-2 partitions", code(partitions=-2) in ("INVALID_PARTITIONS", "CLIENT"), True)
    same("99 replicas", code(replication=99), "INVALID_REPLICATION_FACTOR")
    same("a bad value", code(configs={"retention.ms": "soon"}), "INVALID_CONFIG")
    same("an unknown config", code(configs={"no.such.config": "1"}), "INVALID_CONFIG")
    holds("nothing was made", name not in case.setup.do("list_topics")["topics"])


@behaviour(
    "UNKNOWN_TOPIC_OR_PARTITION: deleting and describing a topic that is not there.",
    needs="admin.delete_topics",
)
def topic_that_is_not_there(case: Case) -> None:
    code = refused(case.admin(), "delete_topics", topics=[case.name("absent")])
    same("deleting", code, "UNKNOWN_TOPIC_OR_PARTITION")


@behaviour("validateOnly: nothing is made.", needs="admin.create_topics")
def validate_only(case: Case) -> None:
    name = case.name("validated")
    try:
        answer = case.admin().do("create_topics", topics=[new_topic(name)], validate_only=True)
    except DriverError as error:
        if error.code == "UNSUPPORTED":
            case.unavailable("the client has no validateOnly")
        raise
    check(answer["topics"][name])
    holds("nothing was made", name not in case.setup.do("list_topics")["topics"])


@behaviour(
    "createPartitions: increase the number of partitions; records with keys may go elsewhere, "
    "what is there stays.",
    needs="admin.create_partitions",
)
def more_partitions(case: Case) -> None:
    admin, name = case.admin(), case.topic(partitions=2)
    admin.do("create_partitions", topic=name, count=5, assignments=None)
    case.wait_for(
        lambda: len(case.setup.describe_topic(name)["partitions"]) == 5, "five partitions"
    )
    code = refused(admin, "create_partitions", topic=name, count=3, assignments=None)
    same("fewer", code, "INVALID_PARTITIONS")


@behaviour(
    "describeConfigs and incrementalAlterConfigs of a topic: set, read, and back to the default.",
    needs="admin.describe_configs admin.alter_configs",
)
def topic_configs(case: Case) -> None:
    admin, name = case.admin(), case.topic()
    where = {"type": "topic", "name": name}

    def value() -> object:
        return admin.do("describe_configs", **where)["configs"]["retention.ms"]["value"]

    before = value()
    admin.do("alter_configs", **where, set={"retention.ms": "1000000"}, unset=[])
    case.wait_for(lambda: value() == "1000000", "the new value")
    code = refused(admin, "alter_configs", **where, set={"retention.ms": "soon"}, unset=[])
    same("a bad value", code, "INVALID_CONFIG")
    same("which changed nothing", value(), "1000000")
    admin.do("alter_configs", **where, set={}, unset=["retention.ms"])
    case.wait_for(lambda: value() == before, "the default again")


@behaviour("describeConfigs of a broker.", needs="admin.describe_configs")
def broker_configs(case: Case) -> None:
    node = str(case.setup.do("describe_cluster")["brokers"][0]["id"])
    configs = case.admin().do("describe_configs", type="broker", name=node)["configs"]
    holds("log.retention.ms or hours", "log.retention.hours" in configs, sorted(configs)[:20])
    same("node id", configs["node.id"]["value"], node)


@behaviour("describeCluster: cluster id, controller, nodes.", needs="admin.describe_cluster")
def cluster(case: Case) -> None:
    told = case.admin().do("describe_cluster")
    same("brokers", len(told["brokers"]), case.brokers)
    ids = {broker["id"] for broker in told["brokers"]}
    holds("the controller is one of them", told.get("controller") in ids | {None}, told)
    if told.get("cluster_id") is not None:
        same("cluster id", told["cluster_id"], case.setup.do("describe_cluster")["cluster_id"])


@behaviour(
    "listConsumerGroups and describeConsumerGroups.",
    needs="admin.list_groups admin.describe_groups groups",
)
def groups(case: Case) -> None:
    admin, topic, group = case.admin(), case.topic(partitions=2), case.group()
    consumer = case.consumer(topic, group=group)
    case.wait_for(
        lambda: admin.describe_group(group)["state"].lower() == "stable", "a stable group"
    )
    same("members", len(admin.describe_group(group)["members"]), 1)
    every = [f"{topic}-0", f"{topic}-1"]
    # A client that did not see the topic yet is stable with nothing, and joins again.
    case.wait_for(
        lambda: (
            [sorted(m["assignment"]) for m in admin.describe_group(group)["members"]] == [every]
        ),
        "both partitions as its assignment",
    )
    listed = {one["group"] for one in admin.do("list_groups", states=None)["groups"]}
    holds("in the list", group in listed)
    consumer.close()
    case.wait_for(lambda: admin.describe_group(group)["state"].lower() == "empty", "an empty group")


@behaviour(
    "deleteConsumerGroups: NON_EMPTY_GROUP while it has members, GROUP_ID_NOT_FOUND when it is "
    "gone.",
    needs="admin.delete_groups groups manual_commit",
)
def group_deletion(case: Case) -> None:
    admin, topic, group = case.admin(), case.topic(), case.group()
    consumer = case.consumer(topic, group=group, auto_commit=False)
    case.wait_for(
        lambda: case.setup.describe_group(group)["state"].lower() == "stable", "a stable group"
    )
    consumer.commit({(topic, 0): 0})
    same("with a member", refused(admin, "delete_groups", groups=[group]), "NON_EMPTY_GROUP")
    consumer.close()
    case.wait_for(
        lambda: case.setup.describe_group(group)["state"].lower() == "empty", "an empty group"
    )
    same("empty", refused(admin, "delete_groups", groups=[group]), None)
    same("gone", refused(admin, "delete_groups", groups=[group]), "GROUP_ID_NOT_FOUND")


@behaviour(
    "listConsumerGroupOffsets and alterConsumerGroupOffsets: of a group without members.",
    needs="admin.group_offsets admin.alter_group_offsets",
)
def group_offsets(case: Case) -> None:
    admin, topic, group = case.admin(), case.topic(partitions=2), case.group()
    offsets = {f"{topic}-0": {"offset": 3}, f"{topic}-1": {"offset": 5}}
    answer = admin.do("alter_group_offsets", group=group, offsets=offsets)["offsets"]
    for one in answer.values():
        check(one)
    same("what it has", admin.group_offsets(group), {f"{topic}-0": 3, f"{topic}-1": 5})


@behaviour(
    "listOffsets: earliest, latest, by timestamp.", needs="admin.list_offsets produce timestamps"
)
def list_offsets(case: Case) -> None:
    admin, topic = case.admin(), case.topic(retention_ms=-1)
    producer = case.producer(acks=-1)
    base = 1_700_000_000_000
    for number in range(5):
        producer.put(topic, b"x", timestamp=base + number * 1000, partition=0)
    same("latest", admin.end_offset(topic, 0), 5)
    same("earliest", admin.end_offset(topic, 0, "earliest"), 0)
    same("by time", admin.end_offset(topic, 0, base + 2500), 3)


@behaviour("listOffsets: maxTimestamp.", needs="admin.list_offsets produce timestamps")
def max_timestamp(case: Case) -> None:
    admin, topic = case.admin(), case.topic(retention_ms=-1)
    producer = case.producer(acks=-1)
    base = 1_700_000_000_000
    for number in (0, 9, 4):
        producer.put(topic, b"x", timestamp=base + number, partition=0)
    try:
        same("the latest timestamp's offset", admin.end_offset(topic, 0, "max_timestamp"), 1)
    except DriverError as error:
        if error.code == "UNSUPPORTED":
            case.unavailable("the client has no max timestamp")
        raise


@behaviour("deleteRecords.", needs="admin.delete_records produce")
def delete_records(case: Case) -> None:
    admin, topic = case.admin(), case.topic()
    case.producer(acks=-1).put(topic, *[b"x"] * 6)
    answer = admin.do("delete_records", offsets={f"{topic}-0": 4})["offsets"]
    check(answer[f"{topic}-0"])
    same("the log start", case.setup.end_offset(topic, 0, "earliest"), 4)
    code = refused(admin, "delete_records", offsets={f"{topic}-0": 99})
    same("beyond the end", code, "OFFSET_OUT_OF_RANGE")


@behaviour(
    "electLeaders: ELECTION_NOT_NEEDED where the preferred leader leads.",
    needs="admin.elect_leaders",
)
def election_not_needed(case: Case) -> None:
    topic = case.topic()
    partitions = [{"topic": topic, "partition": 0}]
    code = refused(case.admin(), "elect_leaders", type="preferred", partitions=partitions)
    holds("the code", code in (None, "ELECTION_NOT_NEEDED"), code)
