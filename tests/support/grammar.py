"""Random requests made from the definitions: valid in shape, borderline in content."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from wire.apis import Api, request_header_version
from wire.codec import encode_bytes
from wire.errors import EncodeError
from wire.records.record import Record, build_batch
from wire.schema import Field, Struct, fields_of

if TYPE_CHECKING:
    import random

EDGES = {
    "bool": (False, True),
    "int8": (-128, -1, 0, 1, 2, 127),
    "int16": (-32768, -1, 0, 1, 2, 32767),
    "uint16": (0, 1, 65535),
    "int32": (-(2**31), -2, -1, 0, 1, 2, 3, 50, 1000, 2**31 - 1),
    "uint32": (0, 1, 2**32 - 1),
    "int64": (-(2**63), -3, -2, -1, 0, 1, 5, 10_000, 2**63 - 1),
    "float64": (0.0, -1.0, 1.5, float("inf")),
    "uuid": (bytes(16), b"\x00" * 15 + b"\x01", b"\xff" * 16),
    "string": ("", "topic", "other", "__consumer_offsets", "g", "consumer", "range", "\u00fc", "."),
    "bytes": (b"", b"\x00\x00\x00\x00\x00\x00", b"\xff" * 40),
}
MAX_DEPTH = 6


class Grammar:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._batch = bytes(build_batch([Record(offset=0, timestamp=1, key=b"k", value=b"v")]))

    def frame(self, api: Api, version: int) -> bytes:
        """With its size in front; at most a few kilobytes."""
        while True:
            try:
                body = encode_bytes(self.structure(api.request, version, 0), version)
            except EncodeError:
                continue  # a null where this version has none
            return self._frame(api, version, body)

    def _frame(self, api: Api, version: int, body: bytes) -> bytes:
        client = b"fuzz"
        head = struct.pack(">hhih", api.key, version, self.rng.randrange(2**31), len(client))
        head += client
        if request_header_version(api.key, version) >= 2:
            head += b"\x00"
        return struct.pack(">i", len(head) + len(body)) + head + body

    def structure(self, cls: type[Struct], version: int, depth: int) -> Any:
        made = cls()
        for field in fields_of(cls):
            if version in field.versions and self.rng.random() < 0.8:
                setattr(made, field.name, self._value(field, version, depth))
        return made

    def _value(self, field: Field, version: int, depth: int) -> Any:
        if version in field.nullable and self.rng.random() < 0.2:
            return None
        if not field.is_array:
            return self._one(field, version, depth)
        count = 0 if depth >= MAX_DEPTH else self.rng.choice((0, 1, 1, 1, 2, 3))
        return [self._one(field, version, depth) for _ in range(count)]

    def _one(self, field: Field, version: int, depth: int) -> Any:
        if not isinstance(field.type, str):
            return self.structure(field.type, version, depth + 1)
        if field.type == "batches":
            return self._records()
        return self.rng.choice(EDGES[field.type])

    def _records(self) -> bytes:
        batch = bytearray(self._batch)
        if self.rng.random() < 0.5:
            batch[self.rng.randrange(len(batch))] = self.rng.randrange(256)
        return bytes(batch)


def mutate(frame: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or made extreme; mostly with an honest size."""
    body = bytearray(frame[4:])
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not body:
            break
        at = rng.randrange(len(body))
        kind = rng.randrange(5)
        if kind == 0:
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            body[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del body[at : at + rng.choice((1, 2, 4, 8))]
        elif kind == 3:
            body[at:at] = body[at : at + rng.choice((1, 2, 4, 8))]
        else:
            body[at : at + 4] = rng.choice(
                (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0")
            )
    size = len(body)
    if rng.random() < 0.02:
        size = rng.choice((0, size + 1, max(0, size - 1), 2**31 - 1, -1))
    return struct.pack(">i", size) + body
