"""Fetch: from where, how much, for how long; sessions; epochs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from compat.differential.batches import batch, message
from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

DRAWN = uuid.UUID("12345678-1234-4234-8234-123456789abc")


def entry(offset: int = 0, **fields: Any) -> Body:
    return {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20} | fields


def body(t: Talk, topics: dict[str, list[Body]], **fields: Any) -> Body:
    asked = [
        {"topic": name, "topic_id": t.id_of(name), "partitions": parts}
        for name, parts in topics.items()
    ]
    return {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 0,
        "max_bytes": 1 << 20,
        "session_epoch": -1,
        "topics": asked,
    } | fields


def written(t: Talk, count: int = 3, **how: Any) -> str:
    topic = t.topic(**how)
    t.produce(topic, *(batch(b"v%d" % n, b"w%d" % n) for n in range(count)))
    return topic


@case("fetch/offsets", api="fetch")
def offsets(t: Talk, v: int) -> None:
    topic = written(t)
    for offset in (0, 1, 2, 5, 6, 7, -1, -2, 2**62):
        t.ask("fetch", v, body(t, {topic: [entry(offset)]}), label=f"offset {offset}")


@case("fetch/unknown", api="fetch")
def unknown(t: Talk, v: int) -> None:
    topic = written(t)
    for partition in (1, -1, 2**31 - 1):
        asked = body(t, {topic: [entry(partition=partition)]})
        t.ask("fetch", v, asked, label=f"partition {partition}")
    for name in (t.name(), "", "a b"):
        asked = body(t, {name: [entry()]})
        asked["topics"][0]["topic_id"] = DRAWN
        t.ask("fetch", v, asked, label=f"topic {name[:9]!r}")
    asked = body(t, {topic: [entry()]})
    asked["topics"][0]["topic_id"] = uuid.UUID(int=0)
    t.ask("fetch", v, asked, label="id of zeros")
    asked = body(t, {topic: [entry()], t.name(): [entry()]})
    asked["topics"][1]["topic_id"] = DRAWN
    t.ask("fetch", v, asked, label="one known, one not")


@case("fetch/limits", api="fetch")
def limits(t: Talk, v: int) -> None:
    topic = written(t)
    for limit in (0, 1, 100, 101, 200, -1):
        asked = body(t, {topic: [entry(partition_max_bytes=limit)]})
        t.ask("fetch", v, asked, label=f"partition limit {limit}")
        asked = body(t, {topic: [entry()]}, max_bytes=limit)
        t.ask("fetch", v, asked, label=f"limit {limit}")


@case("fetch/several", api="fetch")
def several(t: Talk, v: int) -> None:
    first = written(t, partitions=2)
    t.produce(first, batch(b"other"), partition=1)
    second = written(t, 1)
    parts = [entry(partition=1), entry(), entry(partition=2)]
    t.ask("fetch", v, body(t, {first: parts, second: [entry()]}))
    t.ask("fetch", v, body(t, {first: parts, second: [entry()]}, max_bytes=1), label="one byte")
    t.ask("fetch", v, body(t, {}), label="nothing")
    t.ask("fetch", v, body(t, {first: []}), label="no partitions")
    t.ask("fetch", v, body(t, {first: [entry(), entry()]}), label="partition twice")
    t.ask("fetch", v, body(t, {first: [entry(0), entry(2)]}), label="partition twice, elsewhere")


@case("fetch/waits", api="fetch")
def waits(t: Talk, v: int) -> None:
    topic = written(t)
    asked = body(t, {topic: [entry(6)]}, max_wait_ms=50, min_bytes=1)
    t.ask("fetch", v, asked, label="nothing comes")
    asked = body(t, {topic: [entry(0)]}, max_wait_ms=50, min_bytes=1 << 19)
    t.ask("fetch", v, asked, label="too little comes")
    asked = body(t, {topic: [entry(9)]}, max_wait_ms=60000, min_bytes=1 << 19)
    t.ask("fetch", v, asked, label="out of range does not wait")
    asked = body(t, {topic: [entry(6)]}, max_wait_ms=60000, min_bytes=1)
    pending = t.send("fetch", v, asked, label="woken")
    t.produce(topic, batch(b"new"))
    t.take(pending)
    t.ask("fetch", v, body(t, {topic: [entry(6)]}, max_wait_ms=-1, min_bytes=-1), label="negative")


@case("fetch/isolation", api="fetch")
def isolation(t: Talk, v: int) -> None:
    topic = written(t)
    for level in (0, 1, 2, -1, 127):
        t.try_ask(
            "fetch", v, body(t, {topic: [entry()]}, isolation_level=level), label=f"level {level}"
        )


@case("fetch/epochs", api="fetch", versions=lambda v: v >= 9)
def epochs(t: Talk, v: int) -> None:
    topic = written(t)
    for epoch in (-1, 0, 1, 5, -2):
        asked = body(t, {topic: [entry(current_leader_epoch=epoch)]})
        t.ask("fetch", v, asked, label=f"current epoch {epoch}")
        asked = body(t, {topic: [entry(2, last_fetched_epoch=epoch)]})
        t.ask("fetch", v, asked, label=f"last fetched epoch {epoch}")
        asked = body(t, {topic: [entry(9, last_fetched_epoch=epoch)]})
        t.ask("fetch", v, asked, label=f"beyond the end with epoch {epoch}")


@case("fetch/as-replica", api="fetch", versions=lambda v: v < 15)
def as_replica(t: Talk, v: int) -> None:
    """Versions without an epoch of the replica."""
    topic = written(t)
    for replica in (-2, -3, 1, 7):
        t.try_ask(
            "fetch", v, body(t, {topic: [entry()]}, replica_id=replica), label=f"id {replica}"
        )


@case("fetch/session", api="fetch", versions=lambda v: v >= 7)
def session(t: Talk, v: int) -> None:
    topic = written(t, partitions=2)
    first = t.ask(
        "fetch", v, body(t, {topic: [entry(), entry(partition=1)]}, session_epoch=0), label="opened"
    )
    opened = first["session_id"]
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=1), label="nothing new")
    t.produce(topic, batch(b"new"), partition=1)
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=2), label="new in one")
    asked = body(t, {topic: [entry(1, partition=1)]}, session_id=opened, session_epoch=3)
    t.ask("fetch", v, asked, label="position moved")
    forgotten = [{"topic": topic, "topic_id": t.id_of(topic), "partitions": [1]}]
    asked = body(t, {}, session_id=opened, session_epoch=4, forgotten_topics_data=forgotten)
    t.ask("fetch", v, asked, label="forgotten")
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=9), label="wrong epoch")
    t.ask("fetch", v, body(t, {}, session_id=opened + 1, session_epoch=5), label="wrong id")
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=-1), label="closed")
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=6), label="after its end")


@case("fetch/session-errors", api="fetch", versions=lambda v: v >= 7)
def session_errors(t: Talk, v: int) -> None:
    topic = written(t)
    missing = entry(partition=5)
    first = t.ask(
        "fetch", v, body(t, {topic: [entry(), missing]}, session_epoch=0), label="with an error"
    )
    opened = first["session_id"]
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=1), label="the error again")
    asked = body(t, {topic: [entry(77)]}, session_id=opened, session_epoch=2)
    t.ask("fetch", v, asked, label="out of range")
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=3), label="still")
    asked = body(t, {topic: [entry(6), missing]}, session_id=opened, session_epoch=0)
    t.ask("fetch", v, asked, label="opened anew in its place")
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=4), label="the old one")
    asked = body(t, {topic: [entry()]}, session_id=12345, session_epoch=0)
    t.ask("fetch", v, asked, label="epoch 0 with an id of nobody")
    asked = body(t, {topic: [entry()]}, session_id=0, session_epoch=5)
    t.ask("fetch", v, asked, label="no id, epoch 5")
    asked = body(t, {topic: [entry()]}, session_id=0, session_epoch=-2)
    t.ask("fetch", v, asked, label="epoch -2")


@case("fetch/session-of-a-topic-that-goes", api="fetch", versions=lambda v: v >= 7)
def session_topic_goes(t: Talk, v: int) -> None:
    topic, other = written(t), written(t, 1)
    asked = body(t, {topic: [entry(6)], other: [entry(2)]}, session_epoch=0)
    opened = t.ask("fetch", v, asked, label="opened")["session_id"]
    t.quiet("delete_topics", 5, {"topic_names": [topic], "timeout_ms": 30000})
    gone = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}
    t.until(lambda: t.quiet("metadata", 12, gone)["topics"][0]["error_code"] != 0, "the deletion")
    probe = body(t, {topic: [entry(6)]})
    t.until(
        lambda: t.quiet("fetch", 12, probe)["responses"][0]["partitions"][0]["error_code"] == 3,
        "the replica's end",
    )
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=1), label="after the deletion")
    t.ask("fetch", v, body(t, {}, session_id=opened, session_epoch=2), label="once more")


@case("fetch/after-records-were-deleted", api="fetch")
def after_delete_records(t: Talk, v: int) -> None:
    topic = written(t)
    partition = {"partition_index": 0, "offset": 3}
    asked = {"topics": [{"name": topic, "partitions": [partition]}], "timeout_ms": 9000}
    t.ask("delete_records", 2, asked)
    for offset in (0, 2, 3, 6):
        t.ask("fetch", v, body(t, {topic: [entry(offset)]}), label=f"offset {offset}")


@case("fetch/compressed", api="fetch")
def compressed(t: Talk, v: int) -> None:
    topic = t.topic()
    t.produce(topic, batch(b"a", b"b", codec="gzip"), batch(b"c"))
    for offset in (0, 1, 2):
        t.ask("fetch", v, body(t, {topic: [entry(offset)]}), label=f"offset {offset}")


@case("fetch/rack", api="fetch", versions=lambda v: v >= 11)
def rack(t: Talk, v: int) -> None:
    topic = written(t)
    t.ask("fetch", v, body(t, {topic: [entry()]}, rack_id="nowhere"))


@case("fetch/cluster-id", api="fetch", versions=lambda v: v >= 12)
def cluster_id(t: Talk, v: int) -> None:
    topic = written(t)
    t.ask("fetch", v, body(t, {topic: [entry()]}, cluster_id="another"))


@case("fetch/old-formats", api="fetch", versions=lambda v: v == 4)
def old_formats(t: Talk, v: int) -> None:
    topic = t.topic()
    t.ask(
        "produce",
        3,
        {
            "acks": -1,
            "timeout_ms": 1000,
            "topic_data": [
                {"name": topic, "partition_data": [{"index": 0, "records": message(b"x")}]}
            ],
        },
    )
    t.ask("fetch", v, body(t, {topic: [entry()]}))
