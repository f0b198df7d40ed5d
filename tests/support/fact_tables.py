"""Tables of facts about Kafka, to check our own against. Tests skip where they are not present."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

DIRECTORY = Path(
    os.environ.get(
        "KAFKA_FACT_TABLES",
        Path(__file__).resolve().parents[2].parent / "shared" / "protocol",
    )
)


def rows(name: str) -> list[dict[str, str]]:
    path = DIRECTORY / name
    if not path.is_file():
        pytest.skip(f"no {name} to compare with")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
