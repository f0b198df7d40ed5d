"""Writes docs/settings.md: what can be changed while the broker runs, and what has no effect.

python -m pykbroker.config.listing > docs/settings.md
"""

from __future__ import annotations

from pykbroker.config.broker_table import BROKER
from pykbroker.config.effective import (
    EFFECTIVE,
    HIDDEN_PREFIXES,
    ONLY_AT_START,
    TOPIC_WITHOUT_EFFECT,
    is_shown,
)
from pykbroker.config.resource_tables import TOPIC


def dynamic_broker_settings() -> list[str]:
    """Shown to clients as changeable."""
    known = [BROKER[name] for name in BROKER.names()]
    return [d.name for d in known if d.dynamic and not d.dynamic_only and is_shown(d.name)]


def topic_settings() -> list[str]:
    """Shown to clients."""
    return [name for name in TOPIC.names() if not TOPIC[name].internal and is_shown(name)]


def acts_at_run_time(name: str) -> bool:
    return name in EFFECTIVE and name not in ONLY_AT_START


def settings_page() -> str:
    dynamic, topics = dynamic_broker_settings(), topic_settings()
    read_only = [
        d.name
        for d in (BROKER[name] for name in BROKER.names())
        if not d.dynamic and not d.internal and is_shown(d.name) and d.name not in EFFECTIVE
    ]
    sections = [
        (
            "Broker settings that can be changed while it runs",
            [name for name in dynamic if acts_at_run_time(name)],
        ),
        ("Topic settings", [name for name in topics if name not in TOPIC_WITHOUT_EFFECT]),
        ("Without effect: dynamic broker settings", [n for n in dynamic if n not in EFFECTIVE]),
        ("Read at start only, though Kafka can change them later", sorted(ONLY_AT_START)),
        ("Without effect: topic settings", [n for n in topics if n in TOPIC_WITHOUT_EFFECT]),
        ("Without effect: broker settings read at start", read_only),
    ]
    hidden = "\n".join(f"- `{prefix}*`" for prefix in HIDDEN_PREFIXES)
    body = "\n\n".join(
        f"## {title}\n\n" + "\n".join(f"- `{name}`" for name in names) for title, names in sections
    )
    return (
        "# Settings\n\n"
        "Made by `python -m pykbroker.config.listing`. Names, types and defaults are Kafka's. A\n"
        "setting without effect is accepted and named once at start.\n\n"
        f"{body}\n\n"
        "## Not shown to clients\n\n"
        "Settings of features that are not there are accepted and not listed.\n\n"
        f"{hidden}\n"
    )


if __name__ == "__main__":
    print(settings_page(), end="")
