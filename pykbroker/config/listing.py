"""Writes docs/settings.md, the reference of what acts, and docs/settings-without-effect.md.

python -m pykbroker.config.listing docs
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pykbroker.config.broker_table import BROKER
from pykbroker.config.documentation import documentation_of
from pykbroker.config.effective import (
    EFFECTIVE,
    HIDDEN_PREFIXES,
    ONLY_AT_START,
    TOPIC_WITHOUT_EFFECT,
    is_shown,
)
from pykbroker.config.load import local_profile
from pykbroker.config.resource_tables import CLIENT_METRICS, TOPIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykbroker.config.definitions import Definition

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
    """Every setting that acts, as tables."""
    broker = [
        BROKER[n]
        for n in BROKER.names()
        if n in EFFECTIVE and not BROKER[n].internal and is_shown(n)
    ]
    static = [d for d in broker if not d.dynamic or d.name in ONLY_AT_START]
    dynamic = [d for d in broker if d not in static]
    topic = [TOPIC[name] for name in topic_settings() if acts_at_run_time("topic", name)]
    parts = [
        "# Settings",
        f"""{MADE_BY} Names, types and defaults are Kafka's;
where a default differs, the meaning says so. What is accepted and does nothing stands in
[settings without effect](settings-without-effect.md).

They are given by `-o name=value`, by variables (`KAFKA_LOG_RETENTION_MS` is `log.retention.ms`) and
in a `server.properties` file (`--config FILE`); the first of these counts. A name that nobody knows
is passed over with a warning; of variables only if it is all but one of these, since many have
names of that kind.""",
        "## Of the broker, changed while it runs",
        "Scope is Kafka's: `cluster-wide` is set for all brokers or for one, `per-broker` for one.",
        _table(dynamic, scope=True),
        "## Of the broker, read at start",
        _table(static),
        "## Of a topic",
        "Set when the topic is created or altered; without that, the broker's setting counts.",
        _table(topic, fallback=True),
        "## Of a client-metrics subscription",
        _table([CLIENT_METRICS[name] for name in CLIENT_METRICS.names()]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(
    definitions: Sequence[Definition], *, scope: bool = False, fallback: bool = False
) -> str:
    heads = ["name", "type", "default", "values"]
    heads += ["scope"] * scope + ["broker setting"] * fallback + ["meaning"]
    rows = []
    for one in sorted(definitions, key=lambda d: d.name):
        row = [f"`{one.name}`", one.type, _code(_default(one)), valid_values(one)]
        row += [one.mode] * scope
        row += [_code(one.extras[0] if one.extras else "")] * fallback
        rows.append([*row, _meaning(one)])
    pipe = "\\|"
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', pipe) for cell in row)} |" for row in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _default(one: Definition) -> str:
    """The local profile's, else Kafka's; an empty text where there is none."""
    profile = LOCAL if BROKER.get(one.name) is one else {}
    return profile.get(one.name, one.default or "")


def _meaning(one: Definition) -> str:
    said = [documentation_of(one.name) or ""]
    if BROKER.get(one.name) is one and one.name in LOCAL and LOCAL[one.name] != one.default:
        said.append(f"Kafka's default is {_code(one.default or '') or 'none'}.")
    return " ".join([*said, *(DIFFERENCES[n] for n in (one.name,) if n in DIFFERENCES)])


def valid_values(one: Definition) -> str:
    """The rule in words; an empty text where every value of the type will do."""
    rule = one.rule
    if one.type == "bool":
        return "true, false"
    for prefix, what in (("in(", ""), ("each(", "of ")):
        if rule.startswith(prefix):
            return what + ", ".join(rule[len(prefix) : -1].split(","))
    if ".." in rule:
        exception, bar, span = rule.rpartition("|")
        low, _, high = span.partition("..")
        words = f"{low} to {high}" if high else f"{low} or more"
        return f"{exception}, {words}" if bar else words
    return RULES[rule]


RULES = {
    "-": "",
    "some": "not empty",
    "distinct": "no duplicates",
    "notnull": "",
    "nonempty": "not empty",
    "voters": "id@host:port",
    "servers": "host:port",
    "replicas": "partition:broker, *",
    "reset": "earliest, latest, by_duration:PERIOD",
}
LOCAL = local_profile({})
DIFFERENCES = {
    "flush.messages": "With 1, several partitions share a sync.",
    "log.flush.interval.messages": "With 1, several partitions share a sync.",
    "controller.quorum.bootstrap.servers": "Kafka takes several.",
    "listeners": "PLAINTEXT only. Kafka can change it while it runs.",
    "listener.security.protocol.map": "PLAINTEXT only. Kafka can change it while it runs.",
    "security.inter.broker.protocol": "PLAINTEXT only.",
    "offsets.topic.replication.factor": "As many as there are brokers to begin with, at most 3, "
    "unless it is set.",
    "max.decompressed.message.bytes": "New in Kafka 4.4.",
    "replica.selector.class": "Other classes are passed over.",
}
"""What differs from Kafka, beside a default of the local profile."""


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
