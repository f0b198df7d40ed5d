"""What coordinators of groups count, as a scraper reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pykbroker.runtime.figures.groups import group_samples
from pykbroker.runtime.figures.rates import Rates
from tests.support.group_scenario import GroupScenario
from tests.support.scraped import Found, NoEnds, scrape, value

if TYPE_CHECKING:
    import pytest

NAME = "kafka_server_group_coordinator_metrics_"
HOUR_MS = 3_600_000


def told(scenario: GroupScenario, name: str) -> float | None:
    return value(page(scenario), f"{NAME}{name}")


def page(scenario: GroupScenario) -> Found:
    groups = SimpleNamespace(
        counts=scenario.shard.counts,
        loads=SimpleNamespace(longest_ms=7, mean_ms=3.5),
        shards=lambda: [scenario.shard],
    )
    clock = SimpleNamespace(monotonic_ms=lambda: 10_000)
    broker: Any = SimpleNamespace(
        groups=groups, clock=clock, replicas=SimpleNamespace(find=lambda _: None)
    )
    return scrape(group_samples(broker, Rates(0), NoEnds()))


def test_commits_count_by_partition() -> None:
    scenario = GroupScenario()
    scenario.commit("x", 1, topic="t").commit("x", 2, topic="t").commit("x", 2, topic="u")
    assert told(scenario, "offset_commit_count") == 3
    assert told(scenario, "offset_commit_rate") == 0.3
    assert told(scenario, "offset_expiration_count") == 0
    assert told(scenario, "offset_deletion_count") == 0


def test_generations_count() -> None:
    scenario = GroupScenario()
    scenario.stable("a")
    assert told(scenario, "group_completed_rebalance_count") == 1
    scenario.stable("a", "b")
    assert scenario.group.generation_id == 3
    assert told(scenario, "group_completed_rebalance_count") == 3
    assert told(scenario, "protocol_classic_group_count") == 1


def test_what_expires_and_what_is_deleted_count_apart() -> None:
    scenario = GroupScenario(offsets_retention_ms=HOUR_MS)
    scenario.commit("x", 1, topic="t").commit("x", 2, topic="u")
    scenario.carry_out(scenario.shard.topics_deleted(["u"]))
    assert told(scenario, "offset_deletion_count") == 1
    scenario.at(3 * HOUR_MS)
    assert told(scenario, "offset_expiration_count") == 1
    assert told(scenario, "offset_deletion_count") == 1


def test_groups_and_offsets_with_series_of_their_own_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = GroupScenario()
    for number in range(5):
        scenario.commit("x", 1, topic="t", group=f"g{number}")
    monkeypatch.setattr("pykbroker.runtime.figures.groups.GROUP_LIMIT", 3)
    found = page(scenario)
    assert len([name for name, _ in found if name == "kafka_consumergroup_members"]) == 3
    assert len([name for name, _ in found if name == "kafka_consumergroup_current_offset"]) == 3
    assert value(found, "pykbroker_metrics_left_out") == 2
    assert value(found, "kafka_coordinator_group_groupmetadatamanager_numgroups") == 5
    monkeypatch.setattr("pykbroker.runtime.figures.groups.OFFSET_LIMIT", 1)
    found = page(scenario)
    assert len([name for name, _ in found if name == "kafka_consumergroup_current_offset"]) == 1
    assert value(found, "pykbroker_metrics_left_out") == 4
    assert value(found, "kafka_coordinator_group_groupmetadatamanager_numoffsets") == 5


def test_loads_are_told() -> None:
    assert told(GroupScenario(), "partition_load_time_max") == 7
    assert told(GroupScenario(), "partition_load_time_avg") == 3.5
