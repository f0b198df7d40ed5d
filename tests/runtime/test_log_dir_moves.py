"""A log moves to another directory while its partition serves (KIP-113)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from pykbroker.runtime import log_dir_moves
from pykbroker.runtime.fetching import FetchParams, read_partitions
from pykbroker.state.errors import KafkaError
from pykbroker.state.fetch_session import FetchEntry
from pykbroker.state.log.epochs import EpochEntry
from pykbroker.state.types import TopicPartition
from tests.support.data_path import DataPath, batch, partition_image
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition
from wire.records.batch import iter_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio
PLACE = TopicPartition("t", 0)


def make(**options: Any) -> DataPath:
    path = DataPath(log_dirs=("/a", "/b", "/c"), **options)
    path.create("t")
    return path


@asynccontextmanager
async def moving(path: DataPath) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(path.replicas.run)
        yield
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await checkpoint()


def home(path: DataPath) -> str:
    return path.partition().stored_log.log_directory


def offsets(path: DataPath) -> list[int]:
    entry = FetchEntry("t", "t", FetchPartition(fetch_offset=0, partition_max_bytes=1 << 30))
    entry.request.fetch_offset = path.partition().log_start_offset
    reading = read_partitions(
        path.replicas, [entry], FetchParams(), only_news=False, update_followers=False
    )
    found = reading.answers[0].data.records
    return [h.base_offset + i for _, h in iter_headers(found) for i in range(h.record_count)]  # type: ignore[arg-type]


async def test_a_log_is_moved_with_all_it_holds() -> None:
    path = make()
    path.append(b"a", b"b")
    path.elect("t", partition_image(epoch=3, version=1))
    path.append(b"c", producer_id=5, producer_epoch=0, base_sequence=0)
    path.elect("t", partition_image(epoch=7, version=2))  # An epoch without a batch.
    path.partition().delete_records(1)
    assert home(path) == "/a"
    path.replicas.move(PLACE, "/b")
    assert home(path) == "/a"
    async with moving(path):
        await until(lambda: home(path) == "/b")
    log = path.partition().log
    assert path.logs.logs[PLACE] is log
    assert path.logs.futures == {}
    assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (1, 3, 3)
    assert log.leader_epochs.entries == (EpochEntry(0, 1), EpochEntry(3, 2), EpochEntry(7, 3))
    assert log.synced_end_offset == 3
    assert offsets(path) == [0, 1, 2]
    again = path.partition().append_as_leader(
        batch(b"c", producer_id=5, producer_epoch=0, base_sequence=0)
    )
    assert again.duplicate
    assert again.first_offset == 2
    assert path.append(b"d") == 3
    assert path.partition().high_watermark == 4
    assert path.disk.listdir("/b") == [*path.disk.listdir("/b")]
    assert "t-0" in path.disk.listdir("/b")
    assert "t-0" not in path.disk.listdir("/a")


async def test_an_empty_log_is_moved_too() -> None:
    path = make()
    path.replicas.move(PLACE, "/c")
    async with moving(path):
        await until(lambda: home(path) == "/c")
    assert path.append(b"a") == 0
    assert offsets(path) == [0]


async def test_appends_go_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_dir_moves, "SLICE_BYTES", 500)
    path = make()
    for _ in range(20):
        path.append(b"x" * 100)
    path.replicas.move(PLACE, "/b")
    appended = 20
    async with moving(path):
        while home(path) == "/a":
            path.append(b"y" * 100)
            appended += 1
            await path.clock.sleep(0)
            path.clock.advance(1)
            if appended > 500:
                await until(lambda: home(path) == "/b")
    assert offsets(path) == list(range(appended))
    assert path.partition().high_watermark == appended


async def test_who_waits_at_the_partition_goes_on_at_the_new_place() -> None:
    from wire.messages.fetch import FetchRequest, FetchTopic

    path = make()
    path.append(b"x" * 100)
    path.append(b"x" * 100)
    import pykbroker.handlers.fetch  # noqa: F401

    request = FetchRequest(
        max_wait_ms=500,
        min_bytes=1000,
        session_epoch=-1,
        topics=[FetchTopic(topic="t", partitions=[FetchPartition(fetch_offset=1)])],
    )
    answers: list[Any] = []
    path.call(request, 12).when_done(answers.append)
    path.replicas.move(PLACE, "/b")
    async with moving(path):
        await until(lambda: home(path) == "/b")
    path.append(b"x" * 2000)
    assert len(answers) == 1


async def test_a_second_target_replaces_the_first_and_home_ends_the_move() -> None:
    path = make()
    path.append(b"a")
    path.replicas.move(PLACE, "/b")
    path.replicas.move(PLACE, "/b")
    first = path.partition().future_log
    assert first is not None
    path.replicas.move(PLACE, "/c")
    second = path.partition().future_log
    assert second is not None
    assert second.log_directory == "/c"
    assert path.logs.futures == {PLACE: second}
    path.replicas.move(PLACE, "/a")
    assert path.partition().future_log is None
    assert path.logs.futures == {}
    path.replicas.move(PLACE, "/b")
    async with moving(path):
        await until(lambda: home(path) == "/b")


async def test_a_deleted_topic_ends_its_move() -> None:
    path = make()
    path.append(b"a")
    path.replicas.move(PLACE, "/b")
    path.delete("t")
    assert path.logs.futures == {}
    async with moving(path):
        for _ in range(20):
            await checkpoint()
    path.create("t")
    assert path.append(b"b") == 0


async def test_a_truncated_log_is_copied_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_dir_moves, "SLICE_BYTES", 200)
    path = make()
    for _ in range(10):
        path.append(b"x" * 100)
    path.replicas.move(PLACE, "/b")
    first = path.partition().future_log
    assert first is not None
    async with moving(path):
        await until(lambda: first.log_end_offset >= 4)
        path.partition().log.truncate_to(2)
        path.append(b"other" * 20)
        path.partition().log.roll()
        await until(lambda: home(path) == "/b")
    assert path.partition().log is not first
    assert offsets(path) == [0, 1, 2]
    assert path.partition().log_end_offset == 3


async def test_records_deleted_meanwhile_are_not_there_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_dir_moves, "SLICE_BYTES", 200)
    path = make()
    for _ in range(10):
        path.append(b"x" * 100)
    path.replicas.move(PLACE, "/b")
    future = path.partition().future_log
    assert future is not None
    async with moving(path):
        await until(lambda: future.log_end_offset >= 2)
        path.partition().delete_records(7)
        assert path.partition().low_watermark() == 0  # The copy still has them.
        await until(lambda: home(path) == "/b")
    assert path.partition().log_start_offset == 7
    assert path.partition().low_watermark() == 7
    assert offsets(path) == [7, 8, 9]


async def test_a_failing_target_leaves_the_log_where_it_is() -> None:
    path = make()
    path.append(b"a")
    path.replicas.move(PLACE, "/b")
    future = path.partition().future_log
    assert future is not None
    future.fail(OSError(5, "I/O error"))
    async with moving(path):
        for _ in range(20):
            await checkpoint()
    assert home(path) == "/a"
    assert path.partition().future_log is None
    assert path.append(b"b") == 1
    # While a directory is offline nothing is moved: a copy might come back with it.
    with pytest.raises(KafkaError) as refusal:
        path.replicas.move(PLACE, "/c")
    assert refusal.value.code is ErrorCode.KAFKA_STORAGE_ERROR


async def test_a_move_that_the_last_stop_broke_off_is_begun_anew() -> None:
    path = make()
    path.append(b"a", b"b")
    path.replicas.move(PLACE, "/b")
    for log in (path.partition().log, path.logs.futures[PLACE]):
        log.close()
    path.logs.release()
    again = DataPath(disk=path.disk, log_dirs=("/a", "/b", "/c"))
    again.create("t")
    assert home(again) == "/a"
    async with moving(again):
        await until(lambda: home(again) == "/b")
    assert offsets(again) == [0, 1]


async def test_the_rate_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_dir_moves, "SLICE_BYTES", 1000)
    path = make(replica_alter_log_dirs_io_max_bytes_per_second=1000)
    for _ in range(5):
        path.append(b"x" * 1400)
    path.replicas.move(PLACE, "/b")
    future = path.partition().future_log
    assert future is not None
    copied = []
    async with moving(path):
        while home(path) != "/b":
            for _ in range(50):
                await checkpoint()
            copied.append(future.log_end_offset)
            path.clock.advance(1000)
    # A batch of 1,471 bytes exceeds the rate until it has been two seconds, and so on.
    assert copied == [1, 1, 2, 3, 3, 4, 5, 5, 5]


async def test_the_rate_is_measured_over_the_windows_that_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What lies further back counts no more: the rest goes at once then."""
    monkeypatch.setattr(log_dir_moves, "SLICE_BYTES", 1000)
    path = make(
        replica_alter_log_dirs_io_max_bytes_per_second=100,
        alter_log_dirs_replication_quota_window_num=2,
        alter_log_dirs_replication_quota_window_size_seconds=3,
    )
    for _ in range(2):
        path.append(b"x" * 1400)
    path.replicas.move(PLACE, "/b")
    future = path.partition().future_log
    assert future is not None
    copied = []
    async with moving(path):
        while home(path) != "/b":
            for _ in range(50):
                await checkpoint()
            copied.append(future.log_end_offset)
            path.clock.advance(1000)
    assert copied == [1] * 6 + [2] * 7


async def test_targets_are_checked() -> None:
    path = make()
    elsewhere = partition_image(leader=2, replicas=(2,))
    path.create("u", [elsewhere])
    cases = [
        (PLACE, "/nowhere", ErrorCode.LOG_DIR_NOT_FOUND),
        (TopicPartition("v", 0), "/b", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (TopicPartition("u", 0), "/c", ErrorCode.REPLICA_NOT_AVAILABLE),
    ]
    for place, target, code in cases:
        with pytest.raises(KafkaError) as refusal:
            path.replicas.move(place, target)
        assert refusal.value.code is code
    # A replica that comes later lies where it was wanted.
    path.elect("u", partition_image(leader=1, epoch=1, version=1))
    assert path.partition("u").stored_log.log_directory == "/c"
    path.partition("u").log.fail(OSError(5, "I/O error"))
    for place, target in ((PLACE, "/c"), (TopicPartition("u", 0), "/a")):
        with pytest.raises(KafkaError) as refusal:
            path.replicas.move(place, target)
        assert refusal.value.code is ErrorCode.KAFKA_STORAGE_ERROR
