"""``python -m compat readme``: the tables of the documentation, from what runs came to.

    python -m compat readme --matrix .compat/report/pykbroker-*/results.json
    python -m compat readme --bench .compat/bench/results.json --curves
    python -m compat readme                       # again from what docs/measured/ keeps

Between ``<!-- NAME -->`` and ``<!-- end NAME -->`` stands what is made here. What was never run
leaves its place empty.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat.bench.case import MEASURES
from compat.bench.report import number
from compat.report.summary import summary_of_bench, summary_of_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/compatibility.md", "docs/performance.md")
MATRIX, BENCH = "docs/measured/matrix.json", "docs/measured/bench.json"
CURVES = "docs/curves.svg"
MARKED = re.compile(r"<!-- (?P<name>[\w-]+) -->\n(?P<text>.*?)<!-- end (?P=name) -->", re.S)
CHOSEN = (
    ("start", "first_ack_ms"),
    ("start", "idle_mb"),
    ("produce", "mb_per_s"),
    ("consume", "mb_per_s"),
    ("latency", "p99_ms"),
    ("end-to-end", "p99_ms"),
)
"""Family and measure of the figures that the README shows, the first case of each."""


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m compat readme", description=__doc__)
    parser.add_argument("--matrix", nargs="+", metavar="FILE", type=Path, help="of compat run")
    parser.add_argument("--bench", metavar="FILE", type=Path, help="of compat bench")
    parser.add_argument("--curves", action="store_true", help="draw them too: needs matplotlib")
    options = parser.parse_args(arguments)
    if options.matrix:
        _keep(root / MATRIX, summary_of_runs([_read(path) for path in options.matrix]))
    if options.bench:
        _keep(root / BENCH, summary_of_bench(_read(options.bench)))
    if options.curves:
        from compat.report.curves import picture

        (root / CURVES).write_text(picture(_read(root / BENCH)), encoding="utf-8")
    blocks = made(root)
    for name in PAGES:
        page = root / name
        if page.exists():
            page.write_text(filled(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    return 0


def _read(path: Path) -> dict[str, Any]:
    """A directory is that of a report."""
    found: dict[str, Any] = json.loads(
        (path / "results.json" if path.is_dir() else path).read_text(encoding="utf-8")
    )
    return found


def _keep(path: Path, summary: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def made(root: Path = ROOT) -> dict[str, str]:
    """Every block by its name."""
    blocks = dict.fromkeys(("clients", "clients-by-area", "not-yet", "figures", "all-figures"), "")
    if (root / MATRIX).exists():
        matrix = _read(root / MATRIX)
        blocks["clients"] = clients(matrix)
        blocks["clients-by-area"] = clients_by_area(matrix)
        blocks["not-yet"] = not_yet(matrix)
    if (root / BENCH).exists():
        bench = _read(root / BENCH)
        blocks["figures"] = figures(bench)
        blocks["all-figures"] = all_figures(bench)
    return blocks


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """Raises KeyError for a mark that names no block."""

    def block(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- {name} -->\n{blocks[name]}<!-- end {name} -->"

    return MARKED.sub(block, text)


# The matrix


def clients(matrix: Mapping[str, Any]) -> str:
    rows = [["client", "language", "held", "did not hold", "not supported yet"]]
    for client in matrix["clients"]:
        if not client["missing"]:
            sums = [
                sum(area.get(outcome, 0) for area in client["areas"].values())
                for outcome in ("passed", "failed", "not yet supported")
            ]
            rows.append([_title(client), client["language"], *map(str, sums)])
    areas = ", ".join(area for area in matrix["areas"] if area != "later")
    return _dated(matrix, f"{_table(rows)}\nAreas: {areas}.\n")


def clients_by_area(matrix: Mapping[str, Any]) -> str:
    """A cell: how many held, of which many were tried; a dash where the client offers none."""
    areas = [area for area in matrix["areas"] if area != "later"]
    rows = [["client", *areas]]
    for client in matrix["clients"]:
        if client["missing"]:
            continue
        rows.append([_title(client), *(_cell(client["areas"].get(area, {})) for area in areas)])
    text = _table(rows)
    if matrix["failed"]:
        text += "\nDid not hold:\n\n" + "".join(f"- {line}\n" for line in matrix["failed"])
    return _dated(matrix, text)


def not_yet(matrix: Mapping[str, Any]) -> str:
    """What no client could try, as the broker does not advertise it."""
    return "".join(f"- {promise}\n" for promise in matrix["not_yet"].values())


def _title(client: Mapping[str, Any]) -> str:
    return f"{client['name']} {client['version']}".strip()


def _cell(counts: Mapping[str, int]) -> str:
    held, failed = counts.get("passed", 0), counts.get("failed", 0)
    later = counts.get("not yet supported", 0)
    if not held + failed + later:
        return "-"
    text = f"{held}" if not failed else f"{held} of {held + failed}"
    return f"{text}, {later} later" if later else text


def _dated(matrix: Mapping[str, Any], text: str) -> str:
    runs = [
        f"{run['brokers']} broker{'s' * (run['brokers'] > 1)} on {run['made_at'][:10]}"
        for run in matrix["runs"]
    ]
    return f"{text}\nRun with {' and '.join(runs)}.\n"


# The benchmark


def figures(bench: Mapping[str, Any]) -> str:
    chosen = []
    for family, measure in CHOSEN:
        rows = [r for r in bench["rows"] if (r["family"], r["measure"]) == (family, measure)]
        chosen += rows[:1]
    told = "[How it was measured, and the other loads](docs/performance.md)."
    return f"## Measured\n\n{_figures(bench, chosen)}\n{told}\n\n"


def all_figures(bench: Mapping[str, Any]) -> str:
    text = "## Under load\n\n" + _figures(bench, bench["rows"])
    if bench["failures"]:
        text += "\nCould not be measured:\n\n" + "".join(f"- {f}\n" for f in bench["failures"])
    return text


def _figures(bench: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> str:
    reference, machine = bench["reference"], bench["machine"]
    targets = [reference, *(t for t in bench["targets"] if t != reference)]
    lines = [["load", "measure", *targets]]
    for row in rows:
        measure = MEASURES[row["measure"]]
        better = "more" if row["higher_is_better"] else "less"
        title = f"{measure.title}, {row['unit']} ({better} is better)"
        cells = [_figure(row["targets"].get(target)) for target in targets]
        lines.append([f"{row['family']}: {row['case']}", title, *cells])
    return (
        f"{_table(lines)}\nThe ratio in brackets is that to {reference} in "
        f"the same round; median [lowest-highest] of {bench['rounds']} rounds, in turn on "
        f"{machine['cores']} cores of {machine['system']}, clients included.\n"
    )


def _figure(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "-"
    text = number(cell["median"])
    if "ratio" not in cell:
        return text
    low, middle, high = map(number, cell["ratio"])
    return f"{text} (x {middle} [{low}-{high}])"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
