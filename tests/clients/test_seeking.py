"""Where the stock clients' consumers begin, where they go when told, and what they commit."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clients import KafkaPython, Message
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.support.process import BrokerProcess

NAMES = count()
WAIT_SECONDS = 60
START_MS = 1_790_000_000_000
TAIL = -2000
"""librdkafka's offset of the end, less as many records as one wants."""


def new_name() -> str:
    return f"seeking-{next(NAMES)}"


def create(
    broker: BrokerProcess, partitions: int = 1, name: str | None = None, **config: str
) -> str:
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = name or new_name()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    config = {key.replace("_", "."): value for key, value in config.items()}
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(WAIT_SECONDS)
    return topic


def fill(broker: BrokerProcess, topic: str, records: int, partition: int = 0) -> None:
    """Records a second apart."""
    KafkaPython().produce(
        broker.bootstrap,
        topic,
        [
            Message(b"%d" % i, partition=partition, timestamp_ms=START_MS + 1000 * i)
            for i in range(records)
        ],
    )


def delete_up_to(broker: BrokerProcess, topic: str, offset: int) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    [done] = admin.delete_records([TopicPartition(topic, 0, offset)]).values()
    done.result(WAIT_SECONDS)


@pytest.fixture
def python(memory_broker: BrokerProcess) -> Iterator[Callable[..., Any]]:
    """Makes kafka-python consumers; closes them."""
    from kafka import KafkaConsumer

    made: list[Any] = []

    def make(*topics: str, **options: Any) -> Any:
        settings = {"enable_auto_commit": False, "metadata_max_age_ms": 500}
        made.append(
            KafkaConsumer(
                *topics, bootstrap_servers=memory_broker.bootstrap, **(settings | options)
            )
        )
        return made[-1]

    yield make
    for consumer in made:
        consumer.close(autocommit=False)


@pytest.fixture
def confluent(memory_broker: BrokerProcess) -> Iterator[Callable[..., Any]]:
    """Makes confluent-kafka consumers; closes them."""
    from confluent_kafka import Consumer

    made: list[Any] = []

    def make(**options: Any) -> Any:
        settings = {
            "bootstrap.servers": memory_broker.bootstrap,
            "group.id": new_name(),
            "enable.auto.commit": False,
            "topic.metadata.refresh.interval.ms": 500,
        }
        made.append(Consumer(settings | options))
        return made[-1]

    yield make
    for consumer in made:
        consumer.close()


def next_of(consumer: Any, wanted: int) -> list[Any]:
    """kafka-python: the next records, exactly as many as are asked for."""
    got: list[Any] = []

    def enough() -> bool:
        left = wanted - len(got)
        for batch in consumer.poll(timeout_ms=200, max_records=left).values():
            got.extend(batch)
        return len(got) >= wanted

    eventually(enough, what=f"{wanted} records")
    return got


def next_messages(consumer: Any, wanted: int) -> list[Any]:
    """confluent-kafka: the next messages, errors included."""
    got: list[Any] = []
    eventually(lambda: got.extend(consumer.consume(wanted - len(got), 0.2)) or len(got) >= wanted)
    return got


def with_aiokafka(
    broker: BrokerProcess, use: Callable[[Any], Awaitable[Any]], *topics: str, **options: Any
) -> Any:
    async def run() -> Any:
        from aiokafka import AIOKafkaConsumer

        settings = {"enable_auto_commit": False, "metadata_max_age_ms": 500}
        consumer = AIOKafkaConsumer(
            *topics, bootstrap_servers=broker.bootstrap, **(settings | options)
        )
        await consumer.start()
        try:
            return await asyncio.wait_for(use(consumer), WAIT_SECONDS)
        finally:
            await consumer.stop()

    return asyncio.run(run())


def committed_by_now(broker: BrokerProcess, group: str, topic: str) -> int:
    """What the broker has for the group; -1001 for nothing."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    [found] = consumer.committed([TopicPartition(topic, 0)], timeout=WAIT_SECONDS)
    consumer.close()
    offset: int = found.offset
    return offset


class TestPositions:
    def test_kafka_python_goes_where_it_is_told(
        self, python: Callable[..., Any], memory_broker: BrokerProcess
    ) -> None:
        from kafka import TopicPartition

        topic = create(memory_broker)
        fill(memory_broker, topic, 50)
        delete_up_to(memory_broker, topic, 5)
        partition = TopicPartition(topic, 0)
        consumer = python()
        consumer.assign([partition])
        consumer.seek(partition, 20)
        assert [r.offset for r in next_of(consumer, 3)] == [20, 21, 22]
        assert consumer.position(partition) == 23
        assert consumer.highwater(partition) == 50
        consumer.seek_to_beginning(partition)
        assert consumer.position(partition) == 5
        assert [r.offset for r in next_of(consumer, 1)] == [5]
        consumer.seek_to_end(partition)
        assert consumer.position(partition) == 50
        assert consumer.poll(timeout_ms=100) == {}
        assert consumer.beginning_offsets([partition]) == {partition: 5}
        assert consumer.end_offsets([partition]) == {partition: 50}

    def test_confluent_goes_where_it_is_told(
        self, confluent: Callable[..., Any], memory_broker: BrokerProcess
    ) -> None:
        from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, TopicPartition

        topic = create(memory_broker)
        fill(memory_broker, topic, 50)
        delete_up_to(memory_broker, topic, 5)
        consumer = confluent()
        for start, first in ((20, 20), (OFFSET_BEGINNING, 5), (TAIL - 3, 47)):
            consumer.assign([TopicPartition(topic, 0, start)])
            assert next_messages(consumer, 1)[0].offset() == first
        consumer.seek(TopicPartition(topic, 0, 30))
        assert next_messages(consumer, 1)[0].offset() == 30
        [at] = consumer.position([TopicPartition(topic, 0)])
        assert at.offset == 31
        assert consumer.get_watermark_offsets(TopicPartition(topic, 0), WAIT_SECONDS) == (5, 50)
        consumer.assign([TopicPartition(topic, 0, OFFSET_END)])
        assert consumer.poll(0.2) is None
        fill(memory_broker, topic, 1)
        assert next_messages(consumer, 1)[0].offset() == 50

    def test_aiokafka_goes_where_it_is_told(self, memory_broker: BrokerProcess) -> None:
        from aiokafka import TopicPartition

        topic = create(memory_broker)
        fill(memory_broker, topic, 50)
        delete_up_to(memory_broker, topic, 5)
        partition = TopicPartition(topic, 0)

        async def use(consumer: Any) -> None:
            consumer.assign([partition])
            consumer.seek(partition, 20)
            assert (await consumer.getone()).offset == 20
            assert await consumer.position(partition) == 21
            assert consumer.highwater(partition) == 50
            await consumer.seek_to_beginning(partition)
            assert (await consumer.getone()).offset == 5
            await consumer.seek_to_end(partition)
            assert await consumer.position(partition) == 50
            assert await consumer.beginning_offsets([partition]) == {partition: 5}
            assert await consumer.end_offsets([partition]) == {partition: 50}

        with_aiokafka(memory_broker, use)

    def test_paused_partitions_wait(
        self, python: Callable[..., Any], memory_broker: BrokerProcess
    ) -> None:
        from kafka import TopicPartition

        topic = create(memory_broker, 2)
        for number in (0, 1):
            fill(memory_broker, topic, 10, number)
        first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
        consumer = python(auto_offset_reset="earliest")
        consumer.assign([first, second])
        consumer.pause(first)
        assert {r.partition for r in next_of(consumer, 10)} == {1}
        assert consumer.poll(timeout_ms=200) == {}
        assert consumer.paused() == {first}
        consumer.resume(first)
        assert {r.partition for r in next_of(consumer, 10)} == {0}


class TestTimes:
    def test_all_clients_find_offsets_by_time(
        self,
        python: Callable[..., Any],
        confluent: Callable[..., Any],
        memory_broker: BrokerProcess,
    ) -> None:
        import aiokafka
        import confluent_kafka
        import kafka

        topic = create(memory_broker)
        fill(memory_broker, topic, 30)
        times = {START_MS - 1: 0, START_MS + 7000: 7, START_MS + 7001: 8, START_MS + 29_000: 29}
        late = START_MS + 29_001
        mine = kafka.TopicPartition(topic, 0)
        consumer, other = python(), confluent()
        for when, offset in times.items():
            assert consumer.offsets_for_times({mine: when})[mine].offset == offset
            asked = [confluent_kafka.TopicPartition(topic, 0, when)]
            assert other.offsets_for_times(asked, timeout=WAIT_SECONDS)[0].offset == offset
        assert consumer.offsets_for_times({mine: late}) == {mine: None}
        asked = [confluent_kafka.TopicPartition(topic, 0, late)]
        [end] = other.offsets_for_times(asked, timeout=WAIT_SECONDS)
        assert end.offset == confluent_kafka.OFFSET_END
        theirs = aiokafka.TopicPartition(topic, 0)

        async def use(consumer: Any) -> None:
            for when, offset in times.items():
                found = (await consumer.offsets_for_times({theirs: when}))[theirs]
                assert (found.offset, found.timestamp) == (offset, START_MS + 1000 * offset)
            assert await consumer.offsets_for_times({theirs: late}) == {theirs: None}

        with_aiokafka(memory_broker, use)

    @pytest.mark.parametrize("codec", ["none", "lz4"])
    def test_log_append_time_is_the_brokers(
        self,
        python: Callable[..., Any],
        confluent: Callable[..., Any],
        memory_broker: BrokerProcess,
        codec: str,
    ) -> None:
        from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, TopicPartition

        topic = create(memory_broker, message_timestamp_type="LogAppendTime")
        before = time.time_ns() // 1_000_000
        sent = KafkaPython().produce(
            memory_broker.bootstrap,
            topic,
            [Message(b"x", timestamp_ms=1000 + i) for i in range(5)],
            codec=codec,
        )
        after = time.time_ns() // 1_000_000
        consumer = python(topic, auto_offset_reset="earliest")
        got = next_of(consumer, 5)
        assert all(r.timestamp_type == 1 and before <= r.timestamp <= after for r in got)
        assert [m.timestamp_ms for m in sent] == [r.timestamp for r in got]
        other = confluent()
        other.assign([TopicPartition(topic, 0, 0)])
        kind, timestamp = next_messages(other, 1)[0].timestamp()
        assert (kind, timestamp) == (TIMESTAMP_LOG_APPEND_TIME, got[0].timestamp)


class TestResets:
    @pytest.mark.parametrize(("policy", "first"), [("earliest", 5), ("latest", 10)])
    def test_a_group_without_offsets_begins_where_its_policy_says(
        self, confluent: Callable[..., Any], memory_broker: BrokerProcess, policy: str, first: int
    ) -> None:
        topic = create(memory_broker)
        fill(memory_broker, topic, 10)
        delete_up_to(memory_broker, topic, 5)
        consumer = confluent(**{"auto.offset.reset": policy})
        consumer.subscribe([topic])
        got: list[Any] = []
        eventually(lambda: take(consumer, got) or consumer.assignment())
        if policy == "latest":
            settle_at_the_end(consumer, topic)
            fill(memory_broker, topic, 2)
        eventually(lambda: take(consumer, got) or got)
        assert got[0].offset() == first

    @pytest.mark.parametrize(("policy", "first"), [("earliest", 5), ("latest", 10)])
    def test_an_offset_out_of_range_is_reset(
        self, python: Callable[..., Any], memory_broker: BrokerProcess, policy: str, first: int
    ) -> None:
        from kafka import TopicPartition

        topic = create(memory_broker)
        fill(memory_broker, topic, 10)
        delete_up_to(memory_broker, topic, 5)
        partition = TopicPartition(topic, 0)
        for astray in (1, 4000):
            consumer = python(auto_offset_reset=policy)
            consumer.assign([partition])
            consumer.seek(partition, astray)
            if policy == "earliest":
                assert next_of(consumer, 1)[0].offset == first
                continue
            eventually(
                lambda c=consumer: not c.poll(timeout_ms=100) and c.position(partition) == first
            )

    def test_without_a_policy_out_of_range_is_an_error(
        self,
        python: Callable[..., Any],
        confluent: Callable[..., Any],
        memory_broker: BrokerProcess,
    ) -> None:
        import aiokafka
        import aiokafka.errors
        import confluent_kafka
        import kafka
        from kafka.errors import OffsetOutOfRangeError

        topic = create(memory_broker)
        fill(memory_broker, topic, 10)
        consumer = python(auto_offset_reset="none")
        mine = kafka.TopicPartition(topic, 0)
        consumer.assign([mine])
        consumer.seek(mine, 99)
        with pytest.raises(OffsetOutOfRangeError):
            eventually(lambda: consumer.poll(timeout_ms=100))
        other = confluent(**{"auto.offset.reset": "error"})
        other.assign([confluent_kafka.TopicPartition(topic, 0, 99)])
        [message] = next_messages(other, 1)
        assert message.error().code() == confluent_kafka.KafkaError._AUTO_OFFSET_RESET
        theirs = aiokafka.TopicPartition(topic, 0)

        async def use(consumer: Any) -> None:
            consumer.assign([theirs])
            consumer.seek(theirs, 99)
            with pytest.raises(aiokafka.errors.OffsetOutOfRangeError):
                await consumer.getone()

        with_aiokafka(memory_broker, use, auto_offset_reset="none")


def take(consumer: Any, got: list[Any]) -> None:
    got.extend(consumer.consume(100, 0.1))


def settle_at_the_end(consumer: Any, topic: str) -> None:
    """Until the consumer itself has fetched at the end: it knows the watermark then."""
    from confluent_kafka import TopicPartition

    def at_end() -> bool:
        assert consumer.poll(0.1) is None
        known: bool = consumer.get_watermark_offsets(TopicPartition(topic, 0), cached=True)[1] == 10
        return known

    eventually(at_end, what="the position at the end")


class TestIsolation:
    def test_read_committed_reads_all_where_there_are_no_transactions(
        self,
        python: Callable[..., Any],
        confluent: Callable[..., Any],
        memory_broker: BrokerProcess,
    ) -> None:
        from confluent_kafka import TopicPartition

        topic = create(memory_broker)
        fill(memory_broker, topic, 10)
        wanted = list(range(10))
        consumer = python(topic, auto_offset_reset="earliest", isolation_level="read_committed")
        assert [r.offset for r in next_of(consumer, 10)] == wanted
        other = confluent(**{"isolation.level": "read_committed"})
        other.assign([TopicPartition(topic, 0, 0)])
        assert [m.offset() for m in next_messages(other, 10)] == wanted

        async def use(consumer: Any) -> list[int]:
            return [(await consumer.getone()).offset for _ in wanted]

        got = with_aiokafka(
            memory_broker,
            use,
            topic,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        assert got == wanted


class TestSubscriptions:
    def test_a_pattern_takes_in_topics_that_come_later(
        self,
        python: Callable[..., Any],
        confluent: Callable[..., Any],
        memory_broker: BrokerProcess,
    ) -> None:
        prefix = new_name() + "-pattern"
        first, second = f"{prefix}-a", f"{prefix}-b"
        create(memory_broker, name=first)
        consumer = python(group_id=new_name(), auto_offset_reset="earliest")
        consumer.subscribe(pattern=f"^{prefix}-.*")
        other = confluent(**{"auto.offset.reset": "earliest"})
        other.subscribe([f"^{prefix}-.*"])
        fill(memory_broker, first, 3)
        assert {r.topic for r in next_of(consumer, 3)} == {first}
        assert {m.topic() for m in next_messages(other, 3)} == {first}
        consumer.commit()  # what is not committed comes again when partitions are shared anew
        other.commit(asynchronous=False)
        create(memory_broker, name=second)
        fill(memory_broker, second, 3)
        assert {r.topic for r in next_of(consumer, 3)} == {second}
        assert {m.topic() for m in next_messages(other, 3)} == {second}

        async def use(consumer: Any) -> set[str]:
            consumer.subscribe(pattern=f"^{prefix}-.*")
            return {(await consumer.getone()).topic for _ in range(6)}

        got = with_aiokafka(memory_broker, use, group_id=new_name(), auto_offset_reset="earliest")
        assert got == {first, second}

    def test_a_consumer_may_come_before_its_topic(
        self, confluent: Callable[..., Any], memory_broker: BrokerProcess
    ) -> None:
        topic = new_name()
        consumer = confluent(**{"auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        early = consumer.poll(WAIT_SECONDS)
        assert early.error().name() == "UNKNOWN_TOPIC_OR_PART"
        create(memory_broker, name=topic)
        fill(memory_broker, topic, 3)
        got: list[int] = []

        def all_there() -> bool:
            messages = consumer.consume(3, 0.2)
            got.extend(m.offset() for m in messages if m.error() is None)
            return len(got) >= 3

        eventually(all_there)
        assert got == [0, 1, 2]

    def test_a_consumer_may_have_its_topic_made(
        self, python: Callable[..., Any], memory_broker: BrokerProcess
    ) -> None:
        topic, theirs = new_name(), new_name()
        consumer = python(topic, group_id=new_name(), auto_offset_reset="earliest")
        assert consumer.poll(timeout_ms=300) == {}
        fill(memory_broker, topic, 3)
        assert [r.offset for r in next_of(consumer, 3)] == [0, 1, 2]

        async def use(consumer: Any) -> list[int]:
            await consumer.getmany(timeout_ms=100)
            await asyncio.to_thread(fill, memory_broker, theirs, 3)
            return [(await consumer.getone()).offset for _ in range(3)]

        options = {"group_id": new_name(), "auto_offset_reset": "earliest"}
        assert with_aiokafka(memory_broker, use, theirs, **options) == [0, 1, 2]


class TestCommits:
    def test_closing_commits_what_was_taken(
        self, confluent: Callable[..., Any], memory_broker: BrokerProcess
    ) -> None:
        import kafka
        from confluent_kafka import Consumer

        topic = create(memory_broker)
        fill(memory_broker, topic, 10)
        group = new_name()
        consumer = kafka.KafkaConsumer(
            topic,
            bootstrap_servers=memory_broker.bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            auto_commit_interval_ms=3_600_000,
        )
        next_of(consumer, 4)
        assert committed_by_now(memory_broker, group, topic) == -1001
        consumer.close()
        assert committed_by_now(memory_broker, group, topic) == 4
        second = Consumer(
            {
                "bootstrap.servers": memory_broker.bootstrap,
                "group.id": group,
                "auto.commit.interval.ms": 3_600_000,
            }
        )
        second.subscribe([topic])
        assert next_messages(second, 3)[-1].offset() == 6
        second.close()
        assert committed_by_now(memory_broker, group, topic) == 7

        async def use(consumer: Any) -> None:
            assert (await consumer.getone()).offset == 7

        with_aiokafka(memory_broker, use, topic, group_id=group, enable_auto_commit=True)
        assert committed_by_now(memory_broker, group, topic) == 8

    def test_offsets_are_committed_at_intervals(
        self,
        python: Callable[..., Any],
        confluent: Callable[..., Any],
        memory_broker: BrokerProcess,
    ) -> None:
        topic = create(memory_broker)
        fill(memory_broker, topic, 6)
        groups = [new_name() for _ in range(3)]
        consumer = python(
            topic,
            group_id=groups[0],
            auto_offset_reset="earliest",
            enable_auto_commit=True,
            auto_commit_interval_ms=100,
        )
        next_of(consumer, 6)
        eventually(
            lambda: (
                consumer.poll(timeout_ms=100)
                or committed_by_now(memory_broker, groups[0], topic) == 6
            )
        )
        other = confluent(
            **{
                "group.id": groups[1],
                "auto.offset.reset": "earliest",
                "enable.auto.commit": True,
                "auto.commit.interval.ms": 100,
            }
        )
        other.subscribe([topic])
        next_messages(other, 6)
        eventually(
            lambda: other.poll(0.1) or committed_by_now(memory_broker, groups[1], topic) == 6
        )

        async def use(consumer: Any) -> None:
            for _ in range(6):
                await consumer.getone()
            while await asyncio.to_thread(committed_by_now, memory_broker, groups[2], topic) != 6:
                await consumer.getmany(timeout_ms=50)

        with_aiokafka(
            memory_broker,
            use,
            topic,
            group_id=groups[2],
            auto_offset_reset="earliest",
            enable_auto_commit=True,
            auto_commit_interval_ms=100,
        )

    def test_confluent_commits_by_hand_at_once_and_later(
        self, confluent: Callable[..., Any], memory_broker: BrokerProcess
    ) -> None:
        from confluent_kafka import TopicPartition

        topic = create(memory_broker)
        fill(memory_broker, topic, 10)
        group = new_name()
        heard: list[tuple[Any, int]] = []
        consumer = confluent(
            **{
                "group.id": group,
                "auto.offset.reset": "earliest",
                "on_commit": lambda error, done: heard.append((error, done[0].offset)),
            }
        )
        consumer.subscribe([topic])
        messages = next_messages(consumer, 5)
        consumer.commit(message=messages[2], asynchronous=False)
        assert committed_by_now(memory_broker, group, topic) == 3
        consumer.commit(message=messages[4], asynchronous=True)

        def told() -> bool:
            consumer.poll(0.1)
            return (None, 5) in heard

        eventually(told, what="on_commit")
        assert committed_by_now(memory_broker, group, topic) == 5
        [back] = consumer.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
        assert (back.error, back.offset) == (None, 1)
        assert committed_by_now(memory_broker, group, topic) == 1

    def test_aiokafka_commits_by_hand(self, memory_broker: BrokerProcess) -> None:
        from aiokafka import TopicPartition

        topic = create(memory_broker)
        fill(memory_broker, topic, 10)
        group = new_name()
        partition = TopicPartition(topic, 0)

        async def use(consumer: Any) -> None:
            assert await consumer.committed(partition) is None
            for _ in range(4):
                await consumer.getone()
            await consumer.commit()
            assert await consumer.committed(partition) == 4
            await consumer.commit({partition: (9, "by hand")})
            assert await consumer.committed(partition) == 9
            await consumer.seek_to_committed(partition)
            assert (await consumer.getone()).offset == 9

        with_aiokafka(memory_broker, use, topic, group_id=group, auto_offset_reset="earliest")
        assert committed_by_now(memory_broker, group, topic) == 9
