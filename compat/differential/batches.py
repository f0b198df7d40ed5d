"""Record batches written by hand, so that every field can be wrong; and read into plain dicts."""

from __future__ import annotations

import gzip
import struct
import time
import zlib
from typing import Any, NamedTuple

from fastcrc import crc32

NO_ID = -1
_HEADER = struct.Struct(">qiibIhiqqqhii")
CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


def varint(value: int) -> bytes:
    """Zigzag, of 64 bits."""
    number = (value << 1) ^ (value >> 63)
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Record(NamedTuple):
    """One of magic 2. ``offset_delta`` None is its place in the batch."""

    value: bytes | None = b"v"
    key: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    timestamp_delta: int = 0
    offset_delta: int | None = None
    attributes: int = 0

    def encode(self, index: int) -> bytes:
        delta = index if self.offset_delta is None else self.offset_delta
        body = struct.pack(">b", self.attributes) + varint(self.timestamp_delta) + varint(delta)
        body += _sized(self.key) + _sized(self.value) + varint(len(self.headers))
        for name, value in self.headers:
            body += _sized(name) + _sized(value)
        return varint(len(body)) + body


def _sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def now_ms() -> int:
    return int(time.time() * 1000)


def batch(*records: Record | bytes | None, **wrong: Any) -> bytes:
    """A batch of magic 2; a value alone is a record of it.

    Every field of the header can be given by name: ``base_offset``, ``leader_epoch``, ``magic``,
    ``crc``, ``attributes``, ``last_offset_delta``, ``base_timestamp``, ``max_timestamp``,
    ``producer_id``, ``producer_epoch``, ``base_sequence``, ``count``, ``length``; and ``payload``
    in place of the records' bytes. ``codec`` "gzip" compresses them.
    """
    items = [r if isinstance(r, Record) else Record(r) for r in records]
    given = dict(wrong)
    payload = b"".join(r.encode(i) for i, r in enumerate(items))
    attributes = given.pop("attributes", 0)
    if given.pop("codec", None) == "gzip":
        payload = gzip.compress(payload, mtime=0)
        attributes |= 1
    payload = bytes(given.pop("payload", payload))
    base_timestamp = given.pop("base_timestamp", now_ms())
    largest = max((r.timestamp_delta for r in items), default=0)
    tail = struct.pack(
        ">hiqqqhii",
        attributes,
        given.pop("last_offset_delta", max(len(items) - 1, 0)),
        base_timestamp,
        given.pop("max_timestamp", base_timestamp + largest),
        given.pop("producer_id", NO_ID),
        given.pop("producer_epoch", NO_ID),
        given.pop("base_sequence", NO_ID),
        given.pop("count", len(items)),
    )
    crc = given.pop("crc", crc32.iscsi(tail + payload))
    front: bytes = struct.pack(
        ">qiibI",
        given.pop("base_offset", 0),
        given.pop("length", len(tail) + len(payload) + 9),
        given.pop("leader_epoch", -1),
        given.pop("magic", 2),
        crc,
    )
    if given:
        raise KeyError(f"no fields of a batch: {sorted(given)}")
    return front + tail + payload


def message(
    value: bytes | None,
    *,
    key: bytes | None = None,
    magic: int = 1,
    offset: int = 0,
    attributes: int = 0,
    timestamp: int | None = None,
    crc: int | None = None,
) -> bytes:
    """An old message (magic 0 or 1) with its offset and size."""
    body = struct.pack(">bb", magic, attributes)
    if magic == 1:
        body += struct.pack(">q", now_ms() if timestamp is None else timestamp)
    for part in (key, value):
        body += struct.pack(">i", -1 if part is None else len(part)) + (part or b"")
    checksum = zlib.crc32(body) if crc is None else crc
    return struct.pack(">qiI", offset, len(body) + 4, checksum) + body


def read_batches(data: bytes) -> list[dict[str, Any]]:
    """What a fetch brought; compressed records are told by their codec alone.

    A batch that is cut off at the end is left out, as clients do.
    """
    found: list[dict[str, Any]] = []
    at = 0
    while at + 17 <= len(data):
        size = 12 + int.from_bytes(data[at + 8 : at + 12], "big", signed=True)
        if size < 14 or at + size > len(data):
            break
        one = data[at : at + size]
        found.append(_read_batch(one) if one[16] >= 2 else _read_message(one))
        at += size
    return found


def _read_batch(one: bytes) -> dict[str, Any]:
    fields = _HEADER.unpack_from(one)
    codec = fields[5] & 7
    batch: dict[str, Any] = dict(
        zip(
            (
                "base_offset",
                "length",
                "leader_epoch",
                "magic",
                "crc",
                "attributes",
                "last_offset_delta",
                "base_timestamp_ms",
                "max_timestamp_ms",
                "producer_id",
                "producer_epoch",
                "base_sequence",
                "count",
            ),
            fields,
            strict=True,
        )
    )
    batch["crc"] = fields[4] == crc32.iscsi(one[21:])
    batch["codec"] = CODECS.get(codec, codec)
    if codec == 0:
        batch["records"] = one[_HEADER.size :].hex()
    else:
        del batch["length"]
    return batch


def _read_message(one: bytes) -> dict[str, Any]:
    magic, attributes = one[16], one[17]
    at = 26 if magic == 1 else 18
    timestamp = int.from_bytes(one[18:26], "big", signed=True) if magic == 1 else None
    codec = attributes & 7
    return {
        "offset": int.from_bytes(one[:8], "big"),
        "magic": magic,
        "attributes": attributes,
        "crc": int.from_bytes(one[12:16], "big") == zlib.crc32(one[16:]),
        "timestamp_ms": timestamp,
        "payload": one[at:].hex() if codec == 0 else CODECS.get(codec, codec),
    }
