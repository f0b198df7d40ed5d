"""The two sparse indexes of a segment, as arithmetic over arrays.

Both map to a batch's start: an entry is made for the first batch after every
``index.interval.bytes``. Offsets are kept relative to the segment's base, in 32 bits, as on disk:
8 bytes per entry of the offset index (relative last offset, position), 12 of the time index
(timestamp, relative last offset of the batch that has it), all big-endian.

Relative offsets and positions rise strictly in the offset index; timestamps rise strictly and
offsets never fall in the time index. What does not obey is not an index: ``CorruptIndex``.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from struct import Struct
from typing import TYPE_CHECKING

from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Buffer

OFFSET_ENTRY_SIZE = 8
TIME_ENTRY_SIZE = 12
MAX_RELATIVE_OFFSET = 2**31 - 1
_TIME_ENTRY = Struct(">qi")
_LITTLE = sys.byteorder == "little"


class CorruptIndex(ValueError):
    """The bytes cannot be the index of a log; it must be rebuilt from the batches."""


class IndexEntry(NamedTuple):
    last_offset: int
    position: int


class OffsetIndex:
    """``positions[i]`` is where the batch starts whose last offset is ``base + offsets[i]``."""

    __slots__ = ("base_offset", "offsets", "positions")
    ENTRY_SIZE = OFFSET_ENTRY_SIZE

    def __init__(self, base_offset: int) -> None:
        self.base_offset = base_offset
        self.offsets = array("i")
        self.positions = array("i")

    def __len__(self) -> int:
        return len(self.offsets)

    def append(self, last_offset: int, position: int) -> None:
        self.offsets.append(last_offset - self.base_offset)
        self.positions.append(position)

    def lookup(self, offset: int) -> IndexEntry | None:
        """The last entry not beyond ``offset``: its batch, or a later one, holds the offset.

        An entry names its batch by the LAST offset. None: the walk begins at the beginning.
        """
        relative = min(offset - self.base_offset, MAX_RELATIVE_OFFSET)
        return self._entry(bisect_right(self.offsets, relative) - 1)

    def at_position(self, position: int) -> IndexEntry | None:
        """The last entry whose batch begins at or before ``position``."""
        return self._entry(bisect_right(self.positions, position) - 1)

    def last(self) -> IndexEntry | None:
        return self._entry(len(self.offsets) - 1)

    def _entry(self, index: int) -> IndexEntry | None:
        if index < 0:
            return None
        return IndexEntry(self.base_offset + self.offsets[index], self.positions[index])

    def truncate(self, end_offset: int) -> None:
        """Drop entries of batches that reach ``end_offset`` or beyond."""
        keep = bisect_left(self.offsets, end_offset - self.base_offset)
        del self.offsets[keep:], self.positions[keep:]

    def encode(self, first: int = 0) -> bytes:
        count = len(self.offsets) - first
        flat = array("i", bytes(OFFSET_ENTRY_SIZE * count))
        flat[0::2] = self.offsets[first:]
        flat[1::2] = self.positions[first:]
        if _LITTLE:
            flat.byteswap()
        return flat.tobytes()

    @classmethod
    def decode(cls, base_offset: int, data: Buffer, log_size: int) -> OffsetIndex:
        """From a file that may end in unused zeros, as Kafka leaves it after a hard stop."""
        index = cls(base_offset)
        if len(data) % OFFSET_ENTRY_SIZE:
            raise CorruptIndex(f"{len(data)} bytes are no whole number of offset index entries")
        flat = array("i", bytes(data))
        if _LITTLE:
            flat.byteswap()
        offsets, positions = flat[0::2], flat[1::2]
        while positions and positions[-1] == 0:
            offsets.pop(), positions.pop()
        index.offsets, index.positions = offsets, positions
        if positions and (positions[0] <= 0 or positions[-1] >= log_size or offsets[0] < 0):
            raise CorruptIndex("an entry of the offset index points outside the segment")
        if not _rises(offsets) or not _rises(positions):
            raise CorruptIndex("the offset index does not rise")
        return index


class TimeIndex:
    """The largest timestamp so far and the last offset of the batch that has it."""

    __slots__ = ("base_offset", "offsets", "timestamps")
    ENTRY_SIZE = TIME_ENTRY_SIZE

    def __init__(self, base_offset: int) -> None:
        self.base_offset = base_offset
        self.timestamps = array("q")
        self.offsets = array("i")

    def __len__(self) -> int:
        return len(self.timestamps)

    def append(self, timestamp: int, last_offset: int) -> bool:
        """False when the timestamp is no news."""
        if timestamp < 0 or (self.timestamps and timestamp <= self.timestamps[-1]):
            return False
        self.timestamps.append(timestamp)
        self.offsets.append(last_offset - self.base_offset)
        return True

    def lookup(self, timestamp: int) -> int:
        """No record at or after ``timestamp`` is in a batch before the one with this offset."""
        index = bisect_right(self.timestamps, timestamp) - 1
        return self.base_offset + self.offsets[index] if index >= 0 else self.base_offset

    def last(self) -> tuple[int, int] | None:
        """(timestamp, last offset) of the newest entry."""
        if not self.timestamps:
            return None
        return self.timestamps[-1], self.base_offset + self.offsets[-1]

    @staticmethod
    def last_in(
        base_offset: int, pread: Callable[[int, int], bytes], size: int
    ) -> tuple[int, int] | None:
        """``last`` of a stored index by one look at its end; None if that cannot be told."""
        if not size or size % TIME_ENTRY_SIZE:
            return None
        timestamp, offset = _TIME_ENTRY.unpack(pread(size - TIME_ENTRY_SIZE, TIME_ENTRY_SIZE))
        return (timestamp, base_offset + offset) if timestamp > 0 and offset >= 0 else None

    def truncate(self, end_offset: int) -> None:
        keep = bisect_left(self.offsets, end_offset - self.base_offset)
        del self.timestamps[keep:], self.offsets[keep:]

    def encode(self, first: int = 0) -> bytes:
        pack = _TIME_ENTRY.pack
        pairs = zip(self.timestamps[first:], self.offsets[first:], strict=True)
        return b"".join([pack(timestamp, offset) for timestamp, offset in pairs])

    @classmethod
    def decode(cls, base_offset: int, data: Buffer) -> TimeIndex:
        index = cls(base_offset)
        if len(data) % TIME_ENTRY_SIZE:
            raise CorruptIndex(f"{len(data)} bytes are no whole number of time index entries")
        entries = list(_TIME_ENTRY.iter_unpack(data))
        while entries and entries[-1] == (0, 0):
            entries.pop()
        index.timestamps = array("q", [timestamp for timestamp, _ in entries])
        index.offsets = array("i", [offset for _, offset in entries])
        if entries and (entries[0][0] < 0 or entries[0][1] < 0):
            raise CorruptIndex("a time index entry is negative")
        if not _rises(index.timestamps) or any(map(int.__gt__, index.offsets, index.offsets[1:])):
            raise CorruptIndex("the time index does not rise")
        return index


def _rises(values: array[int]) -> bool:
    return all(map(int.__lt__, values, values[1:]))
