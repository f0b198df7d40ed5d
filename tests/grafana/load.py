"""What a monitored cluster has to do: producers, groups that keep up or do not, errors."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from tests.support.process import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTITIONS = 3
BACKLOG = 3000
"""Records of which the slow group has committed none."""
KEEPS_UP, FALLS_BEHIND = "keeps-up", "falls-behind"


def create_topics(bootstrap: str, victim: int) -> None:
    """``orders`` survives a broker, ``strict`` takes no writes without all three, ``single`` is on
    the victim alone."""
    everywhere = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]
    topics = [
        _topic("orders", everywhere, minimum=2),
        _topic("strict", everywhere, minimum=3),
        _topic("single", [[victim]], minimum=1),
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.create_topics(topics).values():
        done.result(PATIENCE_SECONDS)


def _topic(name: str, assignment: list[list[int]], *, minimum: int) -> NewTopic:
    config = {"min.insync.replicas": str(minimum)}
    return NewTopic(name, len(assignment), replica_assignment=assignment, config=config)


@contextmanager
def load(bootstrap: str) -> Iterator[None]:
    """Runs until the context ends."""
    stop = threading.Event()
    jobs = (_produce, _fall_behind, _keep_up, _err)
    _fill(bootstrap)
    with ExitStack() as ends:
        for job in jobs:
            thread = threading.Thread(target=job, args=(bootstrap, stop), name=job.__name__)
            thread.start()
            ends.callback(thread.join)
        ends.callback(stop.set)
        yield


def _fill(bootstrap: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    for number in range(BACKLOG):
        producer.produce("orders", b"%d" % number, partition=number % PARTITIONS)
    assert producer.flush(PATIENCE_SECONDS) == 0


def _produce(bootstrap: str, stop: threading.Event) -> None:
    """A hundred records a second; those that a lost broker refuses are given up."""
    producer = Producer({"bootstrap.servers": bootstrap, "message.timeout.ms": 2000})
    while not stop.wait(0.05):
        for topic in ("orders", "orders", "orders", "strict", "single"):
            with suppress(BufferError):
                producer.produce(topic, b"x" * 100)
        producer.poll(0)
    producer.flush(5)


def _keep_up(bootstrap: str, stop: threading.Event) -> None:
    _consume(bootstrap, KEEPS_UP, stop, lambda consumer: consumer.commit(asynchronous=True))


def _fall_behind(bootstrap: str, stop: threading.Event) -> None:
    """Commits the first record that it sees, and no other."""
    committed: set[int] = set()

    def once(consumer: Any, message: Any) -> None:
        if message.partition() not in committed:
            committed.add(message.partition())
            consumer.commit(message=message, asynchronous=False)

    _consume(bootstrap, FALLS_BEHIND, stop, None, once)


def _consume(
    bootstrap: str,
    group: str,
    stop: threading.Event,
    after_each: Callable[[Any], object] | None,
    with_each: Callable[[Any, Any], object] | None = None,
) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["orders"])
    try:
        while not stop.is_set():
            for message in consumer.consume(500, 0.2):
                if message.error() is None and with_each is not None:
                    with suppress(KafkaException):
                        with_each(consumer, message)
            if after_each is not None:
                with suppress(KafkaException):  # nothing to commit
                    after_each(consumer)
    finally:
        consumer.close()


def _err(bootstrap: str, stop: threading.Event) -> None:
    """Asks for the settings of a topic that does not exist."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    nowhere = ConfigResource(ConfigResource.Type.TOPIC, "no-such-topic")
    while not stop.wait(0.2):
        with suppress(KafkaException):
            admin.describe_configs([nowhere])[nowhere].result(PATIENCE_SECONDS)
