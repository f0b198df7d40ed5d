"""What runs of the suite and of the benchmark came to, in few enough numbers to keep.

``docs/measured/`` keeps them; the tables of the documentation are made from there.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WORST_FIRST = ("failed", "passed", "not yet supported", "skipped", "not offered")
"""Of several runs, with one broker and with three: what says the most counts."""


def summary_of_runs(reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one or more ``results.json`` of ``compat run``: how many, by client and area."""
    runs = list(reports)
    cells: dict[tuple[str, str], str] = {}
    for run in runs:
        for result in run["results"]:
            key = result["client"], result["behaviour"]
            outcomes = [result["outcome"], cells.get(key, result["outcome"])]
            cells[key] = min(outcomes, key=WORST_FIRST.index)
    clients = {client["name"]: client for run in runs for client in run["clients"]}
    behaviours = {one["name"]: one["promise"] for run in runs for one in run["behaviours"]}
    areas = list(dict.fromkeys(name.partition("/")[0] for name in behaviours))
    counts: dict[str, dict[str, dict[str, int]]] = {name: {} for name in clients}
    for (client, behaviour), outcome in cells.items():
        if outcome in WORST_FIRST[:3]:
            area = counts[client].setdefault(behaviour.partition("/")[0], {})
            area[outcome] = area.get(outcome, 0) + 1
    later = [name for (_, name), outcome in cells.items() if outcome == "not yet supported"]
    return {
        "broker": runs[0]["broker"],
        "runs": [{"brokers": run["brokers"], "made_at": run["made_at"]} for run in runs],
        "areas": areas,
        "clients": [
            {
                "name": name,
                "version": client["version"],
                "language": client["language"],
                "missing": bool(client["missing"]),
                "areas": counts[name],
            }
            for name, client in clients.items()
        ],
        "not_yet": {name: behaviours[name] for name in dict.fromkeys(later)},
        "failed": [f"{c}: {name}" for (c, name), o in sorted(cells.items()) if o == "failed"],
    }


def summary_of_bench(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of a ``results.json`` of ``compat bench``: medians, and ratios to the reference by round."""
    reference = report["reference"]
    rows = []
    for result in report["results"]:
        values: Mapping[str, list[float]] = result["values"]
        base = values.get(reference, [])
        cells = {}
        for target, found in values.items():
            cell: dict[str, Any] = {"median": _short(median(found))}
            if target != reference and base and len(base) == len(found) and all(base):
                parts = [one / other for one, other in zip(found, base, strict=True)]
                cell["ratio"] = [_short(x) for x in (min(parts), median(parts), max(parts))]
            cells[target] = cell
        kept = ("family", "case", "curve", "x", "measure", "unit", "higher_is_better")
        rows.append({name: result[name] for name in kept} | {"targets": cells})
    return {
        "machine": report["machine"],
        "reference": reference,
        "targets": report["targets"],
        "rounds": report["rounds"],
        "rows": rows,
        "failures": [f"{f['case']} on {f['target']}" for f in report["failures"]],
    }


def _short(value: float) -> float:
    """Three digits that count."""
    return float(f"{value:.3g}")
