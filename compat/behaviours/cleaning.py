"""Compaction and retention, as a consumer sees them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from compat.client import Record
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case
    from compat.client import Producer

ROLL_AT = 1_048_576
"""The least that Kafka takes for segment.bytes."""


def _roll(producer: Producer, topic: str, filler: str) -> None:
    """Enough bytes that what came before is in a closed segment."""
    value = os.urandom(100_000)  # which no client's compression makes smaller
    for number in range(24):
        key = f"{filler}-{number % 2}".encode()
        producer.put(topic, value, key=key, partition=0)


@behaviour(
    "cleanup.policy=compact: Kafka will always retain at least the last known value for each "
    "message key; offsets and order stay, a tombstone deletes.",
    needs="produce read",
    seconds=240,
)
def compaction(case: Case) -> None:
    topic = case.topic(
        cleanup_policy="compact",
        segment_bytes=ROLL_AT,
        min_cleanable_dirty_ratio="0.001",
        min_compaction_lag_ms=0,
        delete_retention_ms=86_400_000,
        max_message_bytes=200_000,
    )
    producer = case.producer()
    for round_number in range(20):
        producer.send(
            *(
                Record(topic=topic, partition=0, key=key, value=b"%s-%d" % (key, round_number))
                for key in (b"a", b"b", b"c")
            )
        )
    producer.put(topic, None, key=b"c", partition=0)
    last = {b"a": (57, b"a-19"), b"b": (58, b"b-19"), b"c": (60, None)}
    _roll(producer, topic, "filler")
    end = case.setup.end_offset(topic, 0)
    seen: list[Record] = []

    def is_compacted() -> bool:
        reader = case.reader(topic)
        seen.clear()
        while not seen or (seen[-1].offset or 0) < end - 1:
            seen.extend(reader.take(1))
            seen.extend(reader.upto(1000, 0))
        reader.close()
        return sum(r.key in last for r in seen) == 3

    case.wait_for(is_compacted, "one record a key", seconds=120)
    kept = {r.key: (r.offset, r.value) for r in seen if r.key in last}
    same("what is kept, at its offset", kept, last)
    offsets = [r.offset or 0 for r in seen]
    holds("offsets rise", offsets == sorted(set(offsets)), offsets[:50])


@behaviour(
    "INVALID_RECORD: a compacted topic cannot accept a message without key.", needs="produce"
)
def compacted_topics_need_keys(case: Case) -> None:
    topic = case.topic(cleanup_policy="compact")
    code = case.producer().refusal(Record(topic=topic, value=b"no key", partition=0))
    same("the code", code, "INVALID_RECORD")


@behaviour(
    "retention.bytes: old log segments are discarded to free up space; the log start offset "
    "rises, and a reader begins there.",
    needs="produce read",
    seconds=240,
)
def retention_by_size(case: Case) -> None:
    topic = case.topic(
        segment_bytes=ROLL_AT,
        retention_bytes=ROLL_AT,
        file_delete_delay_ms=100,
        max_message_bytes=200_000,
    )
    producer = case.producer()
    for _ in range(3):
        _roll(producer, topic, "filler")
    _wait_for_log_start(case, topic, 1)
    start = case.setup.end_offset(topic, 0, "earliest")
    first = case.reader(topic).take(1)[0].offset or 0
    end = case.setup.end_offset(topic, 0, "earliest")
    holds("a reader begins at the log start", start <= first <= end, (start, first, end))


@behaviour(
    "retention.ms: the maximum time we will retain a log before we will discard old log segments; "
    "what is younger stays, and offsets go on.",
    needs="produce read timestamps",
    seconds=240,
)
def retention_by_time(case: Case) -> None:
    topic = case.topic(retention_ms=3_600_000, file_delete_delay_ms=100)
    producer = case.producer()
    two_hours_ago = int(time.time() * 1000) - 7_200_000
    producer.put(topic, b"old", b"old", timestamp=two_hours_ago, partition=0)
    _wait_for_log_start(case, topic, 2)
    producer.put(topic, b"young", partition=0)
    (read,) = case.reader(topic).take(1)
    same("what is left", (read.offset, read.value), (2, b"young"))


def _wait_for_log_start(case: Case, topic: str, offset: int) -> None:
    """That or a later one. Retention looks every log.retention.check.interval.ms, by default every
    five minutes: where a strange cluster's is long, the case is unavailable."""
    try:
        case.wait_for(
            lambda: case.setup.end_offset(topic, 0, "earliest") >= offset, "log start", seconds=90
        )
    except AssertionError:
        interval = _retention_interval_ms(case)
        holds("retention within its interval", interval > 60_000, interval)
        case.unavailable(f"log.retention.check.interval.ms is {interval}")


def _retention_interval_ms(case: Case) -> int:
    node = str(case.setup.do("describe_cluster")["brokers"][0]["id"])
    configs = case.setup.do("describe_configs", type="broker", name=node)["configs"]
    return int(configs["log.retention.check.interval.ms"]["value"])
