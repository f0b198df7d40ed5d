"""Consumer groups of stock clients: members join, leave, crash and rejoin; offsets are kept."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clients import KafkaPython, Message
from tests.support.process import BrokerProcess, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = count()


def create_topic(broker: BrokerProcess, partitions: int) -> str:
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = f"groups-{next(NAMES)}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)
    return topic


def spread(broker: BrokerProcess, topic: str, partitions: int, per_partition: int) -> None:
    KafkaPython().produce(
        broker.bootstrap,
        topic,
        [Message(b"%d" % i, partition=i % partitions) for i in range(per_partition * partitions)],
    )


class Member:
    """One confluent-kafka group member polled by a thread of its own."""

    def __init__(self, broker: BrokerProcess, group: str, topic: str, **options: Any) -> None:
        from confluent_kafka import Consumer

        self.assigned: set[int] = set()
        self.seen: list[tuple[int, int]] = []
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._leave = True
        settings = {
            "bootstrap.servers": broker.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            "enable.auto.commit": True,
            "auto.commit.interval.ms": 200,
        }
        self.consumer = Consumer(settings | options)
        self.consumer.subscribe(
            [topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
        )
        self._cooperative = options.get("partition.assignment.strategy") == "cooperative-sticky"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _assign(self, consumer: Any, partitions: list[Any]) -> None:
        mine = {p.partition for p in partitions}
        self.assigned = self.assigned | mine if self._cooperative else mine

    def _revoke(self, consumer: Any, partitions: list[Any]) -> None:
        self.assigned = self.assigned - {p.partition for p in partitions}

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                message = self.consumer.poll(0.05)
                if message is not None and message.error() is None:
                    self.seen.append((message.partition(), message.offset()))
            if self._leave:
                self.consumer.close()
        except BaseException as error:
            self.failure = error

    def leave(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert self.failure is None, self.failure


@pytest.fixture
def member(memory_broker: BrokerProcess) -> Iterator[Callable[..., Member]]:
    members: list[Member] = []

    def join(group: str, topic: str, **options: Any) -> Member:
        members.append(Member(memory_broker, group, topic, **options))
        return members[-1]

    yield join
    for one in members:
        one.leave()


def shared(members: list[Member], partitions: int) -> bool:
    """Every partition has exactly one owner, and every member has some."""
    owned = [p for m in members for p in m.assigned]
    return sorted(owned) == list(range(partitions)) and all(m.assigned for m in members)


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_members_share_the_partitions_and_take_over_from_those_that_leave(
    memory_broker: BrokerProcess, member: Callable[..., Member], strategy: str
) -> None:
    topic, group = create_topic(memory_broker, 6), f"share-{strategy}"
    options = {"partition.assignment.strategy": strategy}
    spread(memory_broker, topic, 6, 10)
    first = member(group, topic, **options)
    eventually(lambda: shared([first], 6), what="one member owning all")
    second, third = member(group, topic, **options), member(group, topic, **options)
    eventually(lambda: shared([first, second, third], 6), what="three members sharing")
    second.leave()
    eventually(lambda: shared([first, third], 6), what="two members sharing")
    eventually(
        lambda: {p for m in (first, second, third) for p, _ in m.seen} == set(range(6)),
        what="records of every partition",
    )


def test_a_member_that_falls_silent_loses_its_partitions(
    memory_broker: BrokerProcess, member: Callable[..., Member], start_member: Callable[..., Any]
) -> None:
    topic, group = create_topic(memory_broker, 4), "crash"
    stays = member(group, topic)
    eventually(lambda: shared([stays], 4))
    crashes = start_member(memory_broker.bootstrap, group, topic)
    eventually(lambda: len(stays.assigned) == 2, what="sharing with the other process")
    crashes.kill()
    eventually(lambda: shared([stays], 4), what="taking over after the session timeout")


CRASHING_MEMBER = """
import sys
from confluent_kafka import Consumer
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2],
                     "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
consumer.subscribe([sys.argv[3]])
while True:
    consumer.poll(0.1)
"""


@pytest.fixture
def start_member() -> Iterator[Callable[..., Any]]:
    import subprocess
    import sys

    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen([sys.executable, "-c", CRASHING_MEMBER, *arguments]))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait(60)


def test_manual_commits_are_where_the_next_member_begins(memory_broker: BrokerProcess) -> None:
    from kafka import KafkaConsumer, TopicPartition
    from kafka.structs import OffsetAndMetadata

    topic, group = create_topic(memory_broker, 1), "manual"
    spread(memory_broker, topic, 1, 100)
    partition = TopicPartition(topic, 0)
    first = KafkaConsumer(
        topic,
        bootstrap_servers=memory_broker.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    got: list[int] = []
    eventually(lambda: got.extend(offsets_of(first.poll(500))) or len(got) >= 40)
    first.commit({partition: OffsetAndMetadata(40, "forty", -1)})
    assert first.committed(partition) == 40
    first.close(autocommit=False)
    second = KafkaConsumer(
        topic,
        bootstrap_servers=memory_broker.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    rest: list[int] = []
    eventually(lambda: rest.extend(offsets_of(second.poll(500))) or len(rest) >= 60)
    assert rest == list(range(40, 100))
    second.close(autocommit=False)


def offsets_of(batches: dict[Any, list[Any]]) -> list[int]:
    return [record.offset for batch in batches.values() for record in batch]


async def test_aiokafka_members_rebalance_and_commit(memory_broker: BrokerProcess) -> None:
    import anyio
    from aiokafka import AIOKafkaConsumer, TopicPartition

    topic, group = create_topic(memory_broker, 4), "aio"
    spread(memory_broker, topic, 4, 25)

    def consumer() -> Any:
        return AIOKafkaConsumer(
            topic,
            bootstrap_servers=memory_broker.bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=300,
        )

    first = consumer()
    await first.start()
    got = 0
    with anyio.fail_after(60):
        while got < 100:
            got += sum(map(len, (await first.getmany(timeout_ms=300)).values()))
    await first.commit()
    second = consumer()
    await second.start()
    with anyio.fail_after(60):
        while len(first.assignment()) != 2 or len(second.assignment()) != 2:
            await first.getmany(timeout_ms=100)
            await second.getmany(timeout_ms=100)
    await first.stop()
    with anyio.fail_after(60):
        while len(second.assignment()) != 4:
            await second.getmany(timeout_ms=100)
    for partition in range(4):
        assert await second.committed(TopicPartition(topic, partition)) == 25
    await second.stop()


test_aiokafka_members_rebalance_and_commit = pytest.mark.anyio(
    test_aiokafka_members_rebalance_and_commit
)


def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(
    memory_broker: BrokerProcess, member: Callable[..., Member]
) -> None:
    topic, group = create_topic(memory_broker, 4), "static"
    other = member(group, topic, **{"group.instance.id": "b"})
    first = member(group, topic, **{"group.instance.id": "a"})
    eventually(lambda: shared([other, first], 4))
    before = first.assigned, other.assigned
    first.leave()
    again = member(group, topic, **{"group.instance.id": "a"})
    eventually(lambda: bool(again.assigned), what="the static member's return")
    assert (again.assigned, other.assigned) == before
