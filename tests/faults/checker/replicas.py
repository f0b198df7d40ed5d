"""What lies on the disks: below the high watermark all replicas are one, batch for batch."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Run


class Divergence:
    kinds = ("dump",)

    def __init__(self, run: Run) -> None:
        self.run = run
        self.values: dict[tuple[str, int, int], tuple[int, int, int]] = {}
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
        for base, _, epoch, crc, *_ in op["batches"]:
            seen = self.values.setdefault((tp, base, epoch), (crc, op["broker"], ref))
            if seen[0] != crc:
                what = (
                    f"{tp} offset {base} of epoch {epoch} is {seen[0]:#x} on broker {seen[1]} "
                    f"and {crc:#x} on broker {op['broker']}"
                )
                self.run.add("epoch-value", what, seen[2], ref)

    def _check_epochs(self, op: Op, ref: int) -> None:
        """Epochs rise along the log, and the checkpoint says where each began."""
        starts = dict(op.get("epochs") or ())
        newest = -1
        for base, _, epoch, *_ in op["batches"]:
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
            first_op, first_ref = next(iter(dumps.values()))
            expected = _between(first_op, start, end)
            for broker, (op, ref) in dumps.items():
                found = _between(op, start, end)
                if found == expected:
                    continue
                where = next(
                    (a[0] for a, b in zip(expected, found, strict=False) if a != b),
                    min(len(expected), len(found)),
                )
                what = (
                    f"{tp} differs between brokers {first_op['broker']} and {broker} "
                    f"below {end}, at offset or batch {where}"
                )
                self.run.add("divergence", what, first_ref, ref)
            self._check_final(tp, expected, start, end, first_ref)

    def _check_final(
        self, tp: str, batches: list[tuple[int, ...]], start: int, end: int, ref: int
    ) -> None:
        """What readers got last is what the replicas hold: no more, and from nowhere else."""
        final = self.run.final.get(tp)
        if final is None or final.end < 0:
            return
        held = {off for base, last, *_ in batches for off in range(base, last + 1)}
        for off, (_, seen) in final.places.items():
            if start <= off < end and off not in held:
                what = f"{tp} offset {off} was read last and is on no replica"
                self.run.add("divergence", what, seen, ref)
                return


def _between(op: Op, start: int, end: int) -> list[tuple[int, ...]]:
    """Base, last, epoch and checksum of the batches below ``end``."""
    return [tuple(b[:4]) for b in op["batches"] if b[1] >= start and b[0] < end]
