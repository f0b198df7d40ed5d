"""Order: within a partition, and of what has the same key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.client import Record
from compat.suite import behaviour, same

if TYPE_CHECKING:
    from compat.case import Case


@behaviour(
    "Messages sent by a producer to a particular topic partition will be appended in the order "
    "they are sent.",
    needs="produce read",
)
def order_within_a_partition(case: Case) -> None:
    topic = case.topic()
    values = [b"%d" % number for number in range(500)]
    offsets = case.producer().put(topic, *values, partition=0)
    same("offsets", offsets, list(range(500)))
    read = case.reader(topic).take(500)
    same("values in the log", [r.value for r in read], values)
    same("their offsets", [r.offset for r in read], list(range(500)))


@behaviour("Records with the same key are sent to the same partition.", needs="produce read")
def same_key_same_partition(case: Case) -> None:
    topic = case.topic(partitions=6)
    keys = [b"key-%d" % number for number in range(40)]
    producer = case.producer()
    places: dict[bytes, int | None] = {}
    for _ in range(3):
        sent = producer.send(*(Record(topic=topic, key=key, value=key) for key in keys))
        for key, one in zip(keys, sent, strict=True):
            same(f"partition of {key!r}", one.partition, places.setdefault(key, one.partition))
    read = case.reader(topic, *range(6)).take(3 * len(keys))
    same("where they are", {r.key: r.partition for r in read}, places)
