"""kafka-reassign-partitions moves a partition of ours under its throttle, and clears that away."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.apache_kafka import java
from tests.support.cluster_process import ClusterProcess
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compat.kafka.libraries import Java

pytestmark = pytest.mark.kafka
TOOL = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
RECORDS, SIZE = 200, 10_000
THROTTLED = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")


@pytest.fixture
def kafka(tmp_path: Path) -> Java:
    return java(tmp_path)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterProcess]:
    small = "replica.fetch.max.bytes=20000"
    made = ClusterProcess(
        "--data-dir", str(tmp_path / "data"), "-o", small, brokers=2, log_dir=tmp_path
    )
    try:
        yield made.wait_ready()  # type: ignore[misc]
    finally:
        made.kill_all()


def fill(bootstrap: str) -> None:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = NewTopic("t", num_partitions=1, replica_assignment=[[1]])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([topic])["t"].result(60)
    producer = Producer({"bootstrap.servers": bootstrap, "batch.size": 2 * SIZE})
    for _ in range(RECORDS):
        producer.produce("t", os.urandom(SIZE))
        producer.poll(0)
    assert producer.flush(60) == 0


def throttles(bootstrap: str) -> list[str]:
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    topic = ConfigResource(ResourceType.TOPIC, "t")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    values = admin.describe_configs([topic])[topic].result(60)
    return [values[name].value for name in THROTTLED]


def test_a_move_is_held_up_by_its_throttle_and_ends_without(
    kafka: Java, cluster: ClusterProcess, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    move = {"topic": "t", "partition": 0, "replicas": [2]}
    plan.write_text(json.dumps({"version": 1, "partitions": [move]}))

    def tool(*options: str) -> str:
        named = ("--bootstrap-server", cluster.bootstrap, "--reassignment-json-file", str(plan))
        return kafka.run(TOOL, *named, *options)

    fill(cluster.bootstrap)
    assert "Successfully started" in tool("--execute", "--throttle", "10")
    assert throttles(cluster.bootstrap) == ["0:1", "0:2"]
    assert "still in progress" in tool("--verify", "--preserve-throttles")
    [copy] = eventually(  # type: ignore[misc]
        lambda: list((tmp_path / "data" / "broker-2").glob("t-0/*.log")), what="the new replica"
    )
    assert copy.stat().st_size < RECORDS * SIZE / 2
    assert "Successfully started" in tool("--execute", "--additional", "--throttle", "1000000000")
    eventually(lambda: "is completed" in tool("--verify"), what="the end of the move")
    assert throttles(cluster.bootstrap) == ["", ""]
    assert cluster.terminate() == 0
