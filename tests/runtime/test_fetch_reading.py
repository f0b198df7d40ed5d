"""What one fetch reads from several partitions, within its limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.runtime.fetching import (
    FetchParams,
    Reading,
    has_news,
    read_partition,
    read_partitions,
    standing,
)
from pykbroker.state.fetch_session import FetchEntry
from tests.support.data_path import DataPath, batch, broker_image, partition_image
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition
from wire.records.batch import iter_headers
from wire.records.record import control_batch

SIZE = len(batch(b"x" * 100))


def request(
    partition: int = 0, offset: int = 0, max_bytes: int = 1 << 20, **more: Any
) -> FetchPartition:
    return FetchPartition(
        partition=partition, fetch_offset=offset, partition_max_bytes=max_bytes, **more
    )


def read(
    path: DataPath,
    *requests: FetchPartition,
    params: FetchParams | None = None,
    only_news: bool = False,
    update_followers: bool = True,
) -> Reading:
    return read_partitions(
        path.replicas,
        [FetchEntry("t", "t", asked) for asked in requests],
        params or FetchParams(),
        only_news=only_news,
        update_followers=update_followers,
    )


def sizes(reading: Reading) -> list[int]:
    return [answer.size for answer in reading.answers]


@pytest.fixture
def path() -> DataPath:
    made = DataPath()
    made.create("t", 4)
    return made


@pytest.fixture
def three() -> DataPath:
    made = DataPath(brokers=[broker_image(node, rack=f"rack{node}") for node in (1, 2, 3)])
    made.create("t", [partition_image(replicas=(1, 2, 3))])
    return made


def fill(path: DataPath, index: int, batches: int, size: int = 100) -> None:
    for _ in range(batches):
        path.append(b"x" * size, index=index)


# Limits


def test_each_partition_gives_whole_batches_up_to_its_limit(path: DataPath) -> None:
    fill(path, 0, 5)
    fill(path, 1, 5)
    reading = read(path, request(0, max_bytes=3 * SIZE), request(1, max_bytes=2 * SIZE + 5))
    assert sizes(reading) == [3 * SIZE, 2 * SIZE]
    assert reading.size == 5 * SIZE


def test_the_response_is_full_at_its_limit(path: DataPath) -> None:
    for index in range(3):
        fill(path, index, 5)
    reading = read(
        path, *(request(index) for index in range(3)), params=FetchParams(max_bytes=7 * SIZE + 1)
    )
    assert sizes(reading) == [5 * SIZE, 2 * SIZE, 0]


def test_the_first_batch_is_given_whatever_its_size(path: DataPath) -> None:
    fill(path, 1, 2, size=5000)
    fill(path, 2, 2)
    reading = read(
        path,
        request(0, max_bytes=1),
        request(1, max_bytes=1),
        request(2, max_bytes=1),
        params=FetchParams(max_bytes=10),
    )
    big = len(batch(b"x" * 5000))
    assert sizes(reading) == [0, big, 0]


def test_a_limit_of_nothing_still_gives_one_batch(path: DataPath) -> None:
    fill(path, 0, 3)
    assert sizes(read(path, request(0), params=FetchParams(max_bytes=0))) == [SIZE]
    assert sizes(read(path, request(0, max_bytes=0))) == [SIZE]
    assert sizes(read(path, request(0, max_bytes=-1))) == [SIZE]


def test_clients_that_know_no_limit_of_the_response_get_a_batch_of_each(path: DataPath) -> None:
    fill(path, 0, 2)
    fill(path, 1, 2)
    reading = read(
        path,
        request(0, max_bytes=1),
        request(1, max_bytes=1),
        params=FetchParams(one_batch_each=True),
    )
    assert sizes(reading) == [SIZE, SIZE]


@given(
    logs=st.lists(st.lists(st.integers(1, 300), max_size=5), min_size=4, max_size=4),
    limits=st.lists(st.integers(0, 1000), min_size=4, max_size=4),
    max_bytes=st.integers(0, 3000),
)
def test_no_limit_is_passed_but_for_the_first_batch(
    logs: list[list[int]], limits: list[int], max_bytes: int
) -> None:
    path = DataPath()
    path.create("t", 4)
    for index, log in enumerate(logs):
        for size in log:
            path.append(b"x" * size, index=index)
    requests = [request(index, max_bytes=limit) for index, limit in enumerate(limits)]
    reading = read(path, *requests, params=FetchParams(max_bytes=max_bytes))
    left = max_bytes
    is_first = True
    for log, limit, answer in zip(logs, limits, reading.answers, strict=True):
        stored = [len(batch(b"x" * size)) for size in log]
        expected, allowed = 0, min(limit, left)
        for size in stored:
            if expected + size <= allowed or (is_first and not expected):
                expected += size
            else:
                break
        assert answer.size == expected == len(answer.data.records or b"")
        left -= expected
        is_first = is_first and not expected
    assert reading.size == sum(sizes(reading))


# What each partition says


def test_records_begin_at_the_batch_that_holds_the_offset(path: DataPath) -> None:
    path.append(b"a", b"b", b"c")
    path.append(b"d")
    reading = read(path, request(0, offset=1))
    headers = [header for _, header in iter_headers(reading.answers[0].data.records)]  # type: ignore[arg-type]
    assert [header.base_offset for header in headers] == [0, 3]
    data = reading.answers[0].data
    assert (data.high_watermark, data.last_stable_offset, data.log_start_offset) == (4, 4, 0)
    assert data.aborted_transactions is None


def test_offsets_outside_the_log_are_errors(path: DataPath) -> None:
    fill(path, 0, 3)
    path.partition().delete_records(1)
    for offset in (0, 4):
        reading = read(path, request(0, offset=offset))
        data = reading.answers[0].data
        assert data.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
        assert (data.high_watermark, data.log_start_offset, data.records) == (-1, -1, b"")
        assert reading.is_urgent
        assert reading.watched == []
    assert sizes(read(path, request(0, offset=3))) == [0]


def test_the_end_is_no_error_and_can_be_waited_for(path: DataPath) -> None:
    reading = read(path, request(0), request(1))
    assert not reading.is_urgent
    assert [partition.topic_partition.partition for partition, _ in reading.watched] == [0, 1]


def test_unknown_topics_are_told_but_hurry_nobody(path: DataPath) -> None:
    reading = read_partitions(
        path.replicas,
        [FetchEntry("u", "u", request()), FetchEntry("t", "t", request())],
        FetchParams(),
        only_news=False,
        update_followers=True,
    )
    assert reading.answers[0].data.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert not reading.is_urgent
    assert len(reading.watched) == 1


def test_epochs_are_fenced(path: DataPath) -> None:
    path.elect("t", partition_image(epoch=2, version=1))
    fenced = read(path, request(0, current_leader_epoch=1))
    assert fenced.answers[0].data.error_code == ErrorCode.FENCED_LEADER_EPOCH
    ahead = read(path, request(0, current_leader_epoch=3))
    assert ahead.answers[0].data.error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
    assert ahead.is_urgent
    assert not read(path, request(0, current_leader_epoch=2)).is_urgent


def test_a_diverging_reader_is_told_where(path: DataPath) -> None:
    path.append(b"a", b"b")
    path.elect("t", partition_image(epoch=3, version=1))
    path.append(b"c")
    reading = read(path, request(0, offset=3, last_fetched_epoch=1))
    data = reading.answers[0].data
    assert (data.diverging_epoch.epoch, data.diverging_epoch.end_offset) == (0, 2)
    assert (data.error_code, reading.size, reading.is_urgent) == (0, 0, True)
    assert data.high_watermark == 3
    # Nothing of the shared default was changed.
    assert read(path, request(1)).answers[0].data.diverging_epoch.epoch == -1


def test_isolation_decides_how_far_a_reader_sees(path: DataPath) -> None:
    path.append(b"plain")
    path.partition().append_as_leader(
        batch(
            b"in a transaction",
            producer_id=5,
            producer_epoch=0,
            base_sequence=0,
            is_transactional=True,
        )
    )
    path.append(b"after")
    everything = read(path, request(0))
    assert [h.base_offset for _, h in iter_headers(everything.answers[0].data.records)] == [0, 1, 2]  # type: ignore[arg-type]
    committed = read(path, request(0), params=FetchParams(isolation=1))
    data = committed.answers[0].data
    assert [h.base_offset for _, h in iter_headers(data.records)] == [0]  # type: ignore[arg-type]
    assert (data.last_stable_offset, data.high_watermark) == (1, 3)
    assert data.aborted_transactions == []


def test_aborted_transactions_are_named_to_those_who_filter(path: DataPath) -> None:
    from pykbroker.state.log.producers import AppendOrigin

    partition = path.partition()
    partition.append_as_leader(
        batch(b"x", producer_id=5, producer_epoch=0, base_sequence=0, is_transactional=True)
    )
    marker = control_batch(0, timestamp=path.clock.wall_ms(), producer_id=5, producer_epoch=0)
    partition.append_as_leader(marker, origin=AppendOrigin.COORDINATOR)
    reading = read(path, request(0), params=FetchParams(isolation=1))
    aborted = reading.answers[0].data.aborted_transactions
    assert aborted is not None
    assert [(txn.producer_id, txn.first_offset) for txn in aborted] == [(5, 0)]
    at_end = read(path, request(0, offset=2), params=FetchParams(isolation=1))
    assert at_end.answers[0].data.aborted_transactions == []
    plain = read(path, request(0))
    assert plain.answers[0].data.aborted_transactions is None


# Only what is new


def test_partitions_without_news_are_left_out(path: DataPath) -> None:
    entries = [FetchEntry("t", "t", request(index)) for index in range(4)]
    for entry in entries:
        entry.high_watermark = entry.log_start_offset = 0
    fill(path, 2, 1)
    reading = read_partitions(
        path.replicas, entries, FetchParams(), only_news=True, update_followers=True
    )
    assert [answer.entry.partition for answer in reading.answers] == [2]
    assert len(reading.watched) == 4


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        (request(0, 1), False),
        (request(0, 1, current_leader_epoch=0, last_fetched_epoch=0), False),
        (request(0, 0), True),
        (request(0, 2), True),
        (request(0, 1, current_leader_epoch=1), True),
        (request(0, 1, last_fetched_epoch=1), True),
    ],
)
def test_news_are_found_without_reading(path: DataPath, asked: FetchPartition, has: bool) -> None:
    path.append(b"a")
    entry = FetchEntry("t", "t", asked)
    entry.high_watermark, entry.log_start_offset = 1, 0
    for isolation in (0, 1):
        assert has_news(path.partition(), entry, isolation) is has
    assert has_news(path.partition(), entry, 2)
    entry.high_watermark = 0
    assert has_news(path.partition(), entry, 0)
    entry.high_watermark, entry.log_start_offset = 1, -1
    assert has_news(path.partition(), entry, 0)


@given(
    appended=st.integers(0, 3),
    offset=st.integers(0, 4),
    told=st.tuples(st.integers(-1, 3), st.integers(-1, 1)),
    epoch=st.integers(-1, 1),
    last_epoch=st.integers(-1, 1),
    isolation=st.integers(0, 1),
)
def test_who_has_no_news_would_have_been_left_out(
    appended: int,
    offset: int,
    told: tuple[int, int],
    epoch: int,
    last_epoch: int,
    isolation: int,
) -> None:
    path = DataPath()
    path.create("t")
    for _ in range(appended):
        path.append(b"x")
    asked = request(0, offset, current_leader_epoch=epoch, last_fetched_epoch=last_epoch)
    entry = FetchEntry("t", "t", asked)
    entry.high_watermark, entry.log_start_offset = told
    if not has_news(path.partition(), entry, isolation):
        full = read(path, asked, params=FetchParams(isolation=isolation))
        answer = full.answers[0]
        assert not entry.is_news(answer.data, answer.size)
        assert not full.is_urgent


@given(
    appended=st.integers(0, 3),
    offset=st.integers(0, 4),
    before=st.integers(0, 3),
    unstable=st.sampled_from([None, 0, 1, 2]),
    epoch=st.integers(-2, 1),
    last_epoch=st.integers(-2, 1),
    isolations=st.lists(st.integers(0, 1), min_size=1, max_size=3),
    is_leader=st.booleans(),
)
def test_what_is_plain_is_what_a_closer_look_finds(
    appended: int,
    offset: int,
    before: int,
    unstable: int | None,
    epoch: int,
    last_epoch: int,
    isolations: list[int],
    is_leader: bool,
) -> None:
    """``before``: when somebody fetched it last, for whom an answer was made."""
    path = DataPath(brokers=[broker_image(1), broker_image(2)])
    path.create("t", [partition_image(replicas=(1, 2), isr=(1,))])
    partition = path.partition()
    for count in range(appended):
        if count == before:
            standing(partition, request(0, count), None)
        path.append(b"x")
    if not is_leader:
        path.elect("t", partition_image(leader=2, replicas=(1, 2), epoch=1))
    partition.log.producers.first_unstable_offset = unstable
    asked = request(0, offset, current_leader_epoch=epoch, last_fetched_epoch=last_epoch)
    for isolation in isolations:
        found = standing(partition, asked, [] if isolation else None)
        if found is not None:
            closer, size = read_partition(
                partition, asked, 1000, isolation, min_one_batch=True, only_leader=True
            )
            assert (found, 0) == (closer, size)


def test_who_stands_still_gets_the_same_answer(path: DataPath) -> None:
    first = read(path, request()).answers[0].data
    assert read(path, request()).answers[0].data is first
    for isolation, aborted in ((1, []), (0, None)):
        reading = read(path, request(), params=FetchParams(isolation=isolation))
        assert reading.answers[0].data.aborted_transactions == aborted
    path.append(b"x")
    assert read(path, request(offset=1)).answers[0].data.high_watermark == 1
    assert read(path, request()).answers[0].size > 0
    path.partition().delete_records(1)
    assert read(path, request(offset=1)).answers[0].data.log_start_offset == 1


# Replicas


def follower(node: int, epoch: int = 0) -> FetchParams:
    return FetchParams(replica_id=node, broker_epoch=epoch or 10 + node, isolation=1)


def test_a_follower_reads_to_the_end_and_counts_once(three: DataPath) -> None:
    fill(three, 0, 2)
    asked = request(0, 1, current_leader_epoch=0, log_start_offset=0)
    reading = read(three, asked, params=follower(2))
    assert sizes(reading) == [SIZE]
    assert reading.answers[0].data.high_watermark == 0
    state = three.partition().state
    assert state.followers[2].log_end_offset == 1  # type: ignore[index]
    later = request(0, 2, current_leader_epoch=0, log_start_offset=0)
    read(three, later, params=follower(2), update_followers=False)
    assert state.followers[2].log_end_offset == 1  # type: ignore[index]


def test_a_diverging_follower_counts_for_nothing(three: DataPath) -> None:
    fill(three, 0, 2)
    asked = request(0, 2, current_leader_epoch=0, last_fetched_epoch=0)
    three.elect("t", partition_image(epoch=1, version=1, replicas=(1, 2, 3)))
    fill(three, 0, 1)
    ahead = request(0, 3, current_leader_epoch=1, last_fetched_epoch=0)
    reading = read(three, ahead, params=follower(2))
    assert reading.answers[0].data.diverging_epoch.end_offset == 2
    assert three.partition().state.followers[2].log_end_offset == -1  # type: ignore[index]
    assert read(three, asked, params=follower(2)).answers[0].data.error_code == (
        ErrorCode.FENCED_LEADER_EPOCH
    )


def test_who_is_no_replica_reads_nothing_as_one(three: DataPath) -> None:
    fill(three, 0, 1)
    stranger = read(three, request(0, current_leader_epoch=0), params=follower(9))
    assert stranger.answers[0].data.error_code == ErrorCode.UNKNOWN_LEADER_EPOCH
    older = read(three, request(0), params=follower(9))
    assert older.answers[0].data.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    past = read(three, request(0, current_leader_epoch=0), params=follower(2, epoch=5))
    assert past.answers[0].data.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_followers_serve_consumers_that_may_ask_them(three: DataPath) -> None:
    three.elect("t", partition_image(leader=2, epoch=1, version=1, replicas=(1, 2, 3)))
    refused = read(three, request(0))
    assert refused.answers[0].data.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    served = read(three, request(0), params=FetchParams(only_leader=False))
    assert served.answers[0].data.error_code == 0
    replica = read(three, request(0), params=FetchParams(replica_id=3, only_leader=False))
    assert replica.answers[0].data.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_a_consumer_is_sent_to_a_replica_in_its_rack(three: DataPath) -> None:
    fill(three, 0, 2)
    for node in (2, 3):
        read(
            three, request(0, 2, current_leader_epoch=0, log_start_offset=0), params=follower(node)
        )
    sent = read(three, request(0), params=FetchParams(rack_id="rack3", only_leader=False))
    data = sent.answers[0].data
    assert (data.preferred_read_replica, sent.size, sent.is_urgent) == (3, 0, True)
    assert data.high_watermark == 2
    for rack in ("rack1", "rack9", ""):
        stays = read(three, request(0), params=FetchParams(rack_id=rack, only_leader=False))
        assert stays.size == 2 * SIZE
    # Nobody is sent where the records are not.
    fill(three, 0, 1)
    behind = read(three, request(0, 3), params=FetchParams(rack_id="rack3", only_leader=False))
    assert behind.answers[0].data.preferred_read_replica == -1
