"""One picture of how cost grows with connections, partitions and bytes. Needs matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes

CHOSEN = (
    ("requests by connections", "cpu_ms_per_1000", "connections with a request in flight"),
    ("create by partitions", "create_ms", "partitions of a topic that is created"),
    ("produce to by partitions", "cpu_ms_per_1000", "partitions in a produce request"),
    ("fetch idle by partitions", "cpu_ms_per_1000", "idle partitions in a fetch request"),
    ("produce by KB", "cpu_ms_per_1000", "KB in a produce request"),
    ("fetch by KB", "cpu_ms_per_1000", "KB in a fetch answer"),
    ("live by consumers", "cpu_ms_per_1000", "consumers of one partition, live"),
    ("rebalance by members", "join_ms", "members of a group that rebalances"),
)
"""Curve, measure, and what the axis says."""
COLUMNS = 2


def picture(bench: Mapping[str, Any]) -> str:
    """An SVG document: medians by broker, both axes logarithmic, so that what is linear has the
    slope of the dotted line, and what costs the same at any size is flat."""
    height = 2.6 * -(-len(CHOSEN) // COLUMNS)
    figure = Figure(figsize=(9, height))
    for place, (curve, measure, label) in enumerate(CHOSEN, 1):
        axes = figure.add_subplot(-(-len(CHOSEN) // COLUMNS), COLUMNS, place)
        rows = [r for r in bench["rows"] if r["curve"] == curve and r["measure"] == measure]
        _drawn(axes, rows, bench["targets"], measure)
        axes.set_xlabel(label, fontsize=8)
    figure.tight_layout()
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "curves"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _drawn(axes: Axes, rows: list[Mapping[str, Any]], targets: Iterable[str], measure: str) -> None:
    # A thousand requests in ms are one request in us.
    unit = "CPU of a request, us" if measure == "cpu_ms_per_1000" else "ms"
    for number, target in enumerate(targets):
        points = [
            (row["x"], row["targets"][target]["median"]) for row in rows if target in row["targets"]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=f"C{number}", label=target)
    axes.set_xscale("log")
    axes.set_yscale("log")
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    axes.plot([left, right], [low, low * right / left], ":", color="grey", linewidth=0.8)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.set_ylabel(unit, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(fontsize=7)
