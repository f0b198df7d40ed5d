"""Results as a table of ratios for the terminal, and as JSON with every round."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from compat.bench.case import MEASURES
from compat.bench.figures import Spread, ratios, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.bench.case import Measure
    from compat.bench.rounds import Results


class Cell(NamedTuple):
    """``verdict``: ahead, behind, even where the rounds do not agree; the reference has none."""

    value: Spread
    ratio: Spread | None
    verdict: str


class Row(NamedTuple):
    family: str
    case: str
    measure: Measure
    cells: dict[str, Cell]


def rows(results: Results, reference: str) -> Iterator[Row]:
    for case in results.cases:
        for name in results.measures(case):
            measure = MEASURES[name]
            base = results.of(case, reference, name)
            cells = {}
            for target in results.targets:
                values = results.of(case, target, name)
                if not values:
                    continue
                parts = ratios(values, base) if target != reference else []
                ratio = spread(parts) if parts else None
                verdict = judged(ratio, higher=measure.higher) if ratio else ""
                cells[target] = Cell(spread(list(values.values())), ratio, verdict)
            if cells:
                yield Row(case.family, case.name, measure, cells)


def judged(ratio: Spread, *, higher: bool) -> str:
    if ratio.low < 1 < ratio.high:
        return "even"
    return "ahead" if (ratio.low >= 1 if higher else ratio.high <= 1) else "behind"


def number(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ranged(value: Spread) -> str:
    return f"{number(value.median)} [{number(value.low)}-{number(value.high)}]"


def cell_text(row: Row, target: str) -> str:
    cell = row.cells.get(target)
    if cell is None:
        return "-"
    if cell.ratio is None:
        return ranged(cell.value)
    return f"x {ranged(cell.ratio)} {cell.verdict}"


def table(results: Results, reference: str) -> str:
    """The reference in its units, the others as ratios to it: median [range] of the rounds."""
    targets = [reference, *(t for t in results.targets if t != reference)]
    lines = [["", "", *targets]]
    family = case = ""
    for row in rows(results, reference):
        if (row.family, row.case) != (family, case):
            family, case = row.family, row.case
            lines.append([f"{family}/{case}", "", *([""] * len(targets))])
        better = "more is better" if row.measure.higher else "less is better"
        title = f"  {row.measure.title}, {row.measure.unit} ({better})"
        lines.append([title, "", *(cell_text(row, target) for target in targets)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = "\n".join(
        "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    failed = [
        f"{title} on {target} failed: {why.splitlines()[0]}"
        for (title, target), why in results.failures.items()
    ]
    return "\n".join([text, *failed])


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def as_json(results: Results, reference: str) -> dict[str, Any]:
    """``values``: by round, of every case, target and measure; ``curve`` and ``x`` as in Case."""
    return {
        "machine": machine(),
        "reference": reference,
        "targets": results.targets,
        "rounds": results.rounds,
        "results": [
            {
                "family": case.family,
                "case": case.name,
                "curve": case.group,
                "x": case.x,
                "measure": name,
                "unit": MEASURES[name].unit,
                "higher_is_better": MEASURES[name].higher,
                "values": {
                    target: [value for _, value in sorted(found.items())]
                    for target in results.targets
                    if (found := results.of(case, target, name))
                },
            }
            for case in results.cases
            for name in results.measures(case)
        ],
        "failures": [
            {"case": title, "target": target, "why": why}
            for (title, target), why in results.failures.items()
        ],
    }
