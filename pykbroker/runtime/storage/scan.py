"""Walks over the batches of a segment file, in reads of bounded size."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from wire.records.batch import LOG_OVERHEAD, RECORDS, BatchHeader, read_header
from wire.records.errors import CorruptBatch
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.ports import File

CHUNK_BYTES = 1 << 20
HOP_BYTES = 4096
"""What a walk over headers reads at once."""
HOP = Struct(">qi4xb6xi")
"""base offset, batch length, magic, last offset delta"""
SMALLEST_LENGTH = RECORDS - LOG_OVERHEAD


class StoredBatch(NamedTuple):
    """``data`` is the whole batch, a view into what was read."""

    position: int
    header: BatchHeader
    data: memoryview


def scan(
    file: File, position: int, end: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[StoredBatch]:
    """Every batch from ``position``, which is a batch's start, to ``end``.

    CorruptBatch where the structure breaks, a batch that reaches past ``end`` included. Checksums
    are for the caller.
    """
    view = memoryview(b"")
    at = 0
    while position < end:
        if len(view) - at < RECORDS or _size(view, at) > len(view) - at:
            view = memoryview(file.pread(position, min(chunk_bytes, end - position)))
            at = 0
            if len(view) < RECORDS:
                raise CorruptBatch(f"{len(view)} bytes at position {position} are no batch")
            size = _size(view, 0)
            if size > end - position:
                raise CorruptBatch(f"the batch at position {position} is cut off")
            if size > len(view):
                view = memoryview(file.pread(position, size))
        header = read_header(view, at)
        size = header.size_in_bytes
        yield StoredBatch(position, header, view[at : at + size])
        at += size
        position += size


def _size(view: memoryview, at: int) -> int:
    _, length, magic, _ = HOP.unpack_from(view, at)
    if magic != 2 or length < SMALLEST_LENGTH:
        raise CorruptBatch(f"length {length} and magic {magic} are no batch's")
    return int(length) + LOG_OVERHEAD


class Hop(NamedTuple):
    position: int
    base_offset: int
    last_offset: int
    size: int


def hop(file: File, position: int, end: int) -> Iterator[Hop]:
    """As ``scan``, but reads headers only: for finding a batch, not for judging it."""
    view = b""
    start = position
    while position < end:
        at = position - start
        if len(view) - at < HOP.size:
            view = file.pread(position, min(HOP_BYTES, end - position))
            start, at = position, 0
            if len(view) < HOP.size:
                raise CorruptBatch(f"{len(view)} bytes at position {position} are no batch")
        base_offset, length, magic, delta = HOP.unpack_from(view, at)
        if magic != 2 or length < SMALLEST_LENGTH or delta < 0:
            raise CorruptBatch(f"no batch begins at position {position}")
        size = length + LOG_OVERHEAD
        if position + size > end:
            raise CorruptBatch(f"the batch at position {position} is cut off")
        yield Hop(position, base_offset, base_offset + delta, size)
        position += size
