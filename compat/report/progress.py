"""What a person sees while the suite runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from compat.runner import Outcome

if TYPE_CHECKING:
    from compat.runner import Result


class Progress:
    """One line for each combination that was tried; what cannot be tried is counted only."""

    def __init__(self, total: int, out: TextIO | None = None) -> None:
        self._total = total
        self._done = 0
        self._out = out or sys.stderr
        self.results: list[Result] = []

    def __call__(self, result: Result) -> None:
        self._done += 1
        self.results.append(result)
        if result.outcome in (Outcome.NOT_OFFERED, Outcome.NOT_YET):
            return
        where = f"[{self._done}/{self._total}] {result.client}: {result.behaviour}"
        line = f"{where}: {result.outcome} ({result.seconds:.1f} s)"
        if result.outcome is not Outcome.PASSED and result.detail:
            line += "".join(f"\n    {text}" for text in result.detail.splitlines())
        print(line, file=self._out, flush=True)
