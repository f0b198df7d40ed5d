"""kafka-python under load."""

from __future__ import annotations

import time
import warnings
from functools import partial
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
    run_threads,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.workload import Steering

BACKOFF_MAX_MS = 1000
"""The Java client's. Its own default grows to 30 s for a broker that is killed again and again."""

warnings.simplefilter("ignore", DeprecationWarning)


def run(steering: Steering) -> None:
    options = steering.options
    workers: list[Callable[[], None]] = [
        partial(produce, steering, name, f"p{i}-{name}") for i, name in enumerate(options.producers)
    ]
    workers += [partial(consume, steering, f"m{i}", "group") for i in range(options.members)]
    workers += [partial(consume, steering, f"r{i}", None) for i in range(options.readers)]
    run_threads(workers)


def produce(steering: Steering, sort: str, name: str) -> None:
    from kafka import KafkaProducer

    options = steering.options
    outstanding = Outstanding(steering, sort, name)
    steering.may_produce.wait()
    producer = KafkaProducer(
        bootstrap_servers=options.bootstrap.split(","),
        acks="all" if outstanding.acks == -1 else outstanding.acks,
        enable_idempotence=outstanding.idempotent,
        linger_ms=5,
        reconnect_backoff_max_ms=BACKOFF_MAX_MS,
        **options.if_impatient(request_timeout_ms=options.request_ms),
    )
    pace = Pace(options.rate)
    while not steering.must_stop_producing.is_set():
        if outstanding.count < OUTSTANDING:
            for _ in range(pace.due()):
                send(producer, outstanding.next())
        time.sleep(BURST_S)
    producer.flush(FLUSH_S)
    producer.close(FLUSH_S)
    outstanding.recorder.close()
    steering.say(f"produced {name}")


def send(producer: Any, record: Outgoing) -> None:
    done = record.done
    try:
        future = producer.send(
            record.topic,
            record.value,
            record.key,
            headers=record.headers,
            partition=record.partition,
        )
    except Exception as error:  # e.g. no metadata, no memory: it is in the history
        done(-1, told(error))
        return
    future.add_callback(lambda m: done(m.offset, None))
    future.add_errback(lambda e: done(-1, told(e)))


def consume(steering: Steering, name: str, group: str | None) -> None:
    from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    options = steering.options
    group = None if group is None else f"{options.group}-{steering.kind}"
    recorder = steering.recorder(name)
    reading = Reading(recorder, group)
    consumer = KafkaConsumer(
        bootstrap_servers=options.bootstrap.split(","),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        reconnect_backoff_max_ms=BACKOFF_MAX_MS,
        **options.if_impatient(
            session_timeout_ms=options.session_ms,
            heartbeat_interval_ms=options.session_ms // 3,
            request_timeout_ms=max(options.request_ms, options.session_ms + 1000),
            fetch_max_wait_ms=200,
            metadata_max_age_ms=5_000,
        ),
    )

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Any) -> None:
            return

        def on_partitions_assigned(self, assigned: Any) -> None:
            owned = sorted(f"{tp.topic}-{tp.partition}" for tp in assigned)
            generation = consumer._coordinator.generation_if_stable()
            reading.assigned(owned, -1 if generation is None else generation.generation_id, now())

    if group is None:
        every = [TopicPartition(topic.name, p) for topic, p in options.parts]
        consumer.assign(every)
        consumer.seek_to_beginning()
        reading.assigned([f"{tp.topic}-{tp.partition}" for tp in every], -1, now())
    else:
        consumer.subscribe(options.names, listener=Listener())
    while not steering.must_stop.is_set():
        t0 = now()
        try:
            got = consumer.poll(timeout_ms=200)
        except KafkaError as error:
            reading.trouble(t0, repr(error))
            continue
        reading.polled(
            t0,
            {
                f"{tp.topic}-{tp.partition}": [
                    [
                        r.offset,
                        -1 if r.leader_epoch is None else r.leader_epoch,
                        name_of(r.value, r.headers),
                    ]
                    for r in records
                ]
                for tp, records in got.items()
                if records
            },
        )
        if got and group is not None:
            commit(consumer, reading)
        if steering.ends is not None:
            report(steering, reading, consumer)
    consumer.close(autocommit=False)
    recorder.close()


def commit(consumer: Any, reading: Reading) -> None:
    from kafka.errors import KafkaError

    t0 = now()
    offsets: dict[str, int] = {}
    try:
        generation = consumer._coordinator.generation_if_stable()
        reading.generation = -1 if generation is None else generation.generation_id
        for tp in consumer.assignment():
            position = consumer.position(tp)
            if position is not None:
                offsets[f"{tp.topic}-{tp.partition}"] = position
        consumer.commit()
    except KafkaError as error:
        reading.committed(t0, offsets, type(error).__name__)
    else:
        reading.committed(t0, offsets, None)


def report(steering: Steering, reading: Reading, consumer: Any) -> None:
    from kafka.errors import KafkaError

    try:
        positions = {
            f"{tp.topic}-{tp.partition}": consumer.position(tp) or 0 for tp in consumer.assignment()
        }
    except KafkaError:
        return  # asked for again
    if positions:
        steering.report_position(reading.recorder.proc, positions)
