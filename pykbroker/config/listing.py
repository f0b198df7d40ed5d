"""Writes docs/settings.md, what acts while the broker runs, and docs/settings-without-effect.md.

python -m pykbroker.config.listing docs
"""

from __future__ import annotations

import sys
from pathlib import Path

from pykbroker.config.broker_table import BROKER
from pykbroker.config.effective import (
    EFFECTIVE,
    HIDDEN_PREFIXES,
    ONLY_AT_START,
    TOPIC_WITHOUT_EFFECT,
    is_shown,
)
from pykbroker.config.resource_tables import TOPIC

MADE_BY = "Made by `python -m pykbroker.config.listing docs`."


def dynamic_broker_settings() -> list[str]:
    """Shown to clients as changeable."""
    known = [BROKER[name] for name in BROKER.names()]
    return [d.name for d in known if d.dynamic and not d.dynamic_only and is_shown(d.name)]


def topic_settings() -> list[str]:
    """Shown to clients."""
    return [name for name in TOPIC.names() if not TOPIC[name].internal and is_shown(name)]


def acts_at_run_time(scope: str, name: str) -> bool:
    """``scope`` is topic or broker."""
    if scope == "topic":
        return name not in TOPIC_WITHOUT_EFFECT
    return name in EFFECTIVE and name not in ONLY_AT_START


def dynamic_settings() -> list[tuple[str, str]]:
    """(scope, name) of all that clients see and may change while the broker runs."""
    broker = [("broker", name) for name in dynamic_broker_settings()]
    return broker + [("topic", name) for name in topic_settings()]


def settings_page() -> str:
    acting = [(scope, name) for scope, name in dynamic_settings() if acts_at_run_time(scope, name)]
    return _page(
        "Settings that can be changed while the broker runs",
        f"{MADE_BY} Names, types and defaults are Kafka's.\n"
        "What has no effect stands in [settings without effect](settings-without-effect.md).",
        ("Of the broker", [name for scope, name in acting if scope == "broker"]),
        ("Of a topic", [name for scope, name in acting if scope == "topic"]),
    )


def without_effect_page() -> str:
    idle = [(scope, n) for scope, n in dynamic_settings() if not acts_at_run_time(scope, n)]
    read_only = [
        d.name
        for d in (BROKER[name] for name in BROKER.names())
        if not d.dynamic and not d.internal and is_shown(d.name) and d.name not in EFFECTIVE
    ]
    return _page(
        "Settings without effect",
        f"{MADE_BY} A setting of these is accepted,\n"
        "and named once at start. What acts when it is changed while the broker runs stands in\n"
        "[settings](settings.md).",
        (
            "Broker settings that can be changed while it runs",
            [name for scope, name in idle if scope == "broker" and name not in ONLY_AT_START],
        ),
        ("Read at start only, though Kafka can change them later", sorted(ONLY_AT_START)),
        ("Topic settings", [name for scope, name in idle if scope == "topic"]),
        ("Broker settings read at start", read_only),
        (
            "Settings of features that are not there, accepted and not listed to clients",
            [f"{prefix}*" for prefix in HIDDEN_PREFIXES],
        ),
    )


def _page(title: str, introduction: str, *sections: tuple[str, list[str]]) -> str:
    body = [
        f"## {heading}\n\n" + "\n".join(f"- `{name}`" for name in names)
        for heading, names in sections
    ]
    return "\n\n".join([f"# {title}", introduction, *body]) + "\n"


PAGES = {"settings.md": settings_page, "settings-without-effect.md": without_effect_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (Path(sys.argv[1]) / name).write_text(page(), encoding="utf-8")
