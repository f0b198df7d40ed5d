"""Whatever clients see as changeable has a test that changes it, or is said to have no effect."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pykbroker.config.broker_table import BROKER as BROKER_TABLE
from pykbroker.config.effective import is_shown
from pykbroker.config.listing import acts_at_run_time, dynamic_settings
from pykbroker.config.resource_tables import TOPIC as TOPIC_TABLE
from tests.support.dynamic_settings import BROKER, NAME, TESTED, TOPIC, Member, one_broker
from tests.support.fact_tables import rows
from wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource

RESOURCES = {"broker": (BROKER, "1"), "topic": (TOPIC, NAME)}


@pytest.fixture(scope="module")
def tested() -> set[tuple[str, str]]:
    here = Path(__file__)
    for path in here.parent.glob("test_settings_of_*.py"):
        importlib.import_module(f"tests.config.dynamic.{path.stem}")
    return set(TESTED)


def idle() -> set[tuple[str, str]]:
    return {
        (scope, name) for scope, name in dynamic_settings() if not acts_at_run_time(scope, name)
    }


async def shown_as_changeable(box: Member) -> set[tuple[str, str]]:
    found = set()
    for scope, (kind, name) in RESOURCES.items():
        resource = DescribeConfigsResource(
            resource_type=kind, resource_name=name, configuration_keys=None
        )
        [result] = (await box.ask(DescribeConfigsRequest(resources=[resource]))).results
        assert result.error_code == 0
        found |= {(scope, config.name) for config in result.configs if not config.read_only}
    return found


@pytest.mark.anyio
async def test_what_clients_see_is_tested_or_without_effect(tested: set[tuple[str, str]]) -> None:
    async with one_broker() as box:
        await box.create()
        shown = await shown_as_changeable(box)
    assert shown == set(dynamic_settings())
    assert shown - tested - idle() == set()
    assert tested & idle() == set()
    assert len(idle()) <= len(shown) / 4


def test_every_dynamic_setting_of_the_tables_is_accounted_for(
    tested: set[tuple[str, str]],
) -> None:
    known = [("topic", row["name"]) for row in rows("topic_configs.tsv")]
    known += [
        ("broker", row["name"])
        for row in rows("broker_configs.tsv")
        if row["dynamic"] != "read-only"
    ]
    hidden = {(scope, name) for scope, name in known if not is_shown(name)}
    assert set(known) - tested - idle() - hidden == set()


def test_nothing_is_tested_that_does_not_exist(tested: set[tuple[str, str]]) -> None:
    tables = {"broker": BROKER_TABLE, "topic": TOPIC_TABLE}
    names = {(scope, name) for scope, name in tested if not name.startswith("listener.name.")}
    assert [key for key in names if key[1] not in tables[key[0]]] == []
