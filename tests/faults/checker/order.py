"""Order: real time, each producer's own, its sequence numbers, and that of each reader."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Run, Send

MAX_SEQUENCE = 0x7FFFFFFF


class RealTime:
    """acks=all: what was acknowledged before another was sent comes before it."""

    kinds: tuple[str, ...] = ()

    def __init__(self, run: Run) -> None:
        self.run = run

    def take(self, op: Op, ref: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        if self.run.is_unclean:
            return
        placed: dict[str, list[Send]] = defaultdict(list)
        for send in self.run.sends.values():
            if send.res == "ok" and send.acks == -1 and send.off >= 0:
                placed[send.tp].append(send)
        for tp, sends in placed.items():
            sends.sort(key=lambda s: s.off)
            latest = sends[0]
            for send in sends:
                if send.t1 < latest.t0 and send.off > latest.off:
                    what = f"{tp} offset {send.off} was acknowledged before {latest.off} was sent"
                    self.run.add("real-time-order", what, send.ref, latest.ref)
                if send.t0 > latest.t0:
                    latest = send


class ProducerOrder:
    """The log holds what an idempotent producer sent in the order in which it did."""

    kinds: tuple[str, ...] = ()

    def __init__(self, run: Run) -> None:
        self.run = run

    def take(self, op: Op, ref: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        run = self.run
        for tp, final in run.final.items():
            last: dict[str, int] = {}
            seen: set[str] = set()
            for off, (val, ref) in sorted(final.places.items()):
                send = run.sends.get(val)
                if send is None or not send.idem or val in seen:
                    continue
                seen.add(val)
                producer, _, text = val.rpartition(".")
                number = int(text)
                before = last.get(producer, 0)
                if number < before:
                    what = f"{tp} offset {off}: {producer}'s {number} comes after {before}"
                    run.add("producer-order", what, ref)
                last[producer] = number


class Sequences:
    """In each replica the sequence numbers of a producer and its epoch follow each other."""

    kinds = ("dump",)

    def __init__(self, run: Run) -> None:
        self.run = run

    def take(self, op: Op, ref: int) -> None:
        expected: dict[tuple[int, int], int] = {}
        epochs: dict[int, int] = {}
        tp = op["tp"]
        for base, last, _, _, pid, epoch, sequence in op.get("batches", ()):
            if pid < 0 or sequence < 0:
                continue
            if epoch < epochs.get(pid, -1):
                what = f"{tp} offset {base}: epoch {epoch} of producer {pid} after {epochs[pid]}"
                self.run.add("producer-epoch", what, ref)
            epochs[pid] = epoch
            want = expected.get((pid, epoch))
            if want is not None and sequence != want:
                what = f"{tp} offset {base}: producer {pid} goes on with {sequence}, not {want}"
                self.run.add("sequence-gap", what, ref)
            expected[pid, epoch] = (sequence + last - base + 1) & MAX_SEQUENCE

    def finish(self) -> None:
        return


class Polls:
    """A reader's offsets rise within one assignment, and nothing that is there is passed over."""

    kinds = ("poll", "drained")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.positions: dict[tuple[str, int, str], int] = {}
        self.gaps: list[tuple[str, int, int, bool, int]] = []
        self.runs: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        """By group and partition: first and last of what one of its members read in a row."""
        self.drained: dict[str, tuple[dict[str, int], int]] = {}

    def take(self, op: Op, ref: int) -> None:
        if op["f"] == "drained":
            self.drained[op["group"]] = (op["ends"], ref)
            return
        proc, assign, group = op["proc"], op.get("assign", 0), op.get("group")
        committed = op.get("iso") == "read_committed"
        if op.get("final"):
            proc = f"{proc} finally"
        for tp, records in op["recs"].items():
            if not records:
                continue
            key = (proc, assign, tp)
            first = records[0][0]
            last = self.positions.get(key, first - 1)
            from_here = last + 1 if key in self.positions else first
            for off, _, _ in records:
                if off != last + 1:
                    if off <= last:
                        what = f"{proc} read {tp} offset {off} after {last}"
                        self.run.add("poll-order", what, ref)
                    else:
                        self.gaps.append((tp, last, off, committed, ref))
                last = off
            self.positions[key] = last
            if group is not None:
                self.runs[group, tp].append((from_here, last))

    def finish(self) -> None:
        for tp, before, after, committed, ref in self.gaps:
            places = self.run.final[tp].places
            for off in range(before + 1, after):
                if off in places and not (committed and self.run.is_hidden(places[off][0])):
                    what = f"{tp}: {after} was read after {before}, but {off} is there"
                    self.run.add("poll-skip", what, ref, places[off][1])
                    break
        for group, (ends, ref) in self.drained.items():
            for tp, end in ends.items():
                self._check_seen(group, tp, end, ref)

    def _check_seen(self, group: str, tp: str, end: int, ref: int) -> None:
        """A group that says it has read everything so far has read everything so far."""
        final = self.run.final[tp]
        runs = [*sorted(self.runs.get((group, tp), ())), (end, end)]
        reached = max(final.start, 0)
        for first, last in runs:
            for off in range(reached, min(first, end)):
                if off in final.places and not self.run.is_hidden(final.places[off][0]):
                    what = f"{group} never read {tp} offset {off}: {final.places[off][0]}"
                    self.run.add("unseen", what, ref, final.places[off][1])
                    break
            reached = max(reached, last + 1)
