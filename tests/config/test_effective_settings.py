"""The list of settings that have an effect, against the code that reads them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from pykbroker.config.broker_table import BROKER
from pykbroker.config.effective import EFFECTIVE, TOPIC_WITHOUT_EFFECT
from pykbroker.config.resource_tables import TOPIC
from pykbroker.config.settings import FALLBACKS

SOURCE = Path(__file__).parents[2] / "pykbroker"
NAME_WITHOUT_ACTING = (
    "config/broker_table.py",
    "config/checks.py",
    "config/documentation.py",
    "config/effective.py",
    "config/groups.py",
    "config/resource_tables.py",
    "config/settings.py",
    "state/broker_configs.py",
)
"""Tables of settings, and what must hold of their values."""


@cache
def named() -> dict[str, str]:
    """Every broker setting that stands in the code as a text of its own, and where."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        where = path.relative_to(SOURCE).as_posix()
        if where in NAME_WITHOUT_ACTING:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found[node.value] = where
    return {name: where for name, where in found.items() if name in BROKER}


def of_topics() -> set[str]:
    """What a topic without a setting of its own takes instead."""
    acting = (TOPIC[name] for name in TOPIC.names() if name not in TOPIC_WITHOUT_EFFECT)
    return {definition.extras[0] for definition in acting if definition.extras}


def fallbacks(names: set[str]) -> set[str]:
    return {other for name in names for other, _ in FALLBACKS.get(name, ())}


def test_there_is_something_to_compare() -> None:
    assert len(named()) > 60
    assert all((SOURCE / where).is_file() for where in NAME_WITHOUT_ACTING)


def test_whatever_has_an_effect_is_read_somewhere() -> None:
    read = set(named()) | of_topics()
    assert EFFECTIVE - read - fallbacks(read) == set()


def test_whatever_is_read_is_said_to_have_an_effect() -> None:
    assert {name: where for name, where in named().items() if name not in EFFECTIVE} == {}
    read = set(named()) | of_topics()
    shown = {name for name in read | fallbacks(read) if not BROKER[name].internal}
    assert {name for name in shown - EFFECTIVE if not name.startswith("log.remote.")} == set()
