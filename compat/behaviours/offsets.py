"""Offsets: contiguous, found by time, sought, reset, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.client import Record
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case

HOUR_MS = 3_600_000


@behaviour(
    "Each message in a partition is assigned a sequential id number called the offset that "
    "uniquely identifies each record within the partition.",
    needs="produce read partitions_explicit",
)
def offsets_are_contiguous(case: Case) -> None:
    topic = case.topic(partitions=3)
    producer = case.producer(prefer={"linger_ms": 5})
    for partition in range(3):
        offsets = producer.put(topic, *(b"%d" % n for n in range(200)), partition=partition)
        same(f"offsets in partition {partition}", offsets, list(range(200)))
    read = case.reader(topic, 0, 1, 2).take(600)
    for partition in range(3):
        found = [r.offset for r in read if r.partition == partition]
        same(f"offsets read from partition {partition}", found, list(range(200)))


@behaviour(
    "offsetsForTimes: the earliest offset whose timestamp is greater than or equal to the given "
    "timestamp in the corresponding partition.",
    needs="produce consume offsets_for_times timestamps",
)
def offsets_by_time(case: Case) -> None:
    topic = case.topic(message_timestamp_type="CreateTime", retention_ms=-1)
    times = [1_700_000_000_000 + n * HOUR_MS for n in range(10)]
    sent = case.producer(acks=-1).send(  # what is not committed has no time yet
        *(Record(topic=topic, value=b"x", timestamp=at, partition=0) for at in times)
    )
    same("answers", [one.offset for one in sent], list(range(10)))
    reader = case.reader(topic)
    for at, offset in ((times[4], 4), (times[4] + 1, 5), (times[0] - HOUR_MS, 0), (times[9], 9)):
        found = reader.offset_at(topic, 0, at)
        same(f"offset at {at}", found and found["offset"], offset)
    found = reader.offset_at(topic, 0, times[9] + 1)
    holds("nothing is later than the last record", not found or found["offset"] in (-1, 10), found)


@behaviour(
    "beginningOffsets and endOffsets: the first offset, and the offset of the upcoming message, "
    "for the given partitions.",
    needs="produce consume offsets_for_times",
)
def first_and_last_offset(case: Case) -> None:
    topic = case.topic()
    reader = case.reader(topic)
    for count in (0, 7):
        if count:
            case.producer(acks=-1).put(topic, *[b"x"] * count)
        for at, offset in (("earliest", 0), ("latest", count)):
            found = reader.offset_at(topic, 0, at)
            same(f"{at} of {count} records", found and found["offset"], offset)


@behaviour(
    "seek: overrides the fetch offsets that the consumer will use on the next poll.",
    needs="produce consume",
)
def seeking(case: Case) -> None:
    topic = case.topic()
    case.producer().put(topic, *(b"%d" % n for n in range(20)))
    reader = case.reader(topic)
    same("from the beginning", [r.offset for r in reader.take(20)], list(range(20)))
    reader.seek(topic, 0, 5)
    same("from offset 5", [r.offset for r in reader.take(15)], list(range(5, 20)))
    reader.seek(topic, 0, 19)
    same("from offset 19", [r.value for r in reader.take(1)], [b"19"])
    reader.seek(topic, 0, "earliest")
    same("from the first", [r.offset for r in reader.take(20)], list(range(20)))


@behaviour(
    "A consumer may begin at any offset of a partition, and at its end.", needs="produce consume"
)
def beginning_anywhere(case: Case) -> None:
    topic = case.topic()
    producer = case.producer()
    producer.put(topic, *(b"%d" % n for n in range(10)))
    # With acks=1, which is what some clients begin with, the high watermark comes later.
    case.wait_for(lambda: case.setup.end_offset(topic, 0) == 10, "all replicated")
    same("from offset 3", [r.offset for r in case.reader(topic, offset=3).take(7)], [*range(3, 10)])
    reader = case.reader(topic, offset="latest")
    # A client asks for the end when it first polls: what is written before that is not for it.
    got: list[int | None] = []
    for number in range(100):
        producer.put(topic, b"new-%d" % number)
        got = [r.offset for r in reader.upto(1, 300)]
        if got:
            break
    holds("the end is where it began", bool(got) and (got[0] or 0) >= 10, got)


@behaviour(
    "auto.offset.reset: earliest: automatically reset the offset to the earliest offset; latest: "
    "to the latest offset.",
    needs="produce groups",
)
def reset_of_a_new_group(case: Case) -> None:
    topic = case.topic()
    producer = case.producer()
    producer.put(topic, *(b"%d" % n for n in range(5)))
    early = case.consumer(topic, group=case.group(), reset="earliest")
    same("earliest", [r.offset for r in early.take(5)], list(range(5)))
    late = case.consumer(topic, group=case.group(), reset="latest")
    got: list[int | None] = []
    for number in range(200):
        producer.put(topic, b"new-%d" % number)
        got = [r.offset for r in late.upto(1, 300)]
        if got:
            break
    holds("latest begins after what was there", bool(got) and (got[0] or 0) >= 5, got)


@behaviour(
    "auto.offset.reset=none: throw exception to the consumer if no previous offset is found for "
    "the consumer's group.",
    needs="produce groups reset_none",
)
def reset_none(case: Case) -> None:
    topic = case.topic()
    case.producer().put(topic, b"x")
    consumer = case.consumer(topic, group=case.group(), reset="none")
    events = consumer.events("error")
    holds("an error", any(e["event"] == "error" for e in events), events)
    same("records", consumer.upto(1, 500), [])


@behaviour(
    "deleteRecords: delete records whose offset is smaller than the given offset of the "
    "corresponding partition.",
    needs="produce read",
)
def records_deleted(case: Case) -> None:
    topic = case.topic()
    case.producer(acks=-1).put(topic, *(b"%d" % n for n in range(10)))
    answer = case.setup.do("delete_records", offsets={f"{topic}-0": 6})["offsets"]
    same("low watermark", answer[f"{topic}-0"]["low_watermark"], 6)
    same("what is left", [r.offset for r in case.reader(topic).take(4)], [6, 7, 8, 9])


@behaviour(
    "OFFSET_OUT_OF_RANGE: a consumer whose position is outside of the log begins where "
    "auto.offset.reset says.",
    needs="produce consume",
)
def position_out_of_range(case: Case) -> None:
    topic = case.topic()
    case.producer(acks=-1).put(topic, *(b"%d" % n for n in range(10)))
    case.setup.do("delete_records", offsets={f"{topic}-0": 4})
    reader = case.reader(topic, offset=1, reset="earliest")
    same("begins at the log start", [r.offset for r in reader.take(6)], [4, 5, 6, 7, 8, 9])


@behaviour(
    "Deleted records stay deleted, offsets go on: an empty log does not begin again at 0.",
    needs="produce read",
)
def offsets_after_deleting_all(case: Case) -> None:
    topic = case.topic()
    producer = case.producer(acks=-1)
    producer.put(topic, *(b"%d" % n for n in range(10)))
    answer = case.setup.do("delete_records", offsets={f"{topic}-0": -1})["offsets"]
    same("low watermark", answer[f"{topic}-0"]["low_watermark"], 10)
    same("the next offset", producer.put(topic, b"next"), [10])
    same("what is read", [(r.offset, r.value) for r in case.reader(topic).take(1)], [(10, b"next")])
