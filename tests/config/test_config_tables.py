"""Our tables say what Kafka's documentation says, setting by setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykbroker.config.broker_table import BROKER
from pykbroker.config.definitions import Definition, Table, format_value, parse
from pykbroker.config.documentation import documentation_of
from pykbroker.config.effective import EFFECTIVE, HIDDEN_PREFIXES, TOPIC_WITHOUT_EFFECT, is_shown
from pykbroker.config.listing import PAGES
from pykbroker.config.resource_tables import CLIENT_METRICS, GROUP, TOPIC
from pykbroker.config.settings import FALLBACKS, Settings
from pykbroker.config.topic import LogConfig, log_config
from tests.support.fact_tables import rows

TABLES = {"broker_configs.tsv": BROKER, "topic_configs.tsv": TOPIC, "group_configs.tsv": GROUP}
TYPES = {"boolean": "bool"}


def rule_of(valid_values: str) -> str:
    """The rule in our notation for what the fact table says in words."""
    fixed = {
        "": "-",
        "[1,...,9] or -1": "-1|1..9",
        "list without duplicates (empty allowed)": "distinct",
        "list without duplicates (not empty)": "some",
        "not null": "notnull",
        "not empty": "nonempty",
        "[partitionId]:[brokerId],... or *": "replicas",
        "latest, earliest or by_duration:<ISO-8601>": "reset",
        "checked by ControllerQuorumVotersValidator": "voters",
        "checked by ControllerQuorumBootstrapServersValidator": "servers",
    }
    if valid_values in fixed:
        return fixed[valid_values]
    if valid_values.startswith("list of ["):
        return f"each({valid_values[9:-1].replace(', ', ',')})"
    inside = valid_values.strip("[]")
    if ",...," in inside:
        return "..".join(inside.split(",...,"))
    if inside.endswith(",..."):
        return inside.removesuffix(",...") + ".."
    return f"in({inside.replace(', ', ',')})"


def default_of(text: str) -> str | None:
    if text in ("<null>", "<required>"):
        return None
    return "1.7976931348623157E308" if text.startswith("1.797") else text


@pytest.mark.parametrize("name", TABLES)
def test_every_documented_setting_is_there_as_documented(name: str) -> None:
    table = TABLES[name]
    for row in rows(name):
        ours = table[row["name"]]
        assert (
            ours.type,
            ours.default,
            ours.rule,
            ours.importance,
            ours.internal,
            ours.required,
        ) == (
            TYPES.get(row["type"], row["type"]),
            default_of(row["default"]),
            rule_of(row["valid_values"]),
            row["importance"][0],
            row.get("visibility") == "internal",
            row["default"] == "<required>",
        ), row["name"]


def test_modes_and_sensitivity_are_kafkas() -> None:
    for row in rows("broker_configs.tsv"):
        ours = BROKER[row["name"]]
        assert ours.mode == row["dynamic"], row["name"]
        assert ours.sensitive == (row["sensitive"] == "yes"), row["name"]


def test_topic_settings_fall_back_as_documented() -> None:
    for row in rows("topic_configs.tsv"):
        ours = TOPIC[row["name"]]
        named = [n for n in row["broker_synonyms"].split(",") if n]
        first = ours.extras[0] if ours.extras else None
        chain = [first, *(n for n, _ in FALLBACKS.get(first or "", ()))] if first else []
        assert chain == named, row["name"]


def test_group_settings_have_their_brokers_default_and_limits() -> None:
    for row in rows("group_configs.tsv"):
        synonym, *limits = GROUP[row["name"]].extras
        assert synonym == (row["broker_synonym"] or "-"), row["name"]
        if row["broker_limits"]:
            assert limits == row["broker_limits"].split(","), row["name"]


def test_settings_added_after_the_tables_are_known_too() -> None:
    scopes = {"broker": BROKER, "group": GROUP, "topic": TOPIC}
    for row in rows("configs_added_after_4_2.tsv"):
        assert row["name"] in scopes[row["scope"]], row["name"]


@pytest.mark.parametrize("table", [BROKER, TOPIC, GROUP, CLIENT_METRICS])
def test_every_default_keeps_its_own_rule(table: Table) -> None:
    for name in table.names():
        definition = table[name]
        assert definition.name == name
        if definition.default is not None:
            value = parse(definition, definition.default)
            assert format_value(value) == definition.default, name


def test_names_in_other_tables_exist() -> None:
    brokers_names = [
        extra for t in (TOPIC, GROUP) for n in t.names() for extra in t[n].extras if extra != "-"
    ]
    fallbacks = [n for chain in FALLBACKS.values() for n, _ in chain]
    for name in (*brokers_names, *FALLBACKS, *fallbacks, *EFFECTIVE):
        assert name in BROKER, name
    for name in TOPIC_WITHOUT_EFFECT:
        assert name in TOPIC, name


def test_each_hidden_family_has_members() -> None:
    for prefix in HIDDEN_PREFIXES:
        assert any(name.startswith(prefix) for name in BROKER.names()), prefix


def test_nothing_that_works_is_hidden() -> None:
    assert [name for name in EFFECTIVE if not is_shown(name)] == []


def test_what_works_and_is_shown_is_documented() -> None:
    for name in EFFECTIVE:
        if not BROKER[name].internal:
            assert documentation_of(name), name


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_of_settings_are_up_to_date(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / name
    assert page.read_text(encoding="utf-8") == PAGES[name]()


def test_a_log_config_has_every_topic_setting_as_an_attribute() -> None:
    config = log_config(Settings({}), {})
    for name in LogConfig.__slots__:
        assert getattr(config, name) is not None, name


def test_a_definition_reads_its_marks() -> None:
    definition = Definition("a.b list '' each(x,y) hbid c.d e.f")
    assert definition.name == "a.b"
    assert definition.default == ""
    assert definition.rule == "each(x,y)"
    assert definition.mode == "per-broker"
    assert definition.dynamic
    assert definition.internal
    assert definition.dynamic_only
    assert definition.extras == ("c.d", "e.f")
