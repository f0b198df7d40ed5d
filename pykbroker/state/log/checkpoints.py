"""The small text files beside the logs, as Kafka writes and reads them.

A damaged checkpoint is never half believed: ``CorruptCheckpoint``, and the caller falls back to
what is safe without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.types import TopicId, TopicPartition
from wire.tuples import NamedTuple
from wire.uuids import parse_uuid, uuid_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pykbroker.state.log.epochs import EpochEntry

VERSION = "0"


class CorruptCheckpoint(ValueError):
    """The file is not what its name says."""


class Checkpoint(NamedTuple):
    """What the log directory's checkpoint files say of one log; all may be stale, never ahead."""

    log_start_offset: int = 0
    recovery_point: int = 0
    high_watermark: int = 0


UNKNOWN_CHECKPOINT = Checkpoint()


def encode_offsets(offsets: Mapping[TopicPartition, int]) -> bytes:
    """recovery-point-, replication-, log-start- and cleaner-offset-checkpoint."""
    lines = [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()]
    return _encode(lines)


def decode_offsets(data: bytes) -> dict[TopicPartition, int]:
    result = {}
    for line in _decode(data):
        topic, _, rest = line.partition(" ")
        partition, _, offset = rest.partition(" ")
        try:
            result[TopicPartition(topic, int(partition))] = int(offset)
        except ValueError:
            raise CorruptCheckpoint(f"not an offset of a partition: {line!r}") from None
    return result


def encode_epochs(entries: Iterable[EpochEntry]) -> bytes:
    """leader-epoch-checkpoint."""
    return _encode([f"{entry.epoch} {entry.start_offset}" for entry in entries])


def decode_epochs(data: bytes) -> list[EpochEntry]:
    from pykbroker.state.log.epochs import EpochEntry

    result: list[EpochEntry] = []
    for line in _decode(data):
        epoch, _, start = line.partition(" ")
        try:
            entry = EpochEntry(int(epoch), int(start))
        except ValueError:
            raise CorruptCheckpoint(f"not a leader epoch: {line!r}") from None
        rises = not result or (
            entry.epoch > result[-1].epoch and entry.start_offset > result[-1].start_offset
        )
        if entry.epoch < 0 or entry.start_offset < 0 or not rises:
            raise CorruptCheckpoint(f"leader epochs do not rise at {line!r}")
        result.append(entry)
    return result


def encode_partition_metadata(topic_id: bytes) -> bytes:
    """partition.metadata."""
    return f"version: 0\ntopic_id: {uuid_text(topic_id)}".encode()


def decode_partition_metadata(data: bytes) -> TopicId:
    try:
        fields = dict(line.split(": ", 1) for line in data.decode().splitlines() if line.strip())
        if fields["version"].strip() != VERSION:
            raise CorruptCheckpoint(f"version {fields['version']} is not known")
        return uuid_bytes(fields["topic_id"].strip())
    except (KeyError, ValueError) as problem:
        raise CorruptCheckpoint(f"not a partition.metadata: {problem}") from None


def encode_clean_shutdown(broker_epoch: int) -> bytes:
    """.kafka_cleanshutdown."""
    return b'{"version":0,"brokerEpoch":%d}' % broker_epoch


def decode_clean_shutdown(data: bytes) -> int:
    """The broker epoch, or -1: an old marker is an empty file."""
    import json

    try:
        content = json.loads(data)
        return int(content.get("brokerEpoch", -1)) if content.get("version") == 0 else -1
    except (ValueError, AttributeError, TypeError):
        return -1


class MetaProperties(NamedTuple):
    """meta.properties of a log directory. ``format_version`` is ours; Kafka has none."""

    cluster_id: str
    node_id: int
    directory_id: str
    format_version: int | None


FORMAT_VERSION = 1
FORMAT_PROPERTY = "pykbroker.format.version"


def encode_meta_properties(meta: MetaProperties) -> bytes:
    lines = [
        "#",
        f"node.id={meta.node_id}",
        f"directory.id={meta.directory_id}",
        "version=1",
        f"cluster.id={meta.cluster_id}",
    ]
    if meta.format_version is not None:
        lines.append(f"{FORMAT_PROPERTY}={meta.format_version}")
    return ("\n".join(lines) + "\n").encode()


def decode_meta_properties(data: bytes) -> MetaProperties:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise CorruptCheckpoint("meta.properties is not text") from None
    fields = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "!")):
            name, _, value = line.partition("=")
            fields[name.strip()] = value.strip()
    version = fields.get("version")
    if version not in ("0", "1"):
        what = "there is no version in it" if version is None else f"version {version} is not known"
        raise CorruptCheckpoint(what)
    try:
        return MetaProperties(
            cluster_id=fields["cluster.id"],
            node_id=int(fields.get("node.id") or fields["broker.id"]),
            directory_id=fields.get("directory.id", ""),
            format_version=int(fields[FORMAT_PROPERTY]) if FORMAT_PROPERTY in fields else None,
        )
    except (KeyError, ValueError) as problem:
        raise CorruptCheckpoint(f"meta.properties lacks or garbles {problem}") from None


def uuid_bytes(text: str) -> TopicId:
    try:
        return TopicId(parse_uuid(text))
    except ValueError as problem:
        raise CorruptCheckpoint(str(problem)) from None


def _encode(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in [VERSION, str(len(lines)), *lines]).encode()


def _decode(data: bytes) -> list[str]:
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise CorruptCheckpoint("not text") from None
    if len(lines) < 2 or lines[0] != VERSION:
        raise CorruptCheckpoint("no known version in the first line")
    if not lines[1].isdigit() or int(lines[1]) != len(lines) - 2:
        raise CorruptCheckpoint(f"{lines[1]} entries announced, {len(lines) - 2} found")
    return lines[2:]
