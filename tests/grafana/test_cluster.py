"""Every panel, alert and recording rule against a real Prometheus; one broker is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.grafana import community
from tests.grafana.community import community_queries
from tests.grafana.load import FALLS_BEHIND, KEEPS_UP, load
from tests.grafana.monitored import SHIPPED, Monitored
from tests.grafana.queries import (
    DASHBOARDS,
    PanelQuery,
    queries,
    substituted,
    variable_queries,
)
from tests.support.process import eventually
from tests.support.prometheus import Prometheus, binary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VARIABLES = {
    "job": "pykbroker",
    "instance": ".+",
    "topic": ".+",
    "group": ".+",
    "request": ".+",
    "__rate_interval": "10s",
}
QUERIES = [q for path in sorted(DASHBOARDS.glob("*.json")) for q in queries(path, VARIABLES)]

ONLY_AFTER_THE_LOSS = {("pykbroker-replication", "Partitions that are not in full")}
"""Panels that show what is wrong, and nothing while nothing is."""

SHOWN = {
    # panel of the overview: (before the loss, after it)
    "Brokers that serve": (3, 2),
    "Brokers that do not answer": (0, 1),
    "Active controllers": (1, 1),
    "Offline partitions": (0, 1),  # single
    "Under-replicated partitions": (0, 12),  # orders, strict, __consumer_offsets
    "Under min ISR": (0, 3),  # strict
    "Offline log directories": (0, 0),
    "Topics": (4, 4),
    "Partitions": (13, 13),
    "Groups": (2, 2),
}

MOVING = {
    "pykbroker-overview": (
        *("Records in", "Bytes in", "Bytes out", "Requests", "Error codes"),
        *("Largest lag", "Data", "Leaders"),
    ),
    "pykbroker-topics": (
        *("Records", "Data", "Records in", "Bytes in", "Bytes out", "Appends", "Reads"),
        *("Size by topic", "Size by broker", "Segments", "Records by partition"),
    ),
    "pykbroker-replication": ("Leaders", "Replicas", "Replication in", "Replication out"),
    "pykbroker-groups": (
        *("Stable", "Groups by coordinator", "Members", "Offset commits"),
        *("Lag", "Commits", "Records in"),
    ),
    "pykbroker-requests": (
        *("Requests by API", "Requests by broker", "Share of errors", "Error codes by API"),
        *("Versions", "Total", "Produce, by quantile", "Work", "Waiting for others"),
        "Request size, 99th percentile",
    ),
    "pykbroker-process": (
        *("CPU", "Resident memory", "File descriptors", "Fetch sessions", "Free space"),
        *("Open connections by listener", "Network", "Client software", "Shortest uptime"),
    ),
}
"""Panels that show something above zero while there is load."""

OF_THE_LOAD = {"KafkaConsumerLagGrowing", "KafkaRequestErrors"}
OF_THE_LOSS = {
    "KafkaBrokerDown",
    "KafkaBrokerFenced",
    "KafkaOfflinePartitions",
    "KafkaUnderReplicatedPartitions",
    "KafkaUnderMinIsrPartitions",
}
OF_THE_MACHINE = {
    "KafkaRequestLatency",
    "PykbrokerDiskFills",
    "PykbrokerDiskFull",
    "PykbrokerEventLoopLag",
}
"""A machine that is too busy or full may make these fire, and rightly: not judged here."""


def _rules(file: str, kind: str) -> set[str]:
    groups = yaml.safe_load((SHIPPED / file).read_text())["groups"]
    return {rule[kind] for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """Tests in this order: what is true before a broker is lost comes first."""
    binary("prometheus")
    made = Monitored(tmp_path_factory.mktemp("monitored"))
    try:
        made.start()
        with load(made.cluster.bootstrap):
            yield made
    finally:
        made.end()


def without_data(monitored: Monitored, but_for: Iterable[tuple[str, str]] = ()) -> list[PanelQuery]:
    wanted = [query for query in QUERIES if (query.board, query.panel) not in but_for]
    return [query for query in wanted if not monitored.prometheus.values(query.expr)]


def shown_wrongly(monitored: Monitored, moment: int) -> list[str]:
    """Panels whose one value is not what the cluster is known to be like."""
    exprs = {q.panel: q.expr for q in QUERIES if q.board == "pykbroker-overview"}
    return [
        f"{panel}: {value}, not {expected[moment]}"
        for panel, expected in SHOWN.items()
        if (value := monitored.prometheus.value(exprs[panel])) != expected[moment]
    ]


def still(monitored: Monitored) -> list[PanelQuery]:
    """Queries whose panel should move and does not."""
    wanted = [query for query in QUERIES if query.panel in MOVING[query.board]]
    return [q for q in wanted if max(monitored.prometheus.values(q.expr), default=0) <= 0]


def not_recorded(prometheus: Prometheus, file: str) -> list[str]:
    return sorted(name for name in _rules(file, "record") if not prometheus.values(name))


def states(monitored: Monitored, *wanted: str) -> set[str]:
    found = monitored.prometheus.alerts()
    return {alert["labels"]["alertname"] for alert in found if alert["state"] in wanted}


def eventually_all(what: str, missing: Any) -> None:
    """``missing`` gives what is not there yet."""
    left: list[Any] = []

    def none_left() -> bool:
        left[:] = missing()
        return not left

    try:
        eventually(none_left)
    except AssertionError:
        raise AssertionError(f"{what}:\n" + "\n".join(map(str, left))) from None


def test_all_is_well_until_a_broker_is_lost(monitored: Monitored) -> None:
    prometheus = monitored.prometheus
    eventually_all("panels without data", lambda: without_data(monitored, ONLY_AFTER_THE_LOSS))
    assert {(q.board, q.panel) for q in without_data(monitored)} >= ONLY_AFTER_THE_LOSS
    eventually_all("panels that tell other than is", lambda: shown_wrongly(monitored, 0))
    named = {(board, panel) for board in MOVING for panel in MOVING[board]}
    assert named <= {(query.board, query.panel) for query in QUERIES}
    eventually_all("panels that do not move", lambda: still(monitored))
    eventually_all("recorded nothing", lambda: not_recorded(prometheus, "recording.yml"))
    eventually_all(
        "alerts that did not fire", lambda: sorted(OF_THE_LOAD - states(monitored, "firing"))
    )
    alerts = monitored.fired()
    assert {alert["alertname"] for alert in alerts} - OF_THE_MACHINE == OF_THE_LOAD
    lagging = {alert["consumergroup"] for alert in alerts if "consumergroup" in alert}
    assert lagging == {FALLS_BEHIND}
    assert "DescribeConfigs" in {alert.get("request") for alert in alerts}
    assert prometheus.value(f'kafka_consumergroup_members{{consumergroup="{KEEPS_UP}"}}') == 1
    assert prometheus.rule_errors() == []


def test_variables_have_something_to_pick(monitored: Monitored) -> None:
    picks = {pick for path in DASHBOARDS.glob("*.json") for pick in variable_queries(path)}
    assert {label for _, label in picks} == {
        *("job", "instance", "topic", "consumergroup", "request")
    }
    for selector, label in picks:
        found = monitored.prometheus.query(substituted(selector, VARIABLES))
        assert {series["metric"].get(label) for series in found} - {None}, (selector, label)


def test_dashboards_of_others_have_their_data(monitored: Monitored) -> None:
    asked = community_queries()
    kinds = community.without_data()
    panels = {(query.board, query.panel) for query in asked}
    assert kinds.keys() <= panels

    def empty() -> set[tuple[str, str]]:
        return {(q.board, q.panel) for q in asked if not monitored.community.values(q.expr)}

    eventually_all("panels without data", lambda: sorted(empty() - kinds.keys()))
    assert empty() == kinds.keys(), "there is data now"
    sensible = {panel for panel in panels if kinds.get(panel, "absent") == "absent"}
    there = sensible - kinds.keys()
    assert len(there) / len(sensible) >= 0.9, f"{len(there)} of {len(sensible)}"
    eventually_all("recorded nothing", lambda: not_recorded(monitored.community, "names.yml"))
    assert monitored.community.rule_errors() == []


def test_the_loss_of_a_broker_is_told(monitored: Monitored) -> None:
    prometheus = monitored.prometheus
    monitored.kill_victim()
    eventually_all(
        "alerts that did not fire",
        lambda: sorted((OF_THE_LOAD | OF_THE_LOSS) - states(monitored, "firing")),
    )
    told = [text for alert in prometheus.alerts() for text in alert["annotations"].values()]
    assert not [text for text in told if "error" in text and "template" in text]
    expected = OF_THE_LOAD | OF_THE_LOSS | OF_THE_MACHINE
    # What is pending may yet fire: it does not once it is gone.
    eventually_all(
        "alerts that may fire yet",
        lambda: sorted(states(monitored, "pending", "firing") - expected),
    )
    alerts = monitored.fired()
    assert {alert["alertname"] for alert in alerts} - OF_THE_MACHINE == OF_THE_LOAD | OF_THE_LOSS
    down = {alert["instance"] for alert in alerts if alert["alertname"] == "KafkaBrokerDown"}
    assert down == {monitored.targets[monitored.victim - 1]}
    eventually_all("panels without data", lambda: without_data(monitored))
    eventually_all("panels that tell other than is", lambda: shown_wrongly(monitored, 1))
    assert prometheus.rule_errors() == []


def test_the_alerts_named_here_are_those_shipped() -> None:
    assert _rules("alerts.yml", "alert") >= OF_THE_LOAD | OF_THE_LOSS | OF_THE_MACHINE
