"""Batches to and from librdkafka, through the mock broker that it has inside.

The mock keeps produced bytes as they are. A producer's batches are fetched over a plain socket
and read here; ours are produced over the socket and read by a consumer.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.support.records import BASE_TIMESTAMP, CODECS
from wire.records.batch import iter_headers, read_header, verify_crc
from wire.records.compression import Compression
from wire.records.legacy import convert_down
from wire.records.record import Record, build_batch, decode_records

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 50


def string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


class Mock:
    """The mock cluster of one producer, and a raw connection to its only broker."""

    def __init__(self) -> None:
        self.client = Producer({"test.mock.num.brokers": 1})
        (broker,) = self.client.list_topics(timeout=10).brokers.values()
        self.address = f"{broker.host}:{broker.port}"
        self.socket = socket.create_connection((broker.host, broker.port), timeout=10)

    def ask(self, api_key: int, version: int, body: bytes) -> bytes:
        request = struct.pack(">hhi", api_key, version, 7) + string("test") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self.receive(4))
        return self.receive(size)[4:]

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            assert piece, "the mock broker hung up"
            data += piece
        return data

    def produce(self, topic: str, records: bytes | bytearray) -> int:
        """Produce 3; returns the base offset."""
        body = struct.pack(">hhii", -1, 1, 5000, 1) + string(topic)
        body += struct.pack(">iii", 1, 0, len(records)) + records
        answer = self.ask(0, 3, body)
        error, offset = struct.unpack_from(">hq", answer, 4 + 2 + len(topic) + 4 + 4)
        assert error == 0
        return int(offset)

    def fetch(self, topic: str, offset: int) -> bytes:
        """Fetch 4: the batch with that offset, the mock gives no more."""
        body = struct.pack(">iiiibi", -1, 1000, 1, 1 << 20, 0, 1) + string(topic)
        body += struct.pack(">iiqi", 1, 0, offset, 1 << 20)
        answer = self.ask(1, 4, body)
        at = 4 + 4 + 2 + len(topic) + 4
        _, error, _, _, aborted = struct.unpack_from(">ihqqi", answer, at)
        assert error == 0
        at += 26 + 16 * max(aborted, 0)
        (size,) = struct.unpack_from(">i", answer, at)
        return answer[at + 4 : at + 4 + size]


@pytest.fixture
def mock() -> Iterator[Mock]:
    found = Mock()
    yield found
    found.socket.close()


def sent(i: int) -> dict[str, Any]:
    return {
        "key": None if i % 5 == 4 else b"key-%d" % i,
        "value": None if i % 7 == 6 else b"value " * i,
        "headers": [("trace", b"\x01"), ("null", None)] if i % 3 == 0 else [],
        "timestamp": BASE_TIMESTAMP + i,
    }


@pytest.mark.parametrize("codec", CODECS)
def test_what_librdkafka_produces_is_read_here(mock: Mock, codec: Compression) -> None:
    producer = Producer(
        {
            "bootstrap.servers": mock.address,
            "compression.codec": codec.config_name,
            "linger.ms": 200,
        }
    )
    for i in range(COUNT):
        producer.produce("topic", partition=0, **sent(i))
    assert producer.flush(20) == 0
    read: list[Record] = []
    used: set[int] = set()
    while len(read) < COUNT:
        log = mock.fetch("topic", len(read))
        for pos, header in iter_headers(log):
            verify_crc(log, pos)
            read += decode_records(log, pos)
            used.add(header.compression)
    assert {codec} <= used <= {codec, Compression.NONE}  # none where it would not shrink
    assert read == [Record(offset=i, **sent(i)) for i in range(COUNT)]


# The mock takes old messages as long as they are not compressed.
@pytest.mark.parametrize(("magic", "codec"), [*((2, c) for c in CODECS), (1, Compression.NONE)])
def test_what_is_built_here_is_read_by_librdkafka(
    mock: Mock, magic: int, codec: Compression
) -> None:
    records = [Record(i, **sent(i)) for i in range(COUNT)]
    batch: bytes | bytearray = build_batch(records, compression=codec)
    if magic == 1:
        batch = convert_down(batch, 1)
    mock.client.list_topics("topic", timeout=10)
    assert mock.produce("topic", batch) == 0
    consumer = Consumer({"bootstrap.servers": mock.address, "group.id": "g", "check.crcs": True})
    consumer.assign([TopicPartition("topic", 0, 0)])
    got = []
    while len(got) < COUNT:
        message = consumer.poll(10)
        assert message is not None, f"{len(got)} messages came"
        assert message.error() is None
        got.append(message)
    consumer.close()
    for i, message in enumerate(got):
        expected = sent(i)
        assert message.key() == expected["key"]
        assert message.value() == expected["value"]
        assert message.timestamp()[1] == expected["timestamp"]
        assert (message.headers() or []) == (expected["headers"] if magic == 2 else [])


def test_the_mock_keeps_what_we_produce(mock: Mock) -> None:
    batch = build_batch([Record(0, **sent(0))])
    mock.client.list_topics("topic", timeout=10)
    mock.produce("topic", batch)
    log = mock.fetch("topic", 0)
    assert read_header(log).crc == read_header(batch).crc
