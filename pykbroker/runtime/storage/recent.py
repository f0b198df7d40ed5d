"""What several readers of one place share: consumers in step read the same bytes one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykbroker.runtime.storage.segment import Segment

WORTH_BYTES = 16 * 1024
"""Less is read as quickly as it is looked up."""
KEPT_BYTES = 4 * 1024 * 1024
REMEMBERED = 16
PLACES = 256
"""Two hundred consumers, each somewhere else, find their places without looking for them."""


class RecentReads:
    """Bytes that were asked for a second time, until newer ones take their place; and where reads
    have ended.

    Batches in a log do not change, only their end does: whoever cuts or drops a segment calls
    ``forget``. A reader on his own costs nothing but the memory of where he was.
    """

    __slots__ = ("_asked", "_bytes", "_kept", "_places", "worth_bytes")

    def __init__(self) -> None:
        self.worth_bytes = WORTH_BYTES
        self._asked: dict[tuple[Segment, int, int], None] = {}
        """Asked for once, lately."""
        self._kept: dict[tuple[Segment, int, int], bytes] = {}
        self._bytes = 0
        self._places: dict[tuple[Segment, int], int] = {}
        """Where what follows a read begins, by its offset."""

    def place(self, segment: Segment, offset: int) -> int | None:
        """The position of the batch that begins with ``offset`` or after it, if a read ended
        there."""
        return self._places.get((segment, offset))

    def note(self, segment: Segment, offset: int, position: int) -> None:
        places = self._places
        places[segment, offset] = position
        if len(places) > PLACES:
            del places[next(iter(places))]

    def pread(self, segment: Segment, position: int, size: int) -> bytes:
        """``size`` bytes of the segment's log, which must have as many from there on."""
        if size < self.worth_bytes:
            return segment.file().pread(position, size)
        key = segment, position, size
        data = self._kept.get(key)
        if data is not None:
            return data
        data = segment.file().pread(position, size)
        asked = self._asked
        if key in asked:
            del asked[key]
            self._keep(key, data)
        else:
            asked[key] = None
            if len(asked) > REMEMBERED:
                del asked[next(iter(asked))]
        return data

    def _keep(self, key: tuple[Segment, int, int], data: bytes) -> None:
        if len(data) > KEPT_BYTES:
            return
        kept = self._kept
        kept[key] = data
        self._bytes += len(data)
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(kept.pop(next(iter(kept))))

    @property
    def kept_bytes(self) -> int:
        return self._bytes

    def forget(self) -> None:
        """Some segment's bytes are no more what they were, or are gone."""
        self._asked.clear()
        self._kept.clear()
        self._places.clear()
        self._bytes = 0
