"""A driver around confluent-kafka, which is librdkafka."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
    version,
)

from compat.drivers.python.buffer import Fetched, Next, one_of
from compat.drivers.python.confluent_admin import Admin
from compat.drivers.python.confluent_words import explain, explain_error, to_commit
from compat.drivers.python.consuming import SteeredConsumer
from compat.drivers.python.librdkafka_settings import consumer_settings, producer_settings
from compat.drivers.python.producing import Landed, Outgoing, SendingProducer
from compat.drivers.python.service import Service
from compat.drivers.python.words import Json, Partition, encode, name_of, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CAPABILITIES = (
    "produce",
    "consume",
    "groups",
    "headers",
    "timestamps",
    "idempotent",
    "acks0",
    "regex",
    "static_membership",
    "cooperative",
    "range",
    "roundrobin",
    "auto_commit",
    "auto_commit_interval",
    "manual_commit",
    "offsets_for_times",
    "pause",
    "reset_none",
    "isolation",
    "gzip",
    "snappy",
    "lz4",
    "zstd",
    "partitioner_java",
    "partitioner_librdkafka",
    "partitions_explicit",
    "events",
)
MOST_POLLED = 500
"""Records before a command that waits is looked at."""


class ProducerHandle(SendingProducer):
    explain = staticmethod(explain)

    def __init__(self, config: Json) -> None:
        self._producer = Producer(producer_settings(config))

    def start(self, record: Outgoing) -> Callable[[], Landed]:
        answers: list[tuple[KafkaError | None, Message]] = []
        optional: Json = {}
        if record.partition is not None:
            optional["partition"] = record.partition
        if record.timestamp is not None:
            optional["timestamp"] = record.timestamp
        if record.headers:
            optional["headers"] = list(record.headers)
        self._producer.produce(
            record.topic,
            value=record.value,
            key=record.key,
            on_delivery=lambda error, message: answers.append((error, message)),
            **optional,
        )

        def wait() -> Landed:
            while not answers:
                self._producer.poll(1)
            ((error, message),) = answers
            if error is not None:
                raise explain_error(error)
            partition, offset = message.partition(), message.offset()
            kind, timestamp = message.timestamp()
            return Landed(
                -1 if partition is None else partition,
                -1 if offset is None or offset == OFFSET_INVALID else offset,
                None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
            )

        return wait

    def flush(self) -> Json:
        self._producer.flush()
        return {}

    def close(self) -> Json:
        self._producer.close()
        return {}


class ConsumerHandle(SteeredConsumer):
    explain = staticmethod(explain)
    empty_poll_is_success = False  # an error is a message among others

    def __init__(
        self,
        config: Json,
        topics: list[str] | None = None,
        pattern: str | None = None,
        assign: list[Json] | None = None,
    ) -> None:
        one_of(topics, pattern, assign)
        settings = consumer_settings(config)
        if "group.id" not in settings:
            # It does not open without a group; this one is never joined, nor committed to.
            settings |= {"group.id": f"none-{uuid.uuid4()}", "enable.auto.commit": False}
        super().__init__(auto_commit=settings.get("enable.auto.commit", True))
        self._consumer = Consumer(settings)
        if assign is not None:
            self._consumer.assign(
                [
                    _at(at, one.get("offset", "committed"))
                    for at, one in zip(pairs(assign), assign, strict=True)
                ]
            )
            return
        self._consumer.subscribe(
            topics or [_regex(pattern or "")],
            on_assign=lambda _, partitions: self.assigned(_pairs(partitions)),
            on_revoke=lambda _, partitions: self.revoked(_pairs(partitions)),
            on_lost=lambda _, partitions: self.lost(_pairs(partitions)),
        )

    def poll_client(self, seconds: float) -> bool:
        has_come = False
        for number in range(MOST_POLLED):
            message = self._consumer.poll(0 if number else seconds)
            if message is None:
                break
            error = message.error()
            if error is not None:
                raise explain_error(error)
            self.buffer.add([_fetched(message)])
            has_come = True
        return has_come

    def line(self, one: Fetched) -> Json:
        message = one.record
        kind, timestamp = message.timestamp()
        told: Json = {
            "topic": one.topic,
            "partition": one.partition,
            "offset": one.offset,
            "key": encode(message.key()),
            "value": encode(message.value()),
            "headers": [[name, encode(value)] for name, value in message.headers() or ()],
            "timestamp": None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
            "timestamp_type": "append" if kind == TIMESTAMP_LOG_APPEND_TIME else "create",
        }
        return told | ({} if one.leader_epoch is None else {"leader_epoch": one.leader_epoch})

    def assignment(self) -> set[Partition]:
        return set(_pairs(self._consumer.assignment()))

    def membership(self) -> Json:
        return {"member_id": self._consumer.memberid()}

    def pause_client(self, partitions: set[Partition]) -> None:
        self._consumer.pause([TopicPartition(*at) for at in partitions])

    def resume_client(self, partitions: set[Partition]) -> None:
        self._consumer.resume([TopicPartition(*at) for at in partitions])

    def seek_client(self, at: Partition, offset: int | str) -> None:
        self._consumer.seek(_at(at, offset))

    def commit_client(self, offsets: dict[Partition, Next]) -> None:
        wanted = [to_commit(at, one) for at, one in offsets.items()]
        for done in self._consumer.commit(offsets=wanted, asynchronous=False):
            if done.error is not None:
                raise explain_error(done.error)

    def committed(self, partitions: list[Json]) -> Json:
        told = self._consumer.committed([TopicPartition(*at) for at in pairs(partitions)])
        offsets: Json = {}
        for one in told:
            if one.error is not None:
                raise explain_error(one.error)
            offsets[name_of(one.topic, one.partition)] = (
                {"offset": one.offset, "metadata": one.metadata or ""} if one.offset >= 0 else None
            )
        return {"offsets": offsets}

    def position(self, partitions: list[Json]) -> Json:
        told = self._consumer.position([TopicPartition(*at) for at in pairs(partitions)])
        offsets: Json = {}
        for one in told:
            waiting = self.buffer.next_offset((one.topic, one.partition))
            known = one.offset if one.offset >= 0 else None
            offsets[name_of(one.topic, one.partition)] = known if waiting is None else waiting
        return {"offsets": offsets}

    def offsets(self, partitions: list[Json], at: int | str) -> Json:
        wanted = pairs(partitions)
        found: dict[Partition, int]
        if isinstance(at, int):
            asked = [TopicPartition(*one, at) for one in wanted]
            told = self._consumer.offsets_for_times(asked)
            found = {(one.topic, one.partition): one.offset for one in told}
        else:
            end = {"earliest": 0, "latest": 1}[at]
            found = {
                one: self._consumer.get_watermark_offsets(TopicPartition(*one))[end]
                for one in wanted
            }
        return {
            "offsets": {
                # It says of none later what it says of the end.
                name_of(*one): None if offset < 0 else {"offset": offset, "timestamp": None}
                for one, offset in found.items()
            }
        }

    def close(self) -> Json:
        self._consumer.close()
        return {}


def _at(at: Partition, offset: int | str) -> TopicPartition:
    named = {"earliest": OFFSET_BEGINNING, "latest": OFFSET_END, "committed": OFFSET_INVALID}
    return TopicPartition(*at, named[offset] if isinstance(offset, str) else offset)


def _regex(pattern: str) -> str:
    """What begins with ^ is a pattern to it, and anything else a name."""
    return pattern if pattern.startswith("^") else f"^{pattern}"


def _pairs(partitions: Iterable[TopicPartition]) -> list[Partition]:
    return [(one.topic, one.partition) for one in partitions]


def _fetched(message: Any) -> Fetched:
    epoch = message.leader_epoch()
    return Fetched(
        message.topic(),
        message.partition(),
        message.offset(),
        epoch if epoch is not None and epoch >= 0 else None,
        len(message.value() or b""),
        message,
    )


def main() -> None:
    Service(
        client="confluent-kafka",
        version=str(version()),
        partitioner="librdkafka",
        capabilities=CAPABILITIES,
        kinds={"producer": ProducerHandle, "consumer": ConsumerHandle, "admin": Admin},
    ).run()


if __name__ == "__main__":
    main()
