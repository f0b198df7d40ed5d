"""Produce: what is taken, what is refused, and how."""

from __future__ import annotations

import gzip
import uuid
from typing import TYPE_CHECKING, Any

from compat.differential.batches import Record, batch, message, now_ms
from compat.differential.registry import Case, add, case
from compat.differential.talk import produce_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from compat.differential.codec import Body
    from compat.differential.talk import Talk


def produce(t: Talk, v: int, topic: str, records: bytes | None, **how: Any) -> Body:
    label = how.pop("label", "")
    topic_id = how.pop("topic_id", None) or t.id_of(topic)
    body = produce_body(topic, records, topic_id=topic_id, **how)
    return t.ask("produce", v, body, label=label)


def stored(t: Talk, topic: str, partition: int = 0, label: str = "") -> Body:
    """What the log has now, as a step."""
    return t.ask("fetch", 11, fetch_body(topic, 0, partition=partition), label=label)


def fetch_body(topic: str, offset: int, *, partition: int = 0) -> Body:
    entry = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
    return {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 0,
        "max_bytes": 1 << 20,
        "session_epoch": -1,
        "topics": [{"topic": topic, "partitions": [entry]}],
    }


@case("produce/acks", api="produce")
def acks(t: Talk, v: int) -> None:
    topic = t.topic()
    for level in (-1, 1, 2, -2, 32767):
        produce(t, v, topic, batch(b"one"), acks=level, label=f"acks {level}")
    stored(t, topic)


@case("produce/acks-0", api="produce")
def acks_0(t: Talk, v: int) -> None:
    """Nothing is answered: the next answer is that of the next request."""
    topic = t.topic()
    t.send("produce", v, produce_body(topic, batch(b"one"), acks=0, topic_id=t.id_of(topic)))
    t.ask("metadata", 1, {"topics": []})
    t.until(lambda: end_offset(t, topic) == 1, "the record")
    stored(t, topic)


@case("produce/acks-0-refused", api="produce")
def acks_0_refused(t: Talk, v: int) -> None:
    t.send("produce", v, produce_body(t.name(), batch(b"one"), acks=0, topic_id=uuid.uuid4()))
    t.ask("metadata", 1, {"topics": []})


def end_offset(t: Talk, topic: str, partition: int = 0) -> int:
    partitions = [{"partition_index": partition, "timestamp": -1}]
    body = {"replica_id": -1, "topics": [{"name": topic, "partitions": partitions}]}
    found: int = t.quiet("list_offsets", 1, body)["topics"][0]["partitions"][0]["offset"]
    return found


@case("produce/unknown", api="produce")
def unknown(t: Talk, v: int) -> None:
    topic = t.topic(2)
    drawn = uuid.UUID("12345678-1234-4234-8234-123456789abc")
    for name in (t.name(), "", ".", "a b", "x" * 250):
        produce(t, v, name, batch(b"x"), topic_id=drawn, label=f"topic {name[:9]!r}")
    for partition in (2, -1, 2**31 - 1):
        produce(t, v, topic, batch(b"x"), partition=partition, label=f"partition {partition}")


@case("produce/no-topic-id", api="produce", versions=lambda v: v >= 13)
def no_topic_id(t: Talk, v: int) -> None:
    topic = t.topic()
    body = produce_body(topic, batch(b"x"))
    t.ask("produce", v, body, label="id of zeros")
    body["topic_data"] += produce_body(topic, batch(b"y"), topic_id=t.id_of(topic))["topic_data"]
    t.ask("produce", v, body, label="id of zeros and another")


@case("produce/several-partitions", api="produce")
def several_partitions(t: Talk, v: int) -> None:
    first, second = t.topic(3), t.topic(1)
    data = [{"index": index, "records": batch(b"%d" % index)} for index in (2, 0, 7, 1)]
    more = [{"index": 0, "records": batch(b"a")}, {"index": 1, "records": batch(b"b")}]
    body = produce_body(first, b"")
    body["topic_data"] = [
        {"name": first, "topic_id": t.id_of(first), "partition_data": data},
        {"name": second, "topic_id": t.id_of(second), "partition_data": more},
    ]
    t.ask("produce", v, body)


@case("produce/nothing", api="produce")
def nothing(t: Talk, v: int) -> None:
    topic = t.topic()
    t.ask("produce", v, {"acks": -1, "timeout_ms": 1000, "topic_data": []}, label="no topics")
    entry: Body = {"name": topic, "topic_id": t.id_of(topic), "partition_data": []}
    t.ask("produce", v, {"acks": -1, "timeout_ms": 1000, "topic_data": [entry]}, label="no parts")


@case("produce/twice-in-a-request", api="produce")
def twice(t: Talk, v: int) -> None:
    topic = t.topic(2)
    part = {"index": 0, "records": batch(b"a")}
    entry = {"name": topic, "topic_id": t.id_of(topic), "partition_data": [part, part]}
    other = {**entry, "partition_data": [{"index": 1, "records": batch(b"b")}]}
    t.ask("produce", v, {"acks": -1, "timeout_ms": 9000, "topic_data": [entry]}, label="partition")
    t.ask(
        "produce", v, {"acks": -1, "timeout_ms": 9000, "topic_data": [other, other]}, label="topic"
    )
    stored(t, topic)
    stored(t, topic, 1)


@case("produce/timeouts", api="produce")
def timeouts(t: Talk, v: int) -> None:
    topic = t.topic()
    for timeout in (0, -1, -(2**31)):
        body = produce_body(topic, batch(b"x"), topic_id=t.id_of(topic)) | {"timeout_ms": timeout}
        t.ask("produce", v, body, label=f"timeout {timeout}")


@case("produce/internal-topic", api="produce")
def internal_topic(t: Talk, v: int) -> None:
    body = {"topics": [{"name": "__consumer_offsets"}], "allow_auto_topic_creation": False}
    topic_id = t.quiet("metadata", 12, body)["topics"][0]["topic_id"]
    body = produce_body("__consumer_offsets", batch(b"x"), topic_id=topic_id)
    t.ask("produce", v, body)


@case("produce/transactional-id", api="produce")
def transactional_id(t: Talk, v: int) -> None:
    topic = t.topic()
    produce(t, v, topic, batch(b"x"), transactional_id=t.name())


@case("produce/min-insync-replicas", api="produce")
def min_insync(t: Talk, v: int) -> None:
    topic = t.topic(configs={"min.insync.replicas": "2"})
    for level in (-1, 1):
        produce(t, v, topic, batch(b"x"), acks=level, label=f"acks {level}")
    stored(t, topic)


ODD: dict[str, Callable[[], bytes]] = {
    "no bytes": lambda: b"",
    "one byte": lambda: b"\x00",
    "garbage": lambda: b"\x01" * 100,
    "zeros": lambda: bytes(100),
    "header only": lambda: batch(b"x")[:61],
    "cut off": lambda: batch(b"x")[:-1],
    "a byte more": lambda: batch(b"x") + b"\x00",
    "eleven bytes more": lambda: batch(b"x") + b"\x00" * 11,
    "zeros behind": lambda: batch(b"x") + bytes(70),
    "half a batch behind": lambda: batch(b"x") + batch(b"y")[:40],
    "two batches": lambda: batch(b"x") + batch(b"y"),
    "checksum wrong": lambda: batch(b"x", crc=1),
    "magic 3": lambda: batch(b"x", magic=3),
    "magic -1": lambda: batch(b"x", magic=-1),
    "length 0": lambda: batch(b"x", length=0),
    "length -1": lambda: batch(b"x", length=-1),
    "length 48": lambda: batch(b"x", length=48),
    "length too large": lambda: batch(b"x", length=10000),
    "length too small": lambda: batch(b"xxxxxxxxxxxx", length=60),
    "no records": lambda: batch(),
    "count too large": lambda: batch(b"x", b"y", count=3),
    "count too small": lambda: batch(b"x", b"y", count=1),
    "count negative": lambda: batch(b"x", count=-1),
    "count 0": lambda: batch(b"x", count=0),
    "last offset delta too large": lambda: batch(b"x", b"y", last_offset_delta=5),
    "last offset delta too small": lambda: batch(b"x", b"y", last_offset_delta=0),
    "last offset delta negative": lambda: batch(b"x", last_offset_delta=-1),
    "base offset 77": lambda: batch(b"x", base_offset=77),
    "base offset negative": lambda: batch(b"x", base_offset=-5),
    "leader epoch 9": lambda: batch(b"x", leader_epoch=9),
    "control batch": lambda: batch(Record(b"\0\0\0\0\0\0", b"\0\0\0\0"), attributes=0x20),
    "transactional": lambda: batch(b"x", attributes=0x10),
    "transactional with id": lambda: batch(
        b"x", attributes=0x10, producer_id=10**6, producer_epoch=0, base_sequence=0
    ),
    "delete horizon": lambda: batch(b"x", attributes=0x40),
    "unused attribute": lambda: batch(b"x", attributes=0x80),
    "unused high attribute": lambda: batch(b"x", attributes=0x4000),
    "log append time bit": lambda: batch(b"x", attributes=0x8),
    "codec 5": lambda: batch(b"x", attributes=5),
    "codec 7": lambda: batch(b"x", attributes=7),
    "gzip": lambda: batch(b"x", b"y", codec="gzip"),
    "gzip, no gzip": lambda: batch(b"x", attributes=1),
    "gzip, cut off": lambda: batch(b"x", payload=gzip.compress(b"\x00" * 50)[:-9], attributes=1),
    "gzip, count too large": lambda: batch(b"x", codec="gzip", count=4, last_offset_delta=3),
    "snappy, no snappy": lambda: batch(b"x", attributes=2),
    "lz4, no lz4": lambda: batch(b"x", attributes=3),
    "zstd, no zstd": lambda: batch(b"x", attributes=4),
    "a second early": lambda: batch(b"x", base_timestamp=now_ms() - 1000),
    "a day early": lambda: batch(b"x", base_timestamp=now_ms() - 86400000),
    "a day late": lambda: batch(b"x", base_timestamp=now_ms() + 86400000),
    "no timestamp": lambda: batch(b"x", base_timestamp=-1, max_timestamp=-1),
    "timestamp 0": lambda: batch(b"x", base_timestamp=0, max_timestamp=0),
    "timestamp negative": lambda: batch(b"x", base_timestamp=-100, max_timestamp=-100),
    "max timestamp too small": lambda: batch(b"x", max_timestamp=now_ms() - 5000),
    "max timestamp too large": lambda: batch(b"x", max_timestamp=now_ms() + 5000),
    "max timestamp a day late": lambda: batch(b"x", max_timestamp=now_ms() + 86400000),
    "timestamps go back": lambda: batch(Record(b"x", timestamp_delta=5), Record(b"y")),
    "a late record": lambda: batch(
        Record(b"x"), Record(b"y", timestamp_delta=86400000), max_timestamp=now_ms()
    ),
    "offset deltas with a gap": lambda: batch(Record(b"x"), Record(b"y", offset_delta=2)),
    "offset deltas backwards": lambda: batch(
        Record(b"x", offset_delta=1), Record(b"y", offset_delta=0)
    ),
    "offset delta negative": lambda: batch(Record(b"x", offset_delta=-1)),
    "record attributes": lambda: batch(Record(b"x", attributes=5)),
    "null value": lambda: batch(None),
    "empty value": lambda: batch(b""),
    "key and headers": lambda: batch(Record(b"v", b"k", ((b"h", b"1"), (b"h", None), (b"", b"")))),
    "record longer than the batch": lambda: batch(b"x", payload=b"\x7e\x00\x00\x00\x01\x02x\x00"),
    "record length 0": lambda: batch(b"x", payload=b"\x00"),
    "bytes behind the records": lambda: batch(b"x", payload=Record(b"x").encode(0) + b"abc"),
    "value length -2": lambda: batch(b"x", payload=b"\x0c\x00\x00\x00\x01\x03\x00"),
    "key length too large": lambda: batch(b"x", payload=b"\x0c\x00\x00\x00\x7e\x01\x00"),
    "header count negative": lambda: batch(b"x", payload=b"\x0c\x00\x00\x00\x01\x01\x01"),
    "header without key": lambda: batch(b"x", payload=b"\x10\x00\x00\x00\x01\x01\x02\x01\x01"),
    "producer id without epoch": lambda: batch(b"x", producer_id=7),
    "sequence without producer id": lambda: batch(b"x", base_sequence=0),
    "producer id negative": lambda: batch(b"x", producer_id=-2, producer_epoch=0, base_sequence=0),
    "sequence negative": lambda: batch(b"x", producer_id=10**6, producer_epoch=0, base_sequence=-2),
    "message of magic 0": lambda: message(b"x", magic=0),
    "message of magic 1": lambda: message(b"x", magic=1),
}


def _odd(make: Callable[[], bytes]) -> Callable[[Talk, int], None]:
    def run(t: Talk, v: int) -> None:
        topic = t.topic()
        body = produce_body(topic, make(), topic_id=t.id_of(topic))
        t.try_ask("produce", v, body, label="odd")
        t.try_ask("fetch", 11, fetch_body(topic, 0), label="stored")
        body = produce_body(topic, batch(b"after"), topic_id=t.id_of(topic))
        t.ask("produce", v, body, label="after it")

    return run


SOME = (3, 6, 7, 9, 12, 13)
"""Versions of Produce that say anything new about batches."""

for _name, _make in ODD.items():
    _slug = _name.replace(",", "").replace(" ", "-")
    add(
        Case(
            f"produce/odd-batch/{_slug}",
            _odd(_make),
            "produce",
            alone=False,
            brokers=1,
            versions=SOME.__contains__,
        )
    )

TOPICS: dict[str, dict[str, str]] = {
    "compacted": {"cleanup.policy": "compact"},
    "append-time": {"message.timestamp.type": "LogAppendTime"},
    "gzip": {"compression.type": "gzip"},
    "uncompressed": {"compression.type": "uncompressed"},
    "small": {"max.message.bytes": "100"},
    "times": {
        "message.timestamp.before.max.ms": "10000",
        "message.timestamp.after.max.ms": "10000",
    },
}


def _on_topic(configs: dict[str, str]) -> Callable[[Talk, int], None]:
    def run(t: Talk, v: int) -> None:
        topic = t.topic(configs=configs)
        for label, records in {
            "keyed": batch(Record(b"v", b"k")),
            "no key": batch(b"v"),
            "no keys in two of three": batch(b"v", Record(b"w", b"k"), b"x"),
            "gzip": batch(Record(b"v", b"k"), Record(b"w", b"l"), codec="gzip"),
            "gzip without keys": batch(b"v", b"w", codec="gzip"),
            "large": batch(Record(b"v" * 500, b"k")),
            "large in gzip": batch(Record(b"v" * 500, b"k"), codec="gzip"),
            "a minute early": batch(Record(b"v", b"k"), base_timestamp=now_ms() - 60000),
            "a minute late": batch(Record(b"v", b"k"), base_timestamp=now_ms() + 60000),
            "one of two early": batch(
                Record(b"v", b"k", timestamp_delta=-60000), Record(b"w", b"k")
            ),
            "no timestamp": batch(Record(b"v", b"k"), base_timestamp=-1, max_timestamp=-1),
            "stored": None,
            "gap": batch(Record(b"v", b"k"), Record(b"w", b"l", offset_delta=4)),
            "append time": batch(Record(b"v", b"k"), attributes=8),
        }.items():
            if records is None:
                t.ask("fetch", 11, fetch_body(topic, 0), label=label)
                continue
            body = produce_body(topic, records, topic_id=t.id_of(topic))
            t.try_ask("produce", v, body, label=label)

    return run


for _name, _configs in TOPICS.items():
    add(
        Case(
            f"produce/topic/{_name}",
            _on_topic(_configs),
            "produce",
            alone=False,
            brokers=1,
            versions=SOME.__contains__,
        )
    )


@case("produce/too-large", api="produce", versions=SOME.__contains__)
def too_large(t: Talk, v: int) -> None:
    topic = t.topic()
    produce(t, v, topic, batch(b"x" * 1048500), label="just below the limit")
    produce(t, v, topic, batch(b"x" * 1048600), label="above the limit")
    small = t.topic(configs={"segment.bytes": "1048576", "max.message.bytes": "5000000"})
    produce(t, v, small, batch(b"x" * 2000000), label="larger than a segment")


@case("produce/after-deletion", api="produce", versions=SOME.__contains__)
def after_deletion(t: Talk, v: int) -> None:
    topic = t.topic()
    produce(t, v, topic, batch(b"x"))
    t.ask("delete_topics", 5, {"topic_names": [topic], "timeout_ms": 30000})
    body = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}
    t.until(lambda: t.quiet("metadata", 12, body)["topics"][0]["error_code"] != 0, "the deletion")
    produce(t, v, topic, batch(b"x"), label="afterwards")
