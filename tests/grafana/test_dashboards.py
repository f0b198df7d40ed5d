"""The dashboards as files: made by their source, as Grafana's types say, and well laid out."""

from __future__ import annotations

import copy
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from grafana.__main__ import DIRECTORY, NAMES, files
from grafana.panels import COLUMNS
from tests.grafana.queries import panels
from tests.grafana.schema import problems

if TYPE_CHECKING:
    from pathlib import Path

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(DIRECTORY.glob("*.json"))}
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())
PROVISIONING = DIRECTORY.parent / "provisioning"


def test_what_is_made_is_what_its_source_makes() -> None:
    """``python -m grafana`` writes it."""
    assert {path: path.read_text() for path in (*DIRECTORY.iterdir(), NAMES)} == files()


@each_board
def test_a_dashboard_is_as_grafana_types_say(board: dict[str, Any]) -> None:
    assert problems(board) == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("descripton", "a slip", "descripton is not known"),
        ("gridPos", {"x": 0, "y": 0, "w": "8", "h": 8}, "is '8', no int"),
        ("options", {"legend": {"displayMode": "lists"}}, "'lists', no LegendDisplayMode"),
        ("fieldConfig", {"defaults": {"unti": "s"}, "overrides": []}, "unti is not known"),
    ],
)
def test_what_grafana_does_not_know_is_found(key: str, value: object, told: str) -> None:
    board = copy.deepcopy(BOARDS["pykbroker-overview"])
    graphs = [panel for panel in board["panels"] if panel["type"] == "timeseries"]
    graphs[0][key] = value
    assert [problem for problem in problems(board) if told in problem]


@each_board
def test_panels_lie_side_by_side(board: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        for x, y in itertools.product(range(place["w"]), range(place["h"])):
            cell = (place["x"] + x, place["y"] + y)
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]


@each_board
def test_panels_say_what_they_show(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"


def test_dashboards_have_uids_of_their_own() -> None:
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len(uids)
    assert list(BOARDS) == uids


@pytest.mark.parametrize(
    "path", sorted(PROVISIONING.rglob("*.yaml")), ids=lambda path: path.parent.name
)
def test_provisioning_is_the_form_that_grafana_reads(path: Path) -> None:
    read = yaml.safe_load(path.read_text())
    assert read.pop("apiVersion") == 1
    (kind,) = read
    assert kind == {"datasources": "datasources", "dashboards": "providers"}[path.parent.name]
    assert all({"name", "type"} <= entry.keys() for entry in read[kind])
