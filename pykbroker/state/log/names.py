"""Names of files and folders in a log directory, as Kafka gives them."""

from __future__ import annotations

import re

from pykbroker.state.types import TopicPartition
from wire.tuples import NamedTuple

LOG = ".log"
INDEX = ".index"
TIME_INDEX = ".timeindex"
TXN_INDEX = ".txnindex"
SNAPSHOT = ".snapshot"
SEGMENT_SUFFIXES = (LOG, INDEX, TIME_INDEX, TXN_INDEX)
DELETED = ".deleted"
CLEANED = ".cleaned"
SWAP = ".swap"

LEADER_EPOCH_CHECKPOINT = "leader-epoch-checkpoint"
PARTITION_METADATA = "partition.metadata"
RECOVERY_POINT_CHECKPOINT = "recovery-point-offset-checkpoint"
HIGH_WATERMARK_CHECKPOINT = "replication-offset-checkpoint"
LOG_START_CHECKPOINT = "log-start-offset-checkpoint"
CLEANER_CHECKPOINT = "cleaner-offset-checkpoint"
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
LOCK = ".lock"
META_PROPERTIES = "meta.properties"

DELETE_DIRECTORY = "-delete"
FUTURE_DIRECTORY = "-future"
STRAY_DIRECTORY = "-stray"
_MAX_NAME = 255
# Compiled when first used: a new broker has no names to read.
_SEGMENT_FILE = r"(\d{20})(\.[a-z]+)((?:\.[a-z]+)*)"
_MARKED = r"(.+)-(\d+)\.([0-9a-f]+)(-delete|-future|-stray)"
_PLAIN = r"(.+)-(\d+)"


class SegmentFileName(NamedTuple):
    """``00000000000000000042.log.swap`` is (42, ".log", ".swap")."""

    base_offset: int
    kind: str
    suffix: str


class PartitionDirectory(NamedTuple):
    topic_partition: TopicPartition
    mark: str
    """Empty for a partition in service; else DELETE_, FUTURE_ or STRAY_DIRECTORY."""


def segment_file(base_offset: int, kind: str, suffix: str = "") -> str:
    return f"{base_offset:020d}{kind}{suffix}"


def parse_segment_file(name: str) -> SegmentFileName | None:
    match = re.fullmatch(_SEGMENT_FILE, name)
    return SegmentFileName(int(match[1]), match[2], match[3]) if match else None


def marked_directory(topic_partition: TopicPartition, unique: str, mark: str) -> str:
    """A long topic name is cut to make room, as file systems allow 255 bytes."""
    tail = f"-{topic_partition.partition}.{unique}{mark}"
    return topic_partition.topic[: _MAX_NAME - len(tail)] + tail


def parse_directory(name: str) -> PartitionDirectory | None:
    """None for a folder that is no partition's."""
    match = re.fullmatch(_MARKED, name)
    if match:
        return PartitionDirectory(TopicPartition(match[1], int(match[2])), match[4])
    match = re.fullmatch(_PLAIN, name)
    if match is None or (len(match[2]) > 1 and match[2][0] == "0"):
        return None
    return PartitionDirectory(TopicPartition(match[1], int(match[2])), "")
