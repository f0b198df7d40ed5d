"""Committed offsets do not go back by themselves, and neither do the ends of logs."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from tests.faults.checker.core import NO_TIME

if TYPE_CHECKING:
    from tests.faults.checker.core import Op, Run


class Commit(NamedTuple):
    t0: int
    t1: int
    """For ever, where nobody knows whether and when it took effect."""
    off: int
    ref: int


class Committed:
    """A fetched offset is that of the last commit that had ended, or of one that may have come
    since.
    """

    kinds = ("commit", "committed")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.commits: dict[tuple[str, str], list[Commit]] = defaultdict(list)
        self.fetches: dict[tuple[str, str], list[Commit]] = defaultdict(list)

    def take(self, op: Op, ref: int) -> None:
        is_commit = op["f"] == "commit"
        if op["res"] == "fail" or (not is_commit and op["res"] != "ok"):
            return
        t1 = op["t1"] if op["res"] == "ok" else NO_TIME
        if is_commit and op["res"] == "ok":
            self.run.counts["ok commits"] += 1
        into = self.commits if is_commit else self.fetches
        for tp, off in op["offsets"].items():
            into[op["group"], tp].append(Commit(op["t0"], t1, off, ref))

    def finish(self) -> None:
        for place, fetches in self.fetches.items():
            self._check(place, self.commits.get(place, []), fetches)

    def _check(self, place: tuple[str, str], commits: list[Commit], fetches: list[Commit]) -> None:
        group, tp = place
        ended = sorted((c for c in commits if c.t1 < NO_TIME), key=lambda c: c.t1)
        ends = [c.t1 for c in ended]
        newest = list(accumulate(ended, lambda a, b: b if b.t0 > a.t0 else a))
        by_offset: dict[int, list[Commit]] = defaultdict(list)
        for commit in commits:
            by_offset[commit.off].append(commit)
        for fetch in fetches:
            before = bisect_left(ends, fetch.t0)
            last = newest[before - 1] if before else None
            floor = last.t0 if last else -1
            candidates = by_offset.get(fetch.off, [])
            if any(c.t0 < fetch.t1 and c.t1 >= floor for c in candidates):
                continue
            if last is None and fetch.off < 0:
                continue
            if not candidates and fetch.off >= 0:
                what = f"{group} {tp}: {fetch.off} was never committed"
                self.run.add("phantom-commit", what, fetch.ref)
                continue
            what = f"{group} {tp}: {fetch.off} after {last.off if last else None} was committed"
            refs = (last.ref, fetch.ref) if last else (fetch.ref,)
            self.run.add("committed-regress", what, *refs)


class Ends(NamedTuple):
    t0: int
    t1: int
    latest: int
    epoch: int
    ref: int


class Watermarks:
    """log start <= last stable offset <= end, and the end that a client sees never falls.

    Across clients: asked after another's answer, of a leader epoch that is not older, it is not
    below that answer.
    """

    kinds = ("list_offsets",)

    def __init__(self, run: Run) -> None:
        self.run = run
        self.asked: dict[str, list[Ends]] = defaultdict(list)
        self.by_client: dict[tuple[str, str], Ends] = {}

    def take(self, op: Op, ref: int) -> None:
        if op["res"] != "ok":
            return
        tp, latest = op["tp"], op["latest"]
        stable = op.get("lso", latest)
        earliest = op.get("earliest", 0)
        if not earliest <= stable <= latest:
            self.run.add("watermark-order", f"{tp}: {earliest} <= {stable} <= {latest}?", ref)
        if self.run.is_unclean:
            return
        seen = Ends(op["t0"], op["t1"], latest, op.get("epoch", -1), ref)
        before = self.by_client.get((op["proc"], tp))
        if before is not None and latest < before.latest and seen.t0 > before.t1:
            what = f"{tp} ended at {before.latest}, then at {latest}, to the same client"
            self.run.add("end-regress", what, before.ref, ref)
        self.by_client[op["proc"], tp] = seen
        if seen.epoch >= 0:
            self.asked[tp].append(seen)

    def finish(self) -> None:
        for tp, asked in self.asked.items():
            self._check_across(tp, asked)

    def _check_across(self, tp: str, asked: list[Ends]) -> None:
        """The highest end among the answers of each epoch that had come when one was asked."""
        by_end = sorted(asked, key=lambda e: e.t1)
        best: dict[int, Ends] = {}
        position = 0
        for question in sorted(asked, key=lambda e: e.t0):
            while position < len(by_end) and by_end[position].t1 < question.t0:
                answer = by_end[position]
                known = best.get(answer.epoch)
                if known is None or answer.latest > known.latest:
                    best[answer.epoch] = answer
                position += 1
            for epoch, answer in best.items():
                if epoch <= question.epoch and answer.latest > question.latest:
                    what = f"{tp} ended at {answer.latest}, later asked at {question.latest}"
                    self.run.add("end-regress", what, answer.ref, question.ref)
                    break
