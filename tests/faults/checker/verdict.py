"""Reads a history once and judges it by what was promised, knowing nothing of how it is kept.

``check(paths)`` costs a time linear in the history, but for sorting. Sends must come before the
reads of a run only in time, not in the files.
"""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.checker.admin import Admin
from tests.faults.checker.control import Control, Groups
from tests.faults.checker.core import Finding, Run, seconds
from tests.faults.checker.liveness import Floors, Recovery, Resources
from tests.faults.checker.offsets import Committed, Watermarks
from tests.faults.checker.order import Polls, ProducerOrder, RealTime, Sequences
from tests.faults.checker.records import Acknowledged, Collect, Duplicates, Reads
from tests.faults.checker.replicas import Divergence
from tests.faults.checker.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from tests.faults.checker.core import Op

CHECKS: tuple[Any, ...] = (
    Collect,
    Reads,
    Acknowledged,
    Duplicates,
    RealTime,
    ProducerOrder,
    Sequences,
    Polls,
    Transactions,
    Committed,
    Watermarks,
    Divergence,
    Control,
    Groups,
    Admin,
    Recovery,
    Resources,
    Floors,
)
LINE_SHOWN = 400
"""Longer lines are shown cut: a poll may hold thousands of records."""


@dataclass
class Verdict:
    findings: list[Finding]
    counts: dict[str, int]
    found: dict[str, int]
    """By name: how often, kept or not."""
    seed: Any = None
    faults: list[tuple[Op, int]] = field(default_factory=list)

    @property
    def is_green(self) -> bool:
        return not self.findings

    @property
    def names(self) -> set[str]:
        return set(self.found)


def check(paths: Sequence[Path]) -> Verdict:
    """The verdict on the history in these files."""
    scan = json.JSONDecoder().scan_once  # what json.loads does, without its questions
    return judge(scan(line, 0)[0] for line in _lines(paths))


def judge(ops: Iterable[Op]) -> Verdict:
    run = Run()
    checks = [make(run) for make in CHECKS]
    takers: dict[str, list[Callable[[Op, int], None]]] = defaultdict(list)
    for one in checks:
        for kind in one.kinds:
            takers[kind].append(one.take)
    was_enabled = gc.isenabled()
    gc.disable()  # millions of small objects and not one cycle
    try:
        for ref, op in enumerate(ops):
            for take in takers[op["f"]]:
                take(op, ref)
        for one in checks:
            one.finish()
    finally:
        if was_enabled:
            gc.enable()
    findings = [finding for kept in run.found.values() for finding in kept]
    return Verdict(
        findings, dict(run.counts), dict(run.found_counts), run.config.get("seed"), run.faults
    )


def _lines(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        with path.open(encoding="ascii") as file:
            yield from file


def render(verdict: Verdict, paths: Sequence[Path] = ()) -> str:
    """For a person: what was found, each with its lines and with the faults of that time."""
    counts = " ".join(f"{name.replace(' ', '_')}={n}" for name, n in sorted(verdict.counts.items()))
    head = "green" if verdict.is_green else "RED"
    out = [f"{head} seed={verdict.seed} {counts}"]
    begin = min((op["t0"] for op, _ in verdict.faults), default=0)
    for op, _ in verdict.faults:
        edge = {True: "begins", False: "ends"}.get(op.get("on"), "")
        at = seconds(op["t0"] - begin)
        out.append(f"  fault at {at}: {op['kind']} {op.get('target', '')} {edge}".rstrip())
    wanted = {ref for finding in verdict.findings for ref in finding.refs}
    shown = {ref: line for ref, line in enumerate(_lines(paths)) if ref in wanted}
    for finding in verdict.findings:
        out.append(f"{finding.name}: {finding.what} (one of {verdict.found[finding.name]})")
        out += _window([shown[ref] for ref in finding.refs if ref in shown], verdict.faults, begin)
    return "\n".join(out)


def _window(lines: list[str], faults: list[tuple[Op, int]], begin: int) -> list[str]:
    """The lines in time order, and what struck between the first and the last of them."""
    ops = sorted(((json.loads(line), line) for line in lines), key=lambda pair: pair[0]["t0"])
    out = []
    for op, line in ops:
        text = line.rstrip()
        if len(text) > LINE_SHOWN:
            text = text[:LINE_SHOWN] + " ..."
        out.append(f"    {seconds(op['t0'] - begin)} {text}")
    if ops:
        first, last = ops[0][0]["t0"], max(op["t1"] for op, _ in ops)
        struck = [op["kind"] for op, _ in faults if first <= op["t0"] <= last]
        if struck:
            out.append(f"    meanwhile: {', '.join(struck)}")
    return out
