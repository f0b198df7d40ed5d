"""Leader epochs of one log: which epoch began at which offset.

Entries rise in both epoch and start offset. They can always be derived again from the batches, so
the checkpoint file only has to be written before the log's recovery point passes them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from wire.tuples import NamedTuple

UNDEFINED_EPOCH = -1
UNDEFINED_OFFSET = -1


class EpochEntry(NamedTuple):
    epoch: int
    start_offset: int


class EpochEnd(NamedTuple):
    """Where an epoch ended; both -1 when that is not known."""

    epoch: int
    end_offset: int


UNDEFINED_END = EpochEnd(UNDEFINED_EPOCH, UNDEFINED_OFFSET)


class LeaderEpochCache:
    __slots__ = ("_entries", "dirty", "latest_epoch")

    def __init__(self, entries: list[EpochEntry] | None = None) -> None:
        self._entries: list[EpochEntry] = []
        self.latest_epoch = UNDEFINED_EPOCH
        for entry in entries or ():
            self.assign(entry.epoch, entry.start_offset)
        self.dirty = False
        """Changed since it was last written to the checkpoint file; the writer clears it."""

    @property
    def entries(self) -> tuple[EpochEntry, ...]:
        return tuple(self._entries)

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Begin an epoch; False when it had begun already.

        Entries that the new one contradicts held no data, or data that is gone: they go.
        """
        entries = self._entries
        if entries and epoch == entries[-1].epoch and start_offset >= entries[-1].start_offset:
            return False
        if epoch < 0 or start_offset < 0:
            raise ValueError(f"leader epoch {epoch} cannot begin at offset {start_offset}")
        while entries and (entries[-1].epoch >= epoch or entries[-1].start_offset >= start_offset):
            entries.pop()
        entries.append(EpochEntry(epoch, start_offset))
        self._changed()
        return True

    def end_offset(self, epoch: int, log_end_offset: int) -> EpochEnd:
        """The largest epoch not above ``epoch`` and where it ended (replication-notes 4)."""
        entries = self._entries
        if epoch == UNDEFINED_EPOCH or not entries:
            return UNDEFINED_END
        if epoch == entries[-1].epoch:
            return EpochEnd(epoch, log_end_offset)
        higher = bisect_right(entries, epoch, key=_epoch)
        if higher == len(entries):
            return UNDEFINED_END
        if higher == 0:
            return EpochEnd(epoch, entries[0].start_offset)
        return EpochEnd(entries[higher - 1].epoch, entries[higher].start_offset)

    def epoch_for_offset(self, offset: int) -> int:
        """-1 below the first entry."""
        index = bisect_right(self._entries, offset, key=_start_offset) - 1
        return self._entries[index].epoch if index >= 0 else UNDEFINED_EPOCH

    def truncate_from_end(self, end_offset: int) -> None:
        """Forget epochs that begin at or after the new end."""
        keep = bisect_left(self._entries, end_offset, key=_start_offset)
        if keep < len(self._entries):
            del self._entries[keep:]
            self._changed()

    def truncate_from_start(self, start_offset: int) -> None:
        """Keep the epoch of the new first offset, as if it had begun there."""
        first = bisect_right(self._entries, start_offset, key=_start_offset) - 1
        if first > 0 or (first == 0 and self._entries[0].start_offset < start_offset):
            kept = EpochEntry(self._entries[first].epoch, start_offset)
            self._entries[: first + 1] = [kept]
            self._changed()

    def clear(self) -> None:
        if self._entries:
            self._entries.clear()
            self._changed()

    def _changed(self) -> None:
        self.dirty = True
        self.latest_epoch = self._entries[-1].epoch if self._entries else UNDEFINED_EPOCH


def _epoch(entry: EpochEntry) -> int:
    return entry.epoch


def _start_offset(entry: EpochEntry) -> int:
    return entry.start_offset
