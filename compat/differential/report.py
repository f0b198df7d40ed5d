"""Differences in words: the same one in several versions and places is told once."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from compat.differential.compare import Difference, Outcome
    from compat.differential.known import Known

_VERSION = re.compile(r" v(\d+)$")


def group(differences: list[Difference]) -> list[str]:
    """One line each: case, versions, step, path, what either side said."""
    found: dict[tuple[str, ...], list[str]] = {}
    for one in differences:
        version = _VERSION.search(one.case)
        key = (
            _VERSION.sub("", one.case),
            one.step,
            one.path,
            short(one.ours),
            short(one.reference),
        )
        found.setdefault(key, []).append(version[1] if version else "")
    return [
        f"{case} {versions_in_words(versions)}| {step} | {path}: ours {ours}, reference {reference}"
        for (case, step, path, ours, reference), versions in found.items()
    ]


def versions_in_words(versions: list[str]) -> str:
    """``v3-5,8 `` of 3, 4, 5, 8."""
    numbers = sorted({int(v) for v in versions if v})
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
    return f"v{words} " if words else ""


def short(value: Any, limit: int = 600) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def summary(outcomes: list[Outcome], unlisted: list[Difference], known: list[Known]) -> str:
    cases = {outcome.instance.case.name for outcome in outcomes}
    steps = sum(len(outcome.reference) for outcome in outcomes)
    met = sum(entry.count for entry in known)
    return (
        f"{len(cases)} cases, {len(outcomes)} with their versions, {steps} answers compared: "
        f"{len(unlisted)} differences that are not listed, {met} that are"
    )


def write_report(
    directory: Path, outcomes: list[Outcome], unlisted: list[Difference], known: list[Known]
) -> None:
    """report.md to read, transcripts.json with all that was said where something differs."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = ["# Differences", "", summary(outcomes, unlisted, known), "", "## Not listed", ""]
    lines += [f"- {line}" for line in group(unlisted)] or ["None."]
    lines += ["", "## Listed", ""]
    lines += [f"- {e.reason} ({e.count} times: {e.case} {e.path})" for e in known] or ["None."]
    (directory / "report.md").write_text("\n".join(lines) + "\n")
    said = {
        outcome.instance.name: {
            "ours": [step._asdict() for step in outcome.ours],
            "reference": [step._asdict() for step in outcome.reference],
        }
        for outcome in outcomes
        if outcome.differences
    }
    (directory / "transcripts.json").write_text(json.dumps(said, indent=1, default=str))
