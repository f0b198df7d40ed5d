"""Alert and recording rules in invented minutes: when each alert fires, and when it does not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from pykbroker.runtime.figures.table import FAMILIES, named
from tests.support import fact_tables
from tests.support.prometheus import binary

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "grafana" / "prometheus").glob("*.yml"))
RULE_FILES = [path for path in RULES if "groups" in yaml.safe_load(path.read_text())]
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for path in RULE_FILES
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
NAMED = {"listener": "PLAINTEXT", "name": "name", "version": "version"}
JOB = 'job="pykbroker"'
ONE, TWO = f'{JOB},instance="one"', f'{JOB},instance="two"'
ERRORS = "kafka_network_requestmetrics_errors_total"
LAG = f'kafka_consumergroup_lag_sum{{{ONE},consumergroup="g",topic="t"}}'
TIMES = f'kafka_network_requestmetrics_totaltimems{{{ONE},quantile="0.99",'
UNCLEAN = "kafka_controller_controllerstats_uncleanleaderelections_total"
DISK = "pykbroker_log_directory_"
VOLUME = {f"{DISK}total_bytes{{{ONE}}}": "100x99"}
CONTROLLERS = "kafka_controller_kafkacontroller_activecontrollercount"


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / "grafana" / "prometheus" / name).read_text())


class Case(NamedTuple):
    """At ``minute``, with these series of a value a minute, so many alerts fire."""

    alert: str
    series: dict[str, str]
    minute: int
    firing: int


def _gauge(alert: str, name: str, minutes: int, labels: str = ONE) -> list[Case]:
    """Fires when it has been 1 for so long, and not before, nor ever at 0."""
    series = f"{name}{{{labels}}}"
    return [
        Case(alert, {series: "0 1x60"}, minutes + 2, 1),
        Case(alert, {series: "0 1x60"}, max(minutes - 1, 0), 0),
        Case(alert, {series: "0x60"}, 60, 0),
        Case(alert, {series: "1x2 0x60"}, 60, 0),
    ]


CASES = [
    Case("KafkaBrokerDown", {f"up{{{ONE}}}": "1 0x9", f"up{{{TWO}}}": "1x9"}, 3, 1),
    Case("KafkaBrokerDown", {f"up{{{ONE}}}": "1 0 1x9"}, 1, 0),
    Case("KafkaBrokerDown", {f"up{{{ONE}}}": "1x9", 'up{job="other"}': "0x9"}, 9, 0),
    *_gauge("KafkaBrokerFenced", "kafka_controller_kafkacontroller_fencedbrokercount", 5),
    Case("KafkaBrokerRestarting", {f"process_start_time_seconds{{{ONE}}}": "1 2 3 4x9"}, 4, 1),
    Case("KafkaBrokerRestarting", {f"process_start_time_seconds{{{ONE}}}": "1x5 2x9"}, 9, 0),
    Case("KafkaNoActiveController", {f"{CONTROLLERS}{{{ONE}}}": "1 0x9"}, 3, 1),
    Case("KafkaNoActiveController", {f"up{{{ONE}}}": "0x9"}, 3, 1),
    Case(
        "KafkaNoActiveController",
        {f"{CONTROLLERS}{{{ONE}}}": "1 0x9", f"{CONTROLLERS}{{{TWO}}}": "0 1x9"},
        9,
        0,
    ),
    Case(
        "KafkaSeveralActiveControllers",
        {f"{CONTROLLERS}{{{ONE}}}": "1x9", f"{CONTROLLERS}{{{TWO}}}": "0 1x9"},
        3,
        1,
    ),
    Case(
        "KafkaSeveralActiveControllers",
        {f"{CONTROLLERS}{{{ONE}}}": "1x9", f"{CONTROLLERS}{{{TWO}}}": "0 1 0x9"},
        9,
        0,
    ),
    *_gauge("KafkaOfflineLogDirectory", "kafka_log_logmanager_offlinelogdirectorycount", 1),
    *_gauge("KafkaOfflinePartitions", "kafka_controller_kafkacontroller_offlinepartitionscount", 1),
    *_gauge(
        "KafkaUnderReplicatedPartitions",
        "kafka_server_replicamanager_underreplicatedpartitions",
        5,
    ),
    *_gauge(
        "KafkaUnderMinIsrPartitions", "kafka_server_replicamanager_underminisrpartitioncount", 1
    ),
    Case("KafkaUncleanLeaderElection", {f"{UNCLEAN}{{{ONE}}}": "0x5 2x9"}, 7, 1),
    Case("KafkaUncleanLeaderElection", {f"{UNCLEAN}{{{ONE}}}": "0x5 2x9"}, 13, 0),
    Case("KafkaUncleanLeaderElection", {f"{UNCLEAN}{{{ONE}}}": "2x9"}, 7, 0),
    *_gauge("KafkaFollowerFailed", "kafka_server_replicafetchermanager_failedpartitionscount", 1),
    *_gauge(
        "KafkaLogCleanerGaveUp", "kafka_log_logcleanermanager_uncleanable_partitions_count", 15
    ),
    Case("PykbrokerDiskFull", {f"{DISK}usable_bytes{{{ONE}}}": "5x9", **VOLUME}, 7, 1),
    Case("PykbrokerDiskFull", {f"{DISK}usable_bytes{{{ONE}}}": "15x9", **VOLUME}, 9, 0),
    Case("PykbrokerDiskFills", {f"{DISK}usable_bytes{{{ONE}}}": "900-5x99"}, 60, 1),
    Case("PykbrokerDiskFills", {f"{DISK}usable_bytes{{{ONE}}}": "90000-5x99"}, 60, 0),
    Case("PykbrokerDiskFills", {f"{DISK}usable_bytes{{{ONE}}}": "5x99"}, 60, 0),
    Case(
        "KafkaIsrShrinking",
        {f"kafka_server_replicamanager_isrshrinks_total{{{ONE}}}": "0+1x40"},
        20,
        1,
    ),
    Case(
        "KafkaIsrShrinking",
        {f"kafka_server_replicamanager_isrshrinks_total{{{ONE}}}": "0x5 3x40"},
        22,
        0,
    ),
    Case("KafkaConsumerLagGrowing", {LAG: "0+200x40"}, 30, 1),
    Case("KafkaConsumerLagGrowing", {LAG: "5000-100x40"}, 30, 0),
    Case("KafkaConsumerLagGrowing", {LAG: "0+10x40"}, 30, 0),
    Case("KafkaConsumerLagGrowing", {LAG: "5000x40"}, 30, 0),
    Case(
        "KafkaConsumerLagGrowing",  # told by another coordinator: it is the same lag
        {LAG: "0+200x20 _x20", LAG.replace('"one"', '"two"'): "_x20 4200+200x20"},
        30,
        1,
    ),
    Case(
        "KafkaRequestErrors",
        {
            f'{ERRORS}{{{ONE},request="Produce",error="NONE"}}': "0+80x30",
            f'{ERRORS}{{{ONE},request="Produce",error="NOT_ENOUGH_REPLICAS"}}': "0+20x30",
            f'{ERRORS}{{{ONE},request="Fetch",error="NONE"}}': "0+80x30",
        },
        15,
        1,
    ),
    Case(
        "KafkaRequestErrors",
        {
            f'{ERRORS}{{{ONE},request="Produce",error="NONE"}}': "0+980x30",
            f'{ERRORS}{{{ONE},request="Produce",error="NOT_ENOUGH_REPLICAS"}}': "0+20x30",
        },
        15,
        0,
    ),
    Case(
        "KafkaRequestErrors",  # one in ten minutes, of one
        {f'{ERRORS}{{{ONE},request="Heartbeat",error="UNKNOWN_MEMBER_ID"}}': "0x9 1x30"},
        21,
        0,
    ),
    Case("KafkaRequestLatency", {TIMES + 'request="Produce"}': "1500x9"}, 6, 1),
    Case("KafkaRequestLatency", {TIMES + 'request="Produce"}': "1500x2 500x9"}, 9, 0),
    Case("KafkaRequestLatency", {TIMES + 'request="FetchConsumer"}': "1500x9"}, 9, 0),
    *_gauge("PykbrokerEventLoopLag", "pykbroker_event_loop_lag_seconds", 6),
    Case("PykbrokerEventLoopLag", {f"pykbroker_event_loop_lag_seconds{{{ONE}}}": "0.05x30"}, 30, 0),
    Case(
        "PykbrokerFileDescriptors",
        {f"process_open_fds{{{ONE}}}": "900x9", f"process_max_fds{{{ONE}}}": "1000x9"},
        6,
        1,
    ),
    Case(
        "PykbrokerFileDescriptors",
        {f"process_open_fds{{{ONE}}}": "700x9", f"process_max_fds{{{ONE}}}": "1000x9"},
        9,
        0,
    ),
    *_gauge("PykbrokerMetricsLeftOut", "pykbroker_metrics_left_out", 15),
]


def test_other_rules_of_the_jmx_exporter_find_their_names() -> None:
    """Each name that they give to a figure which we measure is ours too, or recorded."""
    ours = {family.name for family in FAMILIES.values()}
    ours |= {named(name, **NAMED) for name in ours if "{" in name}
    ours |= {rule["record"] for group in read("names.yml")["groups"] for rule in group["rules"]}
    missing = {
        row[column]
        for row in fact_tables.rows("metrics.tsv")
        for column in ("confluent_rules_name", "strimzi_rules_name")
        if row["jmx_exporter_name"] in ours and row[column]
    } - ours
    assert missing == set()


def test_prometheus_takes_the_rules() -> None:
    command = [binary("promtool"), "check", "rules", *map(str, RULE_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [p for p in RULES if p not in RULE_FILES], ids=lambda p: p.name)
def test_prometheus_takes_the_configuration(path: Path) -> None:
    command = [binary("promtool"), "check", "config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    tests = [
        {
            "name": f"{case.alert} {case.series} at minute {case.minute}",
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values} for series, values in case.series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})',
                    "eval_time": f"{case.minute}m",
                    "exp_samples": [{"labels": "{}", "value": case.firing}] if case.firing else [],
                }
            ],
        }
        for case in CASES
    ]
    file = tmp_path / "cases.yml"
    rules = [str(path) for path in RULE_FILES]
    file.write_text(yaml.safe_dump({"rule_files": rules, "tests": tests}, width=10_000))
    command = [binary("promtool"), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_where_it_fires_and_one_where_it_does_not() -> None:
    assert {case.alert for case in CASES if case.firing} == set(ALERTS)
    assert {case.alert for case in CASES if not case.firing} == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert {"summary", "description", "runbook"} == rule["annotations"].keys()
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == name.lower()
    heading = re.compile(rf"^### {name}\n\n\S", re.MULTILINE)
    assert heading.search((ROOT / page).read_text())
