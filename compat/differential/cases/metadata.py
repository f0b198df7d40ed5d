"""Metadata and DescribeTopicPartitions."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

DRAWN = uuid.UUID("12345678-1234-4234-8234-123456789abc")


def asked(*names: str | None, **more: Any) -> Body:
    return {"topics": [{"name": n} for n in names], "allow_auto_topic_creation": False} | more


@case("metadata/topics", api="metadata")
def topics(t: Talk, v: int) -> None:
    one, two = t.topic(3), t.topic()
    t.ask("metadata", v, asked(one), label="one")
    t.ask("metadata", v, asked(two, one), label="two")
    t.ask("metadata", v, asked(one, one), label="twice")
    flags = {
        "include_topic_authorized_operations": True,
        "include_cluster_authorized_operations": True,
    }
    t.ask("metadata", v, asked(one, **flags), label="with operations")


@case("metadata/none", api="metadata", versions=lambda v: v >= 1)
def none(t: Talk, v: int) -> None:
    t.ask("metadata", v, asked())
    t.ask("metadata", v, asked(include_cluster_authorized_operations=True), label="operations")


@case("metadata/unknown", api="metadata", versions=lambda v: v >= 4)
def unknown(t: Talk, v: int) -> None:
    for name in (t.name(), "", ".", "a b", "x" * 250, "__cluster_metadata", "ä"):
        t.ask("metadata", v, asked(name), label=f"name {name[:9]!r}")


@case("metadata/made-by-asking", api="metadata")
def auto(t: Talk, v: int) -> None:
    """Asked until it is there: how soon is not promised."""
    name = t.name()
    t.forget_later(name)
    body = asked(name, allow_auto_topic_creation=True)
    t.until(lambda: t.quiet("metadata", v, body)["topics"][0]["error_code"] == 0, "the topic")
    t.ask("metadata", v, body)


@case("metadata/made-by-asking-refused", api="metadata")
def auto_refused(t: Talk, v: int) -> None:
    for name in ("", ".", "a b", "x" * 250):
        body = asked(name, allow_auto_topic_creation=True)
        t.ask("metadata", v, body, label=f"name {name[:9]!r}")


@case("metadata/ids", api="metadata", versions=lambda v: v >= 10)
def ids(t: Talk, v: int) -> None:
    name, other = t.topic(), t.topic()
    mine = t.id_of(name)
    for label, wanted in {
        "id": [{"name": None, "topic_id": mine}],
        "unknown id": [{"name": None, "topic_id": DRAWN}],
        "id and name": [{"name": name, "topic_id": mine}],
        "id and another's name": [{"name": other, "topic_id": mine}],
        "id of one, name of the other": [{"name": None, "topic_id": mine}, {"name": other}],
        "id twice": [{"name": None, "topic_id": mine}] * 2,
    }.items():
        t.try_ask("metadata", v, asked(topics=wanted), label=label)


def described(*names: str, limit: int = 2000, **more: Any) -> Body:
    return {"topics": [{"name": n} for n in names], "response_partition_limit": limit} | more


@case("describe-topic-partitions/topics", api="describe_topic_partitions")
def describe(t: Talk, v: int) -> None:
    one, two = t.topic(3), t.topic(2)
    api = "describe_topic_partitions"
    t.ask(api, v, described(one), label="one")
    t.ask(api, v, described(two, one), label="two")
    t.ask(api, v, described(one, one), label="twice")
    t.ask(api, v, described(t.name(), one), label="unknown and known")
    for name in ("", "a b", "x" * 300, "__consumer_offsets", "__cluster_metadata"):
        t.ask(api, v, described(name), label=f"name {name[:9]!r}")
    for limit in (0, -1, 1, 2, 3, 4, 5, 2**31 - 1):
        t.ask(api, v, described(one, two, limit=limit), label=f"limit {limit}")


@case("describe-topic-partitions/cursor", api="describe_topic_partitions")
def cursor(t: Talk, v: int) -> None:
    one, two = sorted((t.topic(3), t.topic(2)))
    api = "describe_topic_partitions"
    for label, name, index in (
        ("begins", one, 0),
        ("in the first", one, 2),
        ("past the first", one, 3),
        ("far past the first", one, 99),
        ("negative", one, -1),
        ("in the second", two, 1),
        ("unknown", t.name("a"), 0),
        ("behind all", two + "z", 0),
        ("empty name", "", 0),
    ):
        place = {"topic_name": name, "partition_index": index}
        t.ask(api, v, described(one, two, cursor=place), label=label)
        t.ask(api, v, described(one, two, cursor=place, limit=2), label=f"{label}, limit 2")
