"""What lies on the disks: below the high watermark all replicas are one, batch for batch."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Run


class Divergence:
    kinds = ("dump",)

    def __init__(self, run: Run) -> None:
        self.run = run
        self.values: dict[tuple[str, int, int], tuple[Any, int, int]] = {}
        self.at_rest: dict[str, dict[int, tuple[Op, int]]] = defaultdict(dict)

    def take(self, op: Op, ref: int) -> None:
        self.run.counts["dumps"] += 1
        self._check_values(op, ref)
        self._check_epochs(op, ref)
        if op.get("rest"):
            self.at_rest[op["tp"]][op["broker"]] = (op, ref)

    def _check_values(self, op: Op, ref: int) -> None:
        """One offset of one leader epoch is one batch, wherever and whenever it is seen."""
        tp = op["tp"]
        found = [(base, epoch, crc) for base, _, epoch, crc, *_ in op.get("batches", ())]
        found += [(off, epoch, val) for off, epoch, val, _ in op.get("records", ())]
        for off, epoch, what in found:
            seen = self.values.setdefault((tp, off, epoch), (what, op["broker"], ref))
            if seen[0] != what:
                text = (
                    f"{tp} offset {off} of epoch {epoch} is {seen[0]} on broker {seen[1]} "
                    f"and {what} on broker {op['broker']}"
                )
                self.run.add("epoch-value", text, seen[2], ref)

    def _check_epochs(self, op: Op, ref: int) -> None:
        """Epochs rise along the log, and the checkpoint says where each began."""
        starts = {} if "records" in op else dict(op.get("epochs") or ())
        found = [(base, epoch) for base, _, epoch, *_ in op.get("batches", ())]
        found += [(off, epoch) for off, epoch, *_ in op.get("records", ())]
        newest = -1
        for base, epoch in found:
            if epoch < newest:
                what = (
                    f"{op['tp']} on broker {op['broker']}: epoch {epoch} at {base} after {newest}"
                )
                self.run.add("epoch-history", what, ref)
            elif starts and epoch != newest and starts.get(epoch, base + 1) > base:
                what = f"{op['tp']} on broker {op['broker']}: epoch {epoch} begins at {base}"
                self.run.add("epoch-history", f"{what}, not at {starts.get(epoch)}", ref)
            newest = epoch

    def finish(self) -> None:
        if self.run.is_unclean:
            return
        for tp, dumps in self.at_rest.items():
            start = max(op["start"] for op, _ in dumps.values())
            end = max(op["hw"] for op, _ in dumps.values())
            ops = list(dumps.values())
            if "records" in ops[0][0]:
                self._check_compacted(tp, ops, end)
            else:
                self._check_equal(tp, ops, start, end)

    def _check_equal(self, tp: str, dumps: list[tuple[Op, int]], start: int, end: int) -> None:
        first_op, first_ref = dumps[0]
        expected = _between(first_op, start, end)
        for op, ref in dumps:
            found = _between(op, start, end)
            if found == expected:
                continue
            where = next(
                (a[0] for a, b in zip(expected, found, strict=False) if a != b),
                min(len(expected), len(found)),
            )
            what = (
                f"{tp} differs between brokers {first_op['broker']} and {op['broker']} "
                f"below {end}, at offset or batch {where}"
            )
            self.run.add("divergence", what, first_ref, ref)
        held = {off for base, last, *_ in expected for off in range(base, last + 1)}
        self._check_final(tp, held, range(start, end), first_ref)

    def _check_compacted(self, tp: str, dumps: list[tuple[Op, int]], end: int) -> None:
        """Each replica holds the last value of each key; of the earlier ones some have less."""
        first_op, first_ref = dumps[0]
        expected = _last_of_keys(first_op, end)
        for op, ref in dumps:
            found = _last_of_keys(op, end)
            if found != expected:
                key = min(k for k in found.keys() | expected if found.get(k) != expected.get(k))
                what = (
                    f"{tp}: the last value of {key} below {end} is {expected.get(key)} on broker "
                    f"{first_op['broker']} and {found.get(key)} on broker {op['broker']}"
                )
                self.run.add("divergence", what, first_ref, ref)
        held = {off for op, _ in dumps for off, *_ in op["records"]}
        self._check_final(tp, held, range(end), first_ref)

    def _check_final(self, tp: str, held: set[int], offsets: range, ref: int) -> None:
        """What readers got last is what the replicas hold: no more, and from nowhere else.

        A log may be compacted between the last reading and the dumps, then it holds less.
        """
        final = self.run.final.get(tp)
        if final is None or final.end < 0:
            return
        for off, (val, seen) in final.places.items():
            if off not in offsets or off in held or self.run.is_replaced(tp, val, off):
                continue
            what = f"{tp} offset {off} was read last and is on no replica"
            self.run.add("divergence", what, seen, ref)
            return


def _last_of_keys(op: Op, end: int) -> dict[str, tuple[int, str]]:
    """Offset and value."""
    return {key: (off, val) for off, _, val, key in op["records"] if off < end}


def _between(op: Op, start: int, end: int) -> list[tuple[int, ...]]:
    """Base, last, epoch and checksum of the batches below ``end``."""
    return [tuple(b[:4]) for b in op["batches"] if b[1] >= start and b[0] < end]
