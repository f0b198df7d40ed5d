"""ListOffsets, OffsetForLeaderEpoch, DeleteRecords, DescribeProducers: about logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.differential.batches import Record, batch
from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.codec import Body
    from compat.differential.talk import Talk

T0 = 1_600_000_000_000


def timed(t: Talk, **how: Any) -> str:
    """Six records in three batches, ten seconds apart, one of them out of order."""
    configs = how.pop("configs", {}) | {"retention.ms": "-1"}  # these records are old
    topic = t.topic(configs=configs, **how)
    t.produce(
        topic,
        batch(b"a", Record(b"b", timestamp_delta=10000), base_timestamp=T0),
        batch(b"c", Record(b"d", timestamp_delta=-5000), base_timestamp=T0 + 50000),
        batch(b"e", b"f", base_timestamp=T0 + 30000),
    )
    return topic


def asked(topic: str, *times: int, **fields: Any) -> Body:
    partitions = [
        {"partition_index": index, "timestamp": time, "current_leader_epoch": -1}
        for index, time in enumerate(times)
    ]
    return {"replica_id": -1, "topics": [{"name": topic, "partitions": partitions}]} | fields


@case("list-offsets/times", api="list_offsets")
def times(t: Talk, v: int) -> None:
    topic = timed(t)
    for time in (0, T0, T0 + 1, T0 + 10000, T0 + 10001, T0 + 45000, T0 + 50000, T0 + 50001):
        t.ask("list_offsets", v, asked(topic, time), label=f"T0 + {time - T0}")


@case("list-offsets/special", api="list_offsets")
def special(t: Talk, v: int) -> None:
    topic, empty = timed(t), t.topic()
    for time in range(-1, -9, -1):
        t.ask("list_offsets", v, asked(topic, time), label=f"time {time}")
        t.ask("list_offsets", v, asked(empty, time), label=f"time {time} of an empty log")
    t.ask("list_offsets", v, asked(topic, -(2**63)), label="the least")
    t.ask("list_offsets", v, asked(topic, 2**63 - 1), label="the greatest")


@case("list-offsets/no-timestamps", api="list_offsets")
def no_timestamps(t: Talk, v: int) -> None:
    topic = t.topic()
    t.produce(topic, batch(b"x", base_timestamp=-1, max_timestamp=-1))
    for time in (0, -1, -2, -3):
        t.ask("list_offsets", v, asked(topic, time), label=f"time {time}")


@case("list-offsets/append-time", api="list_offsets")
def append_time(t: Talk, v: int) -> None:
    topic = timed(t, configs={"message.timestamp.type": "LogAppendTime"})
    for time in (0, T0 + 50000):
        t.ask("list_offsets", v, asked(topic, time), label=f"time {time}")


@case("list-offsets/replicas", api="list_offsets")
def replicas(t: Talk, v: int) -> None:
    topic = timed(t)
    for replica in (-1, -2, -3, 1, 9):
        for time in (-1, T0):
            t.ask("list_offsets", v, asked(topic, time, replica_id=replica), label=f"as {replica}")


@case("list-offsets/isolation", api="list_offsets", versions=lambda v: v >= 2)
def isolation(t: Talk, v: int) -> None:
    topic = timed(t)
    for level in (0, 1, 2, -1):
        t.try_ask(
            "list_offsets", v, asked(topic, -1, isolation_level=level), label=f"level {level}"
        )


@case("list-offsets/epochs", api="list_offsets", versions=lambda v: v >= 4)
def epochs(t: Talk, v: int) -> None:
    topic = timed(t)
    for epoch in (-1, 0, 1, -2):
        body = asked(topic, -1)
        body["topics"][0]["partitions"][0]["current_leader_epoch"] = epoch
        t.ask("list_offsets", v, body, label=f"epoch {epoch}")


@case("list-offsets/unknown", api="list_offsets")
def unknown(t: Talk, v: int) -> None:
    topic = timed(t)
    t.ask("list_offsets", v, asked(topic, -1, -1, -2), label="partitions")
    for name in (t.name(), "", "a b"):
        t.ask("list_offsets", v, asked(name, -1), label=f"topic {name[:9]!r}")
    twice = asked(topic, -1)
    twice["topics"][0]["partitions"] *= 2
    t.ask("list_offsets", v, twice, label="partition twice")
    twice = asked(topic, -1)
    twice["topics"] *= 2
    t.ask("list_offsets", v, twice, label="topic twice")
    t.ask("list_offsets", v, asked(topic, -1) | {"topics": []}, label="nothing")
    t.ask("list_offsets", v, asked(topic), label="no partitions")


def epoch_asked(topic: str, *parts: Body, replica: int = -1) -> Body:
    return {"replica_id": replica, "topics": [{"topic": topic, "partitions": list(parts)}]}


@case("offset-for-leader-epoch/epochs", api="offset_for_leader_epoch")
def leader_epochs(t: Talk, v: int) -> None:
    topic = timed(t)
    for current in (-1, 0, 1):
        for epoch in (-1, 0, 1, 9, -2):
            part = {"partition": 0, "current_leader_epoch": current, "leader_epoch": epoch}
            body = epoch_asked(topic, part)
            t.ask("offset_for_leader_epoch", v, body, label=f"{epoch} in {current}")
    part = {"partition": 0, "current_leader_epoch": -1, "leader_epoch": 0}
    t.ask("offset_for_leader_epoch", v, epoch_asked(t.topic(), part), label="of an empty log")


@case("offset-for-leader-epoch/unknown", api="offset_for_leader_epoch")
def leader_epoch_unknown(t: Talk, v: int) -> None:
    topic = timed(t)
    part = {"partition": 0, "current_leader_epoch": -1, "leader_epoch": 0}
    for name in (t.name(), "", "a b"):
        body = epoch_asked(name, part)
        t.ask("offset_for_leader_epoch", v, body, label=f"topic {name[:9]!r}")
    for index in (1, -1):
        body = epoch_asked(topic, part | {"partition": index}, part)
        t.ask("offset_for_leader_epoch", v, body, label=f"partition {index}")
    t.ask("offset_for_leader_epoch", v, epoch_asked(topic, part, part), label="twice")
    t.ask("offset_for_leader_epoch", v, epoch_asked(topic), label="no partitions")
    t.ask("offset_for_leader_epoch", v, {"replica_id": -1, "topics": []}, label="nothing")
    for replica in (-2, 1, 9):
        body = epoch_asked(topic, part, replica=replica)
        t.ask("offset_for_leader_epoch", v, body, label=f"as {replica}")


def deleting(topic: str, *offsets: int, timeout: int = 9000) -> Body:
    parts = [{"partition_index": i, "offset": offset} for i, offset in enumerate(offsets)]
    return {"topics": [{"name": topic, "partitions": parts}], "timeout_ms": timeout}


@case("delete-records/offsets", api="delete_records")
def delete_records(t: Talk, v: int) -> None:
    topic = timed(t)
    for offset in (0, 2, 1, 2, 3, 99, -2, -1, -1, 0):
        t.ask("delete_records", v, deleting(topic, offset), label=f"before {offset}")
        t.ask("list_offsets", 1, asked(topic, -2), label="first offset")


@case("delete-records/unknown", api="delete_records")
def delete_records_unknown(t: Talk, v: int) -> None:
    topic = timed(t)
    t.ask("delete_records", v, deleting(topic, 1, 1, 1), label="partitions")
    for name in (t.name(), "", "a b"):
        t.ask("delete_records", v, deleting(name, 1), label=f"topic {name[:9]!r}")
    twice = deleting(topic, 2)
    twice["topics"] *= 2
    t.ask("delete_records", v, twice, label="topic twice")
    twice = deleting(topic, 3)
    twice["topics"][0]["partitions"] *= 2
    t.ask("delete_records", v, twice, label="partition twice")
    t.ask("delete_records", v, {"topics": [], "timeout_ms": 1000}, label="nothing")
    t.ask("delete_records", v, deleting(topic), label="no partitions")
    t.ask("delete_records", v, deleting(topic, 4, timeout=0), label="timeout 0")
    t.ask("delete_records", v, deleting(topic, 5, timeout=-1), label="timeout -1")
    t.ask("delete_records", v, deleting("__consumer_offsets", 0), label="internal topic")
    compacted = timed_keys(t)
    t.ask("delete_records", v, deleting(compacted, 1), label="compacted topic")


def timed_keys(t: Talk) -> str:
    topic = t.topic(configs={"cleanup.policy": "compact"})
    t.produce(topic, batch(Record(b"v", b"k")))
    return topic


@case("describe-producers/unknown", api="describe_producers")
def describe_producers(t: Talk, v: int) -> None:
    topic = timed(t)
    for name in (topic, t.name(), "", "a b"):
        body = {"topics": [{"name": name, "partition_indexes": [0, 1, -1]}]}
        t.ask("describe_producers", v, body, label=f"topic {name[:9]!r}")
    t.ask("describe_producers", v, {"topics": []}, label="nothing")
    body = {"topics": [{"name": topic, "partition_indexes": []}]}
    t.ask("describe_producers", v, body, label="no partitions")
    body = {"topics": [{"name": topic, "partition_indexes": [0, 0]}] * 2}
    t.ask("describe_producers", v, body, label="twice")
