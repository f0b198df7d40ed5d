"""The tables that are made from reports of the suite and of the benchmark."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from compat.report.readme import BENCH, MATRIX, PAGES, clients_by_area, filled, made, main
from compat.report.summary import summary_of_bench, summary_of_runs
from tests.documentation.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = {"name": "one", "version": "1.0", "language": "go", "missing": ""}


def run(brokers: int, **outcomes: str) -> dict[str, Any]:
    """``a_b="passed"`` is behaviour a/b."""
    names = [name.replace("_", "/", 1) for name in outcomes]
    return {
        "broker": "pykbroker",
        "brokers": brokers,
        "made_at": "2026-11-28T16:43:24+00:00",
        "clients": [CLIENT],
        "behaviours": [{"name": name, "promise": f"Promise of {name}."} for name in names],
        "results": [
            {"client": "one", "behaviour": name, "outcome": outcome}
            for name, outcome in zip(names, outcomes.values(), strict=True)
        ],
    }


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_up_to_date(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == filled(text, made())


def test_every_block_has_its_place() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in PAGES]
    for block in made():
        assert sum(f"<!-- {block} -->\n" in text for text in texts) == 1, block


def test_of_several_runs_what_failed_in_one_has_failed_and_what_one_skipped_the_other_tells() -> (
    None
):
    alone = run(1, a_x="passed", a_y="skipped", b_z="passed", later_t="not yet supported")
    three = run(3, a_x="failed", a_y="passed", b_z="not offered", later_t="not yet supported")
    summary = summary_of_runs([alone, three])
    assert summary["clients"][0]["areas"] == {
        "a": {"failed": 1, "passed": 1},
        "b": {"passed": 1},
        "later": {"not yet supported": 1},
    }
    assert summary["failed"] == ["one: a/x"]
    assert summary["not_yet"] == {"later/t": "Promise of later/t."}
    table = clients_by_area(summary)
    assert "| one 1.0 | 1 of 2 | 1 |\n" in table
    assert "Run with 1 broker on 2026-11-28 and 3 brokers on 2026-11-28." in table


def test_ratios_are_of_the_same_round() -> None:
    values = {"kafka": [10.0, 20.0, 40.0], "pykbroker": [5.0, 20.0, 80.0], "other": [1.0]}
    result = {"family": "start", "case": "c", "curve": "", "x": 0, "measure": "idle_mb"}
    report = {
        "machine": {"cores": 2, "system": "Linux x86_64"},
        "reference": "kafka",
        "targets": ["kafka", "pykbroker", "other"],
        "rounds": 3,
        "results": [result | {"unit": "MB", "higher_is_better": False, "values": values}],
        "failures": [],
    }
    (row,) = summary_of_bench(report)["rows"]
    assert row["targets"] == {
        "kafka": {"median": 20.0},
        "pykbroker": {"median": 20.0, "ratio": [0.5, 1.0, 2.0]},
        "other": {"median": 1.0},
    }


def test_what_was_never_run_leaves_its_place_empty(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("a\n<!-- figures -->\nold\n<!-- end figures -->\nb\n")
    assert main([], root=tmp_path) == 0
    empty = "a\n<!-- figures -->\n<!-- end figures -->\nb\n"
    assert (tmp_path / "README.md").read_text() == empty


def test_reports_are_kept_and_shown(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- clients -->\n<!-- end clients -->\n")
    reports = []
    for brokers in (1, 3):
        folder = tmp_path / str(brokers)
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(run(brokers, a_x="passed")))
        reports.append(str(folder))
    assert main(["--matrix", *reports], root=tmp_path) == 0
    assert "| one 1.0 | go | 1 | 0 | 0 |" in (tmp_path / "README.md").read_text()
    assert (tmp_path / MATRIX).exists()
    assert not (tmp_path / BENCH).exists()
