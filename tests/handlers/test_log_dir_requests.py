"""DescribeLogDirs and AlterReplicaLogDirs."""

from __future__ import annotations

from typing import Any

import pytest

import pykbroker.handlers.log_dirs  # noqa: F401
from tests.support.data_path import DataPath, batch, partition_image
from wire.errors import ErrorCode
from wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from wire.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest


@pytest.fixture
def path() -> DataPath:
    made = DataPath(log_dirs=("/a", "/b"))
    made.create("t", 3)
    made.create("a-topic")
    return made


def describe(path: DataPath, topics: Any = None, version: int = 4) -> dict[str, Any]:
    response = path.answer(DescribeLogDirsRequest(topics=topics), version)
    assert response.error_code == 0
    return {result.log_dir: result for result in response.results}


def content(result: Any) -> list[tuple[str, int, int, int, bool]]:
    return [
        (topic.name, p.partition_index, p.partition_size, p.offset_lag, p.is_future_key)
        for topic in result.topics
        for p in topic.partitions
    ]


@pytest.mark.parametrize("version", range(6))
def test_everything_is_described_in_order(path: DataPath, version: int) -> None:
    path.append(b"x" * 100)
    path.append(b"x" * 100)
    size = 2 * len(batch(b"x" * 100))
    found = describe(path, version=version)
    assert list(found) == ["/a", "/b"]
    assert content(found["/a"]) == [("t", 0, size, 0, False), ("t", 2, 0, 0, False)]
    assert content(found["/b"]) == [("a-topic", 0, 0, 0, False), ("t", 1, 0, 0, False)]
    assert found["/a"].total_bytes == found["/a"].usable_bytes == -1


def test_only_what_was_asked_for_is_described(path: DataPath) -> None:
    found = describe(path, [DescribableLogDirTopic(topic="t", partitions=[1, 2, 99])])
    assert [c[:2] for c in content(found["/a"])] == [("t", 2)]
    assert [c[:2] for c in content(found["/b"])] == [("t", 1)]
    nothing = describe(path, [])
    assert [content(result) for result in nothing.values()] == [[], []]


def test_logs_that_nobody_used_are_measured_unopened(path: DataPath) -> None:
    path.append(b"x" * 100)
    path.partition().log.close()
    path.logs.release()
    again = DataPath(disk=path.disk, log_dirs=("/a", "/b"))
    again.create("t", 3)
    size = len(batch(b"x" * 100))
    assert ("t", 0, size, 0, False) in content(describe(again)["/a"])
    assert not again.partition().stored_log.is_loaded


def test_a_failed_directory_is_an_error(path: DataPath) -> None:
    path.partition().log.fail(OSError(5, "I/O error"))
    found = describe(path)
    assert found["/a"].error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert content(found["/a"]) == []
    assert found["/b"].error_code == 0


def test_a_directory_found_out_while_describing_is_failed(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def space(folder: str) -> tuple[int, int]:
        if folder == "/b":
            raise OSError(5, "I/O error")
        return 1000, 500

    monkeypatch.setattr(path.disk, "space", space)
    found = describe(path)
    assert (found["/a"].total_bytes, found["/a"].usable_bytes) == (1000, 500)
    assert found["/b"].error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert path.replicas.offline_count == 2


def alter(path: DataPath, *moves: tuple[str, str, int], version: int = 2) -> dict[Any, ErrorCode]:
    """(directory, topic, partition)"""
    dirs = [
        AlterReplicaLogDir(
            path=target, topics=[AlterReplicaLogDirTopic(name=topic, partitions=[index])]
        )
        for target, topic, index in moves
    ]
    response = path.answer(AlterReplicaLogDirsRequest(dirs=dirs), version)
    return {
        (topic.topic_name, p.partition_index): ErrorCode(p.error_code)
        for topic in response.results
        for p in topic.partitions
    }


@pytest.mark.parametrize("version", [1, 2])
def test_a_move_is_begun_and_described(path: DataPath, version: int) -> None:
    path.append(b"x" * 100)
    assert alter(path, ("/b", "t", 0), version=version) == {("t", 0): ErrorCode.NONE}
    assert ("t", 0, 0, 1, True) in content(describe(path)["/b"])
    assert alter(path, ("/a", "t", 0)) == {("t", 0): ErrorCode.NONE}
    assert all(not c[4] for c in content(describe(path)["/b"]))


def test_moves_that_cannot_be(path: DataPath) -> None:
    path.create("elsewhere", [partition_image(leader=2, replicas=(2,))])
    found = alter(
        path, ("/nowhere", "t", 0), ("/b", "u", 0), ("/b", "elsewhere", 0), ("/b", "t", 2)
    )
    assert found == {
        ("t", 0): ErrorCode.LOG_DIR_NOT_FOUND,
        ("u", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ("elsewhere", 0): ErrorCode.REPLICA_NOT_AVAILABLE,
        ("t", 2): ErrorCode.NONE,
    }


def test_a_name_too_long_for_a_directory_is_refused(path: DataPath) -> None:
    for name, expected in (
        ("x" * 249, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("x" * 250, ErrorCode.INVALID_TOPIC_EXCEPTION),
    ):
        wanted = [AlterReplicaLogDirTopic(name=name, partitions=[0])]
        request = AlterReplicaLogDirsRequest(dirs=[AlterReplicaLogDir(path="/a", topics=wanted)])
        [topic] = path.answer(request, 2).results
        assert topic.partitions[0].error_code == expected
