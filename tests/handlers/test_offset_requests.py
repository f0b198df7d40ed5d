"""ListOffsets, OffsetForLeaderEpoch: offsets of times, of ends, of epochs."""

from __future__ import annotations

from typing import Any

import pytest

import pykbroker.handlers.list_offsets  # noqa: F401
from tests.support.data_path import DataPath, batch, broker_image, partition_image
from tests.support.manual_clock import START_WALL_MS
from wire.errors import ErrorCode
from wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from wire.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)

NEWEST = 11
LATEST, EARLIEST, MAX, LOCAL, TIERED, PENDING = -1, -2, -3, -4, -5, -6


def ask(
    *timestamps: int,
    index: int = 0,
    topic: str = "t",
    replica_id: int = -1,
    isolation: int = 0,
    **more: Any,
) -> ListOffsetsRequest:
    partitions = [
        ListOffsetsPartition(partition_index=index, timestamp=timestamp, **more)
        for timestamp in timestamps
    ]
    return ListOffsetsRequest(
        replica_id=replica_id,
        isolation_level=isolation,
        topics=[ListOffsetsTopic(name=topic, partitions=partitions)],
    )


def found(response: Any) -> Any:
    [topic] = response.topics
    [part] = topic.partitions
    return part


@pytest.fixture
def path() -> DataPath:
    made = DataPath()
    made.create("t")
    for step in range(3):
        made.append(b"a", b"b", timestamp=START_WALL_MS + 10 * step)
    made.partition().delete_records(1)
    return made


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_the_ends_of_a_log(path: DataPath, version: int) -> None:
    earliest = found(path.answer(ask(EARLIEST), version))
    latest = found(path.answer(ask(LATEST), version))
    assert (earliest.error_code, earliest.offset, earliest.timestamp) == (0, 1, -1)
    assert (latest.error_code, latest.offset, latest.timestamp) == (0, 6, -1)
    assert earliest.leader_epoch == latest.leader_epoch == (0 if version >= 4 else -1)


@pytest.mark.parametrize("version", [1, 5, NEWEST])
def test_the_first_record_at_or_after_a_time(path: DataPath, version: int) -> None:
    at = found(path.answer(ask(START_WALL_MS + 5), version))
    assert (at.offset, at.timestamp) == (2, START_WALL_MS + 10)
    first = found(path.answer(ask(0), version))
    assert (first.offset, first.timestamp) == (1, START_WALL_MS)
    none = found(path.answer(ask(START_WALL_MS + 21), version))
    assert (none.error_code, none.offset, none.timestamp, none.leader_epoch) == (0, -1, -1, -1)


def test_special_times(path: DataPath) -> None:
    path.append(b"late", timestamp=START_WALL_MS - 1)
    largest = found(path.answer(ask(MAX), 7))
    assert (largest.offset, largest.timestamp) == (4, START_WALL_MS + 20)
    assert found(path.answer(ask(LOCAL), 8)).offset == 1
    for timestamp, version in ((TIERED, 9), (PENDING, 11)):
        nothing = found(path.answer(ask(timestamp), version))
        assert (nothing.error_code, nothing.offset, nothing.leader_epoch) == (0, -1, -1)


@pytest.mark.parametrize(
    ("timestamp", "version"), [(MAX, 6), (LOCAL, 7), (TIERED, 8), (PENDING, 10), (-7, NEWEST)]
)
def test_special_times_have_their_versions(path: DataPath, timestamp: int, version: int) -> None:
    assert found(path.answer(ask(timestamp), version)).error_code == ErrorCode.UNSUPPORTED_VERSION


def test_the_oldest_version_answers_a_list(path: DataPath) -> None:
    assert found(path.answer(ask(LATEST, max_num_offsets=5), 0)).old_style_offsets == [6, 1]
    assert found(path.answer(ask(LATEST), 0)).old_style_offsets == [6]
    assert found(path.answer(ask(EARLIEST, max_num_offsets=5), 0)).old_style_offsets == [1]
    assert found(path.answer(ask(LATEST, index=3), 0)).old_style_offsets == []
    path.clock.advance(100)
    path.partition().log.roll()
    path.append(b"c")
    listed = found(path.answer(ask(path.clock.wall_ms() - 50, max_num_offsets=9), 0))
    assert listed.old_style_offsets == [1]


def test_isolation_decides_where_the_end_is(path: DataPath) -> None:
    transactional = {"producer_id": 3, "producer_epoch": 0, "base_sequence": 0}
    path.partition().append_as_leader(batch(b"x", is_transactional=True, **transactional))
    path.append(b"after")
    assert found(path.answer(ask(LATEST, isolation=0), 5)).offset == 8
    assert found(path.answer(ask(LATEST, isolation=1), 5)).offset == 6
    assert found(path.answer(ask(START_WALL_MS + 11, isolation=1), 5)).offset == 4
    assert found(path.answer(ask(MAX, isolation=1), 7)).offset == 4


def test_unknown_partitions_and_wrong_epochs(path: DataPath) -> None:
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert found(path.answer(ask(LATEST, topic="u"), 5)).error_code == unknown
    refused = found(path.answer(ask(LATEST, index=1), 5))
    assert (refused.error_code, refused.offset, refused.timestamp) == (unknown, -1, -1)
    path.elect("t", partition_image(epoch=2, version=1))
    for epoch, code in (
        (1, ErrorCode.FENCED_LEADER_EPOCH),
        (3, ErrorCode.UNKNOWN_LEADER_EPOCH),
        (2, ErrorCode.NONE),
        (-1, ErrorCode.NONE),
    ):
        answer = path.answer(ask(LATEST, current_leader_epoch=epoch), 5)
        assert found(answer).error_code == code


def test_a_partition_named_twice_is_refused_once(path: DataPath) -> None:
    answer = path.answer(ask(LATEST, EARLIEST), 5)
    assert found(answer).error_code == ErrorCode.INVALID_REQUEST


@pytest.fixture
def three() -> DataPath:
    made = DataPath(brokers=[broker_image(node) for node in (1, 2, 3)])
    made.create("t", [partition_image(replicas=(1, 2, 3))])
    made.append(b"a", b"b")
    return made


def test_consumers_see_what_is_committed_and_replicas_everything(three: DataPath) -> None:
    assert found(three.answer(ask(LATEST), 5)).offset == 0
    assert found(three.answer(ask(LATEST, replica_id=2), 5)).offset == 2


@pytest.mark.parametrize(
    ("version", "code"), [(4, ErrorCode.LEADER_NOT_AVAILABLE), (5, ErrorCode.OFFSET_NOT_AVAILABLE)]
)
def test_a_new_leader_that_lags_does_not_say(three: DataPath, version: int, code: int) -> None:
    three.elect("t", partition_image(epoch=1, version=1, replicas=(1, 2, 3)))
    assert found(three.answer(ask(LATEST), version)).error_code == code


def test_followers_answer_debuggers_only(three: DataPath) -> None:
    three.elect("t", partition_image(leader=2, epoch=1, version=1, replicas=(1, 2, 3)))
    refused = found(three.answer(ask(LATEST), 5))
    assert refused.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert found(three.answer(ask(LATEST, replica_id=-2), 5)).offset == 2


# OffsetForLeaderEpoch


def epoch_ends(*asked: tuple[int, int], index: int = 0, topic: str = "t") -> Any:
    """(leader epoch, current leader epoch)"""
    partitions = [
        OffsetForLeaderPartition(partition=index, leader_epoch=epoch, current_leader_epoch=current)
        for epoch, current in asked
    ]
    return OffsetForLeaderEpochRequest(
        replica_id=-1, topics=[OffsetForLeaderTopic(topic=topic, partitions=partitions)]
    )


@pytest.mark.parametrize("version", range(5))
def test_where_epochs_ended(path: DataPath, version: int) -> None:
    path.elect("t", partition_image(epoch=3, version=1))
    path.append(b"c")
    request = epoch_ends((0, -1), (1, -1), (3, -1), (9, -1))
    [topic] = path.answer(request, version).topics
    ends = [(p.error_code, p.leader_epoch, p.end_offset) for p in topic.partitions]
    expected = [(0, 0, 6), (0, 0, 6), (0, 3, 7), (0, -1, -1)]
    if version == 0:
        expected = [(error, -1, end) for error, _, end in expected]
    assert ends == expected


def test_epoch_requests_are_fenced_and_refused(path: DataPath) -> None:
    def code(request: Any) -> int:
        [topic] = path.answer(request, 4).topics
        [part] = topic.partitions
        assert (part.leader_epoch, part.end_offset) == (-1, -1)
        return part.error_code  # type: ignore[no-any-return]

    path.elect("t", partition_image(epoch=3, version=1))
    assert code(epoch_ends((0, 2))) == ErrorCode.FENCED_LEADER_EPOCH
    assert code(epoch_ends((0, 4))) == ErrorCode.UNKNOWN_LEADER_EPOCH
    assert code(epoch_ends((0, -1), topic="u")) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    path.elect("t", partition_image(leader=-1, epoch=4, version=2))
    assert code(epoch_ends((0, -1))) == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_a_topic_without_partitions_is_not_answered(path: DataPath) -> None:
    request = ask(LATEST)
    request.topics.append(ListOffsetsTopic(name="u", partitions=[]))
    assert found(path.answer(request, NEWEST)).offset == 6
