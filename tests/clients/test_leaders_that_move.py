"""Leaders move away and come back: whoever reads their partitions goes on."""

from __future__ import annotations

import gc
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import ElectionType, Producer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from pykbroker.testing import Cluster
from tests.support.process import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTITIONS = 3


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as made:
        made.create_topic("t", PARTITIONS)
        yield made


def leaders(admin: AdminClient) -> dict[int, int]:
    topic = admin.list_topics("t", timeout=PATIENCE_SECONDS).topics["t"]
    return {index: partition.leader for index, partition in topic.partitions.items()}


def elect_preferred(admin: AdminClient) -> None:
    """As far as the preferred replicas are in sync."""
    places = [Place("t", index) for index in range(PARTITIONS)]
    admin.elect_leaders(ElectionType.PREFERRED, places).result(PATIENCE_SECONDS)


class Reader:
    """A consumer of kafka-python that reads every partition."""

    def __init__(self, cluster: Cluster) -> None:
        from kafka import KafkaConsumer, TopicPartition

        self.places = [TopicPartition("t", index) for index in range(PARTITIONS)]
        self.read: set[bytes] = set()
        self.consumer = KafkaConsumer(
            bootstrap_servers=cluster.bootstrap_servers.split(","),
            auto_offset_reset="earliest",
            reconnect_backoff_max_ms=200,
        )
        self.consumer.assign(self.places)

    def poll_until(self, holds: Callable[[], Any], *, polls: int = 1) -> None:
        """Until it holds after so many polls in a row."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        held = 0
        while held < polls:
            assert time.monotonic() < deadline, self.read
            for records in self.consumer.poll(timeout_ms=50).values():
                self.read.update(record.value for record in records)
            held = held + 1 if holds() else 0

    def stands_at_the_beginning(self) -> bool:
        return all(self.consumer.position(place) == 0 for place in self.places)

    def has_forgotten(self, node_id: int) -> bool:
        """And is not about to ask for metadata again."""
        known = self.consumer._cluster
        return not known.need_update and all(b.node_id != node_id for b in known.brokers())


def read_while_leaders_come_back(cluster: Cluster) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    reader = Reader(cluster)
    first = leaders(admin)
    gone = first[0]
    # While nothing is read a position has no epoch, and what the former leader answers is all
    # that the client acts upon.
    reader.poll_until(reader.stands_at_the_beginning)
    cluster.kill_broker(gone)
    reader.poll_until(lambda: reader.has_forgotten(gone), polls=10)
    cluster.start_broker(gone)

    def came_back() -> bool:
        elect_preferred(admin)
        return leaders(admin) == first

    eventually(came_back)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    for index in range(PARTITIONS):
        producer.produce("t", b"%d" % index, partition=index)
    assert producer.flush(PATIENCE_SECONDS) == 0
    reader.poll_until(lambda: len(reader.read) == PARTITIONS)
    reader.consumer.close()


# kafka-python leaves sockets open that could not be connected, and lines of its log hold them.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_reader_goes_on_when_leaders_return_to_a_broker_that_it_has_forgotten(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="kafka")
    read_while_leaders_come_back(cluster)
    gc.collect()
