"""Groups and their offsets outlive the broker's process, however it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import BrokerProcess, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from confluent_kafka import Consumer


def consumer(broker: BrokerProcess, group: str, **options: Any) -> Consumer:
    from confluent_kafka import Consumer

    settings = {
        "bootstrap.servers": broker.bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 30_000,
        "heartbeat.interval.ms": 200,
        "reconnect.backoff.max.ms": 500,
    }
    return Consumer(settings | options)


def committed(broker: BrokerProcess, group: str) -> list[int]:
    from confluent_kafka import TopicPartition

    reader = consumer(broker, group)
    try:
        found = reader.committed([TopicPartition("t", p) for p in range(3)], timeout=60)
        return [entry.offset for entry in found]
    finally:
        reader.close()


def create(broker: BrokerProcess) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("t", 3, 1)])["t"].result(60)


@pytest.mark.parametrize("end", [BrokerProcess.kill, BrokerProcess.terminate])
def test_committed_offsets_are_there_after_a_restart(
    start_broker: Callable[..., BrokerProcess],
    tmp_path: Path,
    end: Callable[[BrokerProcess], int],
) -> None:
    from confluent_kafka import TopicPartition

    data = str(tmp_path / "data")
    broker = start_broker("--data-dir", data)
    create(broker)
    writer = consumer(broker, "g")
    for offset in range(1, 51):
        positions = [TopicPartition("t", p, offset * 10 + p) for p in range(3)]
        writer.commit(offsets=positions, asynchronous=False)
    writer.close()
    end(broker)
    again = start_broker("--data-dir", data)
    assert committed(again, "g") == [500, 501, 502]
    assert committed(again, "other") == [-1001, -1001, -1001]


def test_members_go_on_with_their_generation_after_a_kill(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    data = str(tmp_path / "data")
    broker = start_broker("--data-dir", data)
    create(broker)
    assigned: list[int] = []
    lost: list[int] = []
    member = consumer(broker, "g")
    member.subscribe(
        ["t"],
        on_assign=lambda _, partitions: assigned.extend(p.partition for p in partitions),
        on_revoke=lambda _, partitions: lost.extend(p.partition for p in partitions),
        on_lost=lambda _, partitions: lost.extend(p.partition for p in partitions),
    )
    try:
        eventually(lambda: member.poll(0.1) is None and len(assigned) == 3, what="an assignment")
        broker.kill()
        again = start_broker("--data-dir", data, port=broker.port)
        eventually(lambda: has_committed(member, 7), what="a commit")
        assert committed(again, "g") == [7, 7, 7]
        assert sorted(assigned) == [0, 1, 2]
        assert lost == [], "no rebalance: the group was stable and is"
    finally:
        member.close()


def has_committed(member: Consumer, offset: int) -> bool:
    """False while the client still looks for the broker that has come back."""
    from confluent_kafka import KafkaError, KafkaException

    try:
        member.commit(offsets=_positions(offset), asynchronous=False)
    except KafkaException as failure:
        error = failure.args[0]
        passing = (KafkaError._TRANSPORT, KafkaError._WAIT_COORD, KafkaError._ALL_BROKERS_DOWN)
        assert error.retriable() or error.code() in passing, error
        return False
    return True


def _positions(offset: int) -> list[Any]:
    from confluent_kafka import TopicPartition

    return [TopicPartition("t", p, offset) for p in range(3)]
