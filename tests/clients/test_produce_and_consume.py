"""Stock clients write and read: every pair, every codec, every acks level, record by record."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.support.clients import CLIENTS, CODECS, LIBRARIES, Client, Confluent, Message

if TYPE_CHECKING:
    from tests.support.process import BrokerProcess

NAMES = count()
by_name = {"ids": lambda client: client.name}


def new_topic() -> str:
    return f"clients-{next(NAMES)}"


def in_order(messages: list[Message]) -> list[Message]:
    return sorted(messages, key=lambda m: (m.partition, m.offset))


@pytest.mark.parametrize("reader", CLIENTS, **by_name)
@pytest.mark.parametrize("writer", CLIENTS, **by_name)
@pytest.mark.parametrize("codec", CODECS)
def test_what_one_client_writes_another_reads(
    memory_broker: BrokerProcess, writer: Client, reader: Client, codec: str
) -> None:
    topic = new_topic()
    sent = [Message(b"value-%d" % i * 20, b"key-%d" % (i % 7)) for i in range(200)]
    writer.produce(memory_broker.bootstrap, topic, sent, codec=codec)
    got = reader.consume(memory_broker.bootstrap, topic, len(sent))
    assert [(m.key, m.value, m.offset) for m in in_order(got)] == [
        (m.key, m.value, i) for i, m in enumerate(sent)
    ]


@pytest.mark.parametrize("acks", [0, 1, "all"])
@pytest.mark.parametrize("client", CLIENTS, **by_name)
def test_every_acks_level_delivers(
    memory_broker: BrokerProcess, client: Client, acks: int | str
) -> None:
    topic = new_topic()
    sent = [Message(b"%d" % i) for i in range(300)]
    client.produce(memory_broker.bootstrap, topic, sent, acks=acks)
    got = client.consume(memory_broker.bootstrap, topic, len(sent))
    assert [m.value for m in in_order(got)] == [m.value for m in sent]


@pytest.mark.parametrize("client", LIBRARIES, **by_name)
def test_headers_nulls_and_timestamps_survive(memory_broker: BrokerProcess, client: Client) -> None:
    topic = new_topic()
    now = 1_790_000_000_000
    sent = [
        Message(b"plain", None, (), now),
        Message(None, b"tombstone", (), now + 1),
        Message(b"", b"", (("empty", b""),), now + 2),
        Message(b"\x00\xff", b"k", (("a", b"1"), ("a", b"2"), ("\u00fc", b"\x00")), now - 5),
    ]
    done = client.produce(memory_broker.bootstrap, topic, sent)
    assert [m.offset for m in done] == [0, 1, 2, 3]
    got = client.consume(memory_broker.bootstrap, topic, len(sent))
    expected = [m._replace(partition=0, offset=i) for i, m in enumerate(sent)]
    assert got == expected


@pytest.mark.parametrize("client", LIBRARIES, **by_name)
def test_a_hundred_thousand_records_keep_their_order_and_offsets(
    memory_broker: BrokerProcess, client: Client
) -> None:
    topic = new_topic()
    sent = [Message(b"record %d" % i, b"%d" % (i % 100)) for i in range(100_000)]
    done = client.produce(memory_broker.bootstrap, topic, sent)
    assert [m.offset for m in done] == list(range(len(sent)))
    got = client.consume(memory_broker.bootstrap, topic, len(sent))
    assert len(got) == len(sent)
    for i, (want, have) in enumerate(zip(sent, got, strict=True)):
        assert (have.offset, have.key, have.value) == (i, want.key, want.value)


def test_java_partitioner_family_agrees_and_a_key_stays_on_its_partition(
    memory_broker: BrokerProcess,
) -> None:
    """murmur2 in kafka-python, aiokafka and librdkafka's murmur2_random: one mapping."""
    from confluent_kafka.admin import AdminClient, NewTopic

    keys = [b"key-%d" % i for i in range(50)]
    placed: list[dict[bytes | None, set[int | None]]] = []
    for client in LIBRARIES:
        topic = new_topic()
        admin = AdminClient({"bootstrap.servers": memory_broker.bootstrap})
        admin.create_topics([NewTopic(topic, 6, 1)])[topic].result(60)
        extra = {"partitioner": "murmur2_random"} if isinstance(client, Confluent) else {}
        client.produce(
            memory_broker.bootstrap, topic, [Message(b"x", k) for k in keys * 4], **extra
        )
        where: dict[bytes | None, set[int | None]] = {}
        for message in client.consume(memory_broker.bootstrap, topic, len(keys) * 4):
            where.setdefault(message.key, set()).add(message.partition)
        assert all(len(partitions) == 1 for partitions in where.values())
        placed.append(where)
    assert placed[0] == placed[1] == placed[2]
