"""A data directory that Apache Kafka wrote is taken over: same topics, ids, settings, records."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from compat.kafka.cluster import KafkaCluster
from tests.support.apache_kafka import java
from tests.support.clients import CODECS, Confluent, Message
from tests.support.process import eventually, run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.process import BrokerProcess

pytestmark = pytest.mark.kafka
TOPICS: dict[str, tuple[int, dict[str, str]]] = {
    "plain": (3, {}),
    "forever": (1, {"retention.ms": "-1", "max.message.bytes": "2000000"}),
    "compacted": (
        1,
        {
            "cleanup.policy": "compact",
            "segment.bytes": "1048576",
            "min.cleanable.dirty.ratio": "0.01",
        },
    ),
}


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaCluster]:
    work = tmp_path / "kafka"
    work.mkdir()
    libs = java(work).libs
    settings = {"log.cleaner.backoff.ms": "500"}
    with KafkaCluster(work, brokers=1, settings=settings, libs=libs) as cluster:
        yield cluster


def admin_of(bootstrap: str) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": bootstrap})


def topics_of(bootstrap: str) -> dict[str, tuple[str, int, dict[str, str]]]:
    """Id, number of partitions and own settings of each."""
    from confluent_kafka import TopicCollection
    from confluent_kafka.admin import ConfigResource, ConfigSource

    admin = admin_of(bootstrap)
    found = {}
    described = admin.describe_topics(TopicCollection(list(TOPICS)))
    for name, future in described.items():
        topic = future.result(60)
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        configs = admin.describe_configs([resource])[resource].result(60)
        own = {
            key: entry.value
            for key, entry in configs.items()
            if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value and key in TOPICS[name][1]
        }
        found[name] = str(topic.topic_id), len(topic.partitions), own
    return found


def write(bootstrap: str) -> None:
    from confluent_kafka.admin import NewTopic

    admin = admin_of(bootstrap)
    made = admin.create_topics(
        [NewTopic(name, count, 1, config=config) for name, (count, config) in TOPICS.items()]
    )
    for future in made.values():
        future.result(60)
    client = Confluent()
    for codec in CODECS:
        sent = [Message(b"%s-%d" % (codec.encode(), i), b"key-%d" % i) for i in range(100)]
        client.produce(bootstrap, "plain", sent, codec=codec)
        client.produce(bootstrap, "forever", sent, codec=codec, acks=1)
    client.produce(bootstrap, "forever", [Message(None, b"null", (("h", b"v"), ("n", None)))])
    for round_ in range(3):
        sent = [Message(b"%d" % round_ * 700, b"key-%d" % (i % 40)) for i in range(1500)]
        client.produce(bootstrap, "compacted", sent)


def read_all(bootstrap: str, topic: str) -> list[Message]:
    """To the end of every partition, whatever gaps there are."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.partition.eof": True}
    )
    count = TOPICS[topic][0]
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(count)])
    got: list[Message] = []
    ended: set[int] = set()

    def more() -> bool:
        for m in consumer.consume(1000, 0.2):
            if m.error() is not None:
                assert m.error().code() == KafkaError._PARTITION_EOF, m.error()
                ended.add(m.partition())
                continue
            headers = tuple(m.headers() or ())
            time_ms = m.timestamp()[1]
            got.append(Message(m.value(), m.key(), headers, time_ms, m.partition(), m.offset()))
        return len(ended) == count

    eventually(more, what=f"the end of {topic}")
    consumer.close()
    return sorted(got, key=lambda m: (m.partition, m.offset))


def commit(bootstrap: str, offset: int) -> None:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "readers"})
    consumer.commit(offsets=[TopicPartition("plain", 1, offset)], asynchronous=False)
    consumer.close()


def committed(bootstrap: str) -> int:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "readers"})
    [found] = consumer.committed([TopicPartition("plain", 1)], timeout=60)
    consumer.close()
    offset: int = found.offset
    return offset


def everything_in(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        f"{folder}/{name}": ((found := os.stat(f"{folder}/{name}")).st_size, found.st_mtime_ns)
        for folder, _, names in os.walk(directory)
        for name in names
    }


def test_a_stopped_brokers_directory_is_served_as_it_was(
    kafka: KafkaCluster, start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    broker, directory = kafka, kafka.data_directory(1)
    write(broker.bootstrap)
    commit(broker.bootstrap, 17)
    cleaned = directory / "cleaner-offset-checkpoint"
    eventually(lambda: cleaned.exists() and "compacted 0 " in cleaned.read_text())
    topics = topics_of(broker.bootstrap)
    assert {name: (count, own) for name, (_, count, own) in topics.items()} == TOPICS
    new = str(tmp_path / "new")

    code, _, errors = run_command("import", str(directory), "--data-dir", new, cwd=tmp_path)
    assert (code, errors.count("\n")) == (1, 1)
    assert "running" in errors
    assert not os.path.exists(new)

    records = {name: read_all(broker.bootstrap, name) for name in TOPICS}
    broker.stop(1)
    before = everything_in(directory)
    code, output, errors = run_command("import", str(directory), "--data-dir", new, cwd=tmp_path)
    assert (code, errors) == (0, ""), errors
    assert output.count("\n") == 1
    assert broker.cluster_id in output
    assert everything_in(directory) == before

    ours = start_broker("--data-dir", new)
    assert "clean=True" in ours.stderr
    assert topics_of(ours.bootstrap) == topics
    assert admin_of(ours.bootstrap).list_topics(timeout=60).cluster_id == broker.cluster_id
    assert {name: read_all(ours.bootstrap, name) for name in TOPICS} == records
    assert committed(ours.bootstrap) == 17
    [more] = Confluent().produce(ours.bootstrap, "forever", [Message(b"more")])
    assert more.offset == records["forever"][-1].offset + 1
    assert ours.terminate() == 0

    code, _, errors = run_command("import", str(directory), "--data-dir", new, cwd=tmp_path)
    assert code == 1
    assert "is not empty" in errors
