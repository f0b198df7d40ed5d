"""Transactions as readers of committed data see them: whole, decided, never too early."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.faults.checker.core import NO_TIME

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Run


class Transactions:
    kinds = ("txn", "poll")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.first_reads: dict[str, tuple[int, int]] = {}

    def take(self, op: Op, ref: int) -> None:
        if op["f"] == "txn":
            self.run.txn_ends[op["txn"]] = (op["end"], op["res"], op["t0"], ref)
        elif op.get("iso") == "read_committed":
            t1 = op["t1"]
            for records in op["recs"].values():
                for _, _, val in records:
                    if t1 < self.first_reads.get(val, (NO_TIME, 0))[0]:
                        self.first_reads[val] = (t1, ref)

    def finish(self) -> None:
        vals: dict[str, list[str]] = defaultdict(list)
        for val, send in self.run.sends.items():
            if send.txn is not None:
                self._check_read(val, send.txn)
                if send.res == "ok":
                    vals[send.txn].append(val)
        for txn, written in vals.items():
            self._check_whole(txn, written)

    def _check_read(self, val: str, txn: str) -> None:
        read = self.first_reads.get(val)
        if read is None:
            return
        end, _, asked, ref = self.run.txn_ends.get(txn, ("commit", "info", NO_TIME, read[1]))
        if asked > read[0]:
            self.run.add("early-read", f"{val} was read before {txn} ended", ref, read[1])
        elif end == "abort":
            self.run.add("aborted-read", f"{val} was read though {txn} aborted", ref, read[1])

    def _check_whole(self, txn: str, written: list[str]) -> None:
        """Committed: all of it. Nobody knows: all or nothing."""
        run = self.run
        end, res, _, ref = run.txn_ends.get(txn, ("commit", "info", 0, 0))
        if end == "abort":
            return
        seen = {}
        for val in written:
            send = run.sends[val]
            place = run.final[send.tp].places.get(send.off)
            expired = send.off < run.final[send.tp].start
            seen[val] = val in self.first_reads or expired or (place is not None and res == "ok")
        if not all(seen.values()) and (res == "ok" or any(seen.values())):
            missing = next(val for val, there in seen.items() if not there)
            run.add("torn-transaction", f"{txn} is visible without {missing}", ref)
