"""A driver around aiokafka: what it does runs on one event loop, commands wait beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka import (
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    TopicPartition,
    __version__,
)
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from compat.drivers.python.aiokafka_admin import Admin
from compat.drivers.python.aiokafka_producer import Producer
from compat.drivers.python.aiokafka_words import CLIENT_SETTINGS, LOOP, explain
from compat.drivers.python.buffer import Fetched, Next, one_of
from compat.drivers.python.consuming import SteeredConsumer
from compat.drivers.python.service import Service
from compat.drivers.python.words import (
    Json,
    Partition,
    chosen,
    encode,
    name_of,
    pairs,
    renamed,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

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
)

CONSUMER_SETTINGS = CLIENT_SETTINGS | {
    "rack": "client_rack",
    "group": "group_id",
    "instance_id": "group_instance_id",
    "auto_commit": "enable_auto_commit",
    "auto_commit_interval_ms": "auto_commit_interval_ms",
    "reset": "auto_offset_reset",
    "session_timeout_ms": "session_timeout_ms",
    "heartbeat_interval_ms": "heartbeat_interval_ms",
    "max_poll_interval_ms": "max_poll_interval_ms",
    "rebalance_timeout_ms": "rebalance_timeout_ms",
    "assignor": "partition_assignment_strategy",
    "isolation": "isolation_level",
    "fetch_min_bytes": "fetch_min_bytes",
    "fetch_max_wait_ms": "fetch_max_wait_ms",
    "fetch_max_bytes": "fetch_max_bytes",
    "partition_max_bytes": "max_partition_fetch_bytes",
    "max_poll_records": "max_poll_records",
    "check_crcs": "check_crcs",
}
ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._consumer.assigned(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._consumer.revoked(revoked)


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
        settings = renamed(config, CONSUMER_SETTINGS)
        if "assignor" in config:
            assignor = chosen("assignor", config["assignor"], ASSIGNORS)
            settings["partition_assignment_strategy"] = (assignor,)
        super().__init__(auto_commit=settings.get("enable_auto_commit", True))
        self._consumer: Any = None
        LOOP.run(self._open(settings, topics, pattern, assign))

    async def _open(
        self,
        settings: Json,
        topics: list[str] | None,
        pattern: str | None,
        assign: list[Json] | None,
    ) -> None:
        self._consumer = AIOKafkaConsumer(**settings)
        try:
            # Before it is told of topics: start would wait for the group.
            await self._consumer.start()
            if assign is None:
                chosen_by = {"topics": topics} if pattern is None else {"pattern": pattern}
                self._consumer.subscribe(**chosen_by, listener=Listener(self))
                return
            await self._assign(assign)
        except BaseException:
            await self._consumer.stop()
            raise

    async def _assign(self, assign: list[Json]) -> None:
        """All before the loop goes on: meanwhile it would look for positions of its own."""
        self._consumer.assign([TopicPartition(*at) for at in pairs(assign)])
        named: dict[int | str, list[TopicPartition]] = {}
        for at, one in zip(pairs(assign), assign, strict=True):
            offset = one.get("offset", "committed")
            if isinstance(offset, int):
                self._consumer.seek(TopicPartition(*at), offset)
            else:
                named.setdefault(offset, []).append(TopicPartition(*at))
        seeks = {
            "earliest": self._consumer.seek_to_beginning,
            "latest": self._consumer.seek_to_end,
        }
        for offset, seek in seeks.items():
            if offset in named:
                await seek(*named[offset])

    def poll_client(self, seconds: float) -> bool:
        return LOOP.run(self._getmany(seconds))

    async def _getmany(self, seconds: float) -> bool:
        polled = await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        # On the loop, as the listener: what it polled stands before what is revoked next.
        for records in polled.values():
            self.buffer.add(map(_fetched, records))
        return bool(polled)

    def line(self, one: Fetched) -> Json:
        record = one.record
        return {
            "topic": one.topic,
            "partition": one.partition,
            "offset": one.offset,
            "key": encode(record.key),
            "value": encode(record.value),
            "headers": [[name, encode(value)] for name, value in record.headers],
            "timestamp": record.timestamp,
            "timestamp_type": "append" if record.timestamp_type == 1 else "create",
        }

    def assignment(self) -> set[Partition]:
        return {(at.topic, at.partition) for at in self._consumer.assignment()}

    def pause_client(self, partitions: set[Partition]) -> None:
        self._on_loop(self._consumer.pause, *(TopicPartition(*at) for at in partitions))

    def resume_client(self, partitions: set[Partition]) -> None:
        self._on_loop(self._consumer.resume, *(TopicPartition(*at) for at in partitions))

    def _on_loop(self, work: Any, *arguments: Any) -> None:
        async def call() -> None:
            work(*arguments)

        LOOP.run(call())

    def seek_client(self, at: Partition, offset: int | str) -> None:
        LOOP.run(self._seek(at, offset))

    async def _seek(self, at: Partition, offset: int | str) -> None:
        if offset == "earliest":
            await self._consumer.seek_to_beginning(TopicPartition(*at))
        elif offset == "latest":
            await self._consumer.seek_to_end(TopicPartition(*at))
        else:
            self._consumer.seek(TopicPartition(*at), offset)

    def commit_client(self, offsets: dict[Partition, Next]) -> None:
        if any(one.leader_epoch is not None for one in offsets.values()):
            raise unsupported("leader_epoch of a commit")
        wanted = {TopicPartition(*at): (one.offset, one.metadata) for at, one in offsets.items()}
        LOOP.run(self._consumer.commit(wanted))

    def committed(self, partitions: list[Json]) -> Json:
        offsets: Json = {}
        for at in pairs(partitions):
            offset = LOOP.run(self._consumer.committed(TopicPartition(*at)))
            offsets[name_of(*at)] = None if offset is None else {"offset": offset}
        return {"offsets": offsets}

    def position(self, partitions: list[Json]) -> Json:
        offsets: Json = {}
        for at in pairs(partitions):
            waiting = self.buffer.next_offset(at)
            if waiting is None:
                waiting = LOOP.run(self._consumer.position(TopicPartition(*at)))
            offsets[name_of(*at)] = waiting
        return {"offsets": offsets}

    def offsets(self, partitions: list[Json], at: int | str) -> Json:
        wanted = [TopicPartition(*one) for one in pairs(partitions)]
        told: dict[Any, Json | None]
        if isinstance(at, str):
            ask = {
                "earliest": self._consumer.beginning_offsets,
                "latest": self._consumer.end_offsets,
            }
            found = LOOP.run(chosen("offsets at", at, ask)(wanted))
            told = {one: {"offset": offset, "timestamp": None} for one, offset in found.items()}
        else:
            found = LOOP.run(self._consumer.offsets_for_times(dict.fromkeys(wanted, at)))
            told = {
                one: at and {"offset": at.offset, "timestamp": at.timestamp}
                for one, at in found.items()
            }
        return {"offsets": {name_of(*one): told.get(one) for one in wanted}}

    def close(self) -> Json:
        LOOP.run(self._consumer.stop())
        return {}


def _fetched(record: Any) -> Fetched:
    size = len(record.value or b"")
    return Fetched(record.topic, record.partition, record.offset, None, size, record)


def main() -> None:
    Service(
        client="aiokafka",
        version=__version__,
        partitioner="java",
        capabilities=CAPABILITIES,
        kinds={"producer": Producer, "consumer": Consumer, "admin": Admin},
    ).run()


if __name__ == "__main__":
    main()
