"""Who leads, who is in sync, and who said so."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Run

ISR_CHANGES_PER_MINUTE = 60


class Control:
    """One leader in one epoch; epochs rise; the leader is in the ISR, the ISR in the replicas."""

    kinds = ("metadata", "store")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.leaders: dict[tuple[str, int], tuple[int, int]] = {}
        self.stored: dict[str, tuple[Op, int]] = {}
        self.controller_epoch = (-1, -1)
        self.isr_changes: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def take(self, op: Op, ref: int) -> None:
        if op["f"] == "store":
            self._take_stored(op, ref)
            return
        for tp, (leader, epoch, replicas, isr) in op["parts"].items():
            self._check_one(tp, leader, epoch, replicas, isr, ref)

    def _check_one(
        self, tp: str, leader: int, epoch: int, replicas: list[int], isr: list[int], ref: int
    ) -> None:
        if not set(isr) <= set(replicas):
            self.run.add("isr-outside-replicas", f"{tp}: ISR {isr} of {replicas}", ref)
        if leader < 0:
            return
        if leader not in isr:
            self.run.add("leader-outside-isr", f"{tp}: leader {leader}, ISR {isr}", ref)
        known = self.leaders.setdefault((tp, epoch), (leader, ref))
        if known[0] != leader:
            what = f"{tp} has the leaders {known[0]} and {leader} in epoch {epoch}"
            self.run.add("two-leaders", what, known[1], ref)

    def _take_stored(self, op: Op, ref: int) -> None:
        tp = op["tp"]
        self._check_one(tp, op["leader"], op["leader_epoch"], op["replicas"], op["isr"], ref)
        epoch = op.get("controller_epoch", -1)
        if epoch < self.controller_epoch[0]:
            what = f"{tp} was written in controller epoch {epoch} after {self.controller_epoch[0]}"
            self.run.add("stale-controller", what, self.controller_epoch[1], ref)
        self.controller_epoch = max(self.controller_epoch, (epoch, ref))
        before = self.stored.get(tp)
        if before is not None:
            old = before[0]
            falls = op["leader_epoch"] < old["leader_epoch"]
            if falls or op["partition_epoch"] <= old["partition_epoch"]:
                what = (
                    f"{tp}: epochs {op['leader_epoch']}, {op['partition_epoch']} after "
                    f"{old['leader_epoch']}, {old['partition_epoch']}"
                )
                self.run.add("epoch-regress", what, before[1], ref)
            if op["isr"] != old["isr"]:
                self.isr_changes[tp].append((op["t1"], ref))
        self.stored[tp] = (op, ref)

    def finish(self) -> None:
        epochs: dict[str, set[int]] = defaultdict(set)
        for tp, epoch in self.leaders:
            epochs[tp].add(epoch)
        self.run.counts["leader changes"] = sum(len(seen) - 1 for seen in epochs.values())
        limit = self.run.config.get("isr_changes_per_minute", ISR_CHANGES_PER_MINUTE)
        for tp, changes in self.isr_changes.items():
            for first, last in zip(changes, changes[limit:], strict=False):
                if last[0] - first[0] < 60 * 10**9:
                    what = f"the ISR of {tp} changed more than {limit} times in a minute"
                    self.run.add("isr-storm", what, first[1], last[1])
                    break


class Groups:
    """One owner of a partition in a generation, and no commit from one that is past."""

    kinds = ("assign", "commit")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.owners: dict[tuple[str, int, str], tuple[str, int]] = {}
        self.begun: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        """By group and generation: when its first member certainly had it."""
        self.commits: list[tuple[Op, int]] = []

    def take(self, op: Op, ref: int) -> None:
        generation = op.get("gen", -1)
        if generation < 0:
            return
        if op["f"] == "commit":
            if op["res"] == "ok":
                self.commits.append((op, ref))
            return
        group = op["group"]
        known = self.begun[group].get(generation)
        if known is None or op["t1"] < known[0]:
            self.begun[group][generation] = (op["t1"], ref)
        for tp in op["owned"]:
            owner = self.owners.setdefault((group, generation, tp), (op["proc"], ref))
            if owner[0] != op["proc"]:
                what = f"{tp} belongs to {owner[0]} and {op['proc']} in generation {generation}"
                self.run.add("two-owners", what, owner[1], ref)

    def finish(self) -> None:
        for op, ref in self.commits:
            for generation, (since, proof) in self.begun[op["group"]].items():
                if generation > op["gen"] and since < op["t0"]:
                    what = (
                        f"{op['proc']} committed in generation {op['gen']} of {op['group']} "
                        f"after {generation} had begun"
                    )
                    self.run.add("stale-commit", what, proof, ref)
                    break
