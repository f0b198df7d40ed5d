"""Records that outlive the process, with the few bytes that frame them.

Coordinator records: a key is an int16 that says which record it is, then its version 0; a value
is an int16 version, then that version. Metadata records: unsigned varints for the frame's version
(1), the record's key and its version, then the record.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from wire.codec import decode, decode_exact, encode_bytes
from wire.errors import DecodeError
from wire.primitives import INT16, read_uvarint, uvarint_bytes
from wire.schema import Record, parse_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wire.schema import Buffer

R = TypeVar("R", bound=Record)
METADATA_FRAME_VERSION = 1


def encode_key(key: Record) -> bytes:
    return INT16.pack(key.api_key) + encode_bytes(key, 0)


def encode_value(value: Record, version: int) -> bytes:
    return INT16.pack(version) + encode_bytes(value, version)


def key_type(data: Buffer) -> int:
    """Which record a coordinator key belongs to."""
    return _int16(data)


def decode_key(cls: type[R], data: Buffer) -> R:
    return decode_exact(cls, 0, memoryview(data)[2:])


def decode_value(cls: type[R], data: Buffer) -> R:
    version = _int16(data)
    if version not in parse_versions(cls.versions):
        raise DecodeError(f"{cls.__name__} of version {version}")
    return decode_exact(cls, version, memoryview(data)[2:])


def decode_embedded(cls: type[R], data: Buffer) -> tuple[R, int]:
    """(structure, version) of the consumer protocol. A newer version begins as a known one does;
    what it adds is left unread."""
    version = _int16(data)
    if version < 0:
        raise DecodeError(f"{cls.__name__} of version {version}")
    known = min(version, parse_versions(cls.versions).high)
    return decode(cls, known, memoryview(data)[2:])[0], version


def encode_embedded(value: Record, version: int) -> bytes:
    return encode_value(value, version)


def _int16(data: Buffer) -> int:
    if len(data) < 2:
        raise DecodeError(f"a persisted record of {len(data)} bytes")
    value: int = INT16.unpack_from(data)[0]
    return value


@cache
def metadata_classes() -> Mapping[int, type[Record]]:
    module = import_module("wire.messages.metadata_records")
    return {
        cls.api_key: cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Record) and cls is not Record
    }


def encode_record(record: Record, version: int | None = None) -> bytes:
    """A metadata record with its frame; in its newest version unless one is given."""
    chosen = parse_versions(record.versions).high if version is None else version
    head = bytes((METADATA_FRAME_VERSION,)) + uvarint_bytes(record.api_key) + uvarint_bytes(chosen)
    return head + encode_bytes(record, chosen)


def decode_record(data: Buffer) -> Record:
    view = memoryview(data)
    try:
        frame, position = read_uvarint(view, 0)
        key, position = read_uvarint(view, position)
        version, position = read_uvarint(view, position)
    except IndexError as error:
        raise DecodeError("a metadata record is cut off") from error
    cls = metadata_classes().get(key)
    if frame != METADATA_FRAME_VERSION or cls is None:
        raise DecodeError(f"metadata record {key} in a frame of version {frame}")
    if version not in parse_versions(cls.versions):
        raise DecodeError(f"{cls.__name__} of version {version}")
    return decode_exact(cls, version, view[position:])
