"""Plots: how far ahead or behind, latency by percentile, and cost by size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from compat.bench.case import MEASURES
from compat.bench.figures import ratios, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.bench.case import Case
    from compat.bench.rounds import Results

PERCENTILES = ("p50_ms", "p99_ms", "p99.9_ms")
CURVES = ("cpu_ms_per_1000", "cpu_s_per_gb", "kb_each", "create_ms", "join_ms")


def figures(results: Results, reference: str) -> Iterator[str]:
    """SVG elements for a page."""
    for figure in drawn(results, reference):
        out = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench"}):
            figure.savefig(out, format="svg", bbox_inches="tight")
        text = out.getvalue()
        yield text[text.index("<svg") :]


def drawn(results: Results, reference: str) -> Iterator[Figure]:
    for family in dict.fromkeys(case.family for case in results.cases):
        cases = [case for case in results.cases if case.family == family]
        for measure in ("mb_per_s", "cpu_s_per_gb"):
            if family in ("produce", "consume") and any(
                results.of(case, reference, measure) for case in cases
            ):
                yield ratio_bars(results, cases, reference, measure)
        if family in ("latency", "end-to-end"):
            yield latencies(results, cases)
    for group in dict.fromkeys(case.group for case in results.cases if case.group):
        points = [case for case in results.cases if case.group == group]
        if len(points) > 1:
            yield from curves(results, points, group)


def ratio_bars(results: Results, cases: list[Case], reference: str, measure: str) -> Figure:
    """Against the reference, on a logarithmic scale; whiskers are the range of the rounds."""
    others = [target for target in results.targets if target != reference]
    figure = Figure(figsize=(7, 1.2 + 0.22 * len(cases) * max(1, len(others))))
    axes = figure.add_subplot()
    height = 0.8 / max(1, len(others))
    for place, target in enumerate(others):
        color = f"C{results.targets.index(target)}"
        for row, case in enumerate(cases):
            parts = ratios(results.of(case, target, measure), results.of(case, reference, measure))
            if not parts:
                continue
            found = spread(parts)
            axes.barh(
                row + place * height,
                found.median - 1,
                height,
                left=1,
                color=color,
                label=target if row == 0 else None,
            )
            axes.plot(
                [found.low, found.high], [row + place * height] * 2, color="black", linewidth=0.8
            )
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(cases))], [c.name for c in cases])
    axes.invert_yaxis()
    better = "right is better" if MEASURES[measure].higher else "left is better"
    title = MEASURES[measure].title
    axes.set_title(f"{cases[0].family}: {title}, ratio to {reference} ({better})", fontsize=10)
    low, high = axes.get_xlim()
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.legend(fontsize=8)
    return figure


def latencies(results: Results, cases: list[Case]) -> Figure:
    """Medians of the percentiles, by broker."""
    figure = Figure(figsize=(7, 0.6 + 1.1 * len(cases)))
    for place, case in enumerate(cases):
        axes = figure.add_subplot(len(cases), 1, place + 1)
        for row, target in enumerate(results.targets):
            found = [
                spread(list(values.values())).median
                for measure in PERCENTILES
                if (values := results.of(case, target, measure))
            ]
            axes.plot(found, [row] * len(found), color=f"C{row}", linewidth=1)
            for value, marker in zip(found, "ods", strict=False):
                axes.plot(value, row, marker, color=f"C{row}", markersize=5)
        axes.set_xscale("log")
        axes.set_yticks(range(len(results.targets)), results.targets, fontsize=8)
        axes.set_ylim(len(results.targets) - 0.5, -0.5)
        axes.set_title(f"{case.title}, ms: circle p50, diamond p99, square p99.9", fontsize=9)
        axes.grid(visible=True, axis="x", which="both", linewidth=0.3)
    figure.tight_layout()
    return figure


def curves(results: Results, cases: list[Case], group: str) -> Iterator[Figure]:
    for measure in CURVES:
        if not any(results.of(cases[0], target, measure) for target in results.targets):
            continue
        figure = Figure(figsize=(5.2, 3.4))
        axes = figure.add_subplot()
        for place, target in enumerate(results.targets):
            points = [
                (case.x, spread(list(values.values())))
                for case in cases
                if (values := results.of(case, target, measure))
            ]
            if not points:
                continue
            xs = [x for x, _ in points]
            axes.plot(xs, [s.median for _, s in points], "o-", color=f"C{place}", label=target)
            lows, highs = [s.low for _, s in points], [s.high for _, s in points]
            axes.fill_between(xs, lows, highs, color=f"C{place}", alpha=0.15)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(group.rpartition(" by ")[2])
        axes.set_title(f"{group}: {MEASURES[measure].title}, {MEASURES[measure].unit}", fontsize=10)
        axes.grid(visible=True, linewidth=0.3)
        axes.legend(fontsize=8)
        yield figure
