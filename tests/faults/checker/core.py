"""What all checks share: what was sent, what the log holds in the end, and what was found."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cached_property
from typing import Any, NamedTuple, Protocol

KEPT = 3
"""So many findings of one name are kept whole; the rest is counted."""

NO_TIME = 1 << 62

Op = dict[str, Any]


class Finding(NamedTuple):
    name: str
    what: str
    refs: tuple[int, ...]
    """The lines that prove it, by their place in the history."""


class Send(NamedTuple):
    """One attempt to write one value."""

    t0: int
    t1: int
    tp: str
    res: str
    off: int
    acks: int
    idem: bool
    bare: bool
    txn: str | None
    ref: int
    key: str | None
    """Only in a compacted topic: there the next value of the key may take this one's place."""


Place = tuple[str, int]
"""A value that somebody read at an offset, and the line that says so. There are millions."""


class FinalLog:
    """What is left of a partition, read from its start to its end when all was over."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        self.start = -1
        self.end = -1
        self.ref = -1
        self._last_of_keys: dict[str | None, int] | None = None

    @cached_property
    def values(self) -> set[str]:
        """Once everything was read."""
        return {val for val, _ in self.places.values()}

    def last_of_key(self, key: str, sends: dict[str, Send]) -> int:
        """The highest offset of a compacted log that holds the key, or -1."""
        if self._last_of_keys is None:
            self._last_of_keys = {
                sends[val].key: off for off, (val, _) in sorted(self.places.items()) if val in sends
            }
        return self._last_of_keys.get(key, -1)


class Run:
    """One history as far as it has been read."""

    def __init__(self) -> None:
        self.config: Op = {}
        self.sends: dict[str, Send] = {}
        self.more: dict[str, list[Send]] = defaultdict(list)
        """Further attempts of a value."""
        self.reads: dict[str, dict[int, Place]] = defaultdict(dict)
        """The first reading of each offset, by whomever."""
        self.final: dict[str, FinalLog] = defaultdict(FinalLog)
        self.txn_ends: dict[str, tuple[str, str, int, int]] = {}
        """By transaction: commit or abort, how that went, when it was asked for, and where."""
        self.faults: list[tuple[Op, int]] = []
        self.last_heal = -1
        self.counts: Counter[str] = Counter()
        self.found: dict[str, list[Finding]] = defaultdict(list)
        self.found_counts: Counter[str] = Counter()

    @property
    def is_unclean(self) -> bool:
        """Leaders from outside the ISR were allowed: committed records may be gone."""
        return bool(self.config.get("unclean"))

    def add(self, name: str, what: str, *refs: int) -> None:
        self.found_counts[name] += 1
        if self.found_counts[name] <= KEPT:
            self.found[name].append(Finding(name, what, refs))

    def attempts(self, val: str) -> list[Send]:
        first = self.sends.get(val)
        return [] if first is None else [first, *self.more.get(val, ())]

    def is_replaced(self, tp: str, val: str, off: int) -> bool:
        """Whether compaction may have removed it: its key has a later value, which is there."""
        send = self.sends.get(val)
        if send is None or send.key is None:
            return False
        return self.final[tp].last_of_key(send.key, self.sends) > off

    def is_hidden(self, val: str) -> bool:
        """Whether who reads committed data need not see it."""
        send = self.sends.get(val)
        return send is not None and send.txn is not None and self._end_of(send.txn) != "commit"

    def _end_of(self, txn: str) -> str:
        return self.txn_ends.get(txn, ("abort", "info", 0, 0))[0]


class Check(Protocol):
    """Takes the lines of the kinds that it names, as they come, and judges at the end."""

    kinds: tuple[str, ...]

    def __init__(self, run: Run) -> None: ...

    def take(self, op: Op, ref: int) -> None: ...

    def finish(self) -> None: ...


def seconds(ns: int) -> str:
    return f"{ns / 1e9:.1f} s"
