"""All logs of a broker, in one or more log directories.

``start`` takes the directories and, after an unclean stop, recovers what they hold; ``run`` keeps
them (see ``upkeep``); ``close`` writes everything and, last, the clean-shutdown marker. A log
whose broker was stopped cleanly is read when it is first needed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.config.topic import log_config
from pykbroker.log import get_logger
from pykbroker.runtime.storage import flush
from pykbroker.runtime.storage.context import LogContext
from pykbroker.runtime.storage.directory import DirectoryRefused, LogDirectory
from pykbroker.runtime.storage.handles import FileHandles
from pykbroker.runtime.storage.upkeep import LogUpkeep
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.checkpoints import CorruptCheckpoint, decode_partition_metadata
from pykbroker.state.log.names import (
    DELETE_DIRECTORY,
    FUTURE_DIRECTORY,
    PARTITION_METADATA,
    STRAY_DIRECTORY,
    marked_directory,
)
from pykbroker.state.types import NO_TOPIC_ID
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.config.topic import LogConfig
    from pykbroker.ports import Clock, Disk, Random, Workers
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.log_state import LogState
    from pykbroker.runtime.storage.results import KnownPartition, Recovery
    from pykbroker.state.types import TopicId, TopicPartition

logger = get_logger("pykbroker.storage.manager")


LOGS_AT_ONCE = 64
"""Closed together: their files are pinned open meanwhile."""


def _nothing_known(topic_partition: TopicPartition, topic_id: TopicId) -> None:
    return None


class LogManager:
    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        workers: Workers,
        rng: Random,
        settings: DynamicSettings,
        paths: Sequence[str],
        *,
        max_open_files: int = 256,
        ignored_names: Collection[str] = (),
    ) -> None:
        """``ignored_names`` are files that others of this broker keep in the directories."""
        self.disk = disk
        self.clock = clock
        self.workers = workers
        self.rng = rng
        self.settings = settings
        self.handles = FileHandles(disk, max_open_files)
        self.context = LogContext(disk, clock, rng, handles=self.handles)
        self.directories = [LogDirectory(disk, path, rng) for path in paths]
        self.logs: dict[TopicPartition, PartitionLog] = {}
        self.futures: dict[TopicPartition, PartitionLog] = {}
        """Copies that AlterReplicaLogDirs is making in another directory."""
        self._held: Counter[str] | None = None
        """How many logs lie in each directory; None when some have gone or moved since."""
        self.recoveries: dict[TopicPartition, Recovery] = {}
        """What the last start had to do."""
        self.on_directory_failed: Callable[[str, list[PartitionLog]], None] | None = None
        self.on_all_failed: Callable[[], None] | None = None
        self._ignored = ignored_names
        self.upkeep = LogUpkeep(self)
        self._settings_changed(frozenset())
        settings.on_change(self._settings_changed)

    def _settings_changed(self, _: frozenset[str]) -> None:
        settings, context = self.settings.current, self.context
        context.producer_id_expiration_ms = settings.int("producer.id.expiration.ms")
        walk = settings.bool("pykbroker.validate.records")
        if walk != context.validate_records:
            context.validate_records = walk
            for log in (*self.logs.values(), *self.futures.values()):
                log.config = log.config  # what it made of it is out of date

    # Starting

    def acquire(self) -> str | None:
        """Lock the directories; the cluster id that they say they belong to, if any does."""
        opened: list[LogDirectory] = []
        found: str | None = None
        problems: list[tuple[LogDirectory, OSError]] = []
        try:
            for directory in self.directories:
                try:
                    meta = directory.acquire(self._ignored)
                except OSError as error:
                    problems.append((directory, error))
                    continue
                opened.append(directory)
                found = meta.cluster_id if meta is not None else found
            if not opened:
                first, why = problems[0]
                raise DirectoryRefused(
                    f"cannot use log directory {first.path}: {why.strerror or why}"
                )
            for directory, problem in problems:
                self._unusable(directory, problem)
        except DirectoryRefused:
            for directory in opened:
                directory.release()
            raise
        return found

    async def start(
        self,
        cluster_id: str,
        node_id: int,
        known: Callable[[TopicPartition, TopicId], KnownPartition | None] = _nothing_known,
    ) -> None:
        """After ``acquire``: recover what needs it. Refuses directories of another cluster.

        ``known`` says what the metadata hold of a partition, where that is to be had already.
        """
        for directory in self.live_directories():
            directory.check_identity(cluster_id, node_id)
        self._check_directory_ids()
        for directory in self.live_directories():
            try:
                directory.open(cluster_id, node_id)
                if not directory.was_clean:
                    await self._recover(directory, known)
            except OSError as error:
                self._unusable(directory, error)
            else:
                leftovers = [f"{directory.path}/{folder}" for folder in directory.leftovers]
                self.upkeep.delete_later(leftovers, 0)
        self._promote_futures()
        if not any(True for _ in self.live_directories()):
            raise DirectoryRefused("no log directory can be used")

    def _check_directory_ids(self) -> None:
        ids = [d.meta.directory_id for d in self.live_directories() if d.meta is not None]
        if len(ids) != len(set(ids)):
            raise DirectoryRefused("two log directories have the same directory.id: one is a copy")

    async def _recover(
        self,
        directory: LogDirectory,
        known: Callable[[TopicPartition, TopicId], KnownPartition | None],
    ) -> None:
        config = log_config(self.settings.current, {})
        logger.info(
            "recovering after an unclean stop",
            directory=directory.path,
            partitions=len(directory.partitions),
        )
        for topic_partition, folder in directory.partitions.items():
            topic_id = self._stored_topic_id(directory, folder)
            metadata = known(topic_partition, topic_id)
            log = self._make_log(
                directory,
                topic_partition,
                topic_id,
                config if metadata is None else metadata.config,
                folder,
            )
            recovery = await self.workers.run(_load_recovering, log, metadata)
            if recovery is not None:
                self.recoveries[topic_partition] = recovery
            self.logs[topic_partition] = log
        cut = sum(recovery.cut_bytes for recovery in self.recoveries.values())
        logger.info("recovered", directory=directory.path, cut_bytes=cut)

    def _promote_futures(self) -> None:
        """A move between directories that broke off after the old copy had gone."""
        in_service = {tp for d in self.live_directories() for tp in d.partitions}
        for directory in self.live_directories():
            for topic_partition, folder in list(directory.futures.items()):
                if topic_partition not in in_service:
                    del directory.futures[topic_partition]
                    home = str(topic_partition)
                    self.disk.rename(f"{directory.path}/{folder}", f"{directory.path}/{home}")
                    directory.partitions[topic_partition] = home

    def _stored_topic_id(self, directory: LogDirectory, folder: str) -> TopicId:
        path = f"{directory.path}/{folder}/{PARTITION_METADATA}"
        if not self.disk.exists(path):
            return NO_TOPIC_ID
        try:
            return decode_partition_metadata(self.disk.read_bytes(path))
        except CorruptCheckpoint as problem:
            logger.warning("partition.metadata not used", path=path, reason=str(problem))
            return NO_TOPIC_ID

    def _unusable(self, directory: LogDirectory, error: OSError) -> None:
        logger.error("log directory cannot be used", directory=directory.path, reason=str(error))
        directory.is_failed = True
        directory.release()

    # Logs

    @property
    def was_clean(self) -> bool:
        """Every directory was left by a clean stop, or is new."""
        return all(directory.was_clean for directory in self.live_directories())

    @property
    def clean_epoch(self) -> int:
        """Under which broker epoch this broker stopped cleanly last; -1 without proof of it."""
        return self.previous_broker_epoch if self.was_clean else -1

    @property
    def previous_broker_epoch(self) -> int:
        """Of the broker that stopped cleanly; -1 otherwise."""
        epochs = {directory.previous_broker_epoch for directory in self.live_directories()}
        return epochs.pop() if len(epochs) == 1 else -1

    def live_directories(self) -> Iterator[LogDirectory]:
        return (directory for directory in self.directories if not directory.is_failed)

    def may_have_lost(self, topic_partition: TopicPartition) -> bool:
        """Whether what there was of it may lie in a directory that cannot be used."""
        return any(directory.is_failed for directory in self.directories) and not any(
            topic_partition in directory.partitions for directory in self.live_directories()
        )

    def get(self, topic_partition: TopicPartition) -> PartitionLog | None:
        return self.logs.get(topic_partition)

    def get_or_create(
        self,
        topic_partition: TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        *,
        directory: LogDirectory | None = None,
    ) -> PartitionLog:
        """The log of a partition that this broker is to hold; ``config`` is taken over.

        Files of a topic that had the same name before are not this topic's: they are put aside.
        """
        log = self.logs.get(topic_partition)
        if log is not None:
            if self._same_topic(log.topic_id, topic_id):
                log.topic_id = topic_id
                log.config = config
                return log
            self.delete(topic_partition, mark=STRAY_DIRECTORY)
        home = next((d for d in self.live_directories() if topic_partition in d.partitions), None)
        if home is None:
            home = directory or self._emptiest()
        log = self._make_log(home, topic_partition, topic_id, config, str(topic_partition))
        self.logs[topic_partition] = log
        if self._held is not None:
            self._held[home.path] += 1
        return log

    @staticmethod
    def _same_topic(stored: TopicId, wanted: TopicId) -> bool:
        return stored == wanted or NO_TOPIC_ID in (stored, wanted)

    def retire_stray(self, log: LogState) -> None:
        """The folder that a log found is that of an older topic of its name."""
        directory = self.directory_of(log)
        directory.partitions.pop(log.topic_partition, None)
        folder = log.directory.rpartition("/")[2]
        self._retire(directory, folder, log.topic_partition, STRAY_DIRECTORY)

    def _emptiest(self) -> LogDirectory:
        """Where the fewest logs are."""
        live = list(self.live_directories())
        if len(live) == 1:
            return live[0]
        if not live:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "every log directory has failed")
        held = self._held
        if held is None:
            # Not anew for each log of a topic that is made: with many that would take for ever.
            logs = (*self.logs.values(), *self.futures.values())
            held = self._held = Counter(log.log_directory for log in logs)
        return min(live, key=lambda directory: held[directory.path])

    def _make_log(
        self,
        directory: LogDirectory,
        topic_partition: TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        folder: str,
    ) -> PartitionLog:
        # A broker without partitions is up before this is needed.
        from pykbroker.runtime.storage.log import PartitionLog

        return PartitionLog(
            self.context,
            self.upkeep,
            directory.path,
            topic_partition,
            topic_id,
            config,
            folder=folder,
            checkpoint=directory.checkpoint(topic_partition),
        )

    def directory_of(self, log: LogState) -> LogDirectory:
        return self.directory_at(log.log_directory)

    def directory_at(self, path: str) -> LogDirectory:
        return next(d for d in self.directories if d.path == path)

    def put_strays_aside(self, is_known: Callable[[TopicPartition, TopicId], bool]) -> int:
        """What lies on disk of partitions that this broker is no longer to hold. It is not deleted,
        as the metadata may be what is wrong."""
        count = 0
        for directory in self.live_directories():
            for topic_partition, folder in list(directory.partitions.items()):
                log = self.logs.get(topic_partition)
                stored = log.topic_id if log else self._stored_topic_id(directory, folder)
                if is_known(topic_partition, stored):
                    continue
                count += 1
                if log is not None:
                    self.delete(topic_partition, mark=STRAY_DIRECTORY)
                else:
                    del directory.partitions[topic_partition]
                    self._retire(directory, folder, topic_partition, STRAY_DIRECTORY)
        return count

    def delete(self, topic_partition: TopicPartition, *, mark: str = DELETE_DIRECTORY) -> None:
        """Take a partition out of service; its files follow after file.delete.delay.ms."""
        self._held = None
        future = self.futures.pop(topic_partition, None)
        for log in (self.logs.pop(topic_partition, None), future):
            if log is None:
                continue
            directory = self.directory_of(log)
            log.release_files()
            folders = directory.futures if log is future else directory.partitions
            folders.pop(topic_partition, None)
            folder = log.directory.rpartition("/")[2]
            if not directory.is_failed and self.disk.is_directory(log.directory):
                self._retire(directory, folder, topic_partition, mark)

    def _retire(
        self, directory: LogDirectory, folder: str, topic_partition: TopicPartition, mark: str
    ) -> None:
        gone = marked_directory(topic_partition, self.rng.randbytes(16).hex(), mark)
        try:
            self.disk.rename(f"{directory.path}/{folder}", f"{directory.path}/{gone}")
        except OSError as error:
            self.upkeep.directory_failed(directory.path, error)
            return
        if mark == STRAY_DIRECTORY:
            aside = f"{directory.path}/{gone}"
            logger.warning("stray", partition=str(topic_partition), put_aside_as=aside)
            return
        delay_ms = self.settings.current.int("log.segment.delete.delay.ms")
        self.upkeep.delete_later([f"{directory.path}/{gone}"], delay_ms)

    # Moving between directories

    def create_future(
        self, topic_partition: TopicPartition, directory: LogDirectory
    ) -> PartitionLog:
        """An empty copy of a log in another directory, to be filled and then swapped in."""
        self._held = None
        log = self.logs[topic_partition]
        future = self.futures.get(topic_partition)
        if future is not None:
            if future.log_directory == directory.path:
                return future
            self.cancel_future(topic_partition)
        folder = directory.futures.pop(topic_partition, None)
        if folder is not None:
            self._retire(directory, folder, topic_partition, DELETE_DIRECTORY)
        folder = marked_directory(topic_partition, self.rng.randbytes(16).hex(), FUTURE_DIRECTORY)
        future = self._make_log(directory, topic_partition, log.topic_id, log.config, folder)
        future.load()
        future.truncate_fully_and_start_at(log.log_start_offset)
        self.futures[topic_partition] = future
        return future

    def cancel_future(self, topic_partition: TopicPartition) -> None:
        self._held = None
        future = self.futures.pop(topic_partition, None)
        if future is not None:
            future.release_files()
            if self.disk.is_directory(future.directory):
                folder = future.directory.rpartition("/")[2]
                self._retire(self.directory_of(future), folder, topic_partition, DELETE_DIRECTORY)

    def swap_future(self, topic_partition: TopicPartition) -> PartitionLog:
        """Put the copy, which has caught up, in the place of the log."""
        future = self.futures.pop(topic_partition)
        old = self.logs[topic_partition]
        future.update_high_watermark(old.high_watermark)
        self.delete(topic_partition)
        future.files.move_to(str(topic_partition))
        self.directory_of(future).partitions[topic_partition] = str(topic_partition)
        self.logs[topic_partition] = future
        return future

    # Running and stopping

    async def run(self) -> None:
        """Until cancelled."""
        await self.upkeep.run()

    async def close(self, broker_epoch: int = -1) -> None:
        """Write everything; with the marker, the next start need not look at the logs."""
        logs = [
            log
            for log in (*self.logs.values(), *self.futures.values())
            if log.is_loaded and not log.is_failed
        ]
        for first in range(0, len(logs), LOGS_AT_ONCE):
            part = logs[first : first + LOGS_AT_ONCE]
            await flush.run(self.workers, flush.begin(part, final=True))
            for log in part:
                log.release_files()
        for directory in self.live_directories():
            if directory.meta is None:
                continue
            try:
                pending = self.upkeep.pending_checkpoints(directory)
                await self.workers.run(directory.write_all, pending)
                await self.workers.run(directory.mark_clean, broker_epoch)
            except OSError as error:
                self._unusable(directory, error)
        self.release()

    def release(self) -> None:
        """Let go without writing anything."""
        self.handles.close_all()
        for directory in self.directories:
            directory.release()


def _load_recovering(log: PartitionLog, known: KnownPartition | None) -> Recovery | None:
    return log.load(recover=True, known=known)
