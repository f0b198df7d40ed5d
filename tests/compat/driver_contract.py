"""What every driver of compat/ must do, told once: PROTOCOL.md's ops against a broker.

Each check takes a ``Bench`` and looks at what the driver offers: what it offers must work, and what
it does not offer must be refused.
"""

from __future__ import annotations

import itertools
import os
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from compat.client import Admin, Consumer, Producer, Record
from compat.driver import Driver, DriverError
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compat.driver import Json

_NAMES = itertools.count(1)
TIME = int(time.time()) * 1000 - 60_000  # older records might be deleted meanwhile
FULL = Record(
    key=b"k", value=b"v", headers=(("h", b"1"), ("h", None), ("", b"")), timestamp=TIME, partition=1
)
CREATES_WHAT_IT_ASKS_FOR = ("aiokafka", "kcat")
"""These let the broker create a topic that they ask about."""
ADMIN_OPS = (
    "create_topics",
    "delete_topics",
    "create_partitions",
    "list_topics",
    "describe_topics",
    "describe_cluster",
    "describe_configs",
    "alter_configs",
    "list_groups",
    "describe_groups",
    "delete_groups",
    "group_offsets",
    "alter_group_offsets",
    "delete_group_offsets",
    "list_offsets",
    "delete_records",
    "elect_leaders",
)

WITHOUT_METADATA = ("kafka-go", "platformatic")
"""Clients whose commits carry none."""


class Bench:
    """One driver, one broker, and names that nobody else has."""

    def __init__(self, name: str, command: Sequence[str], bootstrap: str) -> None:
        self.name = name
        self.command = command
        self.bootstrap = bootstrap
        self._stack = ExitStack()
        self.driver = self.another()
        self.has = self.driver.capabilities

    def another(self) -> Driver:
        return self._stack.enter_context(closing(Driver(self.name, self.command)))

    def close(self) -> None:
        self._stack.close()

    def fresh(self, kind: str = "t") -> str:
        return f"{kind}{next(_NAMES)}-{os.getpid()}"

    def topic(self, partitions: int = 2) -> str:
        from confluent_kafka.admin import AdminClient, NewTopic

        topic = self.fresh()
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)
        return topic

    def _config(self, config: dict[str, Any]) -> dict[str, Any]:
        return {"bootstrap": self.bootstrap} | config

    def producer(self, **config: Any) -> Producer:
        return Producer(self.driver, config=self._config(config))

    def assigned(
        self, topic: str, partitions: int = 2, at: Any = "earliest", **config: Any
    ) -> Consumer:
        chosen = [{"topic": topic, "partition": p, "offset": at} for p in range(partitions)]
        return Consumer(self.driver, assign=chosen, config=self._config(config))

    def member(
        self, topic: str, group: str, driver: Driver | None = None, **config: Any
    ) -> Consumer:
        config = {"group": group, "reset": "earliest", "auto_commit": False} | config
        return Consumer(driver or self.driver, topics=[topic], config=self._config(config))

    def admin(self) -> Admin:
        return Admin(self.driver, config=self._config({}))


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(DriverError) as refused:
        work()
    return refused.value.code


def says_hello(bench: Bench) -> None:
    hello = bench.driver.hello()
    assert hello["client"] == bench.name
    assert hello["version"][0].isdigit()
    assert {"produce", "consume"} <= bench.has
    assert {c.partition(".")[2] for c in bench.has if c.startswith("admin.")} <= set(ADMIN_OPS)


def refuses_what_is_malformed(bench: Bench) -> None:
    call = bench.driver.call
    assert code_of(lambda: call("nonsense")) == "BAD_COMMAND"
    assert code_of(lambda: call("producer.send", handle="nobody", records=[])) == "BAD_COMMAND"
    producer = bench.producer()
    again = {"handle": producer.handle, "config": {"bootstrap": bench.bootstrap}}
    assert code_of(lambda: call("producer.open", **again)) == "BAD_COMMAND"
    producer.close()
    assert code_of(lambda: producer.send(Record(topic="t"))) == "BAD_COMMAND"
    assert code_of(lambda: bench.producer(no_such_setting=1)) == "UNSUPPORTED"
    assert code_of(lambda: bench.assigned("t", no_such_setting=1)) == "UNSUPPORTED"


def fullest(bench: Bench, producer: Producer, topic: str) -> Record:
    """Sends the record that has most of what this client can send; as it was sent."""
    full = replace(FULL, topic=topic)
    if "timestamps" not in bench.has:
        (sent,) = producer.send(full)
        assert sent.error is not None
        assert sent.error.code == "UNSUPPORTED"
        full = replace(full, timestamp=None)
    nulls_without = tuple(h for h in full.headers if h[1] is not None)
    named = tuple(h for h in full.headers if h[0])
    for headers in (full.headers, named, nulls_without, ()):
        record = replace(full, headers=headers)
        (sent,) = producer.send(record)
        if sent.error is None:
            assert (sent.partition, sent.offset) == (1, 0)
            return record
        assert sent.error.code in ("CLIENT", "UNSUPPORTED"), headers
    raise AssertionError("not even a record without headers")


def sends_and_takes_whole_records(bench: Bench) -> None:
    topic = bench.topic()
    producer = bench.producer()
    record = fullest(bench, producer, topic)
    assert bool(record.headers) == ("headers" in bench.has)
    null = Record(topic=topic, partition=1, key=b"key", value=None)
    assert [(s.partition, s.offset, s.error) for s in producer.send(null)] == [(1, 1, None)]
    producer.close()
    consumer = bench.assigned(topic)
    whole, empty = consumer.take(2)
    assert (whole.partition, whole.offset) == (1, 0)
    assert (whole.key, whole.value) == (b"k", b"v")
    told = tuple((name, value or None) for name, value in record.headers)
    # Some clients cannot tell what is empty from what is absent.
    assert whole.headers in (record.headers, told)
    assert whole.timestamp == TIME or record.timestamp is None
    assert whole.timestamp_type in ("create", None)
    assert empty.value is None
    assert consumer.upto(1, 0) == []
    consumer.close()


def sends_at_every_level(bench: Bench) -> None:
    topic = bench.topic(1)
    offset = 0
    configs: list[dict[str, Any]] = [{"acks": 1}, {"acks": -1}]
    configs += [{"compression": c} for c in ("gzip", "snappy", "lz4", "zstd") if c in bench.has]
    configs += [{"idempotent": True}] if "idempotent" in bench.has else []
    for config in configs:
        producer = bench.producer(**config)
        assert producer.put(topic, b"a" * 1000, partition=0) == [offset], config
        producer.close()
        offset += 1
    if "acks0" in bench.has:
        producer = bench.producer(acks=0)
        assert producer.put(topic, b"a", partition=0) == [-1]
        consumer = bench.assigned(topic, 1, offset)
        assert [r.offset for r in consumer.take(1)] == [offset]
        consumer.close()
        producer.close()
    if "idempotent" not in bench.has:
        assert code_of(lambda: bench.producer(idempotent=True)) == "UNSUPPORTED"


def partitions_keys(bench: Bench) -> None:
    topic = bench.topic(7)
    expected = {"java": (b"key-1", 5), "librdkafka": (b"key-1", 0)}
    for name, (key, partition) in expected.items():
        if f"partitioner_{name}" in bench.has:
            producer = bench.producer(partitioner=name)
            (sent,) = producer.send(Record(topic=topic, key=key, value=b"v"))
            assert sent.partition == partition, name
            producer.close()
        else:
            assert code_of(lambda name=name: bench.producer(partitioner=name)) == "UNSUPPORTED"


def tells_why_a_record_is_refused(bench: Bench) -> None:
    topic = bench.topic(1)
    producer = bench.producer()
    (sent,) = producer.send(Record(topic=topic, value=b"a" * 3_000_000))
    assert sent.error is not None
    assert sent.error.code in ("MESSAGE_TOO_LARGE", "CLIENT")
    assert producer.put(topic, b"good") == [0]
    producer.close()


def fills_and_drains(bench: Bench) -> None:
    topic = bench.topic()
    producer = bench.producer()
    filled = producer.fill(topic, 15_000, size=20, prefix="f", keys=5)
    assert (filled["acked"], filled["failed"], filled["errors"]) == (15_000, 0, {})
    producer.close()
    consumer = bench.assigned(topic)
    drained = consumer.drain(15_000)
    assert (drained["count"], drained["bytes"], drained["in_order"]) == (15_000, 300_000, True)
    at = {name: [one["first"], one["last"]] for name, one in drained["partitions"].items()}
    assert at == {f"{topic}-{number}": span for number, span in filled["offsets"].items()}
    consumer.close()


def seeks_and_pauses(bench: Bench) -> None:
    topic = bench.topic(1)
    producer = bench.producer()
    producer.put(topic, b"0", b"1", b"2", partition=0)
    consumer = bench.assigned(topic, 1)
    assert [r.offset for r in consumer.take(3)] == [0, 1, 2]
    if "manual_commit" in bench.has:  # whoever cannot say where it is cannot commit it either
        assert consumer.position(topic, 0) == 3
    consumer.seek(topic, 0, 1)
    assert [r.offset for r in consumer.take(2)] == [1, 2]
    consumer.seek(topic, 0, "earliest")
    assert [r.offset for r in consumer.take(1)] == [0]
    consumer.seek(topic, 0, "latest")
    after = reads_what_is_new(producer, consumer, topic, 3)
    if "pause" in bench.has:
        consumer.pause((topic, 0))
        producer.put(topic, b"last", partition=0)
        assert consumer.upto(1, 300) == []
        consumer.resume((topic, 0))
        assert [r.offset for r in consumer.take(1)] == [after]
    else:
        assert code_of(lambda: consumer.pause((topic, 0))) == "UNSUPPORTED"
    producer.close()
    consumer.close()


def reads_what_is_new(producer: Producer, consumer: Consumer, topic: str, end: int) -> int:
    """Many look for the end when they next ask, and what is written before is not for them.

    The offset after what was written and read.
    """
    written, read = end, list[int | None]()

    def has_come() -> bool:
        nonlocal written
        (at,) = producer.put(topic, b"new", partition=0)
        written = at + 1
        read.extend(r.offset for r in consumer.upto(1, 300))
        return bool(read)

    eventually(has_come, what="something new")
    read += [r.offset for r in consumer.take(written - 1 - (read[0] or 0))]
    assert read == list(range(read[0] or 0, written))
    assert (read[0] or 0) >= end
    return written


def looks_offsets_up(bench: Bench) -> None:
    topic = bench.topic(1)
    producer = bench.producer()
    has_times = "timestamps" in bench.has
    producer.put(topic, b"0", b"1", partition=0, **({"timestamp": TIME} if has_times else {}))
    producer.close()
    consumer = bench.assigned(topic, 1)
    if "offsets_for_times" in bench.has:
        earliest, latest = (consumer.offset_at(topic, 0, at) for at in ("earliest", "latest"))
        assert earliest is not None
        assert latest is not None
        assert (earliest["offset"], latest["offset"]) == (0, 2)
        found = consumer.offset_at(topic, 0, TIME)
        assert found is not None
        assert found["offset"] == 0
        assert consumer.offset_at(topic, 0, TIME + 10**12) is None
    consumer.close()


def joins_groups_and_commits(bench: Bench) -> None:
    if "groups" not in bench.has:
        return
    for assignor in (None, "range", "roundrobin", "sticky", "cooperative"):
        if assignor is not None and assignor not in bench.has:
            assert code_of(lambda: bench.member("t", "g", assignor=assignor)) == "UNSUPPORTED"  # noqa: B023
            continue
        topic, group = bench.topic(), bench.fresh("g")
        producer = bench.producer()
        producer.put(topic, b"0", b"1", partition=0)
        producer.close()
        consumer = bench.member(topic, group, **({"assignor": assignor} if assignor else {}))
        if "events" in bench.has:
            assigned = events_of_assignment(consumer, {(topic, 0), (topic, 1)})
            if "generation" in bench.has:
                assert assigned["generation"] >= 1
                assert assigned["member_id"]
        assert [r.offset for r in consumer.take(1)] == [0]
        if "manual_commit" in bench.has:
            commits(bench, consumer, topic)
        consumer.close()


def events_of_assignment(consumer: Consumer, wanted: set[tuple[str, int]]) -> Json:
    """Until all is assigned, for which some clients need two rounds; the last event of it."""
    events: list[Json] = []

    def is_assigned() -> bool:
        events.extend(e for e in consumer.events("assigned") if e["event"] == "assigned")
        named = {(p["topic"], p["partition"]) for e in events for p in e["partitions"]}
        return named == wanted

    eventually(is_assigned, what="the assignment")
    assert consumer.assignment() == wanted
    return events[-1]


def commits(bench: Bench, consumer: Consumer, topic: str) -> None:
    consumer.commit()
    assert consumer.committed((topic, 0), (topic, 1)) == {(topic, 0): 1, (topic, 1): None}
    assert consumer.position(topic, 0) == 1
    chosen = {f"{topic}-1": {"offset": 0, "metadata": "why"}}
    committing = {"handle": consumer.handle, "offsets": chosen}
    if bench.name in WITHOUT_METADATA:
        told = code_of(lambda: bench.driver.call("consumer.commit", **committing))
        assert told == "UNSUPPORTED"
        return
    bench.driver.call("consumer.commit", **committing)
    asked = [{"topic": topic, "partition": 1}]
    answer = bench.driver.call("consumer.committed", handle=consumer.handle, partitions=asked)
    assert answer["offsets"][f"{topic}-1"]["offset"] == 0
    assert answer["offsets"][f"{topic}-1"].get("metadata", "why") == "why"


def commits_by_itself(bench: Bench) -> None:
    if "auto_commit" not in bench.has:
        return
    topic, group = bench.topic(1), bench.fresh("g")
    producer = bench.producer()
    producer.put(topic, b"0", b"1", partition=0)
    producer.close()
    consumer = bench.member(topic, group, auto_commit=True, auto_commit_interval_ms=100)
    consumer.take(2)
    if "manual_commit" in bench.has:
        eventually(lambda: consumer.committed((topic, 0)) == {(topic, 0): 2}, what="the commit")
    consumer.close()


def reads_topics_by_pattern(bench: Bench) -> None:
    if "regex" not in bench.has:
        return
    topic = bench.topic(1)
    producer = bench.producer()
    producer.put(topic, b"0", partition=0)
    producer.close()
    config = {"bootstrap": bench.bootstrap, "group": bench.fresh("g"), "reset": "earliest"}
    consumer = Consumer(bench.driver, pattern=f"^{topic[:-2]}.*", config=config)
    assert [r.topic for r in consumer.take(1)] == [topic]
    consumer.close()


def reports_that_nothing_is_committed(bench: Bench) -> None:
    if "reset_none" not in bench.has:
        return
    topic = bench.topic(1)
    consumer = bench.member(topic, bench.fresh("g"), reset="none")
    events = consumer.events("error")
    assert any(e["event"] == "error" for e in events), events
    consumer.close()


def manages_topics(bench: Bench) -> None:
    admin, has = bench.admin(), bench.has
    topic = bench.fresh()
    if "admin.create_topics" in has:
        new = {
            "name": topic,
            "partitions": 1,
            "replication": 1,
            "configs": {"retention.ms": "60000"},
        }
        bad = {"name": "bad/name", "partitions": 1, "replication": 1, "configs": {}}
        made = admin.do("create_topics", topics=[new, bad], validate_only=False)["topics"]
        assert made[topic] == {}
        assert made["bad/name"]["error"]["code"] == "INVALID_TOPIC_EXCEPTION"
        made = admin.do("create_topics", topics=[new], validate_only=False)["topics"]
        assert made[topic]["error"]["code"] == "TOPIC_ALREADY_EXISTS"
    else:
        topic = bench.topic(1)
    if "admin.create_partitions" in has:
        admin.do("create_partitions", topic=topic, count=2, assignments=None)
        fewer = {"topic": topic, "count": 1, "assignments": None}
        assert code_of(lambda: admin.do("create_partitions", **fewer)) == "INVALID_PARTITIONS"
    if "admin.list_topics" in has:
        assert topic in admin.do("list_topics")["topics"]
    if "admin.describe_topics" in has:
        nobody = bench.fresh()
        told = admin.do("describe_topics", topics=[topic, nobody])["topics"]
        if "error" in told[nobody] or bench.name not in CREATES_WHAT_IT_ASKS_FOR:
            assert told[nobody]["error"]["code"] == "UNKNOWN_TOPIC_OR_PARTITION"
        first = told[topic]["partitions"][0]
        assert (first["partition"], first["leader"]) == (0, 1)
        assert (first["replicas"], first["isr"]) == ([1], [1])
    if "admin.delete_topics" in has:
        gone = admin.do("delete_topics", topics=[topic, "nobody"])["topics"]
        assert gone[topic] == {}
        assert gone["nobody"]["error"]["code"] == "UNKNOWN_TOPIC_OR_PARTITION"
    admin.close()


def manages_configs_and_the_cluster(bench: Bench) -> None:
    admin, has, topic = bench.admin(), bench.has, bench.topic(1)
    if "admin.describe_cluster" in has:
        told = admin.do("describe_cluster")
        assert [b["id"] for b in told["brokers"]] == [1]
        assert told.get("controller", 1) == 1
    if "admin.alter_configs" in has:
        change = {"type": "topic", "name": topic}
        admin.do("alter_configs", **change, set={"retention.ms": "60000"}, unset=[])
        wrong = change | {"set": {"retention.ms": "soon"}, "unset": []}
        assert code_of(lambda: admin.do("alter_configs", **wrong)) == "INVALID_CONFIG"
    if "admin.describe_configs" in has:
        configs = admin.do("describe_configs", type="topic", name=topic)["configs"]
        changed = "admin.alter_configs" in has
        assert configs["retention.ms"]["value"] == ("60000" if changed else "604800000")
        assert configs["retention.ms"]["default"] is not changed
        assert (
            "log.retention.ms" in admin.do("describe_configs", type="broker", name="1")["configs"]
        )
    if "admin.elect_leaders" in has:
        asked = [{"topic": topic, "partition": 0}]
        told = admin.do("elect_leaders", type="preferred", partitions=asked)["partitions"]
        assert told[f"{topic}-0"]["error"]["code"] == "ELECTION_NOT_NEEDED"
    admin.close()


def manages_offsets(bench: Bench) -> None:
    admin, has, topic = bench.admin(), bench.has, bench.topic(1)
    producer = bench.producer()
    has_times = "timestamps" in has
    times = {"timestamp": TIME} if has_times else {}
    producer.put(topic, b"0", b"1", b"2", partition=0, **times)
    producer.close()
    if "admin.list_offsets" in has:
        assert admin.end_offset(topic, 0, "earliest") == 0
        assert admin.end_offset(topic, 0, "latest") == 3
        assert admin.end_offset(topic, 0, TIME) == 0
    if "admin.delete_records" in has:
        told = admin.do("delete_records", offsets={f"{topic}-0": 2})["offsets"][f"{topic}-0"]
        assert told.get("low_watermark", 2) == 2
        assert "admin.list_offsets" not in has or admin.end_offset(topic, 0, "earliest") == 2
    admin.close()


def manages_groups(bench: Bench) -> None:
    admin, has = bench.admin(), bench.has
    topic, group = bench.topic(1), bench.fresh("g")
    name = f"{topic}-0"
    if "admin.alter_group_offsets" in has:
        told = admin.do("alter_group_offsets", group=group, offsets={name: {"offset": 7}})
        assert told == {"offsets": {name: {}}}
    elif "groups" in has:
        consumer = bench.member(topic, group)
        if "manual_commit" not in has:
            return
        if "events" in has:
            consumer.events("assigned")  # while it joins, its commits are of no generation
        consumer.commit({(topic, 0): 7})
        consumer.close()
    if "admin.group_offsets" in has:
        assert admin.group_offsets(group) == {name: 7}
        asked = [{"topic": topic, "partition": 0}]
        told = admin.do("group_offsets", group=group, partitions=asked)["offsets"]
        assert told[name]["offset"] == 7
    if "admin.list_groups" in has:
        assert group in [g["group"] for g in admin.do("list_groups", states=None)["groups"]]
    if "admin.describe_groups" in has:
        assert admin.describe_group(group)["state"] == "Empty"
    if "admin.delete_group_offsets" in has:
        asked = [{"topic": topic, "partition": 0}]
        told = admin.do("delete_group_offsets", group=group, partitions=asked)["offsets"]
        assert told == {name: {}}
        assert admin.group_offsets(group) == {}
    if "admin.delete_groups" in has:
        told = admin.do("delete_groups", groups=[group, "nobody"])["groups"]
        assert told[group] == {} or "admin.delete_group_offsets" in has
        assert told["nobody"]["error"]["code"] == "GROUP_ID_NOT_FOUND"
    admin.close()


def refuses_what_it_does_not_offer(bench: Bench) -> None:
    admin = bench.admin()
    for op in ADMIN_OPS:
        if f"admin.{op}" not in bench.has:
            assert code_of(lambda op=op: admin.do(op)) == "UNSUPPORTED"
    admin.close()


def ends_at_once_without_leaving(bench: Bench) -> None:
    if not {"groups", "admin.describe_groups"} <= bench.has:
        return
    topic, group = bench.topic(1), bench.fresh("g")
    producer = bench.producer()
    producer.put(topic, b"0", partition=0)
    other = bench.another()
    bench.member(topic, group, other, session_timeout_ms=30_000).take(1)
    assert other._process.stdin is not None
    other._process.stdin.close()
    assert other._process.wait(60) == 0
    admin = bench.admin()
    assert len(admin.describe_group(group)["members"]) == 1
    admin.close()
    producer.close()


CONTRACT = (
    says_hello,
    refuses_what_is_malformed,
    sends_and_takes_whole_records,
    sends_at_every_level,
    partitions_keys,
    tells_why_a_record_is_refused,
    fills_and_drains,
    seeks_and_pauses,
    looks_offsets_up,
    joins_groups_and_commits,
    commits_by_itself,
    reads_topics_by_pattern,
    reports_that_nothing_is_committed,
    manages_topics,
    manages_configs_and_the_cluster,
    manages_offsets,
    manages_groups,
    refuses_what_it_does_not_offer,
    ends_at_once_without_leaving,
)
