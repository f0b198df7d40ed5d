"""Consumers that wait for the same are answered the same, and never anything but what is there."""

from __future__ import annotations

from typing import Any

import pytest

import pykbroker.handlers.fetch  # noqa: F401
from pykbroker.runtime.fetching import FetchParams, Reading, read_partition, read_partitions
from pykbroker.runtime.shared_answers import KEPT, SHARED_BYTES
from pykbroker.state.errors import KafkaError
from pykbroker.state.fetch_session import FetchEntry
from tests.support.data_path import DataPath, Waiting, batch, broker_image, partition_image
from wire.codec import encode_bytes
from wire.errors import ErrorCode
from wire.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)

NEW_VERSION = 12


def asked(offset: int, max_bytes: int = 1 << 20, **more: Any) -> FetchPartition:
    return FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes, **more)


def read(path: DataPath, request: FetchPartition, **params: Any) -> Reading:
    entries = [FetchEntry("t", "t", request)]
    return read_partitions(
        path.replicas, entries, FetchParams(**params), only_news=False, update_followers=False
    )


def waiting(path: DataPath, offset: int, version: int = NEW_VERSION, count: int = 1) -> Any:
    request = FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        max_bytes=1 << 20,
        session_epoch=-1,
        topics=[FetchTopic(topic="t", partitions=[asked(offset)])],
    )
    return [path.wait(request, version) for _ in range(count)]


def told(wait: Waiting) -> tuple[int, bytes]:
    data = wait.answer.responses[0].partitions[0]
    return data.high_watermark, bytes(data.records)


@pytest.fixture
def path() -> DataPath:
    made = DataPath()
    made.create("t")
    return made


@pytest.fixture
def preads(path: DataPath, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    kind = type(path.disk.open("/file", create=True))
    pread = kind.pread

    def noted(self: Any, at: int, size: int) -> bytes:
        found.append(at)
        return pread(self, at, size)

    monkeypatch.setattr(kind, "pread", noted)
    return found


def test_the_file_is_read_once_for_all_who_waited(path: DataPath, preads: list[int]) -> None:
    for offset in range(3):
        waits = waiting(path, offset, count=5)
        preads.clear()
        path.append(b"%d" % offset)
        assert len(preads) == 1
        assert len({told(wait) for wait in waits}) == 1
        high_watermark, records = told(waits[0])
        assert high_watermark == offset + 1
        assert records == bytes(path.partition().log.read(offset, 1 << 20).records)


def test_old_clients_are_not_given_what_new_ones_are(path: DataPath) -> None:
    """To them records are converted."""
    new, old = waiting(path, 0, count=2), waiting(path, 0, version=1, count=2)
    path.append(b"x")
    stored = bytes(path.partition().log.read(0, 1 << 20).records)
    assert [told(wait)[1] for wait in new] == [stored] * 2
    assert len({told(wait)[1] for wait in old} - {stored}) == 1


def test_one_on_his_own_leaves_nothing_behind(path: DataPath) -> None:
    (wait,) = waiting(path, 0)
    path.append(b"x")
    assert told(wait)[0] == 1
    first, second = (read(path, asked(0)).answers[0].data for _ in range(2))
    assert first is not second


def test_large_ones_are_not_kept(path: DataPath) -> None:
    waits = waiting(path, 0, count=2)
    path.append(bytes(SHARED_BYTES))
    assert len({told(wait) for wait in waits}) == 1
    first, second = (read(path, asked(0)).answers[0].data for _ in range(2))
    assert first is not second


def test_a_partition_that_is_gone_leaves_nothing(path: DataPath) -> None:
    path.partition().has_crowd = True
    path.append(b"x")
    kept = read(path, asked(0)).answers[0].data
    assert read(path, asked(0)).answers[0].data is kept
    partition = path.partition()
    path.delete("t")
    found = path.replicas.shared_answers.find(partition, asked(0), 1 << 20, 0)
    assert found is None


def test_only_so_many_are_kept() -> None:
    path = DataPath()
    path.create("t", KEPT + 5)
    shared = path.replicas.shared_answers
    for index in range(KEPT + 5):
        path.append(b"x", index=index)
        partition = path.partition(index=index)
        data, size = read_partition(
            partition, asked(0), 1000, 0, min_one_batch=True, only_leader=True
        )
        shared.keep(partition, asked(0), 1000, 0, data, size)
    found = [
        shared.find(path.partition(index=index), asked(0), 1000, 0) is not None
        for index in range(KEPT + 5)
    ]
    assert found == [False] * 5 + [True] * KEPT


@pytest.mark.parametrize("version", range(10, 19))
@pytest.mark.parametrize("value", [b"x", bytes(700), bytes(9000)])
def test_its_bytes_are_those_of_any_answer(path: DataPath, version: int, value: bytes) -> None:
    path.append(value)
    partition = path.partition()
    plain, size = read_partition(
        partition, asked(0), 1 << 20, 0, min_one_batch=True, only_leader=True
    )
    shared = path.replicas.shared_answers.keep(partition, asked(0), 1 << 20, 0, plain, size)
    assert shared is not plain

    def encoded(data: PartitionData) -> bytes:
        topic = FetchableTopicResponse(partitions=[data])
        if version < 13:
            topic.topic = "t"
        else:
            topic.topic_id = partition.topic_id
        return encode_bytes(FetchResponse(responses=[topic]), version)

    assert encoded(shared) == encoded(plain)
    assert encoded(shared) == encoded(plain)


BASE = {
    "fetch_offset": 1,
    "partition_max_bytes": 500,
    "current_leader_epoch": -1,
    "last_fetched_epoch": -1,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fetch_offset", 0),
        ("fetch_offset", 2),
        ("partition_max_bytes", 100),
        ("partition_max_bytes", 1 << 20),
        ("current_leader_epoch", 0),
        ("current_leader_epoch", 1),
        ("current_leader_epoch", -2),
        ("last_fetched_epoch", 0),
        ("last_fetched_epoch", 1),
        ("last_fetched_epoch", -2),
        ("isolation", 1),
        ("append", 300),
        ("delete", 1),
        ("delete", 2),
        ("rewrite", 1),
        ("rewrite", 2),
        ("unstable", 0),
        ("unstable", 2),
        ("lead again", 1),
        ("follow", 2),
    ],
)
@pytest.mark.parametrize("isolation", [0, 1])
def test_it_is_what_a_closer_look_finds(isolation: int, field: str, value: int) -> None:
    """After one was kept, and one thing has become different."""
    path = DataPath(brokers=[broker_image(1), broker_image(2)])
    path.create("t", [partition_image(replicas=(1, 2), isr=(1,))])
    for number in range(4):
        path.append(bytes((number,)) * 100)
    path.partition().has_crowd = True
    request = FetchPartition(partition=0, **BASE)
    kept = read(path, request, isolation=isolation).answers[0].data
    assert read(path, request, isolation=isolation).answers[0].data is kept
    compare(path, request, isolation)
    if field in BASE:
        setattr(request, field, value)
    else:
        happens(path, field, value)
    compare(path, request, value if field == "isolation" else isolation)


def test_it_grows_though_a_transaction_is_open(path: DataPath) -> None:
    """Then the last stable offset stays where it is."""
    for number in range(4):
        path.append(bytes((number,)) * 100)
    path.partition().has_crowd = True
    path.partition().log.producers.first_unstable_offset = 1
    request = FetchPartition(partition=0, **{**BASE, "partition_max_bytes": 1 << 20})
    read(path, request)
    path.append(b"more")
    compare(path, request, 0)


def happens(path: DataPath, what: str, value: int) -> None:
    partition = path.partition()
    log = partition.log
    if what == "append":
        path.append(bytes(value))
    elif what == "delete":
        partition.delete_records(value)
    elif what == "rewrite":
        end = log.log_end_offset
        log.truncate_to(value)
        while log.log_end_offset < end:
            log.append_as_leader(batch(b"y" * 100), 0, path.clock.wall_ms())
        log.update_high_watermark(end)
    elif what == "unstable":
        log.producers.first_unstable_offset = value
    elif what != "isolation":
        image = partition_image(leader=value, replicas=(1, 2), isr=(1,), epoch=1, version=1)
        path.elect("t", image)


def compare(path: DataPath, request: FetchPartition, isolation: int) -> None:
    answer = read(path, request, isolation=isolation).answers[0]
    found: tuple[Any, int] | ErrorCode
    try:
        found = read_partition(
            path.partition(),
            request,
            request.partition_max_bytes,
            isolation,
            min_one_batch=True,
            only_leader=True,
        )
    except KafkaError as error:
        found = error.code
    if isinstance(found, ErrorCode):
        assert answer.data.error_code == found
    else:
        assert (answer.data, answer.size) == found
