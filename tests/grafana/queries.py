"""The queries of dashboards, as Grafana sends them once its variables are chosen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DASHBOARDS = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"


class PanelQuery(NamedTuple):
    board: str
    panel: str
    expr: str

    def __str__(self) -> str:
        return f"{self.board} / {self.panel}: {self.expr}"


def panels(board: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All but rows, those inside rows too; ``rows`` is how older dashboards have them."""
    for panel in board.get("panels") or []:
        if panel["type"] != "row":
            yield panel
        yield from panels(panel)
    for row in board.get("rows") or []:
        yield from panels(row)


def queries(path: Path, variables: Mapping[str, str]) -> list[PanelQuery]:
    board = json.loads(path.read_text())
    return [
        PanelQuery(path.stem, panel["title"], substituted(target["expr"], variables))
        for panel in panels(board)
        for target in panel.get("targets", ())
    ]


def variable_queries(path: Path) -> list[tuple[str, str]]:
    """(selector, label) of each ``label_values``."""
    variables = json.loads(path.read_text())["templating"]["list"]
    asked = [each["query"]["query"] for each in variables if each["type"] == "query"]
    found = [re.fullmatch(r"label_values\((.+), (\w+)\)", query) for query in asked]
    return [(each[1], each[2]) for each in found if each is not None]


def substituted(expression: str, variables: Mapping[str, str]) -> str:
    """``$name``, ``${name}``; one that is not known is an error."""

    def value(found: re.Match[str]) -> str:
        return variables[found[1] or found[2]]

    return re.sub(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})", value, expression)
