"""OffsetCommit, OffsetFetch, OffsetDelete."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from compat.differential.cases.groups import alone, committing, joining, leaving
from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

DRAWN = uuid.UUID("12345678-1234-4234-8234-123456789abc")


def commit(t: Talk, v: int, body: Body, label: str) -> None:
    for topic in body["topics"]:
        if topic["topic_id"] is None:
            topic["topic_id"] = t.id_of(topic["name"])
    t.ask("offset_commit", v, body, label=label)


def fetching(t: Talk, group: str, *topics: str, **more: Any) -> Body:
    partitions = more.pop("partitions", [0, 1])
    wanted: Any = [
        {"name": n, "topic_id": t.id_of(n), "partition_indexes": partitions} for n in topics
    ]
    wanted = wanted or None
    return {
        "group_id": group,
        "topics": wanted,
        "groups": [{"group_id": group, "topics": wanted, "member_epoch": -1}],
    } | more


@case("offset-commit/alone", api="offset_commit")
def commit_alone(t: Talk, v: int) -> None:
    """Without members: whoever assigns partitions by hand."""
    group, topic = t.name("g"), t.topic(2)
    for offset in (7, 3, 0, -1, -5, 2**62):
        commit(t, v, committing(group, topic, offset), f"offset {offset}")
    for generation in (0, 1, -2):
        body = committing(t.name("g"), topic, generation_id_or_member_epoch=generation)
        commit(t, v, body, f"generation {generation}")
    commit(t, v, committing(t.name("g"), topic, member_id="m"), "with a member id")
    commit(t, v, committing(t.name("g"), topic, group_instance_id="i"), "with an instance")
    commit(t, v, committing("", topic), "no group")
    commit(t, v, committing(t.name("g"), topic, retention_time_ms=1000), "with a retention")
    t.ask("offset_fetch", 5, fetching(t, group))


@case("offset-commit/places", api="offset_commit")
def commit_places(t: Talk, v: int) -> None:
    group, topic = t.name("g"), t.topic(1)
    for index in (1, -1):
        body = committing(group, topic)
        body["topics"][0]["partitions"][0]["partition_index"] = index
        commit(t, v, body, f"partition {index}")
    for name in (t.name(), "", "a b", "__consumer_offsets"):
        body = committing(group, name)
        body["topics"][0]["topic_id"] = DRAWN
        commit(t, v, body, f"topic {name[:9]!r}")
    body = committing(group, topic)
    body["topics"] += committing(group, t.name())["topics"]
    body["topics"][1]["topic_id"] = DRAWN
    commit(t, v, body, "one known, one not")
    body = committing(group, topic, 1)
    body["topics"][0]["partitions"] += committing(group, topic, 2)["topics"][0]["partitions"]
    commit(t, v, body, "twice")
    commit(t, v, committing(group, topic, topics=[]), "nothing")
    for metadata in (None, "", "x" * 4096, "x" * 4097, "x" * 30000):
        body = committing(group, topic)
        body["topics"][0]["partitions"][0]["committed_metadata"] = metadata
        commit(t, v, body, f"metadata of {len(metadata or '')}")
    for epoch in (-1, 0, 5, -2):
        body = committing(group, topic)
        body["topics"][0]["partitions"][0]["committed_leader_epoch"] = epoch
        commit(t, v, body, f"epoch {epoch}")
        t.ask("offset_fetch", 5, fetching(t, group))


@case("offset-commit/members", api="offset_commit")
def commit_members(t: Talk, v: int) -> None:
    group, topic = t.name("g"), t.topic(1)
    member, generation = alone(t, group)

    def by(who: str, when: int, **more: Any) -> Body:
        named = {"member_id": who, "generation_id_or_member_epoch": when}
        return committing(group, topic) | named | more

    for label, body in {
        "member": by(member, generation),
        "old generation": by(member, generation - 1),
        "later generation": by(member, generation + 1),
        "generation -1": by(member, -1),
        "unknown member": by("nobody", generation),
        "no member": by("", generation),
        "neither": by("", -1),
        "instance of nobody": by(member, generation, group_instance_id="i"),
    }.items():
        commit(t, v, body, label)
    t.quiet("leave_group", 2, leaving(group, member))
    commit(t, v, by(member, generation), "after it left")
    commit(t, v, by("", -1), "neither, after it left")


@case("offset-commit/while-joining", api="offset_commit")
def commit_while_joining(t: Talk, v: int) -> None:
    group, topic = t.name("g"), t.topic(1)
    answer = t.quiet("join_group", 3, joining(group))
    body = committing(
        group,
        topic,
        member_id=answer["member_id"],
        generation_id_or_member_epoch=answer["generation_id"],
    )
    commit(t, v, body, "before the sync")


@case("offset-fetch/groups", api="offset_fetch")
def fetch(t: Talk, v: int) -> None:
    group, topic, other = t.name("g"), t.topic(2), t.topic(1)
    t.quiet("offset_commit", 7, committing(group, topic))
    unknown = t.name()
    for label, body in {
        "one": fetching(t, group, topic),
        "two": fetching(t, group, topic, other),
        "none committed": fetching(t, group, other),
        "unknown partition": fetching(t, group, topic, partitions=[7, -1]),
        "no partitions": fetching(t, group, topic, partitions=[]),
        "twice": fetching(t, group, topic, topic),
        "partition twice": fetching(t, group, topic, partitions=[0, 0]),
        "unknown group": fetching(t, t.name("g"), topic),
        "no group": fetching(t, "", topic),
        "stable": fetching(t, group, topic, require_stable=True),
    }.items():
        t.ask("offset_fetch", v, body, label=label)
    body = fetching(t, group, unknown)
    body["topics"][0]["topic_id"] = DRAWN
    t.ask("offset_fetch", v, body, label="unknown topic")
    body = fetching(t, group, topic)
    body["groups"][0]["member_id"] = "nobody"
    body["groups"][0]["member_epoch"] = 3
    t.ask("offset_fetch", v, body, label="as a member that there is not")


@case("offset-fetch/all", api="offset_fetch", versions=lambda v: v >= 2)
def fetch_all(t: Talk, v: int) -> None:
    group, topic, other = t.name("g"), t.topic(2), t.topic(1)
    t.ask("offset_fetch", v, fetching(t, group), label="of nobody")
    t.quiet("offset_commit", 7, committing(group, topic))
    t.ask("offset_fetch", v, fetching(t, group), label="one")
    t.quiet("delete_topics", 5, {"topic_names": [topic], "timeout_ms": 30000})
    gone = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}
    t.until(lambda: t.quiet("metadata", 12, gone)["topics"][0]["error_code"] != 0, "the deletion")
    t.quiet("offset_commit", 7, committing(group, other))
    empty = fetching(t, group) | {"topics": []}
    empty["groups"][0]["topics"] = []
    t.ask("offset_fetch", v, empty, label="no topics")


@case("offset-fetch/several-groups", api="offset_fetch", versions=lambda v: v >= 8)
def fetch_several(t: Talk, v: int) -> None:
    one, two, topic = t.name("g"), t.name("g"), t.topic(1)
    t.quiet("offset_commit", 7, committing(one, topic))
    groups = [fetching(t, g, topic)["groups"][0] for g in (two, one, "")]
    t.ask("offset_fetch", v, {"groups": groups}, label="three")
    t.ask("offset_fetch", v, {"groups": groups[1:2] * 2}, label="twice")
    t.ask("offset_fetch", v, {"groups": []}, label="none")


def deleting(group: str, topic: str, *partitions: int) -> Body:
    parts = [{"partition_index": p} for p in partitions]
    return {"group_id": group, "topics": [{"name": topic, "partitions": parts}]}


@case("offset-delete/places", api="offset_delete")
def delete(t: Talk, v: int) -> None:
    group, topic = t.name("g"), t.topic(2)
    t.quiet("offset_commit", 7, committing(group, topic))
    for label, body in {
        "one there is, one there is not": deleting(group, topic, 0, 1),
        "again": deleting(group, topic, 0),
        "unknown partition": deleting(group, topic, 7),
        "unknown topic": deleting(group, t.name(), 0),
        "no topic": deleting(group, "", 0),
        "no partitions": deleting(group, topic),
        "unknown group": deleting(t.name("g"), topic, 0),
        "no group": deleting("", topic, 0),
        "nothing": {"group_id": group, "topics": []},
        "twice": deleting(group, topic, 1, 1),
    }.items():
        t.ask("offset_delete", v, body, label=label)
    t.ask("offset_fetch", 5, fetching(t, group))


@case("offset-delete/subscribed", api="offset_delete")
def delete_subscribed(t: Talk, v: int) -> None:
    group, topic, other = t.name("g"), t.topic(1), t.topic(1)
    name = topic.encode()
    # Version, the topics, no user data: what consumers subscribe with.
    subscription = b"\0\0" + b"\0\0\0\x01" + len(name).to_bytes(2, "big") + name + b"\xff" * 4
    member, generation = alone(t, group, protocols=[{"name": "range", "metadata": subscription}])
    for wanted in (topic, other):
        body = committing(group, wanted, member_id=member, generation_id_or_member_epoch=generation)
        t.quiet("offset_commit", 7, body)
    t.ask("offset_delete", v, deleting(group, topic, 0), label="subscribed")
    t.ask("offset_delete", v, deleting(group, other, 0), label="not subscribed")
    t.ask("offset_fetch", 5, fetching(t, group))
    garbled = t.name("g")
    alone(t, garbled)
    t.ask("offset_delete", v, deleting(garbled, topic, 0), label="of who subscribes to nonsense")
    connect = t.name("g")
    alone(t, connect, protocol_type="connect")
    t.ask("offset_delete", v, deleting(connect, topic, 0), label="of another protocol")
