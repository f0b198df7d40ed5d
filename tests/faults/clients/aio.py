"""aiokafka under load."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tests.faults.history import now
from tests.faults.workload import (
    BURST_S,
    FLUSH_S,
    OUTSTANDING,
    Outgoing,
    Outstanding,
    Pace,
    Reading,
    name_of,
    told,
)

if TYPE_CHECKING:
    from tests.faults.workload import Steering


def run(steering: Steering) -> None:
    asyncio.run(_run(steering))


async def _run(steering: Steering) -> None:
    options = steering.options
    async with asyncio.TaskGroup() as tasks:
        for i, sort in enumerate(options.producers):
            tasks.create_task(produce(steering, sort, f"p{i}-{sort}"))
        for i in range(options.members):
            tasks.create_task(consume(steering, f"m{i}", "group"))
        for i in range(options.readers):
            tasks.create_task(consume(steering, f"r{i}", None))


async def produce(steering: Steering, sort: str, name: str) -> None:
    outstanding = Outstanding(steering, sort, name)
    while not steering.may_produce.is_set():
        await asyncio.sleep(BURST_S)
    pace = Pace(steering.options.rate)
    while not steering.must_stop_producing.is_set():
        await Producing(steering, outstanding).run(pace)
        outstanding.another_producer()
    outstanding.recorder.close()
    steering.say(f"produced {name}")


class Producing:
    """The life of one producer: until the end, or until it is out of sequence.

    aiokafka goes on with the next sequence number after it has given up a batch that nobody has
    written, and everything is refused from then on. It has no way out but another producer.
    """

    def __init__(self, steering: Steering, outstanding: Outstanding) -> None:
        self._steering = steering
        self._outstanding = outstanding
        self._is_out_of_sequence = False

    async def run(self, pace: Pace) -> None:
        from aiokafka import AIOKafkaProducer

        options, outstanding = self._steering.options, self._outstanding
        producer = AIOKafkaProducer(
            bootstrap_servers=options.bootstrap,
            acks="all" if outstanding.acks == -1 else outstanding.acks,
            enable_idempotence=outstanding.idempotent,
            linger_ms=5,
            **options.if_impatient(
                request_timeout_ms=options.request_ms, metadata_max_age_ms=5_000
            ),
        )
        await self._start(producer)
        while not (self._is_out_of_sequence or self._steering.must_stop_producing.is_set()):
            if outstanding.count < OUTSTANDING:
                for _ in range(pace.due()):
                    await self._send(producer, outstanding.next())
            await asyncio.sleep(BURST_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(producer.flush(), FLUSH_S)
        await producer.stop()

    async def _start(self, producer: Any) -> None:
        """The first one finds everything in order; a later one, whoever is down."""
        from aiokafka.errors import KafkaError

        while True:
            try:
                return await producer.start()
            except KafkaError:
                if self._steering.must_stop_producing.is_set():
                    raise

    async def _send(self, producer: Any, record: Outgoing) -> None:
        try:
            future = await producer.send(
                record.topic,
                record.value,
                record.key,
                partition=record.partition,
                headers=record.headers,
            )
        except Exception as error:  # it is in the history
            record.done(-1, told(error))
            return
        future.add_done_callback(lambda f: self._settle(f, record.done))

    def _settle(self, future: asyncio.Future[Any], done: Any) -> None:
        from aiokafka.errors import OutOfOrderSequenceNumber

        if future.cancelled():
            done(-1, "Cancelled")
            return
        error = future.exception()
        if error is not None:
            done(-1, told(error))
            self._is_out_of_sequence |= isinstance(error, OutOfOrderSequenceNumber)
        else:
            result = future.result()
            done(-1 if result is None else result.offset, None)


async def consume(steering: Steering, name: str, group: str | None) -> None:
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
    from aiokafka.errors import KafkaError

    options = steering.options
    recorder = steering.recorder(name)
    reading = Reading(recorder, None if group is None else f"{options.group}-{steering.kind}")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap,
        group_id=reading.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **options.if_impatient(
            session_timeout_ms=options.session_ms,
            heartbeat_interval_ms=options.session_ms // 3,
            request_timeout_ms=options.request_ms,
            fetch_max_wait_ms=200,
            metadata_max_age_ms=5_000,
        ),
    )

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: Any) -> None:
            return

        async def on_partitions_assigned(self, assigned: Any) -> None:
            owned = sorted(f"{tp.topic}-{tp.partition}" for tp in assigned)
            reading.assigned(owned, consumer._coordinator.generation, now())

    await consumer.start()
    every = [TopicPartition(topic.name, p) for topic, p in options.parts]
    if group is None:
        consumer.assign(every)
        reading.assigned([f"{tp.topic}-{tp.partition}" for tp in every], -1, now())
    else:
        consumer.subscribe(options.names, listener=Listener())
    while not steering.must_stop.is_set():
        t0, assign = now(), reading.assign
        try:
            got = await consumer.getmany(timeout_ms=200)
        except KafkaError as error:
            reading.trouble(t0, repr(error))
            continue
        if reading.assign != assign:
            owned = consumer.assignment()
            got = {tp: records for tp, records in got.items() if tp in owned}
        reading.polled(
            t0,
            {
                f"{tp.topic}-{tp.partition}": [
                    [r.offset, -1, name_of(r.value, r.headers)] for r in records
                ]
                for tp, records in got.items()
                if records
            },
        )
        if got and group is not None:
            await commit(consumer, reading)
        if steering.ends is not None:
            await report(steering, reading, consumer)
    await consumer.stop()
    recorder.close()


async def commit(consumer: Any, reading: Reading) -> None:
    from aiokafka import TopicPartition
    from aiokafka.errors import KafkaError

    t0 = now()
    offsets = dict(reading.positions)
    parts = {}
    for tp, off in offsets.items():
        topic, _, number = tp.rpartition("-")
        parts[TopicPartition(topic, int(number))] = off
    reading.generation = consumer._coordinator.generation
    try:
        await consumer.commit(parts)
    except KafkaError as error:
        reading.committed(t0, offsets, type(error).__name__)
    else:
        reading.committed(t0, offsets, None)


async def report(steering: Steering, reading: Reading, consumer: Any) -> None:
    """``position`` waits until it is known: not for ever."""
    from aiokafka.errors import KafkaError

    positions = {}
    try:
        for tp in consumer.assignment():
            position = await asyncio.wait_for(consumer.position(tp), 5)
            positions[f"{tp.topic}-{tp.partition}"] = position
    except (KafkaError, TimeoutError):
        return  # asked for again
    if positions:
        steering.report_position(reading.recorder.proc, positions)
