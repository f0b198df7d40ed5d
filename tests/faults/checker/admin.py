"""What an administrator was told is true: at whom he asked at once, everywhere in the end."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.checker.core import Op, Run

UNSET = object()
LATE_NS = 5 * 10**9
"""So much later what is in the store may have been seen there."""


class Admin:
    """One thing after another was asked for, so the last success stands, but for what nobody knows
    of: that may come true at any time after it was asked for.
    """

    kinds = ("admin", "admin_seen", "store")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.asked: dict[str, list[tuple[Op, int]]] = defaultdict(list)
        self.seen: list[tuple[Op, int]] = []
        self.led: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        """By partition, as the store has it: when it was seen, who leads, who is preferred."""

    def take(self, op: Op, ref: int) -> None:
        if op["f"] == "admin_seen":
            self.seen.append((op, ref))
            return
        if op["f"] == "store":
            self.led[op["tp"]].append((op["t1"], op["leader"], op["replicas"][0]))
            return
        self.run.counts[f"admin {op['res']}"] += 1
        if op["res"] != "fail":
            self.asked[op["topic"]].append((op, ref))

    def finish(self) -> None:
        for seen, ref in self.seen:
            self._check_there(seen, ref)
            if seen["there"]:
                self._check_details(seen, ref)
        for asked in self.asked.values():
            for op, ref in asked:
                if op.get("final") and op["res"] == "ok":
                    self._check_elected(op, ref)

    def _check_there(self, seen: Op, ref: int) -> None:
        """Topics that nobody has made were there before."""
        if any(op["do"] == "create" for op, _ in self.asked[seen["topic"]]):
            existence = {"create": True, "delete": False}
            self._check(
                seen, ref, "there", seen["there"], lambda op: existence.get(op["do"], UNSET)
            )

    def _check_details(self, seen: Op, ref: int) -> None:
        self._check(seen, ref, "count", seen["count"], lambda op: op.get("count", UNSET))
        for name, value in seen["configs"].items():
            self._check(
                seen, ref, name, value, lambda op, n=name: op.get("configs", {}).get(n, UNSET)
            )
        if not seen["final"]:
            return
        if seen["moving"]:
            what = f"{seen['topic']}: partitions {seen['moving']} are on the move for ever"
            self.run.add("stuck-reassignment", what, ref)
        for p, replicas in seen["parts"].items():
            self._check(seen, ref, f"replicas of {p}", replicas, lambda op, p=p: _moved(op, p))

    def _check_elected(self, op: Op, ref: int) -> None:
        """Whom the cluster has elected has led, be it for a moment."""
        tp = f"{op['topic']}-{op['partition']}"
        if tp not in self.led:
            return
        before = [found for found in self.led[tp] if found[0] <= op["t0"]][-1:]
        during = [found for found in self.led[tp] if op["t0"] < found[0] <= op["t1"] + LATE_NS]
        if not any(leader == preferred for _, leader, preferred in before + during):
            self.run.add("not-preferred", f"{tp} was never led by its preferred leader", ref)

    def _check(
        self, seen: Op, ref: int, what: str, found: Any, value_of: Callable[[Op], Any]
    ) -> None:
        """``found`` is what the last success has made of it, or what may have come true since."""
        proofs: list[int] = []
        unknown: list[Any] = []
        known: list[Any] = []
        """What this broker must show; and what others were told, which it need not know yet."""
        for op, proof in self.asked[seen["topic"]]:
            value = value_of(op)
            if value is UNSET or op["t0"] > seen["t1"]:
                continue
            if op["res"] != "ok":
                unknown.append(value)
            elif (seen["final"] or op["broker"] == seen["broker"]) and op["t1"] <= seen["t0"]:
                known, proofs = [value], [proof]
            else:
                known.append(value)
        if proofs and found not in known and found not in unknown:
            text = f"{seen['topic']} on broker {seen['broker']}: {what} is {found}, not {known[0]}"
            self.run.add("untrue-success", text, *proofs, ref)


def _moved(op: Op, p: str) -> Any:
    if op["do"] != "reassign" or str(op["partition"]) != p:
        return UNSET
    return op["replicas"]
