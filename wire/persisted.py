"""Records that outlive the process, and the few bytes that say which record it is.

Coordinator records have a key (int16 type, then the key's version 0) and a value (int16 version,
then that version of it; absent in a tombstone). Control records and what consumers put into their
group's metadata are framed like values. A record of the metadata log has unsigned varints for the
frame's version, its type and its version in front.
"""

from __future__ import annotations

from sys import modules
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from wire.codec import decode, decode_exact, encode_bytes
from wire.errors import DecodeError
from wire.primitives import read_int16, read_uvarint, uvarint, write_int16
from wire.schema import Record, parse_versions

if TYPE_CHECKING:
    from wire.schema import Buffer

R = TypeVar("R", bound=Record)

METADATA_FRAME_VERSION = 1


# A version and a body.


def encode_versioned(value: Record, version: int) -> bytes:
    return write_int16(version) + encode_bytes(value, version)


def decode_versioned(cls: type[R], data: Buffer) -> tuple[R, int]:
    """The value and its version."""
    version = _int16(cls.__name__, data)
    return decode_exact(cls, version, data, 2), version


def decode_embedded(cls: type[R], data: Buffer) -> tuple[R, int]:
    """As a reader must that meets the future: a newer version begins as the newest known one does,
    and what follows is passed over. Such are the consumer protocol and control records.
    """
    version = _int16(cls.__name__, data)
    known = min(version, parse_versions(cls.versions).high)
    return decode(cls, known, data, 2)[0], version


def _int16(what: str, data: Buffer) -> int:
    if len(data) < 2:
        raise DecodeError(f"{what}: {len(data)} bytes hold no version")
    number: int = read_int16(data, 0)[0]
    return number


# Coordinator records.


DecodedRecord: TypeAlias = "tuple[Record, Record | None, int]"
"""Key, value (None: a tombstone) and the value's version."""


class RecordTypes:
    """The records of one internal topic; their definitions are imported as they turn up."""

    def __init__(self, modules_by_type: dict[int, str]) -> None:
        self._modules = modules_by_type
        self._classes: dict[int, tuple[type[Record], type[Record]]] = {}

    def classes(self, record_type: int) -> tuple[type[Record], type[Record]] | None:
        """Of key and value; None for a type that is not known."""
        known = self._classes.get(record_type)
        if known is None and record_type in self._modules:
            found = _records_in(self._modules[record_type])
            pair = [cls for cls in found if cls.api_key == record_type]
            key, value = sorted(pair, key=lambda cls: cls.__name__)
            known = self._classes[record_type] = key, value
        return known


GROUP_RECORDS = RecordTypes(
    dict.fromkeys((0, 1, 2), "group_records")
    | dict.fromkeys((3, 4, 5, 6, 7, 8, 16), "consumer_group_records")
    | dict.fromkeys((10, 11, 12, 13, 14, 15), "share_group_records")
    | dict.fromkeys((17, 19, 20, 21, 22, 23), "streams_group_records")
)
"""Of ``__consumer_offsets``."""
TRANSACTION_RECORDS = RecordTypes({0: "transaction_records"})
"""Of ``__transaction_state``."""
SHARE_STATE_RECORDS = RecordTypes(dict.fromkeys((0, 1), "share_state_records"))
"""Of ``__share_group_state``."""


def encode_record(key: Record, value: Record | None, version: int) -> tuple[bytes, bytes | None]:
    encoded_key = write_int16(key.api_key) + encode_bytes(key, 0)
    return encoded_key, None if value is None else encode_versioned(value, version)


def decode_record(
    key: Buffer, value: Buffer | None, types: RecordTypes = GROUP_RECORDS
) -> DecodedRecord | None:
    """None for a type of record that is not known: a newer broker wrote it."""
    classes = types.classes(_int16("record key", key))
    if classes is None:
        return None
    key_class, value_class = classes
    decoded_key = decode_exact(key_class, 0, key, 2)
    if value is None:
        return decoded_key, None, 0
    return decoded_key, *decode_versioned(value_class, value)


# Control records.


def encode_control_key(control_type: int) -> bytes:
    from wire.messages.control_records import ControlRecordTypeSchema

    return encode_versioned(ControlRecordTypeSchema(type=control_type), 0)


def decode_control_key(key: Buffer) -> int:
    """The type: 0 abort, 1 commit, 2 leader change, 3 and 4 around a snapshot, 5 and 6 KRaft."""
    from wire.messages.control_records import ControlRecordTypeSchema

    return decode_embedded(ControlRecordTypeSchema, key)[0].type


def encode_end_txn_marker(coordinator_epoch: int) -> bytes:
    from wire.messages.control_records import EndTxnMarker

    return encode_versioned(EndTxnMarker(coordinator_epoch=coordinator_epoch), 0)


def decode_end_txn_marker(value: Buffer) -> int:
    """The epoch of the coordinator that ended the transaction."""
    from wire.messages.control_records import EndTxnMarker

    return decode_embedded(EndTxnMarker, value)[0].coordinator_epoch


# Records of the metadata log.

_metadata_classes: dict[int, type[Record]] = {}


def encode_metadata_record(record: Record, version: int) -> bytes:
    head = uvarint(METADATA_FRAME_VERSION) + uvarint(record.api_key) + uvarint(version)
    return head + encode_bytes(record, version)


def decode_metadata_record(data: Buffer) -> tuple[Record, int]:
    """The record and its version."""
    try:
        frame, position = read_uvarint(data, 0)
        record_type, position = read_uvarint(data, position)
        version, position = read_uvarint(data, position)
    except IndexError:
        raise DecodeError("a metadata record ends in its frame") from None
    if frame != METADATA_FRAME_VERSION:
        raise DecodeError(f"a metadata record in a frame of version {frame}")
    if not _metadata_classes:
        _metadata_classes.update({c.api_key: c for c in _records_in("metadata_records")})
    cls = _metadata_classes.get(record_type)
    if cls is None:
        raise DecodeError(f"metadata record of unknown type {record_type}")
    return decode_exact(cls, version, data, position), version


def _records_in(module: str) -> list[type[Record]]:
    path = "wire.messages." + module
    __import__(path)
    found: list[Any] = [c for c in vars(modules[path]).values() if isinstance(c, type)]
    return [c for c in found if issubclass(c, Record) and c is not Record]
