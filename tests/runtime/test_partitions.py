"""A partition joins replica state and log: appends, high watermark, epochs, deletion of records."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.runtime.offset_lookup import end_offset_for_epoch, offset_for, offsets_before
from pykbroker.runtime.storage.flush import FlushJob
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.epochs import EpochEnd, EpochEntry
from tests.support.data_path import DataPath, batch, broker_image, partition_image
from tests.support.manual_clock import START_WALL_MS
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition
from wire.records.record import Record

EARLIEST, LATEST, MAX_TIME = -2, -1, -3


@pytest.fixture
def path() -> DataPath:
    made = DataPath()
    made.create("t")
    return made


@pytest.fixture
def three() -> DataPath:
    made = DataPath(brokers=[broker_image(node) for node in (1, 2, 3)])
    made.create("t", [partition_image(replicas=(1, 2, 3))])
    return made


def fetch_as(path: DataPath, node: int, offset: int, *, log_start: int = 0) -> None:
    partition = path.partition()
    request = FetchPartition(fetch_offset=offset, log_start_offset=log_start)
    partition.follower_fetched(node, 10 + node, request, partition.log_end_offset)  # type: ignore[arg-type]
    path.replicas.wakeups.run()


def code_of(function: Any, *args: Any, **options: Any) -> ErrorCode:
    with pytest.raises(KafkaError) as refusal:
        function(*args, **options)
    return refusal.value.code


# Opening


def test_a_log_is_opened_by_its_first_use(path: DataPath) -> None:
    partition = path.partition()
    assert not partition.stored_log.is_loaded
    assert partition.is_leader
    assert partition.log_end_offset == 0
    assert partition.stored_log.is_loaded
    assert partition.state.epoch_start_offset == 0


def test_what_was_not_committed_when_the_broker_stopped_is_when_it_leads_alone() -> None:
    first = DataPath()
    first.create("t")
    for value in (b"a", b"b"):
        first.append(value)
    first.partition().log.close()
    first.logs.release()
    # No high watermark was checkpointed: the log is opened with one of 0.
    again = DataPath(disk=first.disk)
    again.create("t", [partition_image(epoch=3, version=7)])
    partition = again.partition()
    assert not partition.stored_log.is_loaded
    assert partition.high_watermark == 2
    assert partition.state.epoch_start_offset == 2
    entries = partition.log.leader_epochs.entries
    assert entries == (EpochEntry(0, 0), EpochEntry(3, 2))


def test_a_log_that_cannot_be_opened_is_a_storage_error(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = path.partition()

    def load() -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(partition.stored_log, "load", load)
    assert code_of(lambda: partition.log_end_offset) is ErrorCode.KAFKA_STORAGE_ERROR


# Appending


def test_appends_are_numbered_stamped_and_committed(path: DataPath) -> None:
    path.elect("t", partition_image(epoch=4, version=1))
    info = path.partition().append_as_leader(batch(b"a", b"b"))
    assert (info.first_offset, info.last_offset, info.leader_epoch) == (0, 1, 4)
    assert path.partition().high_watermark == 2
    assert path.partition().traffic.records_in == 2
    assert path.partition().traffic.bytes_in == info.size_in_bytes


def test_a_duplicate_is_answered_with_its_first_offsets_and_counts_once(path: DataPath) -> None:
    producer = {"producer_id": 7, "producer_epoch": 0}
    path.append(b"other")
    first = path.partition().append_as_leader(batch(b"a", b"b", base_sequence=0, **producer))
    again = path.partition().append_as_leader(batch(b"a", b"b", base_sequence=0, **producer))
    assert again.duplicate
    assert (again.first_offset, again.last_offset) == (first.first_offset, first.last_offset)
    assert path.partition().log_end_offset == 3
    assert path.partition().traffic.records_in == 3


def test_coordinators_append_records_and_wake_who_waits(path: DataPath) -> None:
    path.create("__consumer_offsets", cleanup_policy="compact")
    partition = path.partition("__consumer_offsets")
    told: list[ErrorCode] = []
    records = [Record(0, 5, b"k", b"v"), Record(1, 6, None, b"v")]
    info = partition.append_records(records)
    assert (info.first_offset, info.last_offset) == (0, 1)
    partition.when_committed(2, told.append)
    partition.when_committed(3, told.append)
    assert told == [ErrorCode.NONE]
    partition.append_records([Record(0, 7, b"k", None)])
    assert told == [ErrorCode.NONE, ErrorCode.NONE]


def test_only_the_leader_takes_appends(path: DataPath) -> None:
    partition = path.partition()
    path.elect("t", partition_image(leader=-1, epoch=1, version=1))
    assert code_of(partition.append_as_leader, batch(b"a")) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert partition.stored_log.is_loaded is False


def test_too_few_in_sync_refuse_acks_all_and_write_nothing(three: DataPath) -> None:
    three.configure("t", min_insync_replicas=2)
    three.elect("t", partition_image(version=1, replicas=(1, 2, 3), isr=(1,)))
    partition = three.partition()
    assert code_of(partition.append_as_leader, batch(b"a")) is ErrorCode.NOT_ENOUGH_REPLICAS
    assert partition.log_end_offset == 0
    partition.append_as_leader(batch(b"a"), acks=1)
    assert partition.log_end_offset == 1
    assert partition.high_watermark == 0


def test_a_minimum_above_the_replicas_there_are_asks_for_all_of_them(path: DataPath) -> None:
    path.configure("t", min_insync_replicas=3)
    assert path.append(b"a") == 0
    assert path.partition().high_watermark == 1


def test_with_a_sync_before_the_ack_the_sync_commits() -> None:
    path = DataPath()
    path.create("t", flush_messages=1)
    told: list[ErrorCode] = []
    info = path.partition().append_as_leader(batch(b"a"))
    path.partition().when_replicated(info.last_offset + 1, told.append)
    assert path.partition().high_watermark == 0
    assert told == []
    job = FlushJob(path.partition().log)
    job.run()
    job.finish()
    assert path.partition().high_watermark == 1
    assert told == [ErrorCode.NONE]


# The high watermark over replicas


def test_followers_move_the_high_watermark(three: DataPath) -> None:
    three.append(b"a", b"b")
    assert three.partition().high_watermark == 0
    fetch_as(three, 2, 2)
    fetch_as(three, 3, 1)
    assert three.partition().high_watermark == 1


def test_a_smaller_isr_commits_what_its_members_hold(three: DataPath) -> None:
    three.append(b"a", b"b")
    fetch_as(three, 2, 2)
    assert three.partition().high_watermark == 0
    three.clock.advance(60_000)
    fetch_as(three, 2, 2)
    three.elect("t", partition_image(version=1, replicas=(1, 2, 3), isr=(1, 2)))
    assert three.partition().high_watermark == 2


def test_fencing_one_that_was_about_to_join_lets_the_high_watermark_go(three: DataPath) -> None:
    three.elect("t", partition_image(version=1, replicas=(1, 2, 3), isr=(1,)))
    fetch_as(three, 2, 0)
    three.append(b"a")
    assert three.partition().high_watermark == 0
    three.brokers(broker_image(1), broker_image(2, fenced=True), broker_image(3, fenced=True))
    assert three.partition().high_watermark == 1


def test_a_lower_minimum_lets_the_high_watermark_go(three: DataPath) -> None:
    three.configure("t", min_insync_replicas=2)
    three.elect("t", partition_image(version=1, replicas=(1, 2, 3), isr=(1,)))
    three.clock.advance(60_000)
    three.partition().append_as_leader(batch(b"a"), acks=1)
    assert three.partition().high_watermark == 0
    three.configure("t", min_insync_replicas=1)
    assert three.partition().high_watermark == 1


def test_a_fetch_of_an_earlier_life_of_a_broker_counts_for_nothing(three: DataPath) -> None:
    three.append(b"a")
    partition = three.partition()
    request = FetchPartition(fetch_offset=1)
    code = code_of(partition.follower_fetched, 2, 11, request, 1)
    assert code is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert partition.state.followers[2].log_end_offset == -1  # type: ignore[index]


# Elections


def test_each_leader_epoch_begins_at_the_logs_end(path: DataPath) -> None:
    path.append(b"a", b"b")
    path.elect("t", partition_image(epoch=2, version=1))
    path.append(b"c")
    path.elect("t", partition_image(epoch=5, version=2))
    log = path.partition().log
    assert log.leader_epochs.entries == (EpochEntry(0, 0), EpochEntry(2, 2), EpochEntry(5, 3))
    assert end_offset_for_epoch(path.partition(), 2, 5) == EpochEnd(2, 3)
    assert end_offset_for_epoch(path.partition(), 4, -1) == EpochEnd(2, 3)
    assert code_of(end_offset_for_epoch, path.partition(), 2, 4) is ErrorCode.FENCED_LEADER_EPOCH


def test_a_new_epoch_interrupts_who_waits_for_the_old(three: DataPath) -> None:
    three.append(b"a")
    told: list[ErrorCode] = []
    three.partition().when_committed(1, told.append)
    three.elect("t", partition_image(epoch=1, version=1, replicas=(1, 2, 3)))
    assert told == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
    three.elect("t", partition_image(leader=2, epoch=2, version=2, replicas=(1, 2, 3)))
    three.partition().when_committed(1, told.append)
    assert told == [ErrorCode.NOT_LEADER_OR_FOLLOWER] * 2


# Lookups


def test_latest_ends_at_what_the_asker_may_see(three: DataPath) -> None:
    three.append(b"a", b"b")
    fetch_as(three, 2, 1)
    fetch_as(three, 3, 1)
    partition = three.partition()
    assert offset_for(partition, LATEST, 0, -1, only_leader=True).offset == 1
    assert offset_for(partition, LATEST, 2, -1, only_leader=True).offset == 2
    assert offset_for(partition, EARLIEST, 0, -1, only_leader=True).offset == 0
    assert code_of(offset_for, partition, LATEST, 0, 9, only_leader=True) is (
        ErrorCode.UNKNOWN_LEADER_EPOCH
    )


def test_a_time_that_is_not_committed_yet_is_not_found(three: DataPath) -> None:
    three.append(b"a", timestamp=START_WALL_MS + 10)
    three.append(b"b", timestamp=START_WALL_MS + 20)
    for node in (2, 3):
        fetch_as(three, node, 1)
    partition = three.partition()
    first = offset_for(partition, START_WALL_MS, 0, -1, only_leader=True)
    assert (first.offset, first.timestamp, first.leader_epoch) == (0, START_WALL_MS + 10, 0)
    assert offset_for(partition, START_WALL_MS + 15, 0, -1, only_leader=True).offset == -1
    assert offset_for(partition, START_WALL_MS + 15, 2, -1, only_leader=True).offset == 1
    assert offset_for(partition, MAX_TIME, 0, -1, only_leader=True).offset == -1


def test_a_new_leader_behind_its_epoch_does_not_say_where_the_end_is(three: DataPath) -> None:
    three.append(b"a", b"b")
    three.elect("t", partition_image(epoch=1, version=1, replicas=(1, 2, 3)))
    partition = three.partition()
    for timestamp in (LATEST, MAX_TIME, START_WALL_MS + 99, START_WALL_MS - 99):
        code = code_of(offset_for, partition, timestamp, 0, -1, only_leader=True)
        assert code is ErrorCode.OFFSET_NOT_AVAILABLE
    assert offset_for(partition, EARLIEST, 0, -1, only_leader=True).offset == 0
    assert offset_for(partition, LATEST, 2, -1, only_leader=True).offset == 2
    assert offset_for(partition, -5, 0, -1, only_leader=True).offset == -1
    for node in (2, 3):
        fetch_as(three, node, 2)
    assert offset_for(partition, LATEST, 0, -1, only_leader=True).offset == 2


def test_followers_answer_only_those_who_ask_for_it(three: DataPath) -> None:
    three.elect("t", partition_image(leader=2, epoch=1, version=1, replicas=(1, 2, 3)))
    partition = three.partition()
    code = code_of(offset_for, partition, EARLIEST, 0, -1, only_leader=True)
    assert code is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert offset_for(partition, EARLIEST, 2, -1, only_leader=False).offset == 0


def test_the_oldest_form_lists_segments_newest_first(path: DataPath) -> None:
    for _ in range(2):
        path.append(b"a", b"b")
        path.clock.advance(1000)
        path.partition().log.roll()
    path.append(b"c")
    partition = path.partition()
    now = path.clock.wall_ms()
    assert offsets_before(partition, LATEST, 0, 10) == [5, 4, 2, 0]
    assert offsets_before(partition, LATEST, 0, 1) == [5]
    assert offsets_before(partition, EARLIEST, 0, 10) == [0]
    assert offsets_before(partition, now - 1, 0, 10) == [2, 0]
    assert offsets_before(partition, 5, 0, 10) == []


# Deleting records


def test_records_are_deleted_up_to_the_high_watermark(path: DataPath) -> None:
    for value in (b"a", b"b", b"c"):
        path.append(value)
    partition = path.partition()
    assert partition.delete_records(2) == 2
    assert partition.log_start_offset == partition.low_watermark() == 2
    assert partition.delete_records(-1) == 3
    assert partition.log_start_offset == 3
    assert partition.delete_records(1) == 1  # Long gone.
    for offset in (4, -2):
        assert code_of(partition.delete_records, offset) is ErrorCode.OFFSET_OUT_OF_RANGE


def test_compacted_topics_keep_their_records(path: DataPath) -> None:
    path.configure("t", cleanup_policy="compact")
    assert code_of(path.partition().delete_records, 0) is ErrorCode.POLICY_VIOLATION
    path.configure("t", cleanup_policy="compact,delete")
    assert path.partition().delete_records(0) == 0


def test_the_low_watermark_waits_for_live_followers(three: DataPath) -> None:
    three.append(b"a", b"b")
    for node in (2, 3):
        fetch_as(three, node, 2)
    partition = three.partition()
    told: list[ErrorCode] = []
    partition.when_deleted(partition.delete_records(2), told.append)
    fetch_as(three, 2, 2, log_start=2)
    assert told == []
    fetch_as(three, 3, 2, log_start=2)
    assert told == [ErrorCode.NONE]
    partition.when_deleted(1, told.append)
    assert told == [ErrorCode.NONE] * 2


def test_who_waits_for_deletion_hears_of_the_leaders_end(three: DataPath) -> None:
    three.append(b"a")
    for node in (2, 3):
        fetch_as(three, node, 1)
    partition = three.partition()
    told: list[ErrorCode] = []
    cancel = partition.when_deleted(partition.delete_records(1), told.append)
    cancel()
    partition.when_deleted(1, told.append)
    three.elect("t", partition_image(leader=2, epoch=1, version=1, replicas=(1, 2, 3)))
    assert told == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
    partition.when_deleted(1, told.append)
    assert told == [ErrorCode.NOT_LEADER_OR_FOLLOWER] * 2
