"""Requests and responses as plain dicts, by the schemas of the kio package.

It writes what no client would: null where it is not allowed, an array's count that is not its
length, tagged fields nobody knows. It reads to the last byte and hides nothing: what is left over
is in the result. Names are Kafka's in snake case; times are ints, uuids ``uuid.UUID``.

In a struct to write, a field that is left out has its default, and these stand for more:

    "_tags": {1000: b"..."}    tagged fields by number, written beside the known ones
    Raw(b"...")                these bytes in place of the field
    Counted(5, [...])          an array whose count says 5
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import types
import typing
import uuid
from typing import Any, NamedTuple

from kio.index import load_request_schema, load_response_schema
from kio.schema.errors import ErrorCode
from kio.schema.index import api_key_map, schema_name_map
from kio.static.constants import EntityType

Body = dict[str, Any]

API_KEYS: dict[str, int] = {name: key for key, name in api_key_map.items()}
ZERO_UUID = uuid.UUID(int=0)

_INTEGERS = {
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "float64": "d",
    "bool": "?",
    "error_code": "h",
    "timedelta_i32": "i",
    "timedelta_i64": "q",
    "datetime_i64": "q",
}
_LENGTHS = {"string": "h", "bytes": "i", "records": "i"}


class Undecodable(Exception):
    """The bytes are not what the schema says; what could be read stands in the message."""


class Raw(NamedTuple):
    data: bytes


class Counted(NamedTuple):
    claimed: int
    items: list[Any]


class Field(NamedTuple):
    name: str
    kind: str
    """Kafka's type of it, or of its elements; "struct" for one with fields."""
    is_array: bool
    nullable: bool
    tag: int | None
    default: Any
    struct: type | None


class Site(NamedTuple):
    """Where a value with a length lies in what was written."""

    path: str
    field: Field
    flexible: bool
    start: int
    prefix_end: int
    end: int


def versions_of(api: str) -> list[int]:
    """Those that kio has of a request."""
    return sorted(
        version for version, kinds in schema_name_map[api].items() if EntityType.request in kinds
    )


def request_schema(api: str, version: int) -> type:
    return load_request_schema(API_KEYS[api], version)


def response_schema(api: str, version: int) -> type:
    return load_response_schema(API_KEYS[api], version)


def is_flexible(schema: Any) -> bool:
    return bool(schema.__flexible__)


@functools.cache
def fields_of(schema: Any) -> tuple[Field, ...]:
    return tuple(_describe(field) for field in dataclasses.fields(schema))


def _describe(field: dataclasses.Field[Any]) -> Field:
    annotation, nullable = _without_none(field.type)
    is_array = typing.get_origin(annotation) is tuple
    if is_array:
        annotation, _ = _without_none(typing.get_args(annotation)[0])
    is_struct = dataclasses.is_dataclass(annotation)
    kind = "struct" if is_struct else str(field.metadata["kafka_type"])
    is_time = kind.startswith(("timedelta", "datetime"))
    default = field.default if field.default is not dataclasses.MISSING else None
    return Field(
        f"{field.name}_ms" if is_time else field.name.rstrip("_"),
        kind,
        is_array,
        nullable,
        field.metadata.get("tag"),
        default,
        annotation if is_struct else None,
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        parts = [a for a in typing.get_args(annotation) if a is not types.NoneType]
        return parts[0], True
    return annotation, False


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Writer:
    """Writes one message; ``sites`` tells where its lengths are."""

    def __init__(self, flexible: bool) -> None:
        self.out = bytearray()
        self.sites: list[Site] = []
        self._flexible = flexible

    def struct(self, schema: type, values: Body, path: str = "") -> None:
        fields = fields_of(schema)
        unknown = values.keys() - {field.name for field in fields} - {"_tags"}
        if unknown:
            raise KeyError(f"{schema.__name__} v{schema.__version__} has no {sorted(unknown)}")  # type: ignore[attr-defined]
        tagged: dict[int, bytes] = dict(values.get("_tags", {}))
        for field in fields:
            name = f"{path}.{field.name}" if path else field.name
            if field.tag is None:
                self.field(field, values.get(field.name, _MISSING), name)
            elif field.name in values:
                inner = Writer(self._flexible)
                inner.field(field, values[field.name], name)
                tagged[field.tag] = bytes(inner.out)
        if self._flexible:
            self.tags(tagged)

    def tags(self, tagged: dict[int, bytes]) -> None:
        self.out += uvarint(len(tagged))
        for tag, data in sorted(tagged.items()):
            self.out += uvarint(tag) + uvarint(len(data)) + data

    def field(self, field: Field, value: Any, path: str) -> None:
        if isinstance(value, Raw):
            self.out += value.data
        elif field.is_array:
            self._array(field, [] if value is _MISSING else value, path)
        elif field.struct is not None:
            self._struct_field(field, value, path)
        else:
            self._value(field, _default_of(field) if value is _MISSING else value, path)

    def _struct_field(self, field: Field, value: Any, path: str) -> None:
        assert field.struct is not None
        if field.nullable:
            is_null = value is None or (value is _MISSING and field.default is None)
            self.out += b"\xff" if is_null else b"\x01"
            if is_null:
                return
        self.struct(field.struct, {} if value is _MISSING else value, path)

    def _array(self, field: Field, value: Any, path: str) -> None:
        start = len(self.out)
        count = -1 if value is None else len(value)
        if isinstance(value, Counted):
            count, value = value.claimed, value.items
        self.out += length_prefix(count, "i", self._flexible)
        prefix_end = len(self.out)
        index = len(self.sites)
        for number, item in enumerate(value or ()):
            where = f"{path}[{number}]"
            if isinstance(item, Raw):
                self.out += item.data
            elif field.struct is not None:
                self.struct(field.struct, item, where)
            else:
                self._value(field, item, where)
        site = Site(path, field, self._flexible, start, prefix_end, len(self.out))
        self.sites.insert(index, site)

    def _value(self, field: Field, value: Any, path: str) -> None:
        if isinstance(value, Raw):
            self.out += value.data
        elif field.kind in _INTEGERS:
            self.out += struct.pack(f">{_INTEGERS[field.kind]}", value)
        elif field.kind == "uuid":
            self.out += (value or ZERO_UUID).bytes
        else:
            self._sized(field, value, path)

    def _sized(self, field: Field, value: str | bytes | None, path: str) -> None:
        start = len(self.out)
        data = value.encode() if isinstance(value, str) else value
        count = -1 if data is None else len(data)
        self.out += length_prefix(count, _LENGTHS[field.kind], self._flexible)
        prefix_end = len(self.out)
        self.out += data or b""
        whole = field._replace(is_array=False)
        self.sites.append(Site(path, whole, self._flexible, start, prefix_end, len(self.out)))


_MISSING: Any = object()


def length_prefix(count: int, code: str, flexible: bool) -> bytes:
    """Of a string (``code`` "h"), or of bytes or an array ("i"); -1 is null."""
    if flexible:
        return uvarint((count + 1) & 0xFFFFFFFF)
    return struct.pack(f">{code}", count)


def _default_of(field: Field) -> Any:
    if field.kind in _INTEGERS:
        default = field.default
        if default is None:
            return -1 if field.kind.startswith("datetime") and field.nullable else 0
        return _as_int(default)
    if field.kind == "uuid":
        return ZERO_UUID
    if field.default is None:
        return None if field.nullable else ("" if field.kind == "string" else b"")
    return field.default


def _as_int(value: Any) -> Any:
    """kio has times as objects."""
    if hasattr(value, "total_seconds"):
        return round(value.total_seconds() * 1000)
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    return value


class Encoded(NamedTuple):
    header: bytes
    body: bytes
    sites: list[Site]

    @property
    def payload(self) -> bytes:
        return self.header + self.body


def request_header(
    api_key: int, version: int, flexible: bool, correlation_id: int, client_id: str | None
) -> bytes:
    name = b"\xff\xff" if client_id is None else struct.pack(">h", len(client_id.encode()))
    out = struct.pack(">hhi", api_key, version, correlation_id) + name
    return out + (client_id or "").encode() + (b"\x00" if flexible else b"")


def encode_request(
    api: str, version: int, body: Body, *, correlation_id: int = 0, client_id: str | None = "diff"
) -> Encoded:
    """Without the frame's length. KeyError when the version has no such field."""
    schema = request_schema(api, version)
    flexible = is_flexible(schema)
    writer = Writer(flexible)
    writer.struct(schema, body)
    header = request_header(API_KEYS[api], version, flexible, correlation_id, client_id)
    return Encoded(header, bytes(writer.out), writer.sites)


class Reader:
    """Reads one message."""

    def __init__(self, data: bytes, flexible: bool) -> None:
        self.data = data
        self.at = 0
        self._flexible = flexible

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise Undecodable(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def struct(self, schema: type) -> Body:
        values: Body = {}
        known: dict[int, Field] = {}
        for field in fields_of(schema):
            if field.tag is None:
                values[field.name] = self._field(field)
            else:
                known[field.tag] = field
        if self._flexible:
            for tag, data in self.tags().items():
                if tag in known:
                    inner = Reader(data, True)
                    values[known[tag].name] = inner._field(known[tag])
                    inner.finish(values)
                else:
                    values[f"_tag_{tag}"] = data
        return values

    def tags(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for _ in range(self.uvarint()):
            tag = self.uvarint()
            if tag in found:
                raise Undecodable(f"tag {tag} twice")
            found[tag] = self.take(self.uvarint())
        return found

    def finish(self, values: Body) -> Body:
        if self.at != len(self.data):
            values["_trailing"] = self.data[self.at :]
        return values

    def _length(self, code: str) -> int:
        if self._flexible:
            return self.uvarint() - 1
        return int(struct.unpack(f">{code}", self.take(struct.calcsize(code)))[0])

    def _field(self, field: Field) -> Any:
        if field.is_array:
            count = self._length("i")
            if count > len(self.data):
                raise Undecodable(f"{field.name} has a count of {count}")
            if count < 0:
                return self._null(field)
            return [self._value(field) for _ in range(count)]
        if field.struct is not None and field.nullable and self.take(1) == b"\xff":
            return None
        return self._value(field)

    def _value(self, field: Field) -> Any:
        if field.struct is not None:
            return self.struct(field.struct)
        if field.kind in _INTEGERS:
            code = f">{_INTEGERS[field.kind]}"
            return struct.unpack(code, self.take(struct.calcsize(code)))[0]
        if field.kind == "uuid":
            return uuid.UUID(bytes=self.take(16))
        count = self._length(_LENGTHS[field.kind])
        if count < 0:
            return self._null(field)
        data = self.take(count)
        try:
            return data.decode() if field.kind == "string" else data
        except UnicodeDecodeError as error:
            raise Undecodable(f"{field.name} is not UTF-8: {data!r}") from error

    def _null(self, field: Field) -> None:
        if not field.nullable and field.kind != "records":
            raise Undecodable(f"{field.name} is null")


def decode_response(api: str, version: int, payload: bytes) -> tuple[int, Body]:
    """Correlation id and body. Raises Undecodable."""
    schema = response_schema(api, version)
    flexible = is_flexible(schema)
    reader = Reader(payload, flexible)
    correlation_id = int.from_bytes(reader.take(4), "big", signed=True)
    if flexible and api != "api_versions":
        header_tags = reader.tags()
        if header_tags:
            raise Undecodable(f"tagged fields in the header: {header_tags}")
    return correlation_id, reader.finish(reader.struct(schema))


def error_name(code: int) -> str:
    """Kafka's name in capitals, or the number."""
    try:
        return ErrorCode(code).name.upper()
    except ValueError:
        return f"error {code}"
