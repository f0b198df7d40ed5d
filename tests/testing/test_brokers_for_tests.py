"""``pykbroker.testing``: brokers in this process and in a child, their helpers, and their end."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pykbroker.testing import Broker, Cluster, ConfigError, Wrong
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.testing import Record

BOTH = pytest.mark.parametrize("process", [False, True], ids=["in-process", "child"])


@pytest.fixture(scope="module", params=[False, True], ids=["in-process", "child"])
def shared(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with Broker(process=request.param) as broker:
        yield broker


@pytest.fixture
def broker(shared: Broker) -> Broker:
    shared.reset()
    return shared


def produce(cluster: Cluster, topic: str, *values: str, **config: object) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, **config})
    errors: list[object] = []
    for value in values:
        producer.produce(topic, value, key=value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(60) == 0
    assert [e for e in errors if e is not None] == []


def values(records: list[Record]) -> list[str]:
    return sorted((record.value or b"").decode() for record in records)


def consumer_of(cluster: Cluster, group: str, **config: object) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **config,
        }
    )


def test_what_a_client_sends_is_there(broker: Broker) -> None:
    broker.create_topic("orders", partitions=3, configs={"retention.ms": "1000000"})
    assert broker.topics() == ["orders"]
    produce(broker, "orders", *"abcdef")
    records = broker.records("orders", at_least=6)
    assert values(records) == [*"abcdef"]
    assert {r.key for r in records} == {c.encode() for c in "abcdef"}
    only = broker.records("orders", records[0].partition)
    assert only
    assert all(r.partition == records[0].partition for r in only)
    broker.delete_topic("orders")
    assert broker.topics() == []


def test_what_cannot_be_done_is_said(broker: Broker) -> None:
    broker.create_topic("t")
    with pytest.raises(Wrong, match="TOPIC_ALREADY_EXISTS"):
        broker.create_topic("t")
    with pytest.raises(Wrong, match="no topic 'absent'"):
        broker.records("absent")
    with pytest.raises(Wrong, match="no partition 5"):
        broker.records("t", 5)
    with pytest.raises(Wrong, match="UNKNOWN_TOPIC_OR_PARTITION"):
        broker.delete_topic("absent")
    with pytest.raises(Wrong, match="no state was saved as 'later'"):
        broker.reset("later")
    with pytest.raises(Wrong, match="runs already"):
        broker.start()


@BOTH
def test_a_wrong_setting_is_an_error_at_the_start(process: bool) -> None:
    with pytest.raises(ConfigError, match=r"num\.partitions"):
        Broker(settings={"num.partitions": "many"}, process=process).start()
    with pytest.raises(ConfigError, match=r"no\.such\.setting"):
        Broker(settings={"no.such.setting": 1}, process=process).start()


@BOTH
def test_settings_count(process: bool) -> None:
    settings = {"num.partitions": 4, "auto.create.topics.enable": True}
    with Broker(settings=settings, process=process) as broker:
        produce(broker, "made", "x")
        assert len({r.partition for r in broker.records("made")}) == 1
        with pytest.raises(Wrong, match="no partition 4"):
            broker.records("made", 4)


def test_groups_and_what_they_committed(broker: Broker) -> None:
    broker.create_topic("t", 2)
    produce(broker, "t", *"abcd")
    consumer = consumer_of(broker, "readers")
    consumer.subscribe(["t"])
    got = consumer.consume(4, 60)
    assert len(got) == 4
    (member,) = broker.wait_for_group("readers")
    assert member["client_id"] == "rdkafka"
    consumer.commit(asynchronous=False)
    assert broker.groups() == ["readers"]
    assert sum(broker.committed("readers").values()) == 4
    consumer.close()
    assert broker.wait_for_group("readers", members=0, state="Empty") == []


def test_reset_takes_everything_away(broker: Broker) -> None:
    broker.create_topic("t")
    produce(broker, "t", "a")
    consumer = consumer_of(broker, "g")
    consumer.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    consumer.close()
    assert broker.committed("g") == {("t", 0): 1}
    broker.reset()
    assert broker.topics() == []
    assert broker.groups() == []
    assert broker.committed("g") == {}
    broker.create_topic("t")
    assert broker.records("t") == []


def test_a_named_state_comes_back_as_often_as_it_is_asked_for(broker: Broker) -> None:
    broker.create_topic("seeded", 2, configs={"max.message.bytes": "100000"})
    produce(broker, "seeded", *"abc")
    consumer = consumer_of(broker, "g")
    consumer.commit(offsets=[TopicPartition("seeded", 1, 1)], asynchronous=False)
    consumer.close()
    before = broker.records("seeded")
    broker.save("seeded")
    for _ in range(2):
        produce(broker, "seeded", "later")
        broker.create_topic("other")
        broker.reset("seeded")
        assert broker.topics() == ["seeded"]
        assert broker.records("seeded") == before
        assert broker.committed("g") == {("seeded", 1): 1}
    produce(broker, "seeded", "d")
    assert values(broker.records("seeded")) == [*"abcd"]


def test_a_state_keeps_offsets_where_records_were_deleted(broker: Broker) -> None:
    from confluent_kafka.admin import AdminClient

    broker.create_topic("t")
    produce(broker, "t", *"abcde")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.delete_records([TopicPartition("t", 0, 3)]).values():
        future.result(60)
    broker.save("short")
    broker.reset("short")
    records = broker.records("t")
    assert [(r.offset, r.value) for r in records] == [(3, b"d"), (4, b"e")]


def test_a_member_of_a_saved_group_is_not_in_the_way_afterwards(broker: Broker) -> None:
    broker.create_topic("t")
    produce(broker, "t", "a")
    first = consumer_of(broker, "g", **{"session.timeout.ms": 45_000})
    first.subscribe(["t"])
    assert first.consume(1, 60)
    broker.save("with a member")
    broker.reset("with a member")
    second = consumer_of(broker, "g")
    second.subscribe(["t"])
    assert second.consume(1, 60)[0].value() == b"a"
    first.close()
    second.close()


def test_a_client_that_stays_goes_on_after_a_reset(broker: Broker) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for _ in range(3):
        broker.create_topic("t")
        producer.produce("t", "again")
        assert producer.flush(60) == 0
        assert values(broker.records("t", at_least=1)) == ["again"]
        broker.reset()


def test_ids_are_not_used_again(broker: Broker) -> None:
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    seen = set()
    for _ in range(3):
        broker.create_topic("t")
        broker.save("t")
        for _ in range(2):
            (future,) = admin.describe_topics(TopicCollection(["t"])).values()
            seen.add(str(future.result(60).topic_id))
            broker.reset("t")
        broker.reset()
    assert len(seen) == 6


def test_a_cluster_loses_a_broker_and_gets_it_back() -> None:
    with Cluster(3) as cluster:
        assert len(cluster.bootstrap_servers.split(",")) == 3
        cluster.create_topic("t", configs={"min.insync.replicas": "2"})
        produce(cluster, "t", "a", acks="all")
        cluster.kill_broker(1)
        with pytest.raises(Wrong, match="does not run"):
            cluster.kill_broker(1)
        produce(cluster, "t", "b", acks="all")
        cluster.start_broker(1)
        cluster.stop_broker(2)
        produce(cluster, "t", "c", acks="all")
        cluster.start_broker(2)
        assert values(cluster.records("t")) == [*"abc"]
        with pytest.raises(Wrong, match="no broker 4"):
            cluster.start_broker(4)
        cluster.reset()
        assert cluster.topics() == []


def open_sockets() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("brokers", [1, 3])
@BOTH
def test_nothing_is_left(process: bool, brokers: int) -> None:
    gc.collect()
    Cluster(brokers, process=process).start().stop()  # what stays once is loaded, not left
    threads, sockets = set(threading.enumerate()), open_sockets()
    cluster = Cluster(brokers, process=process).start()
    address = cluster.bootstrap_servers
    cluster.create_topic("t")
    cluster.stop()
    cluster.stop()
    assert set(threading.enumerate()) == threads
    assert open_sockets() <= sockets
    assert address
    with pytest.raises(Wrong, match="does not run"):
        cluster.topics()


def test_the_childs_end_follows_its_parents(tmp_path: object) -> None:
    program = (
        "from pykbroker.testing import Broker; import os, sys\n"
        "broker = Broker(process=True).start()\n"
        "print(broker._host.pid, flush=True)\n"
        "os._exit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=120, check=False
    )
    assert done.returncode == 3
    pid = int(done.stdout)
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), what="the end of the child")


@pytest.mark.parametrize("brokers", [1, 3])
def test_a_broker_whose_disk_fails_ends_alone(
    brokers: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Cluster(brokers) as cluster:
        cluster.create_topic("t", replication_factor=brokers)
        produce(cluster, "t", "a")
        engine = cluster._host._engine  # type: ignore[union-attr]
        leader = engine.topic("t").partitions[0].leader
        directory = engine.leader("t", 0).stored_log.log_directory
        fail = engine.services(leader).replicas.logs.upkeep.directory_failed
        cluster._host._loop.call_soon_threadsafe(fail, directory, OSError(errno.EIO, "I/O error"))
        eventually(lambda: leader not in engine._lives, what="it has halted")
        assert "all log dirs in /logs have failed" in caplog.text
        with pytest.raises(Wrong, match=f"broker {leader} does not run"):
            cluster.kill_broker(leader)
        if brokers > 1:
            produce(cluster, "t", "b")
        cluster.start_broker(leader)
        produce(cluster, "u", "c")
        assert values(cluster.records("u", at_least=1)) == ["c"]


def test_a_child_that_was_killed_is_told_of() -> None:
    import signal

    broker = Broker(process=True).start()
    os.kill(broker._host.pid, signal.SIGKILL)  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="ended with exit code -9"):
        broker.topics()
    broker.stop()


@pytest.mark.anyio
async def test_helpers_as_coroutines() -> None:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    async with Broker() as broker:
        await broker.aio.create_topic("t")
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
            await producer.send_and_wait("t", b"a")
        async with AIOKafkaConsumer(
            "t",
            bootstrap_servers=broker.bootstrap_servers,
            group_id="g",
            auto_offset_reset="earliest",
        ) as consumer:
            assert (await consumer.getone()).value == b"a"
            assert len(await broker.aio.wait_for_group("g")) == 1
        assert [r.value for r in await broker.aio.records("t")] == [b"a"]


def test_log_lines_go_to_pythons_logging(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster(3) as cluster:
        cluster.kill_broker(3)
        cluster.create_topic("t", replication_factor=2)
    assert all(record.name.startswith("pykbroker") for record in caplog.records)
    with Broker(quiet=True):
        pass
