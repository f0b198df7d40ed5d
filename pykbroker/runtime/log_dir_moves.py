"""AlterReplicaLogDirs at work: a partition's log is copied to another directory, then swapped in.

The copy is a log of its own (a ``-future`` folder), filled slice by slice while the partition
goes on serving. It takes over only with everything the old one holds on disk, in one step on the
loop: nobody sees half of either. A move that breaks off leaves the old log in service, and is
begun anew at the next start.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.runtime.storage.flush import FlushJob
from pykbroker.runtime.storage.upkeep import Alarm
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, Workers
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.purgatory import Wakeups
    from pykbroker.runtime.storage.directory import LogDirectory
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.manager import LogManager
    from pykbroker.state.replication_quota import ReplicationQuota

logger = get_logger("pykbroker.runtime.log_dir_moves")

SLICE_BYTES = 1 << 20
ROUNDS = 10
"""Of syncing what was copied while more is appended; the last tail is synced on the loop."""


class LogDirMoves:
    def __init__(
        self,
        logs: LogManager,
        clock: Clock,
        settings: DynamicSettings,
        workers: Workers,
        wakeups: Wakeups,
    ) -> None:
        self._logs = logs
        self._clock = clock
        self._settings = settings
        self._workers = workers
        self._wakeups = wakeups
        self._queue: dict[Partition, None] = {}
        self._broken_off: dict[Partition, None] = {}
        self._alarm = Alarm(clock)

    @cached_property
    def _quota(self) -> ReplicationQuota:
        """Of all moves together. Loaded with the first of them."""
        from pykbroker.state.replication_quota import ReplicationQuota

        settings = self._settings.current
        return ReplicationQuota(
            settings.int("alter.log.dirs.replication.quota.window.num"),
            settings.int("alter.log.dirs.replication.quota.window.size.seconds") * 1000,
        )

    def request(self, partition: Partition, path: str) -> None:
        """Move it there, whatever was asked before; to where it is, ends a move."""
        place = partition.topic_partition
        future = partition.future_log
        if future is not None and future.log_directory != path:
            self._logs.cancel_future(place)
            partition.future_log = None
            self._queue.pop(partition, None)
        if partition.log.log_directory == path or partition.future_log is not None:
            return
        if any(directory.is_failed for directory in self._logs.directories):
            # One of them might hold a copy as well, and come back with it.
            raise KafkaError(
                ErrorCode.KAFKA_STORAGE_ERROR, "No log is moved while a log directory is offline"
            )
        partition.future_log = self._create(partition, path)
        self._queue[partition] = None
        self._alarm.ring()

    def _create(self, partition: Partition, path: str) -> PartitionLog:
        """With its folder, by which the next start knows of the move."""
        directory = self._logs.directory_at(path)
        try:
            future = self._logs.create_future(partition.topic_partition, directory)
            future.roll()
        except OSError as error:
            self._logs.upkeep.directory_failed(path, error)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return future

    def resume(self, partition: Partition) -> None:
        """Begin a move anew, soon, that the last stop of the broker broke off."""
        if self._unfinished(partition) is not None:
            self._broken_off[partition] = None
            self._alarm.ring()

    def _unfinished(self, partition: Partition) -> LogDirectory | None:
        for directory in self._logs.live_directories():
            if partition.topic_partition in directory.futures:
                return directory
        return None

    def forget(self, partition: Partition) -> None:
        """The partition has gone, its logs with it."""
        partition.future_log = None
        self._queue.pop(partition, None)
        self._broken_off.pop(partition, None)

    async def run(self) -> None:
        """Until cancelled; one partition after another."""
        while True:
            while self._broken_off:
                self._resume(next(iter(self._broken_off)))
            while self._queue:
                partition = next(iter(self._queue))
                del self._queue[partition]
                await self._move(partition)
            await self._alarm.wait_until(None)

    def _resume(self, partition: Partition) -> None:
        del self._broken_off[partition]
        directory = self._unfinished(partition)
        if directory is not None:
            try:
                self.request(partition, directory.path)
            except KafkaError as error:
                _log_failure(partition, error)

    async def _move(self, partition: Partition) -> None:
        future = partition.future_log
        try:
            while future is not None and not await self._copy(partition, future):
                future = self._begin_anew(partition)
        except KafkaError as error:
            _log_failure(partition, error)
            if partition.future_log is not None:
                self._logs.cancel_future(partition.topic_partition)
                partition.future_log = None

    def _begin_anew(self, partition: Partition) -> PartitionLog | None:
        """The log was truncated under the copy."""
        future = partition.future_log
        if future is None:
            return None
        place = partition.topic_partition
        self._logs.cancel_future(place)
        partition.future_log = self._create(partition, future.log_directory)
        return partition.future_log

    async def _copy(self, partition: Partition, future: PartitionLog) -> bool:
        """False: the log is no longer the one that was copied."""
        generation = partition.log.generation
        for _ in range(ROUNDS):
            while True:
                if partition.future_log is not future:
                    return True
                if partition.log.generation != generation:
                    return False
                if self._is_over_quota():
                    backoff_ms = self._settings.current.int("replica.fetch.backoff.ms")
                    await self._clock.sleep(backoff_ms)
                    continue
                size = _copy_slice(partition.log, future)
                if not size:
                    break
                self._quota.record(size, self._clock.monotonic_ms())
                await self._clock.sleep(0)
            job = FlushJob(future)
            try:
                await self._workers.run(job.run)
            finally:
                job.finish()
            if future.log_end_offset == partition.log.log_end_offset:
                break
        if partition.future_log is future and partition.log.generation == generation:
            while _copy_slice(partition.log, future):
                pass
            future.flush()
            self._swap(partition, future)
        return True

    def _is_over_quota(self) -> bool:
        rate = self._settings.current.int("replica.alter.log.dirs.io.max.bytes.per.second")
        self._quota.limit = rate
        return self._quota.is_exceeded(self._clock.monotonic_ms())

    def _swap(self, partition: Partition, future: PartitionLog) -> None:
        from pykbroker.state.log.epochs import LeaderEpochCache

        log = partition.log
        # What batches alone do not tell: epochs without any, and producers whose batches are gone.
        future.leader_epochs = LeaderEpochCache(list(log.leader_epochs.entries))
        future.leader_epochs.dirty = True
        future.producers = log.producers
        future.update_high_watermark(log.high_watermark)
        future.advance_log_start_offset(log.log_start_offset)
        self._logs.swap_future(partition.topic_partition)
        partition.log_moved(future)
        logger.info(
            "log moved",
            partition=str(partition.topic_partition),
            directory=future.log_directory,
        )
        self._wakeups.run()


def _log_failure(partition: Partition, error: KafkaError) -> None:
    place = str(partition.topic_partition)
    logger.warning("moving a log failed", partition=place, reason=str(error))


def _copy_slice(log: PartitionLog, future: PartitionLog) -> int:
    """The size of what was copied; 0 at the end."""
    from wire.records.batch import read_header

    if future.log_end_offset < log.log_start_offset:
        future.truncate_fully_and_start_at(log.log_start_offset)
    found = log.read(future.log_end_offset, SLICE_BYTES, min_one_batch=True)
    if found.records:
        first = read_header(found.records, whole=False).base_offset
        if first < future.log_end_offset:
            # The log may start within a batch; batches are copied whole.
            future.truncate_fully_and_start_at(first)
        future.append_as_follower(found.records)
    return len(found.records)
