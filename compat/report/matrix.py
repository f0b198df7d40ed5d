"""The results as a table of behaviours by clients, whatever it is written as afterwards."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compat.runner import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compat.runner import ClientInfo, Result
    from compat.suite import Behaviour
    from compat.target import Target

MARKS = {
    Outcome.PASSED: "ok",
    Outcome.FAILED: "FAIL",
    Outcome.NOT_OFFERED: "-",
    Outcome.NOT_YET: "later",
    Outcome.SKIPPED: "skip",
}


@dataclass(frozen=True)
class Matrix:
    name: str
    """Of the broker under test."""
    target: Target
    clients: Sequence[ClientInfo]
    behaviours: Sequence[Behaviour]
    cells: Mapping[tuple[str, str], Result]
    """By behaviour and client; one that is not there was not run."""
    made_at: datetime.datetime

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(result.outcome for result in self.cells.values())

    @property
    def failures(self) -> list[Result]:
        return [r for r in self.cells.values() if r.outcome is Outcome.FAILED]

    def families(self) -> dict[str, list[Behaviour]]:
        found: dict[str, list[Behaviour]] = {}
        for one in self.behaviours:
            found.setdefault(one.family, []).append(one)
        return found

    def mark(self, one: Behaviour, client: ClientInfo) -> str:
        result = self.cells.get((one.full_name, client.name))
        return "" if result is None else MARKS[result.outcome]


def make_matrix(
    name: str,
    target: Target,
    clients: Iterable[ClientInfo],
    behaviours: Sequence[Behaviour],
    results: Iterable[Result],
) -> Matrix:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    cells = {(result.behaviour, result.client): result for result in results}
    return Matrix(name, target, list(clients), behaviours, cells, now)


def as_json(matrix: Matrix) -> dict[str, Any]:
    return {
        "broker": matrix.name,
        "brokers": matrix.target.brokers,
        "made_at": matrix.made_at.isoformat(),
        "counts": {str(outcome): count for outcome, count in matrix.counts.items()},
        "clients": [
            {"name": c.name, "version": c.version, "language": c.language, "missing": c.missing}
            for c in matrix.clients
        ],
        "behaviours": [
            {"name": one.full_name, "promise": one.promise} for one in matrix.behaviours
        ],
        "results": [
            {
                "client": r.client,
                "behaviour": r.behaviour,
                "outcome": str(r.outcome),
                "seconds": round(r.seconds, 3),
                "detail": r.detail,
            }
            for r in matrix.cells.values()
        ],
    }


def as_text(matrix: Matrix) -> str:
    """For a terminal: a row for each behaviour, a column for each client."""
    shown = [c for c in matrix.clients if not c.missing]
    widest = max((len(one.name) for one in matrix.behaviours), default=0)
    columns = [max(len(c.name), 5) for c in shown]
    lines = []
    for family, members in matrix.families().items():
        head = "  ".join(c.name.rjust(w) for c, w in zip(shown, columns, strict=True))
        lines.append(f"{family.ljust(widest + 2)}  {head}")
        for one in members:
            marks = (matrix.mark(one, c).rjust(w) for c, w in zip(shown, columns, strict=True))
            lines.append(f"  {one.name.ljust(widest)}  {'  '.join(marks)}")
    lines += [
        f"{client.name}: skipped: {client.missing.splitlines()[0]}"
        for client in matrix.clients
        if client.missing
    ]
    counts = matrix.counts
    lines.append(", ".join(f"{counts[o]} {o}" for o in Outcome if counts[o]))
    return "\n".join(lines)
