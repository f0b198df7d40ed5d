"""Records: what goes in comes out, and what is too large does not go in."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from compat.client import Record
from compat.driver import DriverError
from compat.suite import Unavailable, behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case

MEGABYTE = 1_000_000
ROOM = {"max_request_bytes": 2 * MEGABYTE}
TOO_LARGE = ("MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE")


@behaviour(
    "Records carry a key and a value of any bytes; both may be null or empty.",
    needs="produce read",
)
def null_and_empty(case: Case) -> None:
    topic = case.topic()
    contents: list[tuple[bytes | None, bytes | None]] = [
        (b"key", b"value"),
        (None, b"no key"),
        (b"tombstone", None),
        (b"", b""),
        (b"\x00\xff", bytes(range(256))),
    ]
    case.producer().send(
        *(Record(topic=topic, key=key, value=value, partition=0) for key, value in contents)
    )
    read = case.reader(topic).take(len(contents))
    same("keys and values", [(r.key, r.value) for r in read], contents)


@behaviour(
    "Headers: an ordered list of names with values, which may be null; names may repeat.",
    needs="produce read headers",
)
def headers(case: Case) -> None:
    topic = case.topic()
    sent: tuple[tuple[str, bytes | None], ...] = (
        ("trace", b"\x01\x02"),
        ("trace", b"again"),
        ("empty", b""),
        ("name with \u00fcml\u00e4uts", b"x"),
    )
    case.producer().put(topic, b"v", headers=sent)
    case.producer().put(topic, b"none")
    first, second = case.reader(topic).take(2)
    same("headers", first.headers, sent)
    same("no headers", second.headers, ())


@behaviour("A header's value may be null.", needs="produce read headers")
def null_headers(case: Case) -> None:
    topic = case.topic()
    try:
        case.producer().put(topic, b"v", headers=(("null", None),))
    except DriverError as error:
        if error.code in ("CLIENT", "UNSUPPORTED"):
            raise Unavailable("the client takes no null headers") from error
        raise
    same("headers", case.reader(topic).take(1)[0].headers, (("null", None),))


@behaviour(
    "max.message.bytes: the largest record batch size allowed by Kafka; a record of 1 MB fits "
    "under the default limit.",
    needs="produce read",
)
def one_megabyte(case: Case) -> None:
    topic = case.topic()
    value = b"x" * MEGABYTE
    case.producer(prefer=ROOM).put(topic, value, b"next")
    first, second = case.reader(topic).take(2)
    same("length", len(first.value or b""), MEGABYTE)
    holds("its bytes", first.value == value)
    same("what follows", second.value, b"next")


@behaviour(
    "MESSAGE_TOO_LARGE: the request included a message larger than the max message size the "
    "server will accept. Nothing of it is stored.",
    needs="produce read",
)
def over_the_limit(case: Case) -> None:
    topic = case.topic(max_message_bytes=100_000)
    producer = case.producer(prefer=ROOM)
    random = secrets.token_bytes(200_000)  # some clients compress if they are not told to
    code = producer.refusal(Record(topic=topic, value=random, partition=0))
    holds("the code", code in TOO_LARGE, code)
    same("the next offset", case.producer().put(topic, b"small"), [0])
    same("the log", [r.value for r in case.reader(topic).take(1)], [b"small"])


@behaviour(
    "A fetch makes progress however large the first record is: max.partition.fetch.bytes is not "
    "an absolute maximum.",
    needs="produce consume",
)
def larger_than_the_fetch(case: Case) -> None:
    topic = case.topic()
    case.producer(prefer=ROOM).put(topic, b"x" * 500_000, b"y" * 500_000)
    reader = case.reader(topic, partition_max_bytes=10_000)
    same("lengths", [len(r.value or b"") for r in reader.take(2)], [500_000, 500_000])


@behaviour(
    "message.timestamp.type=CreateTime: the timestamp is the producer's.",
    needs="produce read timestamps",
)
def create_time(case: Case) -> None:
    topic = case.topic(message_timestamp_type="CreateTime")
    at = int(time.time() * 1000) - 86_400_000
    case.producer().put(topic, b"v", timestamp=at)
    (read,) = case.reader(topic).take(1)
    same("timestamp", read.timestamp, at)
    holds("type", read.timestamp_type in (None, "create"), read.timestamp_type)


@behaviour(
    "message.timestamp.type=LogAppendTime: the timestamp is the broker's, whatever the producer "
    "said.",
    needs="produce read timestamps",
)
def log_append_time(case: Case) -> None:
    topic = case.topic(message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    case.producer().put(topic, b"v", timestamp=before - 86_400_000)
    (read,) = case.reader(topic).take(1)
    after = int(time.time() * 1000)
    holds("between sending and reading", before - 1 <= (read.timestamp or 0) <= after + 1, read)
    holds("type", read.timestamp_type in (None, "append"), read.timestamp_type)


@behaviour(
    "INVALID_TIMESTAMP: the timestamp of the message is out of acceptable range "
    "(message.timestamp.after.max.ms).",
    needs="produce timestamps",
)
def timestamp_too_late(case: Case) -> None:
    topic = case.topic(message_timestamp_after_max_ms=60_000)
    at = int(time.time() * 1000) + 86_400_000
    code = case.producer().refusal(Record(topic=topic, value=b"v", timestamp=at))
    same("the code", code, "INVALID_TIMESTAMP")


@behaviour(
    "UNKNOWN_TOPIC_OR_PARTITION: this server does not host this topic-partition.",
    needs="produce partitions_explicit",
)
def partition_that_is_not_there(case: Case) -> None:
    topic = case.topic(partitions=2)
    producer = case.producer(prefer={"request_timeout_ms": 2000, "delivery_timeout_ms": 5000})
    code = producer.refusal(Record(topic=topic, value=b"v", partition=7))
    allowed = ("UNKNOWN_TOPIC_OR_PARTITION", "CLIENT", "TIMEOUT", "REQUEST_TIMED_OUT")
    holds("refused", code in allowed, code)


@behaviour("A burst of many records arrives whole.", needs="produce read")
def ten_thousand_records(case: Case) -> None:
    topic = case.topic(partitions=4)
    done = case.producer(prefer={"linger_ms": 5}).fill(topic, 10_000, size=200, keys=97)
    same("acknowledged", (done["acked"], done["failed"]), (10_000, 0))
    read = case.reader(topic, *range(4)).drain(10_000)
    same("read", (read["count"], read["in_order"]), (10_000, True))
