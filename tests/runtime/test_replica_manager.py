"""The replica manager holds what the metadata says, and tells what it does not hold."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.state.controller.image import TopicImage, replace
from pykbroker.state.errors import KafkaError
from pykbroker.state.fetch_session import FetchEntry
from pykbroker.state.types import TopicPartition
from tests.support.data_path import DataPath, broker_image, partition_image, topic_id
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition


@pytest.fixture
def path() -> DataPath:
    return DataPath()


def code_of(function: Any, *args: Any) -> ErrorCode:
    with pytest.raises(KafkaError) as refusal:
        function(*args)
    return refusal.value.code


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def on_elected(self, index: int, partition: Any, leader_epoch: int) -> None:
        assert partition.is_leader
        self.heard.append(("elected", index, leader_epoch))

    def on_resigned(self, index: int) -> None:
        self.heard.append(("resigned", index))


def test_partitions_are_found_by_name_and_by_id(path: DataPath) -> None:
    made = path.create("t", 2)
    replicas = path.replicas
    by_name = replicas.leader(TopicPartition("t", 1))
    assert by_name is replicas.leader_by_id(made, 1) is replicas.find(TopicPartition("t", 1))
    assert by_name.topic_id == made
    assert len(list(replicas.partitions())) == 2


def test_what_is_not_there_is_told_apart(path: DataPath) -> None:
    elsewhere = partition_image(leader=2, replicas=(2,))
    made = path.create("t", [partition_image(), elsewhere, partition_image(leader=-1)])
    replicas = path.replicas
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert code_of(replicas.leader, TopicPartition("u", 0)) is unknown
    assert code_of(replicas.leader, TopicPartition("t", 3)) is unknown
    assert code_of(replicas.leader, TopicPartition("t", -1)) is unknown
    assert code_of(replicas.leader_by_id, made, 3) is unknown
    assert code_of(replicas.leader_by_id, topic_id(99), 0) is ErrorCode.UNKNOWN_TOPIC_ID
    not_leader = ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert code_of(replicas.leader, TopicPartition("t", 1)) is not_leader
    assert code_of(replicas.leader, TopicPartition("t", 2)) is not_leader
    assert code_of(replicas.leader_by_id, made, 1) is not_leader
    assert replicas.hosted(TopicPartition("t", 2)).is_leader is False
    assert replicas.find(TopicPartition("t", 1)) is None


def test_a_fetch_of_a_topic_made_anew_is_told_so(path: DataPath) -> None:
    old = path.create("t", 2)
    entry = FetchEntry(old, "t", FetchPartition())
    assert path.replicas.fetched(entry).topic_id == old
    path.delete("t")
    fetched = path.replicas.fetched
    assert code_of(fetched, entry) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert code_of(fetched, FetchEntry(old, None, FetchPartition())) is ErrorCode.UNKNOWN_TOPIC_ID
    path.create("t")
    assert code_of(fetched, entry) is ErrorCode.INCONSISTENT_TOPIC_ID
    other = FetchEntry(old, "t", FetchPartition(partition=1))
    assert code_of(fetched, other) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert fetched(FetchEntry("t", "t", FetchPartition())).topic_id != old


def test_a_topic_deleted_and_made_anew_in_one_change_begins_empty(path: DataPath) -> None:
    old = path.create("t")
    path.append(b"a")
    before = path.images.current
    made = TopicImage("t", topic_id(77), (partition_image(),))
    path.change(
        after=replace(before, topics={"t": made}, topic_names={made.topic_id: "t"}),
        topics_created=frozenset(("t",)),
        topics_deleted={old: "t"},
    )
    assert path.partition().topic_id == made.topic_id
    assert path.partition().log_end_offset == 0
    assert path.append(b"b") == 0


def test_deleted_topics_leave_no_log_in_service(path: DataPath) -> None:
    path.create("t", 2)
    path.append(b"a")
    path.delete("t")
    assert list(path.replicas.partitions()) == []
    assert path.logs.logs == {}


def test_new_partitions_of_a_topic_are_made(path: DataPath) -> None:
    path.create("t")
    path.append(b"a")
    path.elect("t", partition_image(), partition_image())
    assert path.partition(index=1).is_leader
    assert path.partition().log_end_offset == 1


def test_a_replica_that_moves_away_is_deleted_here(path: DataPath) -> None:
    path.create("t")
    path.append(b"a")
    listener = Listener()
    path.replicas.add_leadership_listener("t", listener)
    path.elect("t", partition_image(leader=2, epoch=1, version=1, replicas=(2,)))
    assert list(path.replicas.partitions()) == []
    assert path.logs.logs == {}
    assert listener.heard == [("elected", 0, 0), ("resigned", 0)]


def test_listeners_hear_of_elections_in_order(path: DataPath) -> None:
    first, second = Listener(), Listener()
    path.replicas.add_leadership_listener("t", first)
    path.create("t", [partition_image(epoch=3), partition_image(leader=-1)])
    path.create("u")
    assert first.heard == [("elected", 0, 3)]
    path.replicas.add_leadership_listener("t", second)
    assert second.heard == [("elected", 0, 3)]
    kept = path.images.current.topics["t"].partitions[0]
    path.elect("t", kept, partition_image(epoch=1, version=1))
    path.elect("t", partition_image(epoch=4, version=1), partition_image(epoch=1, version=1))
    path.elect(
        "t", partition_image(leader=-1, epoch=5, version=2), partition_image(epoch=1, version=1)
    )
    path.delete("t")
    expected = [
        ("elected", 0, 3),
        ("elected", 1, 1),
        ("elected", 0, 4),
        ("resigned", 0),
        ("resigned", 1),
    ]
    assert first.heard == second.heard == expected


def test_an_isr_change_is_no_election(path: DataPath) -> None:
    listener = Listener()
    path.replicas.add_leadership_listener("t", listener)
    path.create("t", [partition_image(replicas=(1, 2))])
    path.elect("t", partition_image(version=1, replicas=(1, 2), isr=(1,)))
    assert listener.heard == [("elected", 0, 0)]


def test_topic_settings_reach_the_logs(path: DataPath) -> None:
    path.create("t", 2, retention_ms=5)
    logs = [path.partition(index=index).stored_log for index in (0, 1)]
    assert [log.config.retention_ms for log in logs] == [5, 5]
    path.configure("t", segment_bytes=2_000_000)
    assert [log.config.retention_ms for log in logs] == [604_800_000] * 2
    assert [log.config.segment_bytes for log in logs] == [2_000_000] * 2
    assert not logs[0].is_loaded


def test_broker_settings_reach_the_logs_of_topics_without_their_own(path: DataPath) -> None:
    path.create("t")
    path.create("own", retention_ms=5)
    path.settings.update({}, {"log.retention.ms": "9", "background.threads": "12"})
    assert path.partition("t").stored_log.config.retention_ms == 9
    assert path.partition("own").stored_log.config.retention_ms == 5
    path.settings.update({}, {})
    assert path.partition("t").stored_log.config.retention_ms == 604_800_000


def test_a_failed_directory_takes_its_partitions_out_of_service() -> None:
    path = DataPath(log_dirs=("/a", "/b"))
    made = path.create("t", 2)
    listener = Listener()
    path.replicas.add_leadership_listener("t", listener)
    lost, kept = path.partition(index=0), path.partition(index=1)
    assert lost.stored_log.log_directory != kept.stored_log.log_directory
    told: list[ErrorCode] = []
    path.append(b"a")
    path.append(b"b", index=1)
    lost.when_committed(5, told.append)
    lost.log.fail(OSError(5, "I/O error"))
    assert told == []  # Not within whatever found the failure.
    path.clock.advance(0)
    assert told == [ErrorCode.KAFKA_STORAGE_ERROR]
    storage_error = ErrorCode.KAFKA_STORAGE_ERROR
    assert code_of(path.replicas.leader, TopicPartition("t", 0)) is storage_error
    assert code_of(path.replicas.leader_by_id, made, 0) is storage_error
    assert path.replicas.offline_count == 1
    assert path.append(b"c", index=1) == 1
    assert listener.heard == [("elected", 0, 0), ("elected", 1, 0), ("resigned", 0)]
    # Metadata does not bring it back; deletion ends it.
    path.elect("t", partition_image(epoch=1, version=1), partition_image(epoch=1, version=1))
    assert code_of(path.replicas.leader, TopicPartition("t", 0)) is storage_error
    path.delete("t")
    assert path.replicas.offline_count == 0


def test_what_may_lie_in_a_directory_that_failed_does_not_begin_anew() -> None:
    path = DataPath(log_dirs=("/a", "/b"))
    path.create("t", 2)
    for index in range(2):
        path.append(b"x", index=index)
    there = path.partition(index=0).stored_log.log_directory
    for index in range(2):
        path.partition(index=index).stored_log.close()
    path.logs.release()
    again = DataPath(disk=path.disk, log_dirs=("/a", "/b"))
    (failed,) = [d for d in again.logs.directories if d.path != there]
    failed.is_failed = True
    again.create("t", 2)
    assert again.partition(index=0).log_end_offset == 1
    code = code_of(again.replicas.leader, TopicPartition("t", 1))
    assert code is ErrorCode.KAFKA_STORAGE_ERROR
    assert again.replicas.offline_count == 1
    # What is new cannot have been there.
    again.create("u", 1)
    assert again.append(b"y", name="u") == 0


def test_with_every_directory_gone_new_partitions_are_offline(path: DataPath) -> None:
    path.create("t")
    path.append(b"a")
    path.partition().log.fail(OSError(5, "I/O error"))
    path.create("u")
    code = code_of(path.replicas.leader, TopicPartition("u", 0))
    assert code is ErrorCode.KAFKA_STORAGE_ERROR
    assert path.replicas.offline_count == 2


def test_a_broker_that_is_fenced_or_back_moves_what_waits_for_it() -> None:
    path = DataPath(brokers=[broker_image(1), broker_image(2)])
    path.create("t", [partition_image(replicas=(1, 2), isr=(1,))])
    partition = path.partition()
    partition.follower_fetched(2, 12, FetchPartition(fetch_offset=0), 0)  # type: ignore[arg-type]
    path.append(b"a")
    assert partition.high_watermark == 0
    path.brokers(broker_image(1))
    assert partition.high_watermark == 1
