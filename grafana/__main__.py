"""Writes the dashboards: ``python -m grafana``, in the directory that holds ``grafana``."""

from __future__ import annotations

import json
from pathlib import Path

from grafana.boards import BOARDS
from grafana.panels import dashboard

DIRECTORY = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """What stands in the directory, by its path."""
    return {
        DIRECTORY / f"{board.uid}.json": json.dumps(dashboard(board), indent=2) + "\n"
        for board in BOARDS
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
