"""DescribeLogDirs and AlterReplicaLogDirs (KIP-113): what lies where, and moving it.

DescribeLogDirs v2 flexible - v3 error of the whole - v4 volume sizes (KIP-827) - v5 cordoned
(KIP-1066). AlterReplicaLogDirs v2 flexible
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import Context, handles
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.names import LOG
from pykbroker.state.types import TopicPartition
from wire.errors import ErrorCode
from wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDirPartitionResult,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterReplicaLogDirTopicResult,
)
from wire.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.runtime.storage.directory import LogDirectory
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.manager import LogManager


@handles(DescribeLogDirsRequest)
def describe_log_dirs(request: DescribeLogDirsRequest, ctx: Context) -> DescribeLogDirsResponse:
    wanted: set[TopicPartition] | None = None
    if request.topics is not None:
        wanted = {TopicPartition(t.topic, index) for t in request.topics for index in t.partitions}
    logs = ctx.broker.replicas.logs
    return DescribeLogDirsResponse(
        results=[
            _describe(logs, directory, lambda place: wanted is None or place in wanted)
            for directory in logs.directories
        ]
    )


def _describe(
    logs: LogManager, directory: LogDirectory, is_wanted: Callable[[TopicPartition], bool]
) -> DescribeLogDirsResult:
    result = DescribeLogDirsResult(log_dir=directory.path, topics=[])
    if directory.is_failed:
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        return result
    try:
        result.total_bytes, result.usable_bytes = directory.disk.space(directory.path)
        found: dict[str, list[DescribeLogDirsPartition]] = {}
        for is_future, table in ((False, logs.logs), (True, logs.futures)):
            for place, log in table.items():
                if log.log_directory == directory.path and is_wanted(place):
                    described = _describe_log(logs, place, log, is_future)
                    found.setdefault(place.topic, []).append(described)
    except OSError as error:
        logs.upkeep.directory_failed(directory.path, error)
        return DescribeLogDirsResult(
            log_dir=directory.path, error_code=ErrorCode.KAFKA_STORAGE_ERROR
        )
    for name in sorted(found):
        found[name].sort(key=lambda partition: partition.partition_index)
        result.topics.append(DescribeLogDirsTopic(name=name, partitions=found[name]))
    return result


def _describe_log(
    logs: LogManager, place: TopicPartition, log: PartitionLog, is_future: bool
) -> DescribeLogDirsPartition:
    lag = 0
    if is_future:
        lag = logs.logs[place].log_end_offset - log.log_end_offset
    elif log.is_loaded:
        lag = max(log.high_watermark - log.log_end_offset, 0)
    return DescribeLogDirsPartition(
        partition_index=place.partition,
        partition_size=_size(log),
        offset_lag=lag,
        is_future_key=is_future,
    )


def _size(log: PartitionLog) -> int:
    """A log that nobody has used yet is not opened for this."""
    if log.is_loaded:
        return log.size_in_bytes
    disk, folder = log.context.disk, log.directory
    if not disk.is_directory(folder):
        return 0
    names = disk.listdir(folder)
    return sum(disk.size(f"{folder}/{name}") for name in names if name.endswith(LOG))


@handles(AlterReplicaLogDirsRequest)
def alter_replica_log_dirs(
    request: AlterReplicaLogDirsRequest, ctx: Context
) -> AlterReplicaLogDirsResponse:
    """Answers once the moves have begun; DescribeLogDirs tells how far they are."""
    outcomes: dict[str, dict[int, ErrorCode]] = {}
    for wanted in request.dirs:
        for topic in wanted.topics:
            for index in topic.partitions:
                code = ErrorCode.NONE
                try:
                    place = TopicPartition(topic.name, index)
                    ctx.broker.replicas.move(place, wanted.path)
                except KafkaError as error:
                    code = error.code
                outcomes.setdefault(topic.name, {})[index] = code
    return AlterReplicaLogDirsResponse(
        results=[
            AlterReplicaLogDirTopicResult(
                topic_name=name,
                partitions=[
                    AlterReplicaLogDirPartitionResult(partition_index=index, error_code=code)
                    for index, code in codes.items()
                ],
            )
            for name, codes in outcomes.items()
        ]
    )
