"""A fact: what stands under one key of the metadata store, decoded.

Values are Kafka's metadata records, each behind a small frame that names it: frame version 1, the
record's api key, its version, all as unsigned varints. A few single values are plain text.
"""

from __future__ import annotations

from typing import TypeAlias

from pykbroker.state.controller.keys import CLUSTER_ID, CONTROLLER_EPOCH
from wire import codec
from wire.errors import DecodeError
from wire.messages.metadata_records import (
    ClientQuotaRecord,
    ConfigRecord,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    TopicRecord,
)
from wire.schema import Record, parse_versions
from wire.tuples import NamedTuple

Value: TypeAlias = Record | str

FRAME_VERSION = 1
_TEXT_KEYS = frozenset((CLUSTER_ID, CONTROLLER_EPOCH))
_RECORDS: dict[int, type[Record]] = {
    record.api_key: record
    for record in (
        ClientQuotaRecord,
        ConfigRecord,
        FeatureLevelRecord,
        PartitionRecord,
        ProducerIdsRecord,
        RegisterBrokerRecord,
        RegisterControllerRecord,
        TopicRecord,
    )
}
_NEWEST = {record: parse_versions(record.versions).high for record in _RECORDS.values()}


class Change(NamedTuple):
    """What a decision wants to stand under a key; None deletes it."""

    key: str
    value: Value | None


class Fact(NamedTuple):
    """What stands under a key; ``value`` is None when nothing does (any more)."""

    key: str
    value: Value | None
    create_revision: int
    mod_revision: int


def encode_value(value: Value) -> bytes:
    if isinstance(value, str):
        return value.encode()
    version = _NEWEST[type(value)]
    # Each of the three numbers is below 128: one byte as a varint.
    frame = bytes((FRAME_VERSION, value.api_key, version))
    return frame + codec.encode_bytes(value, version)


def decode_value(key: str, data: bytes) -> Value:
    """Raises DecodeError for what this program cannot read, a newer frame or record included."""
    if key in _TEXT_KEYS:
        return data.decode()
    if len(data) < 3 or data[0] != FRAME_VERSION:
        raise DecodeError(f"{key}: not a metadata record that this version reads")
    record = _RECORDS.get(data[1])
    if record is None or data[2] > _NEWEST[record]:
        raise DecodeError(f"{key}: record {data[1]} version {data[2]} is not known")
    return codec.decode_exact(record, data[2], memoryview(data)[3:])
