"""A segment's transaction index: the aborted transactions whose marker lies in the segment.

34 bytes per entry, as Kafka writes them: version 0, producer id, first offset, last offset (of the
marker) and the last stable offset at that moment.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from pykbroker.state.log.index import CorruptIndex
from pykbroker.state.log.producers import AbortedTxn

if TYPE_CHECKING:
    from wire.schema import Buffer

VERSION = 0
_ENTRY = Struct(">hqqqq")


class TxnIndex:
    """Last offsets rise."""

    __slots__ = ("entries",)
    ENTRY_SIZE = _ENTRY.size

    def __init__(self, entries: list[AbortedTxn] | None = None) -> None:
        self.entries = entries or []

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, aborted: AbortedTxn) -> None:
        if self.entries and aborted.last_offset <= self.entries[-1].last_offset:
            raise ValueError(f"{aborted} does not come after {self.entries[-1]}")
        self.entries.append(aborted)

    def collect(self, fetch_offset: int, upper_bound: int) -> tuple[list[AbortedTxn], bool]:
        """Those that touch [fetch_offset, upper_bound), and whether later segments can add any."""
        found = []
        for entry in self.entries:
            if entry.last_offset >= fetch_offset and entry.first_offset < upper_bound:
                found.append(entry)
            if entry.last_stable_offset >= upper_bound:
                return found, True
        return found, False

    def truncate(self, end_offset: int) -> None:
        self.entries = [entry for entry in self.entries if entry.last_offset < end_offset]

    def encode(self, first: int = 0) -> bytes:
        return b"".join([_ENTRY.pack(VERSION, *entry) for entry in self.entries[first:]])

    @classmethod
    def decode(cls, data: Buffer) -> TxnIndex:
        if len(data) % cls.ENTRY_SIZE:
            raise CorruptIndex(f"{len(data)} bytes are no whole number of transactions")
        index = cls()
        for version, *fields in _ENTRY.iter_unpack(data):
            if version != VERSION:
                raise CorruptIndex(f"version {version} of an aborted transaction is not known")
            entry = AbortedTxn(*fields)
            if index.entries and entry.last_offset <= index.entries[-1].last_offset:
                raise CorruptIndex("aborted transactions do not rise")
            index.entries.append(entry)
        return index
