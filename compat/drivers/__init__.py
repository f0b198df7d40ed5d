"""Drivers: one program around each stock client, all speaking the lines of PROTOCOL.md.

Each folder here holds the drivers of one language and a ``build.py`` with

    build(root: Path) -> dict[str, list[str] | Missing]

which makes what must be made under ``root/.compat/`` (nothing, when it is up to date) and gives the
command line of each driver, or why it cannot be had. It raises ``Missing`` where none of them can.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Missing(Exception):
    """A driver that cannot be had on this machine; the text says why."""


FAMILIES: dict[str, tuple[str, ...]] = {
    "python": ("kafka-python", "confluent-kafka", "aiokafka", "kcat"),
    "java": ("java", "java-2.8"),
    "go": ("franz-go", "sarama", "kafka-go"),
    "node": ("kafkajs", "confluent-javascript", "platformatic"),
    "rust": ("rdkafka",),
    "tools": ("kafka-tools",),
}
"""The names of the drivers, by folder."""

NAMES = tuple(name for names in FAMILIES.values() for name in names)


def family_of(name: str) -> str:
    return next(family for family, names in FAMILIES.items() if name in names)


def build(family: str, root: Path) -> dict[str, list[str] | Missing]:
    """What each driver of a folder is started with; ``root`` is the checkout."""
    try:
        module = importlib.import_module(f"compat.drivers.{family}.build")
        commands: dict[str, list[str] | Missing] = module.build(root)
    except Missing as missing:
        return dict.fromkeys(FAMILIES[family], missing)
    unknown = Missing("its folder knows no such driver")
    return {name: commands.get(name, unknown) for name in FAMILIES[family]}
