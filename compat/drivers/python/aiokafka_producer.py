"""aiokafka's producer: many sends on the loop, and one wait for all of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from compat.drivers.python.aiokafka_words import CLIENT_SETTINGS, LOOP, explain
from compat.drivers.python.producing import (
    MOST_UNANSWERED,
    Landed,
    Outgoing,
    Tally,
    fill_records,
)
from compat.drivers.python.service import Handle
from compat.drivers.python.words import Json, chosen, renamed

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Iterable

PRODUCER_SETTINGS = CLIENT_SETTINGS | {
    "acks": "acks",
    "idempotent": "enable_idempotence",
    "compression": "compression_type",
    "linger_ms": "linger_ms",
    "batch_bytes": "max_batch_size",
    "retry_backoff_ms": "retry_backoff_ms",
    "max_request_bytes": "max_request_size",
    "partitioner": "partitioner",
}
CODECS = {"none": None, "gzip": "gzip", "snappy": "snappy", "lz4": "lz4", "zstd": "zstd"}
# Its own is Java's hash of keys.
PARTITIONERS = dict.fromkeys(("default", "java", "murmur2"), DefaultPartitioner)


class Producer(Handle):
    explain = staticmethod(explain)

    def __init__(self, config: Json) -> None:
        settings = renamed(config, PRODUCER_SETTINGS)
        if "compression" in config:
            settings["compression_type"] = chosen("compression", config["compression"], CODECS)
        if "partitioner" in config:
            settings["partitioner"] = chosen("partitioner", config["partitioner"], PARTITIONERS)()
        self._producer = LOOP.run(self._started(settings))

    async def _started(self, settings: Json) -> Any:
        producer = AIOKafkaProducer(**settings)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    def send(self, records: list[Json], each: bool = False) -> Json:
        return LOOP.run(self._send([Outgoing.read(line) for line in records], each))

    async def _send(self, records: list[Outgoing], each: bool) -> Json:
        sent: list[Json] = []
        under_way: list[Future[Any] | Exception] = []
        for record in records:
            under_way.append(await self._start(record))
            if each:
                sent.append(await self._answer(under_way.pop()))
        sent.extend([await self._answer(future) for future in under_way])
        return {"sent": sent}

    def fill(
        self,
        topic: str,
        count: int,
        size: int,
        prefix: str,
        partition: int | None = None,
        keys: int | None = None,
    ) -> Json:
        return LOOP.run(self._fill(fill_records(topic, count, size, prefix, partition, keys)))

    async def _fill(self, records: Iterable[Outgoing]) -> Json:
        tally = Tally()
        under_way: deque[Future[Any] | Exception] = deque()

        async def settle(most: int) -> None:
            while len(under_way) > most:
                try:
                    tally.succeeded(await _landed(under_way.popleft()))
                except Exception as error:
                    tally.refused(self.explained(error).code)

        for record in records:
            under_way.append(await self._start(record))
            await settle(MOST_UNANSWERED)
        await settle(0)
        return tally.result()

    async def _start(self, record: Outgoing) -> Future[Any] | Exception:
        try:
            future: Future[Any] = await self._producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                partition=record.partition,
                timestamp_ms=record.timestamp,
            )
        except Exception as error:
            return error
        return future

    async def _answer(self, future: Future[Any] | Exception) -> Json:
        try:
            return (await _landed(future)).line()
        except Exception as error:
            return {"error": self.explained(error).line}

    def flush(self) -> Json:
        LOOP.run(self._producer.flush())
        return {}

    def close(self) -> Json:
        LOOP.run(self._producer.stop())
        return {}


async def _landed(future: Future[Any] | Exception) -> Landed:
    if isinstance(future, Exception):
        raise future
    told = await future
    if told is None:
        return Landed(-1, -1)  # acks 0: it says nothing of where
    return Landed(told.partition, told.offset, told.timestamp)
