"""A driver around kafka-python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka import (
    ConsumerRebalanceListener,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
    __version__,
)

from compat.drivers.python.buffer import Fetched, Next, one_of
from compat.drivers.python.consuming import SteeredConsumer
from compat.drivers.python.kafka_python_admin import Admin
from compat.drivers.python.kafka_python_settings import consumer_settings, producer_settings
from compat.drivers.python.kafka_python_words import explain
from compat.drivers.python.producing import Landed, Outgoing, SendingProducer
from compat.drivers.python.service import Service
from compat.drivers.python.words import Json, Partition, chosen, encode, name_of, pairs

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
    "sticky",
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
    "partitions_explicit",
    "events",
    "generation",
)

JOIN_SECONDS = 1.0
"""A poll that joins: kafka-python 3.0.12 forgets its assignment if the poll ends between its own
decision, as leader, and the coordinator's answer, which short polls make likely."""


class Producer(SendingProducer):
    explain = staticmethod(explain)

    def __init__(self, config: Json) -> None:
        self._producer = KafkaProducer(**producer_settings(config))
        self._is_answered = self._producer.config["acks"] != 0

    def start(self, record: Outgoing) -> Callable[[], Landed]:
        future = self._producer.send(
            record.topic,
            value=record.value,
            key=record.key,
            headers=list(record.headers),
            partition=record.partition,
            timestamp_ms=record.timestamp,
        )

        def wait() -> Landed:
            told = future.get()
            # Without an answer it says 0.
            offset = told.offset if self._is_answered else -1
            return Landed(told.partition, offset, told.timestamp)

        return wait

    def flush(self) -> Json:
        self._producer.flush()
        return {}

    def close(self) -> Json:
        self._producer.close()
        return {}


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Called while the consumer's poll, or its close, waits: from another thread, not beside it."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._consumer.assigned(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._consumer.revoked(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._consumer.lost(lost)


class Consumer(SteeredConsumer):
    explain = staticmethod(explain)

    def __init__(
        self,
        config: Json,
        topics: list[str] | None = None,
        pattern: str | None = None,
        assign: list[Json] | None = None,
    ) -> None:
        one_of(topics, pattern, assign)
        self._consumer = KafkaConsumer(**consumer_settings(config))
        super().__init__(auto_commit=self._consumer.config["enable_auto_commit"])
        if assign is not None:
            self._consumer.assign([TopicPartition(*at) for at in pairs(assign)])
            for at, one in zip(pairs(assign), assign, strict=True):
                if one.get("offset", "committed") != "committed":
                    self.seek_client(at, one["offset"])
        elif pattern is not None:
            self._consumer.subscribe(pattern=pattern, listener=Listener(self))
        else:
            self._consumer.subscribe(topics, listener=Listener(self))

    def poll_client(self, seconds: float) -> bool:
        if self._consumer._coordinator.need_rejoin():
            seconds = JOIN_SECONDS
        # Listeners are called before it fetches, never after.
        polled = self._consumer.poll(timeout_ms=int(seconds * 1000))
        for records in polled.values():
            self.buffer.add(map(_fetched, records))
        return bool(polled)

    def line(self, one: Fetched) -> Json:
        record = one.record
        told: Json = {
            "topic": one.topic,
            "partition": one.partition,
            "offset": one.offset,
            "key": encode(record.key),
            "value": encode(record.value),
            "headers": [[name, encode(value)] for name, value in record.headers],
            "timestamp": record.timestamp,
            "timestamp_type": "append" if record.timestamp_type == 1 else "create",
        }
        return told | ({} if one.leader_epoch is None else {"leader_epoch": one.leader_epoch})

    def assignment(self) -> set[Partition]:
        return {(at.topic, at.partition) for at in self._consumer.assignment()}

    def membership(self) -> Json:
        member = self._consumer.group_metadata()
        return {"generation": member.generation_id, "member_id": member.member_id}

    def pause_client(self, partitions: set[Partition]) -> None:
        self._consumer.pause(*(TopicPartition(*at) for at in partitions))

    def resume_client(self, partitions: set[Partition]) -> None:
        self._consumer.resume(*(TopicPartition(*at) for at in partitions))

    def seek_client(self, at: Partition, offset: int | str) -> None:
        if offset == "earliest":
            self._consumer.seek_to_beginning(TopicPartition(*at))
        elif offset == "latest":
            self._consumer.seek_to_end(TopicPartition(*at))
        else:
            self._consumer.seek(TopicPartition(*at), offset)

    def commit_client(self, offsets: dict[Partition, Next]) -> None:
        self._consumer.commit(
            {
                TopicPartition(*at): OffsetAndMetadata(
                    one.offset,
                    one.metadata,
                    -1 if one.leader_epoch is None else one.leader_epoch,
                )
                for at, one in offsets.items()
            }
        )

    def committed(self, partitions: list[Json]) -> Json:
        offsets: Json = {}
        for at in pairs(partitions):
            one = self._consumer.committed(TopicPartition(*at), metadata=True)
            offsets[name_of(*at)] = one and {"offset": one.offset, "metadata": one.metadata}
        return {"offsets": offsets}

    def position(self, partitions: list[Json]) -> Json:
        offsets: Json = {}
        for at in pairs(partitions):
            waiting = self.buffer.next_offset(at)
            told = self._consumer.position(TopicPartition(*at)) if waiting is None else waiting
            offsets[name_of(*at)] = told
        return {"offsets": offsets}

    def offsets(self, partitions: list[Json], at: int | str) -> Json:
        wanted = [TopicPartition(*one) for one in pairs(partitions)]
        found: dict[Any, Any]
        if isinstance(at, str):
            ask = {
                "earliest": self._consumer.beginning_offsets,
                "latest": self._consumer.end_offsets,
            }
            found = chosen("offsets at", at, ask)(wanted)
            told = {one: {"offset": offset, "timestamp": None} for one, offset in found.items()}
        else:
            found = self._consumer.offsets_for_times(dict.fromkeys(wanted, at))
            told = {
                one: at and {"offset": at.offset, "timestamp": at.timestamp}
                for one, at in found.items()
            }
        return {"offsets": {name_of(*one): told.get(one) for one in wanted}}

    def close(self) -> Json:
        self._consumer.close()
        return {}


def _fetched(record: Any) -> Fetched:
    return Fetched(
        record.topic,
        record.partition,
        record.offset,
        record.leader_epoch if record.leader_epoch >= 0 else None,
        len(record.value or b""),
        record,
    )


def main() -> None:
    Service(
        client="kafka-python",
        version=__version__,
        partitioner="java",
        capabilities=CAPABILITIES,
        kinds={"producer": Producer, "consumer": Consumer, "admin": Admin},
    ).run()


if __name__ == "__main__":
    main()
