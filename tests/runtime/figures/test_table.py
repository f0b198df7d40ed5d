"""The table of metrics against the facts about the exporters for Kafka, and its page."""

from __future__ import annotations

from pathlib import Path

from pykbroker.runtime.figures.listing import (
    LEFT_OUT,
    OWN,
    QUOTAS,
    WITHOUT_MEANING,
    page,
    why_absent,
)
from pykbroker.runtime.figures.table import FAMILIES, named
from tests.support import fact_tables

DOCS = Path(__file__).parents[3] / "docs"
PARTS = {"listener": "PLAINTEXT", "name": "NAME", "version": "VERSION"}
"""As the facts have them."""
OURS = {named(name, **PARTS): family for name, family in FAMILIES.items()}
ABSENT = {named(name, **PARTS): reason for name, reason in (WITHOUT_MEANING | LEFT_OUT).items()}


def facts() -> dict[str, tuple[set[str], set[tuple[str, ...]]]]:
    """Name: (types, combinations of labels)."""
    known: dict[str, tuple[set[str], set[tuple[str, ...]]]] = {}
    for row in fact_tables.rows("metrics.tsv"):
        name, labels = row["jmx_exporter_name"], row["jmx_exporter_labels"]
        if name:
            types, combinations = known.setdefault(name, (set(), set()))
            types.add(row["prometheus_type"])
            fixed = (label.partition("=")[0] for label in labels.split(",") if label)
            combinations.add(tuple(fixed))
    return known


def test_names_types_and_labels_are_those_of_the_exporters() -> None:
    known = facts()
    for name, family in OURS.items():
        if name.startswith((*OWN, *QUOTAS)):
            assert name not in known
            continue
        assert name in known, name
        types, combinations = known[name]
        expected = {family.labels, ()} if family.also_bare else {family.labels}
        assert {family.type} == types, name
        assert expected == combinations, name


def test_those_of_quotas_are_of_the_other_rules() -> None:
    known = {r["confluent_rules_name"] for r in fact_tables.rows("metrics.tsv")}
    told = {name for name in known if name.startswith(QUOTAS)}
    assert told == {name for name in OURS if name.startswith(QUOTAS)}
    assert {OURS[name].labels for name in told} == {("user", "client_id")}


def test_every_other_figure_of_kafka_is_accounted_for() -> None:
    absent = facts().keys() - OURS.keys()
    assert {name for name in absent if why_absent(name) is None} == set()
    without_use = [
        beginning for beginning in ABSENT if not any(name.startswith(beginning) for name in absent)
    ]
    assert without_use == []


def test_nothing_is_given_and_said_to_have_no_meaning() -> None:
    assert [name for name in OURS if name.startswith(tuple(ABSENT))] == []


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == page()
