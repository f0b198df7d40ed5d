"""One log directory: whose it is, its lock, its checkpoint files, what partitions it holds.

A directory that is not ours, or of a newer format, is refused before anything in it is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.state.log.checkpoints import (
    FORMAT_VERSION,
    Checkpoint,
    CorruptCheckpoint,
    MetaProperties,
    decode_clean_shutdown,
    decode_meta_properties,
    decode_offsets,
    encode_clean_shutdown,
    encode_meta_properties,
    encode_offsets,
    uuid_bytes,
)
from pykbroker.state.log.names import (
    CLEAN_SHUTDOWN,
    CLEANER_CHECKPOINT,
    DELETE_DIRECTORY,
    FUTURE_DIRECTORY,
    HIGH_WATERMARK_CHECKPOINT,
    LOCK,
    LOG_START_CHECKPOINT,
    META_PROPERTIES,
    RECOVERY_POINT_CHECKPOINT,
    STRAY_DIRECTORY,
    parse_directory,
)
from wire.uuids import uuid_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from pykbroker.ports import Disk, FileLock, Random
    from pykbroker.state.types import TopicPartition

logger = get_logger("pykbroker.storage.directory")
_HARMLESS = frozenset((LOCK, "lost+found"))


class DirectoryRefused(Exception):
    """This broker must not use the directory. The message is one line for the operator."""


class LogDirectoriesFailed(Exception):
    """None is left to serve from. The message is one line for the operator, in Kafka's words."""


class LogDirectory:
    def __init__(self, disk: Disk, path: str, rng: Random) -> None:
        self.disk = disk
        self.path = path
        self._rng = rng
        self._lock: FileLock | None = None
        self.meta: MetaProperties | None = None
        """None before the first start."""
        self.is_failed = False
        self.was_clean = False
        """The last broker here said that it had written everything, or there was none."""
        self.previous_broker_epoch = -1
        self.partitions: dict[TopicPartition, str] = {}
        """Folders found at start of partitions in service."""
        self.futures: dict[TopicPartition, str] = {}
        self.leftovers: list[str] = []
        """Folders found at start that are to be removed."""
        self._offsets: dict[str, dict[TopicPartition, int]] = {}
        self._written: dict[str, bytes] = {}

    @property
    def directory_id(self) -> bytes:
        assert self.meta is not None
        return uuid_bytes(self.meta.directory_id)

    # Opening

    def acquire(self, ignored: Collection[str] = ()) -> MetaProperties | None:
        """Take the lock and read whose directory this is; None if it is nobody's yet.

        ``ignored`` are names that others of this broker keep here.
        """
        disk = self.disk
        if disk.exists(self.path) and not disk.is_directory(self.path):
            raise DirectoryRefused(f"{self.path} is a file, not a data directory")
        if disk.exists(self.path):
            self.meta = self._identify(ignored)
        else:
            disk.mkdir(self.path)
        try:
            self._lock = disk.lock(f"{self.path}/{LOCK}")
        except BlockingIOError:
            raise DirectoryRefused(
                f"{self.path} is in use by another broker (its {LOCK} file is locked)"
            ) from None
        self._look_around()
        return self.meta

    def _look_around(self) -> None:
        """Once, at start: names only. Nothing is changed yet."""
        for name in self.disk.listdir(self.path):
            found = parse_directory(name)
            if found is None or not self.disk.is_directory(f"{self.path}/{name}"):
                continue
            if found.mark == DELETE_DIRECTORY:
                self.leftovers.append(name)
            elif found.mark == STRAY_DIRECTORY:
                continue  # put aside; nobody but a person removes it
            elif found.mark == FUTURE_DIRECTORY:
                self.futures[found.topic_partition] = name
            else:
                self.partitions[found.topic_partition] = name
        marker = f"{self.path}/{CLEAN_SHUTDOWN}"
        if self.disk.exists(marker):
            self.was_clean = True
            self.previous_broker_epoch = decode_clean_shutdown(self.disk.read_bytes(marker))
        elif not self.partitions and not self.futures:
            self.was_clean = True

    def _identify(self, ignored: Collection[str]) -> MetaProperties | None:
        path = f"{self.path}/{META_PROPERTIES}"
        if not self.disk.exists(path):
            strange = sorted(set(self.disk.listdir(self.path)) - _HARMLESS - set(ignored))
            if strange:
                raise DirectoryRefused(
                    f"{self.path} is not empty and not a pykbroker data directory: it holds "
                    f"{strange[0]} and has no {META_PROPERTIES}"
                )
            return None
        try:
            meta = decode_meta_properties(self.disk.read_bytes(path))
        except CorruptCheckpoint as problem:
            raise DirectoryRefused(f"{path} cannot be read: {problem}") from None
        if meta.format_version is None:
            raise DirectoryRefused(
                f"{self.path} belongs to Apache Kafka; pykbroker import {self.path} copies it"
            )
        if meta.format_version > FORMAT_VERSION:
            raise DirectoryRefused(
                f"{self.path} was written by a newer pykbroker (format {meta.format_version}, "
                f"this one knows {FORMAT_VERSION})"
            )
        return meta

    def check_identity(self, cluster_id: str, node_id: int) -> None:
        meta = self.meta
        if meta is None:
            return
        if meta.cluster_id != cluster_id:
            raise DirectoryRefused(
                f"{self.path} holds data of cluster {meta.cluster_id}, this is {cluster_id}"
            )
        if meta.node_id != node_id:
            raise DirectoryRefused(
                f"{self.path} holds data of node {meta.node_id}, this is node {node_id}: "
                "start it with the node id of its data, or with a directory of its own"
            )

    def open(self, cluster_id: str, node_id: int) -> None:
        """Start to use it: from here on it counts as not cleanly stopped."""
        if self.meta is None:
            directory_id = uuid_text(_random_uuid(self._rng))
            self.meta = MetaProperties(cluster_id, node_id, directory_id, FORMAT_VERSION)
            self.disk.write_atomic(
                f"{self.path}/{META_PROPERTIES}", encode_meta_properties(self.meta)
            )
        marker = f"{self.path}/{CLEAN_SHUTDOWN}"
        if self.disk.exists(marker):
            self.disk.unlink(marker)
            self.disk.sync_dir(self.path)
        for name in (RECOVERY_POINT_CHECKPOINT, LOG_START_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT):
            self._offsets[name] = self._read(name)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # Checkpoints

    def checkpoint(self, topic_partition: TopicPartition) -> Checkpoint:
        """What was known at start. A log that no file speaks of begins at 0."""
        offsets = self._offsets
        return Checkpoint(
            offsets[LOG_START_CHECKPOINT].get(topic_partition, 0),
            offsets[RECOVERY_POINT_CHECKPOINT].get(topic_partition, 0),
            offsets[HIGH_WATERMARK_CHECKPOINT].get(topic_partition, 0),
        )

    def read_cleaner_offsets(self) -> dict[TopicPartition, int]:
        return self._read(CLEANER_CHECKPOINT)

    def _read(self, name: str) -> dict[TopicPartition, int]:
        path = f"{self.path}/{name}"
        if not self.disk.exists(path):
            return {}
        try:
            data = self.disk.read_bytes(path)
            offsets = decode_offsets(data)
        except CorruptCheckpoint as problem:
            logger.warning("checkpoint not used", path=path, reason=str(problem))
            return {}
        self._written[name] = data
        return offsets

    def changed(self, name: str, offsets: dict[TopicPartition, int]) -> bytes | None:
        """The bytes to write; None if the file says so already."""
        data = encode_offsets(offsets)
        if self._written.get(name) == data or (name not in self._written and not offsets):
            return None
        return data

    def write_all(self, checkpoints: list[tuple[str, bytes]]) -> None:
        """Blocking."""
        for name, data in checkpoints:
            self.disk.write_atomic(f"{self.path}/{name}", data)
            self._written[name] = data

    def mark_clean(self, broker_epoch: int) -> None:
        """The last thing of all; blocking."""
        self.disk.write_atomic(f"{self.path}/{CLEAN_SHUTDOWN}", encode_clean_shutdown(broker_epoch))


def _random_uuid(rng: Random) -> bytes:
    """Version 4."""
    raw = bytearray(rng.randbytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)
