"""What behaviours use of a driver: producers, consumers, admins; bytes instead of base64."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compat.driver import PATIENCE_SECONDS, DriverError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from compat.driver import Driver, Json

_HANDLES = itertools.count(1)
PATIENCE_MS = int(PATIENCE_SECONDS * 1000)

TopicPartition = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Record:
    """As it is sent, or as it was read; what is None was not told by the client."""

    topic: str = ""
    partition: int | None = None
    offset: int | None = None
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None
    timestamp_type: str | None = None
    leader_epoch: int | None = None

    @property
    def contents(self) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]:
        """What a producer chose: key, value, headers."""
        return self.key, self.value, self.headers

    def to_json(self) -> Json:
        line: Json = {"topic": self.topic, "key": _text(self.key), "value": _text(self.value)}
        if self.headers:
            line["headers"] = [[name, _text(value)] for name, value in self.headers]
        for name in ("partition", "timestamp"):
            if getattr(self, name) is not None:
                line[name] = getattr(self, name)
        return line

    @classmethod
    def from_json(cls, line: Json) -> Record:
        return cls(
            topic=line["topic"],
            partition=line["partition"],
            offset=line["offset"],
            key=_bytes(line.get("key")),
            value=_bytes(line.get("value")),
            headers=tuple((name, _bytes(value)) for name, value in line.get("headers") or ()),
            timestamp=line.get("timestamp"),
            timestamp_type=line.get("timestamp_type"),
            leader_epoch=line.get("leader_epoch"),
        )


@dataclass(frozen=True)
class Sent:
    """The answer to one record: where it is, or why it is not (then ``offset`` is None)."""

    partition: int | None = None
    offset: int | None = None
    timestamp: int | None = None
    error: DriverError | None = None


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def name_of(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


def _names(partitions: Iterable[TopicPartition]) -> list[Json]:
    return [{"topic": topic, "partition": partition} for topic, partition in partitions]


class _Opened:
    """A handle of a driver."""

    kind = ""

    def __init__(self, driver: Driver, **fields: Any) -> None:
        self.driver = driver
        self.handle = f"{self.kind[0]}{next(_HANDLES)}"
        self._do("open", **fields)

    def _do(self, verb: str, **fields: Any) -> Json:
        """Waits longer than the command itself may, and than clients do by default: a minute."""
        patience = 2 * PATIENCE_SECONDS + fields.get("timeout_ms", 0) / 1000
        op = f"{self.kind}.{verb}"
        return self.driver.call(op, patience=patience, handle=self.handle, **fields)

    def _begin(self, verb: str, **fields: Any) -> Future[Json]:
        return self.driver.begin(f"{self.kind}.{verb}", handle=self.handle, **fields)

    def close(self) -> None:
        self._do("close")


class Producer(_Opened):
    kind = "producer"

    def send(self, *records: Record, each: bool = False) -> list[Sent]:
        """All answers, in order. ``each`` waits for one before it sends the next."""
        fields = {"records": [record.to_json() for record in records], "each": each}
        return [self._sent(one) for one in self._do("send", **fields)["sent"]]

    def begin(self, *records: Record) -> Future[Json]:
        return self._begin("send", records=[record.to_json() for record in records])

    def put(self, topic: str, *values: bytes | None, **fields: Any) -> list[int]:
        """Sends values that must arrive; their offsets."""
        sent = self.send(*(Record(topic=topic, value=value, **fields) for value in values))
        for one in sent:
            if one.error is not None:
                raise one.error
        return [one.offset if one.offset is not None else -1 for one in sent]

    def refusal(self, record: Record) -> str:
        """The code with which one record is refused. Raises AssertionError if it is not."""
        try:
            (sent,) = self.send(record)
        except DriverError as error:
            return error.code
        if sent.error is None:
            raise AssertionError(f"was acknowledged at offset {sent.offset}")
        return sent.error.code

    def fill(self, topic: str, count: int, **fields: Any) -> Json:
        options = {"size": 100, "prefix": "v", "partition": None, "keys": None} | fields
        return self._do("fill", topic=topic, count=count, **options)

    def begin_fill(self, topic: str, count: int, **fields: Any) -> Future[Json]:
        options = {"size": 100, "prefix": "v", "partition": None, "keys": None} | fields
        return self._begin("fill", topic=topic, count=count, **options)

    def flush(self) -> None:
        self._do("flush")

    @staticmethod
    def _sent(answer: Json) -> Sent:
        if "error" in answer:
            return Sent(error=DriverError(answer["error"], "producer.send"))
        return Sent(answer["partition"], answer["offset"], answer.get("timestamp"))


class Consumer(_Opened):
    kind = "consumer"

    def __init__(self, driver: Driver, **fields: Any) -> None:
        self._happened: list[Json] = []
        super().__init__(driver, **fields)

    def take(self, count: int, timeout_ms: int = PATIENCE_MS) -> list[Record]:
        """Exactly ``count`` records. Raises AssertionError with what came instead."""
        records = self.upto(count, timeout_ms)
        if len(records) < count:
            raise AssertionError(f"{len(records)} of {count} records came: {_brief(records)}")
        return records

    def upto(self, count: int, timeout_ms: int) -> list[Record]:
        fields = {"count": count, "timeout_ms": timeout_ms}
        return [Record.from_json(line) for line in self._do("take", **fields)["records"]]

    def drain(self, count: int, timeout_ms: int = PATIENCE_MS) -> Json:
        return self._do("drain", count=count, timeout_ms=timeout_ms)

    def events(self, wait_for: str | None = None, timeout_ms: int = PATIENCE_MS) -> list[Json]:
        """What happened since the last call; waits for one of a kind that has not happened."""
        if any(event["event"] == wait_for for event in self._happened):
            wait_for = None
        fields = {"wait_for": wait_for, "timeout_ms": timeout_ms if wait_for else 0}
        self._happened += self._do("events", **fields)["events"]
        happened, self._happened = self._happened, []
        return happened

    def assignment(self) -> set[TopicPartition]:
        answer = self._do("events", wait_for=None, timeout_ms=0)
        self._happened += answer["events"]
        return {(p["topic"], p["partition"]) for p in answer["assignment"]}

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        chosen: Json | None = None
        if offsets is not None:
            chosen = {name_of(*at): {"offset": offset} for at, offset in offsets.items()}
        self._do("commit", offsets=chosen)

    def committed(self, *partitions: TopicPartition) -> dict[TopicPartition, int | None]:
        answer = self._do("committed", partitions=_names(partitions))["offsets"]
        found = {at: answer.get(name_of(*at)) for at in partitions}
        return {at: one and one["offset"] for at, one in found.items()}

    def position(self, topic: str, partition: int) -> int:
        answer = self._do("position", partitions=_names([(topic, partition)]))
        position: int = answer["offsets"][name_of(topic, partition)]
        return position

    def seek(self, topic: str, partition: int, offset: int | str) -> None:
        self._do("seek", partition={"topic": topic, "partition": partition}, offset=offset)

    def pause(self, *partitions: TopicPartition) -> None:
        self._do("pause", partitions=_names(partitions))

    def resume(self, *partitions: TopicPartition) -> None:
        self._do("resume", partitions=_names(partitions))

    def offset_at(self, topic: str, partition: int, at: int | str) -> Json | None:
        answer = self._do("offsets", partitions=_names([(topic, partition)]), at=at)
        found: Json | None = answer["offsets"][name_of(topic, partition)]
        return found


class Admin(_Opened):
    """Commands are called by their names in PROTOCOL.md: ``admin.do("create_topics", ...)``."""

    kind = "admin"

    def do(self, verb: str, **fields: Any) -> Json:
        return self._do(verb, **fields)

    def create_topic(
        self,
        topic: str,
        partitions: int = 1,
        replication: int = 1,
        configs: Mapping[str, str] = {},
        assignments: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        new: Json = {"name": topic, "partitions": partitions, "replication": replication}
        new |= {"configs": dict(configs)} | ({"assignments": assignments} if assignments else {})
        check(self._do("create_topics", topics=[new], validate_only=False)["topics"][topic])

    def delete_topic(self, topic: str) -> None:
        check(self._do("delete_topics", topics=[topic])["topics"][topic])

    def describe_topic(self, topic: str) -> Json:
        return check(self._do("describe_topics", topics=[topic])["topics"][topic])

    def describe_group(self, group: str) -> Json:
        return check(self._do("describe_groups", groups=[group])["groups"][group])

    def group_offsets(self, group: str) -> dict[str, int]:
        answer = self._do("group_offsets", group=group, partitions=None)["offsets"]
        return {name: one["offset"] for name, one in answer.items() if one is not None}

    def end_offset(self, topic: str, partition: int, at: str | int = "latest") -> int:
        answer = self._do(
            "list_offsets",
            partitions=_names([(topic, partition)]),
            at=at,
            isolation="read_uncommitted",
        )["offsets"][name_of(topic, partition)]
        offset: int = check(answer)["offset"]
        return offset


def check(answer: Json) -> Json:
    """The answer for one of several. Raises DriverError if it is an error."""
    if "error" in answer:
        raise DriverError(answer["error"])
    return answer


def _brief(records: Sequence[Record]) -> str:
    shown = [f"{r.topic}-{r.partition}@{r.offset} {(r.value or b'')[:20]!r}" for r in records[:10]]
    return ", ".join(shown) + (" ..." if len(records) > 10 else "")
