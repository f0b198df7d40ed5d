"""What must come: service after the last fault, full ISRs, the resources back; and enough work
done for the run to prove anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.checker.core import NO_TIME, seconds

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Run

BOUNDS = {"send": 15.0, "producer": 30.0, "isr": 60.0}
"""Seconds from the end of the last fault to the first record acknowledged by all, until every
producer has been told of one, and until every replica is in sync."""
MORE_MEMORY = 64 << 20
MORE_SHARE = 1.10


class Recovery:
    kinds = ("metadata",)

    def __init__(self, run: Run) -> None:
        self.run = run
        self.states: list[tuple[int, bool, int]] = []

    def take(self, op: Op, ref: int) -> None:
        full = all(set(isr) == set(replicas) for _, _, replicas, isr in op["parts"].values())
        self.states.append((op["t1"], full and bool(op["parts"]), ref))

    def finish(self) -> None:
        healed = self.run.last_heal
        if healed < 0:
            return
        bounds = BOUNDS | self.run.config.get("bounds", {})
        first = min(
            (
                (send.t1, send.ref)
                for send in self.run.sends.values()
                if send.t1 >= healed and send.acks == -1 and send.res == "ok"
            ),
            default=None,
        )
        if first is None or first[0] - healed > bounds["send"] * 1e9:
            took = "never" if first is None else f"after {seconds(first[0] - healed)}"
            what = f"the first record was acknowledged {took}, {bounds['send']} s are allowed"
            self.run.add("no-recovery", what, *self._heal_ref(), *(first or ())[1:])
        elif first is not None:
            self.run.counts["recovery ms"] = (first[0] - healed) // 10**6
        self._check_producers(healed, bounds["producer"])
        if not self.states:
            return
        full = min((s for s in self.states if s[0] >= healed and s[1]), default=None)
        if full is None or full[0] - healed > bounds["isr"] * 1e9:
            took = "never" if full is None else f"after {seconds(full[0] - healed)}"
            what = f"every replica was in sync {took}, {bounds['isr']} s are allowed"
            self.run.add("isr-not-full", what, *self._heal_ref(), self.states[-1][2])
        else:
            self.run.counts["isr full ms"] = (full[0] - healed) // 10**6

    def _check_producers(self, healed: int, bound: float) -> None:
        """Each that waits for acknowledgements gets one again: none is stuck."""
        firsts: dict[str, tuple[int, int]] = {}
        for val, send in self.run.sends.items():
            if send.acks == 0:
                continue
            process = val.partition(".")[0]
            known = firsts.setdefault(process, (NO_TIME, send.ref))
            if send.res == "ok" and healed <= send.t1 < known[0]:
                firsts[process] = (send.t1, send.ref)
        for producer, (first, ref) in firsts.items():
            if first - healed > bound * 1e9:
                took = "never" if first == NO_TIME else f"after {seconds(first - healed)}"
                what = f"{producer} was told of a record {took}, {bound} s are allowed"
                self.run.add("stuck-producer", what, *self._heal_ref(), ref)

    def _heal_ref(self) -> tuple[int, ...]:
        return tuple(ref for op, ref in self.run.faults if op["kind"] == "healed")[-1:]


class Resources:
    """Memory and descriptors return to what they were; nothing escaped into a log."""

    kinds = ("sample", "trouble")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.first: dict[int, tuple[Op, int]] = {}
        self.last: dict[int, tuple[Op, int]] = {}

    def take(self, op: Op, ref: int) -> None:
        if op["f"] == "trouble":
            self.run.add("trouble", f"broker {op['broker']}: {op['text']}", ref)
        elif op["when"] == "start":
            self.first.setdefault(op["broker"], (op, ref))
        else:
            self.last[op["broker"]] = (op, ref)

    def finish(self) -> None:
        for broker, (last, ref) in self.last.items():
            if broker not in self.first:
                continue
            first, proof = self.first[broker]
            for name, more in (("rss", MORE_MEMORY), ("fds", 64)):
                if last[name] > max(first[name] * MORE_SHARE, first[name] + more):
                    what = f"broker {broker}: {name} {first[name]} at the start, {last[name]} now"
                    self.run.add("leak", what, proof, ref)


class Floors:
    """Too little happened: nothing is proved. What counts is in the configuration."""

    kinds: tuple[str, ...] = ()

    def __init__(self, run: Run) -> None:
        self.run = run

    def take(self, op: Op, ref: int) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        floors = {"ok sends": 1, "records read": 1} | self.run.config.get("floors", {})
        for name, least in floors.items():
            if self.run.counts[name] < least:
                self.run.add("floor", f"{self.run.counts[name]} {name}, {least} are the least")
