"""Writes the dashboards and names.yml: ``python -m grafana``, in the directory above."""

from __future__ import annotations

import json
from pathlib import Path

from grafana.boards import BOARDS
from grafana.names import text as names
from grafana.panels import dashboard

DIRECTORY = Path(__file__).parent / "dashboards"
NAMES = Path(__file__).parent / "prometheus" / "names.yml"


def files() -> dict[Path, str]:
    """What stands in which."""
    boards = {
        DIRECTORY / f"{board.uid}.json": json.dumps(dashboard(board), indent=2) + "\n"
        for board in BOARDS
    }
    return boards | {NAMES: names()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
