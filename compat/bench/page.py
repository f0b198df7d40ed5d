"""One page: the table of ratios, and plots of ratios, latencies and curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jinja2

from compat.bench.report import machine, number, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compat.bench.report import Cell, Row
    from compat.bench.rounds import Results

TEMPLATE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Kafka brokers compared</title>
<style>
body { font: 13px/1.45 system-ui, sans-serif; color: #222; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 76rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .2rem .5rem; border-bottom: 1px solid #e4e4e4; }
th { border-bottom: 2px solid #999; position: sticky; top: 0; background: white; }
th:first-child, td:first-child { text-align: left; }
tr.case td { font-weight: 600; padding-top: .8rem; border-bottom: none; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td small { color: #777; } .ahead { background: #e5f4e7; } .behind { background: #fbe7e2; }
.even { background: #f4f1e4; }
.plots { columns: 2; column-gap: 1.5rem; }
.plots svg { width: 100%; height: auto; break-inside: avoid; margin-bottom: 1rem; }
</style>
<h1>Kafka brokers compared</h1>
<p>{{ reference }} in its units, the others as ratios to it in the same round: median, and range of
{{ rounds }} rounds. One run, brokers in turn within each round, on {{ machine.cores }} cores
({{ machine.system }}, Python {{ machine.python }}), clients included.
<span class="ahead">&nbsp;at or ahead&nbsp;</span>
<span class="even">&nbsp;the rounds do not agree&nbsp;</span>
<span class="behind">&nbsp;behind&nbsp;</span></p>
<div class="plots">{% for plot in plots %}{{ plot | safe }}{% endfor %}</div>
{% for family in families %}
<h2>{{ family.name }}</h2>
<table>
<tr><th></th>{% for target in targets %}<th>{{ target }}</th>{% endfor %}</tr>
{% for case in family.cases %}
<tr class="case"><td colspan="{{ targets | length + 1 }}">{{ case.name }}</td></tr>
{% for row in case.rows %}
<tr><td>{{ row.title }} <small>{{ row.unit }}, {{ row.better }}</small></td>
{% for cell in row.cells %}
<td class="{{ cell.kind }}">{{ cell.text }} <small>{{ cell.range }}</small></td>
{% endfor %}</tr>
{% endfor %}{% endfor %}
</table>
{% endfor %}
{% if failures %}<h2>What failed</h2>
<ul>{% for line in failures %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
</html>
"""


def page(results: Results, reference: str, plots: Iterable[str] = ()) -> str:
    """HTML; ``plots`` are elements of it."""
    targets = [reference, *(t for t in results.targets if t != reference)]
    families: dict[str, dict[str, list[dict[str, object]]]] = {}
    for row in rows(results, reference):
        cases = families.setdefault(row.family, {})
        cases.setdefault(row.case, []).append(shown(row, targets))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE).render(
        reference=reference,
        rounds=results.rounds,
        machine=machine(),
        targets=targets,
        plots=list(plots),
        families=[
            {
                "name": name,
                "cases": [{"name": case, "rows": found} for case, found in cases.items()],
            }
            for name, cases in families.items()
        ],
        failures=[f"{c} on {t}: {why}" for (c, t), why in results.failures.items()],
    )


def shown(row: Row, targets: list[str]) -> dict[str, object]:
    return {
        "title": row.measure.title,
        "unit": row.measure.unit,
        "better": "more is better" if row.measure.higher else "less is better",
        "cells": [cell_shown(row.cells.get(target)) for target in targets],
    }


def cell_shown(cell: Cell | None) -> dict[str, str]:
    if cell is None:
        return {"text": "-", "range": "", "kind": ""}
    shown = cell.ratio or cell.value
    return {
        "text": ("x " if cell.ratio else "") + number(shown.median),
        "range": f"{number(shown.low)}-{number(shown.high)}",
        "kind": cell.verdict,
    }
