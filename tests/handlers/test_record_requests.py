"""DeleteRecords and DescribeProducers."""

from __future__ import annotations

from typing import Any

import pytest

import pykbroker.handlers.records  # noqa: F401
from pykbroker.runtime.purgatory import DELETE_RECORDS
from tests.support.data_path import DataPath, batch, broker_image, partition_image
from wire.errors import ErrorCode
from wire.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsTopic,
)
from wire.messages.describe_producers import DescribeProducersRequest, TopicRequest
from wire.messages.fetch import FetchPartition


def delete(offset: int, *, index: int = 0, topic: str = "t", timeout_ms: int = 1000) -> Any:
    partitions = [DeleteRecordsPartition(partition_index=index, offset=offset)]
    return DeleteRecordsRequest(
        topics=[DeleteRecordsTopic(name=topic, partitions=partitions)], timeout_ms=timeout_ms
    )


def result(response: Any) -> tuple[ErrorCode, int]:
    [topic] = response.topics
    [part] = topic.partitions
    return ErrorCode(part.error_code), part.low_watermark


@pytest.fixture
def path() -> DataPath:
    made = DataPath()
    made.create("t")
    for value in (b"a", b"b", b"c"):
        made.append(value)
    return made


@pytest.mark.parametrize("version", [0, 1, 2])
def test_records_are_deleted(path: DataPath, version: int) -> None:
    assert result(path.answer(delete(2), version)) == (ErrorCode.NONE, 2)
    assert path.partition().log_start_offset == 2
    assert result(path.answer(delete(1), version)) == (ErrorCode.NONE, 2)
    assert result(path.answer(delete(-1), version)) == (ErrorCode.NONE, 3)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (delete(4), ErrorCode.OFFSET_OUT_OF_RANGE),
        (delete(-2), ErrorCode.OFFSET_OUT_OF_RANGE),
        (delete(0, index=1), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (delete(0, topic="u"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (delete(0, topic="__consumer_offsets"), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (delete(0, topic="compacted"), ErrorCode.POLICY_VIOLATION),
        (delete(0, topic="elsewhere"), ErrorCode.NOT_LEADER_OR_FOLLOWER),
    ],
)
def test_what_may_not_be_deleted(path: DataPath, request_: Any, code: ErrorCode) -> None:
    path.create("__consumer_offsets")
    path.create("compacted", cleanup_policy="compact")
    path.create("elsewhere", [partition_image(leader=2, replicas=(2,))])
    assert result(path.answer(request_, 2)) == (code, -1)
    assert path.partition().log_start_offset == 0


@pytest.fixture
def two() -> DataPath:
    made = DataPath(brokers=[broker_image(1), broker_image(2)])
    made.create("t", [partition_image(replicas=(1, 2))])
    made.append(b"a")
    made.append(b"b")
    follow(made, log_start=0)
    return made


def follow(path: DataPath, *, log_start: int) -> None:
    partition = path.partition()
    request = FetchPartition(fetch_offset=partition.log_end_offset, log_start_offset=log_start)
    partition.follower_fetched(2, 12, request, partition.log_end_offset)  # type: ignore[arg-type]
    path.replicas.wakeups.run()


def test_the_answer_waits_for_the_replicas(two: DataPath) -> None:
    waiting = two.wait(delete(2), 2)
    follow(two, log_start=1)
    assert waiting.answers == []
    follow(two, log_start=2)
    assert result(waiting.answer) == (ErrorCode.NONE, 2)
    assert two.replicas.counts.waiting[DELETE_RECORDS] == 0


def test_replicas_that_do_not_delete_in_time(two: DataPath) -> None:
    waiting = two.wait(delete(2, timeout_ms=100), 2)
    two.clock.advance(100)
    assert result(waiting.answer) == (ErrorCode.REQUEST_TIMED_OUT, 0)


def test_a_lost_leadership_ends_the_wait(two: DataPath) -> None:
    waiting = two.wait(delete(2), 2)
    two.elect("t", partition_image(leader=2, epoch=1, version=1, replicas=(1, 2)))
    assert result(waiting.answer) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)


# DescribeProducers


def describe(path: DataPath, topic: str = "t", index: int = 0) -> Any:
    request = DescribeProducersRequest(topics=[TopicRequest(name=topic, partition_indexes=[index])])
    [answer] = path.answer(request, 0).topics
    assert answer.name == topic
    [part] = answer.partitions
    return part


def test_producers_are_described(path: DataPath) -> None:
    assert describe(path).active_producers == []
    path.append(b"x", b"y", producer_id=7, producer_epoch=2, base_sequence=5)
    path.partition().append_as_leader(
        batch(b"z", producer_id=8, producer_epoch=0, base_sequence=0, is_transactional=True)
    )
    first, second = describe(path).active_producers
    assert (first.producer_id, first.producer_epoch, first.last_sequence) == (7, 2, 6)
    assert (first.coordinator_epoch, first.current_txn_start_offset) == (-1, -1)
    assert first.last_timestamp > 0
    assert (second.producer_id, second.current_txn_start_offset) == (8, 5)


def test_producers_of_what_is_not_there(path: DataPath) -> None:
    path.create("elsewhere", [partition_image(leader=2, replicas=(2,))])
    cases = [
        ("u", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("no/name", 0, ErrorCode.INVALID_TOPIC_EXCEPTION),
        ("elsewhere", 0, ErrorCode.NOT_LEADER_OR_FOLLOWER),
    ]
    for topic, index, code in cases:
        assert describe(path, topic, index).error_code == code
    assert describe(path, "u").error_message


def test_each_partition_is_answered_once_and_what_is_named_last_counts(path: DataPath) -> None:
    request = delete(1)
    request.topics += [*delete(2).topics, DeleteRecordsTopic(name="u", partitions=[])]
    assert result(path.answer(request, 2)) == (ErrorCode.NONE, 2)
    empty = DeleteRecordsRequest(topics=[DeleteRecordsTopic(name="t", partitions=[])])
    assert path.answer(empty, 2).topics == []


def test_the_empty_name_is_an_unknown_topic(path: DataPath) -> None:
    code, _ = result(path.answer(delete(1, topic=""), 2))
    assert code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
