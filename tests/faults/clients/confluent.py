"""confluent-kafka, which is librdkafka, under load."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults.history import now
from tests.faults.workload import (
    BURST_S,
    FLUSH_S,
    OUTSTANDING,
    Outstanding,
    Pace,
    Reading,
    name_of,
    run_threads,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.workload import Steering


def run(steering: Steering) -> None:
    options = steering.options
    workers: list[Callable[[], None]] = [
        partial(produce, steering, name, f"p{i}-{name}") for i, name in enumerate(options.producers)
    ]
    workers += [partial(consume, steering, f"m{i}", "group") for i in range(options.members)]
    workers += [partial(consume, steering, f"r{i}", None) for i in range(options.readers)]
    run_threads(workers)


def produce(steering: Steering, sort: str, name: str) -> None:
    from confluent_kafka import Producer

    options = steering.options
    outstanding = Outstanding(steering, sort, name)
    steering.may_produce.wait()
    impatient = {
        "socket.timeout.ms": options.request_ms,
        "request.timeout.ms": options.request_ms,
        "message.timeout.ms": 120_000,
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 5_000,
    }
    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap,
            "acks": outstanding.acks,
            "enable.idempotence": outstanding.idempotent,
            "linger.ms": 5,
            "log_level": 0,
            **options.if_impatient(**impatient),
        }
    )

    def delivered(done: Any, error: Any, message: Any) -> None:
        offset = message.offset()
        done(-1 if offset is None else offset, None if error is None else error.name())

    pace = Pace(options.rate)
    while not steering.must_stop_producing.is_set():
        if outstanding.count < OUTSTANDING:
            for _ in range(pace.due()):
                record = outstanding.next()
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    headers=record.headers,
                    on_delivery=partial(delivered, record.done),
                )
        producer.poll(BURST_S)
        time.sleep(BURST_S / 4)
    producer.flush(FLUSH_S)
    outstanding.recorder.close()
    steering.say(f"produced {name}")


def consume(steering: Steering, name: str, group: str | None) -> None:
    from confluent_kafka import (
        OFFSET_BEGINNING,
        Consumer,
        KafkaError,
        KafkaException,
        TopicPartition,
    )

    options = steering.options
    recorder = steering.recorder(name)
    reading = Reading(recorder, None if group is None else f"{options.group}-{steering.kind}")
    impatient = {
        "session.timeout.ms": options.session_ms,
        "heartbeat.interval.ms": options.session_ms // 3,
        "fetch.wait.max.ms": 200,
        "socket.timeout.ms": options.request_ms,
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 5_000,
    }
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": reading.group or "unused",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
            **options.if_impatient(**impatient),
        }
    )

    def assigned(_: Any, parts: list[TopicPartition]) -> None:
        reading.assigned(sorted(f"{p.topic}-{p.partition}" for p in parts), -1, now())

    if group is None:
        every = [TopicPartition(topic.name, p, OFFSET_BEGINNING) for topic, p in options.parts]
        consumer.assign(every)
        reading.assigned([f"{p.topic}-{p.partition}" for p in every], -1, now())
    else:
        consumer.subscribe(options.names, on_assign=assigned)
    while not steering.must_stop.is_set():
        t0 = now()
        recs: dict[str, list[list[Any]]] = {}
        for m in consumer.consume(1000, timeout=0.2):
            if m.error() is not None:
                reading.trouble(t0, str(m.error()))
                if m.error().code() == KafkaError.NOT_COORDINATOR and group is not None:
                    # It will not ask for the committed offsets again (librdkafka's issue 5586).
                    consumer.unsubscribe()
                    consumer.subscribe(options.names, on_assign=assigned)
                continue
            epoch = m.leader_epoch()
            recs.setdefault(f"{m.topic()}-{m.partition()}", []).append(
                [m.offset(), -1 if epoch is None else epoch, name_of(m.value(), m.headers())]
            )
        reading.polled(t0, recs)
        if recs and group is not None:
            commit(consumer, reading, {tp: reading.positions[tp] for tp in recs})
        if steering.ends is not None:
            report(steering, reading, consumer, KafkaException)
    consumer.close()
    recorder.close()


def commit(consumer: Any, reading: Reading, offsets: dict[str, int]) -> None:
    from confluent_kafka import KafkaException, TopicPartition

    t0 = now()
    parts = []
    for tp, off in offsets.items():
        topic, _, partition = tp.rpartition("-")
        parts.append(TopicPartition(topic, int(partition), off))
    try:
        done = consumer.commit(offsets=parts, asynchronous=False)
        errors = [p.error.name() for p in done if p.error is not None]
        reading.committed(t0, offsets, errors[0] if errors else None)
    except KafkaException as error:
        reading.committed(t0, offsets, error.args[0].name())


def report(steering: Steering, reading: Reading, consumer: Any, failure: type[Exception]) -> None:
    """Where nothing was read since the assignment, what is committed counts."""
    try:
        parts = consumer.position(consumer.assignment())
        unread = [p for p in parts if p.offset < 0]
        if unread and reading.group is not None:
            parts = [p for p in parts if p.offset >= 0] + consumer.committed(unread, timeout=5)
    except failure:
        return  # asked for again
    positions = {f"{p.topic}-{p.partition}": max(p.offset, 0) for p in parts}
    if positions:
        steering.report_position(reading.recorder.proc, positions)
