"""Four stock clients behind one small interface, so that a behaviour is written once."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from typing import Any, NamedTuple, Protocol

import pytest

from tests.support.process import PATIENCE_SECONDS

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class Message(NamedTuple):
    """What went in and must come out; partition and offset are known after the fact."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    partition: int | None = None
    offset: int = -1


class Client(Protocol):
    name: str

    def produce(
        self, bootstrap: str, topic: str, messages: list[Message], **options: Any
    ) -> list[Message]:
        """Send all, wait for all; the same messages with partition, offset and timestamp."""
        ...

    def consume(self, bootstrap: str, topic: str, count: int) -> list[Message]:
        """The first ``count`` messages of all partitions, from the beginning, without a group."""
        ...


class KafkaPython:
    name = "kafka-python"

    def produce(
        self, bootstrap: str, topic: str, messages: list[Message], **options: Any
    ) -> list[Message]:
        from kafka import KafkaProducer

        codec = options.pop("codec", "none")
        acks = options.pop("acks", "all")
        producer = KafkaProducer(
            bootstrap_servers=bootstrap,
            acks=acks,
            compression_type=None if codec == "none" else codec,
            linger_ms=5,
            enable_idempotence=acks == "all",
            **options,
        )
        try:
            futures = [
                producer.send(
                    topic,
                    value=m.value,
                    key=m.key,
                    headers=list(m.headers),
                    partition=m.partition,
                    timestamp_ms=m.timestamp_ms,
                )
                for m in messages
            ]
            producer.flush(PATIENCE_SECONDS)
            done = [future.get(PATIENCE_SECONDS) for future in futures]
        finally:
            producer.close(PATIENCE_SECONDS)
        return [
            m._replace(partition=d.partition, offset=d.offset, timestamp_ms=d.timestamp)
            for m, d in zip(messages, done, strict=True)
        ]

    def consume(self, bootstrap: str, topic: str, count: int) -> list[Message]:
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        try:
            partitions = consumer.partitions_for_topic(topic)
            assert partitions, f"{topic} has no partitions"
            consumer.assign([TopicPartition(topic, p) for p in partitions])
            consumer.seek_to_beginning()
            got: list[Message] = []
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(got) < count and time.monotonic() < deadline:
                for batch in consumer.poll(timeout_ms=500).values():
                    got.extend(
                        Message(
                            r.value, r.key, tuple(r.headers), r.timestamp, r.partition, r.offset
                        )
                        for r in batch
                    )
            return got
        finally:
            consumer.close()


class Confluent:
    name = "confluent-kafka"

    def produce(
        self, bootstrap: str, topic: str, messages: list[Message], **options: Any
    ) -> list[Message]:
        from confluent_kafka import Producer

        acks = options.pop("acks", "all")
        settings = {
            "bootstrap.servers": bootstrap,
            "acks": acks,
            "compression.type": options.pop("codec", "none"),
            "enable.idempotence": acks == "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
        producer = Producer(settings | options)
        done: list[Message | None] = [None] * len(messages)
        errors: list[object] = []

        def report(index: int) -> Any:
            def on_delivery(error: Any, message: Any) -> None:
                if error is not None:
                    errors.append(error)
                done[index] = messages[index]._replace(
                    partition=message.partition(),
                    offset=message.offset() if message.offset() is not None else -1,
                    timestamp_ms=message.timestamp()[1],
                )

            return on_delivery

        for index, m in enumerate(messages):
            extra: dict[str, Any] = {} if m.partition is None else {"partition": m.partition}
            if m.timestamp_ms is not None:
                extra["timestamp"] = m.timestamp_ms
            producer.produce(
                topic,
                value=m.value,
                key=m.key,
                headers=list(m.headers),
                on_delivery=report(index),
                **extra,
            )
            producer.poll(0)
        left = producer.flush(PATIENCE_SECONDS)
        assert left == 0, f"{left} messages undelivered"
        assert not errors, errors[:3]
        return [m for m in done if m is not None]

    def consume(self, bootstrap: str, topic: str, count: int) -> list[Message]:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
        try:
            metadata = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic]
            consumer.assign(
                [TopicPartition(topic, p, OFFSET_BEGINNING) for p in metadata.partitions]
            )
            got: list[Message] = []
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(got) < count and time.monotonic() < deadline:
                for m in consumer.consume(10_000, timeout=0.5):
                    assert m.error() is None, m.error()
                    got.append(
                        Message(
                            m.value(),
                            m.key(),
                            tuple(m.headers() or ()),
                            m.timestamp()[1],
                            m.partition(),
                            m.offset(),
                        )
                    )
            return got
        finally:
            consumer.close()


class Aiokafka:
    name = "aiokafka"

    def produce(
        self, bootstrap: str, topic: str, messages: list[Message], **options: Any
    ) -> list[Message]:
        return asyncio.run(self._produce(bootstrap, topic, messages, options))

    async def _produce(
        self, bootstrap: str, topic: str, messages: list[Message], options: dict[str, Any]
    ) -> list[Message]:
        from aiokafka import AIOKafkaProducer

        codec = options.pop("codec", "none")
        acks = options.pop("acks", "all")
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks=acks,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=acks == "all",
            linger_ms=5,
            **options,
        )
        await producer.start()
        try:
            futures = [
                await producer.send(
                    topic,
                    m.value,
                    key=m.key,
                    headers=list(m.headers),
                    partition=m.partition,
                    timestamp_ms=m.timestamp_ms,
                )
                for m in messages
            ]
            done = await asyncio.wait_for(asyncio.gather(*futures), PATIENCE_SECONDS)
        finally:
            await producer.stop()
        if acks == 0:
            return messages
        return [
            m._replace(partition=d.partition, offset=d.offset, timestamp_ms=d.timestamp)
            for m, d in zip(messages, done, strict=True)
        ]

    def consume(self, bootstrap: str, topic: str, count: int) -> list[Message]:
        return asyncio.run(self._consume(bootstrap, topic, count))

    async def _consume(self, bootstrap: str, topic: str, count: int) -> list[Message]:
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None
        )
        await consumer.start()
        got: list[Message] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while len(got) < count and time.monotonic() < deadline:
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    got.extend(
                        Message(
                            r.value, r.key, tuple(r.headers), r.timestamp, r.partition, r.offset
                        )
                        for r in batch
                    )
        finally:
            await consumer.stop()
        return got


class Kcat:
    """The command; its line format carries no nulls in headers and no binary."""

    name = "kcat"

    def produce(
        self, bootstrap: str, topic: str, messages: list[Message], **options: Any
    ) -> list[Message]:
        require_kcat()
        acks = {"all": "-1"}.get(str(options.get("acks", "all")), str(options.get("acks")))
        lines = b"".join((m.key or b"") + b"\t" + (m.value or b"") + b"\n" for m in messages)
        command = ["kcat", "-b", bootstrap, "-P", "-t", topic, "-K", "\t", "-Z"]
        command += ["-z", options.get("codec", "none"), "-X", f"acks={acks}"]
        for name, value in messages[0].headers:
            command += ["-H", f"{name}={(value or b'').decode()}"]
        subprocess.run(command, input=lines, check=True, timeout=PATIENCE_SECONDS)
        return messages

    def consume(self, bootstrap: str, topic: str, count: int) -> list[Message]:
        require_kcat()
        command = ["kcat", "-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-c", str(count)]
        command += ["-q", "-f", "%p\t%o\t%T\t%k\t%h\t%s\n"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE_SECONDS)
        got = []
        for line in done.stdout.splitlines():
            partition, offset, timestamp, key, headers, value = line.split(b"\t")
            pairs = [h.partition(b"=") for h in headers.split(b",") if h]
            got.append(
                Message(
                    value or None,
                    key or None,
                    tuple((k.decode(), v) for k, _, v in pairs),
                    int(timestamp),
                    int(partition),
                    int(offset),
                )
            )
        return got


def require_kcat() -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed (Debian package kcat)")


CLIENTS: tuple[Client, ...] = (KafkaPython(), Confluent(), Aiokafka(), Kcat())
LIBRARIES = CLIENTS[:3]
