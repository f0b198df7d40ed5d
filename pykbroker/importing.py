"""``pykbroker import``: take over the data directory of a stopped Apache Kafka broker (KRaft).

The directory is read, never written. The copy under the new data directory gets its
``meta.properties`` last: until then no broker starts on it. What a failed import made is removed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import anyio

from pykbroker.cluster_dir import STORE_FILES, STORE_NAME
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.disk import RealDisk
from pykbroker.edges.metadata_store.sqlite import open_sqlite_store
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.ports import Put, UnusableStore
from pykbroker.state.controller.facts import encode_value
from pykbroker.state.controller.takeover import (
    IMPORTED_EPOCH,
    WITHOUT_MEANING_HERE,
    KafkaMetadata,
    Refused,
)
from pykbroker.state.log.checkpoints import (
    FORMAT_VERSION,
    CorruptCheckpoint,
    MetaProperties,
    decode_meta_properties,
    decode_offsets,
    decode_partition_metadata,
    encode_clean_shutdown,
    encode_meta_properties,
    encode_offsets,
    uuid_bytes,
)
from pykbroker.state.log.names import (
    CLEAN_SHUTDOWN,
    CLEANER_CHECKPOINT,
    DELETED,
    HIGH_WATERMARK_CHECKPOINT,
    LOCK,
    LOG,
    LOG_START_CHECKPOINT,
    META_PROPERTIES,
    PARTITION_METADATA,
    RECOVERY_POINT_CHECKPOINT,
    parse_segment_file,
)
from pykbroker.state.types import NodeId, TopicPartition
from wire.errors import DecodeError
from wire.persisted import decode_metadata_record
from wire.records.batch import iter_headers, verify_crc
from wire.records.record import iter_records
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.ports import Disk

METADATA_LOG = "__cluster_metadata-0"
CHECKPOINTS = (
    RECOVERY_POINT_CHECKPOINT,
    LOG_START_CHECKPOINT,
    HIGH_WATERMARK_CHECKPOINT,
    CLEANER_CHECKPOINT,
)
SIZE_AT, MAGIC_AT = 8, 16
"""Where a batch has its size and its magic, in every format."""
_SNAPSHOT = re.compile(r"(\d{20})-(\d{10})\.checkpoint")


class Source(NamedTuple):
    path: str
    meta: MetaProperties
    metadata: KafkaMetadata
    checkpoints: dict[str, dict[TopicPartition, int]]
    was_clean: bool

    @property
    def partitions(self) -> list[TopicPartition]:
        known = self.metadata
        return [
            TopicPartition(name, index)
            for name, topic_id in known.topics.items()
            for index in known.partitions[topic_id]
        ]


def import_directory(directory: str, data_dir: str) -> int:
    """The exit code; says in one line what was taken, or what is wrong."""
    source_path, target = os.path.realpath(directory), os.path.realpath(data_dir)
    try:
        _check_source(RealDisk(), source_path)
        _check_target(source_path, target)
        source = read_source(RealDisk(), source_path)
        existed = os.path.isdir(target)
        try:
            _write(source, target)
        except BaseException:
            _remove(target, source.meta.node_id, existed)
            raise
    except (Refused, CorruptCheckpoint, DecodeError, UnusableStore) as problem:
        return _fail(f"cannot import {directory}: {problem}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"cannot import {directory}: {where}{error.strerror or error}")
    print(f"pykbroker: {_summary(source, directory, data_dir)}", flush=True)
    return 0


def _fail(message: str) -> int:
    print(f"pykbroker: {message}", file=sys.stderr, flush=True)
    return 1


def _summary(source: Source, directory: str, data_dir: str) -> str:
    node_id = source.meta.node_id
    option = "" if node_id == 1 else f" -o node.id={node_id}"
    parts = [
        f"took {len(source.metadata.topics)} topics ({len(source.partitions)} partitions) of "
        f"cluster {source.meta.cluster_id} from {directory} into {data_dir}"
    ]
    left_out = [f"{count} {kind}" for kind, count in source.metadata.left_out.items()]
    if left_out:
        parts.append(f"left out {' and '.join(left_out)}")
    if not source.was_clean:
        parts.append("not stopped cleanly, so the logs are checked at the first start")
    parts.append(f"serve it with 'pykbroker serve --data-dir {data_dir}{option}'")
    return "; ".join(parts)


def _check_target(source: str, target: str) -> None:
    if os.path.commonpath([source, target]) in (source, target):
        raise Refused(f"the new data directory {target} and it must lie apart")
    if os.path.exists(target) and not os.path.isdir(target):
        raise Refused(f"{target} is a file")
    if os.path.isdir(target):
        held = sorted(set(os.listdir(target)) - {"lost+found"})
        if held:
            raise Refused(f"{target} is not empty (it holds {held[0]})")


# Reading


def _check_source(disk: Disk, path: str) -> None:
    if not disk.is_directory(path):
        raise Refused("there is no such directory")
    disk.listdir(path)  # or the OSError that says why not
    if not disk.exists(f"{path}/{META_PROPERTIES}"):
        raise Refused(f"it is no data directory of Kafka: it has no {META_PROPERTIES}")


def read_source(disk: Disk, path: str) -> Source:
    _check_source(disk, path)
    meta_path = f"{path}/{META_PROPERTIES}"
    meta = decode_meta_properties(disk.read_bytes(meta_path))
    if meta.format_version is not None:
        raise Refused("it is pykbroker's own already")
    if not disk.is_directory(f"{path}/{METADATA_LOG}"):
        raise Refused(
            f"it has no {METADATA_LOG}: the first log directory of a Kafka broker in KRaft mode "
            "is needed"
        )
    _refuse_running(f"{path}/{LOCK}")
    metadata = read_metadata(disk, f"{path}/{METADATA_LOG}")
    metadata.check(meta.node_id)
    source = Source(path, meta, metadata, {}, disk.exists(f"{path}/{CLEAN_SHUTDOWN}"))
    for topic_partition in source.partitions:
        _check_folder(disk, path, topic_partition, metadata.topics[topic_partition.topic])
    ours = set(source.partitions)
    for name in CHECKPOINTS:
        if disk.exists(f"{path}/{name}"):
            offsets = decode_offsets(disk.read_bytes(f"{path}/{name}"))
            source.checkpoints[name] = {tp: at for tp, at in offsets.items() if tp in ours}
    return source


def _refuse_running(lock: str) -> None:
    """Kafka holds a record lock on the whole file; a shared one is no change and fails then."""
    import fcntl

    if not os.path.exists(lock):
        return
    fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise Refused("its broker is running: stop it first") from None
    finally:
        os.close(fd)


def _check_folder(disk: Disk, path: str, topic_partition: TopicPartition, topic_id: bytes) -> None:
    folder = f"{path}/{topic_partition}"
    if not disk.is_directory(folder):
        raise Refused(f"{topic_partition} is not in it, but in another log directory")
    stored = f"{folder}/{PARTITION_METADATA}"
    if disk.exists(stored) and decode_partition_metadata(disk.read_bytes(stored)) != topic_id:
        raise Refused(f"{topic_partition} in it is of an older topic of that name")
    for name in disk.listdir(folder):
        found = parse_segment_file(name)
        if found and found.kind == LOG and not found.suffix:
            _check_formats(disk, f"{folder}/{name}", topic_partition)


def _check_formats(disk: Disk, path: str, topic_partition: TopicPartition) -> None:
    """Logs are read here in message format 2 alone. What an unclean stop left at the end is for
    the recovery to judge."""
    with closing(disk.open(path)) as file:
        position = 0
        while position + MAGIC_AT < file.size:
            head = file.pread(position, MAGIC_AT + 1)
            if head[MAGIC_AT] < 2:
                raise Refused(
                    f"{topic_partition} holds messages of format {head[MAGIC_AT]}, from before "
                    "Kafka 0.11: copy the topic within Kafka first"
                )
            size = int.from_bytes(head[SIZE_AT : SIZE_AT + 4], "big", signed=True)
            if size <= 0:
                return
            position += SIZE_AT + 4 + size


def read_metadata(disk: Disk, folder: str) -> KafkaMetadata:
    """The newest snapshot, then the log from its end on."""
    names = disk.listdir(folder)
    metadata = KafkaMetadata()
    start = 0
    snapshots = [name for name in names if _SNAPSHOT.fullmatch(name)]
    if snapshots:
        start = int(snapshots[-1][:20])
        _replay(metadata, disk.read_bytes(f"{folder}/{snapshots[-1]}"), 0)
    for name in names:
        found = parse_segment_file(name)
        if found and found.kind == LOG and not found.suffix:
            _replay(metadata, disk.read_bytes(f"{folder}/{name}"), start)
    return metadata


def _replay(metadata: KafkaMetadata, data: bytes, start: int) -> None:
    """A batch cut off at the end was not committed: it is written durably before it counts."""
    for position, header in iter_headers(data, partial=True):
        verify_crc(data, position, header)
        if header.is_control or header.last_offset < start:
            continue
        for record in iter_records(data, position):
            if record.offset >= start and record.value and _has_meaning(record.value):
                metadata.apply(decode_metadata_record(record.value)[0])


def _has_meaning(value: bytes) -> bool:
    """By the type, which follows the frame's version; both are one byte in all that is known."""
    return len(value) < 2 or value[1] not in WITHOUT_MEANING_HERE


# Writing


def _write(source: Source, target: str) -> None:
    disk = RealDisk()
    meta = source.meta
    directory = f"{target}/broker-{meta.node_id}"
    disk.mkdir(directory)
    for topic_partition in source.partitions:
        _copy_folder(f"{source.path}/{topic_partition}", f"{directory}/{topic_partition}")
    for name, offsets in source.checkpoints.items():
        disk.write_atomic(f"{directory}/{name}", encode_offsets(offsets))
    if source.was_clean:
        disk.write_atomic(f"{directory}/{CLEAN_SHUTDOWN}", encode_clean_shutdown(IMPORTED_EPOCH))
    directory_id = meta.directory_id or _new_directory_id()
    anyio.run(_write_store, source, f"{target}/{STORE_NAME}", uuid_bytes(directory_id))
    ours = meta._replace(directory_id=directory_id, format_version=FORMAT_VERSION)
    disk.write_atomic(f"{directory}/{META_PROPERTIES}", encode_meta_properties(ours))
    disk.sync_dir(target)


def _new_directory_id() -> str:
    """Before 3.7 log directories had none."""
    from uuid import uuid4

    from wire.uuids import uuid_text

    return uuid_text(uuid4().bytes)


def _copy_folder(source: str, target: str) -> None:
    """Durably; times of modification are kept, as retention may go by them."""
    os.makedirs(target)
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        if not entry.is_file() or entry.name.endswith(DELETED):
            continue
        copy = f"{target}/{entry.name}"
        shutil.copy2(entry.path, copy)
        fd = os.open(copy, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fchmod(fd, 0o644)
            os.fsync(fd)
        finally:
            os.close(fd)
    RealDisk().sync_dir(target)


async def _write_store(source: Source, path: str, directory_id: bytes) -> None:
    meta = source.meta
    changes = source.metadata.changes(meta.cluster_id, NodeId(meta.node_id), directory_id)
    puts = [
        Put(change.key, encode_value(change.value))
        for change in changes
        if change.value is not None
    ]
    async with open_sqlite_store(path, SystemClock(), ThreadWorkers()) as store:
        limit = store.max_operations
        for first in range(0, len(puts), limit):
            await store.transact([], puts[first : first + limit])


def _remove(target: str, node_id: int, existed: bool) -> None:
    shutil.rmtree(f"{target}/broker-{node_id}", ignore_errors=True)
    for name in STORE_FILES:
        if os.path.exists(f"{target}/{name}"):
            os.unlink(f"{target}/{name}")
    if not existed and os.path.isdir(target):
        os.rmdir(target)
