"""A cluster under load whose figures a Prometheus collects, by the shipped configuration.

Durations of the rules and windows of their rates are a thirtieth of what is shipped, but no shorter
than ten seconds: so long a broker that only waits for the machine may miss its scrapes.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import httpx
import yaml

from tests.grafana.load import create_topics
from tests.grafana.queries import DASHBOARDS
from tests.support.cluster_process import ClusterProcess
from tests.support.process import PATIENCE_SECONDS, eventually
from tests.support.prometheus import Prometheus

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = DASHBOARDS.parent / "prometheus"
SHRINK = 30
SHORTEST_S = 10


def scaled(rules: str) -> str:
    def seconds(found: re.Match[str]) -> str:
        return f"{found[1]}{max(int(found[2]) * 60 // SHRINK, SHORTEST_S)}s"

    return re.sub(r"(for: |\[)(\d+)m", seconds, rules)


class Monitored:
    """Three brokers with topics, and a Prometheus."""

    def __init__(self, directory: Path) -> None:
        settings = {
            "offsets.topic.replication.factor": "3",
            "offsets.topic.num.partitions": "6",
            "group.initial.rebalance.delay.ms": "0",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self.cluster = ClusterProcess(
            *("--http-port", "0", "--data-dir", str(directory / "kafka")),
            *options,
            log_dir=directory,
        )
        self._all: list[Prometheus] = []
        self._directory = directory

    def start(self) -> Monitored:
        self.cluster.wait_ready()
        assert self.cluster.http
        self.targets = [http.removeprefix("http://") for http in self.cluster.http.split(",")]
        self.victim = next(node for node in (1, 2, 3) if not self._is_controller(node))
        create_topics(self.cluster.bootstrap, self.victim)
        self.prometheus = self._prometheus("prometheus.yml")
        self.community = self._prometheus("community.yml")
        eventually(
            lambda: self.prometheus.value('count(up{job="pykbroker"} == 1)') == 3,
            what="a scrape of all brokers",
        )
        # Before the first scrape there is no controller.
        eventually(lambda: not self.prometheus.alerts(), what="an end of the alerts of the start")
        self._started = time.time()
        return self

    def fired(self) -> list[dict[str, str]]:
        """Labels of all alerts that fired at any time."""
        seconds = int(time.time() - self._started)
        found = self.prometheus.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])')
        return [series["metric"] for series in found]

    def _is_controller(self, node: int) -> bool:
        page = httpx.get(
            f"http://{self.targets[node - 1]}/metrics", trust_env=False, timeout=PATIENCE_SECONDS
        ).text
        return "\nkafka_controller_kafkacontroller_activecontrollercount 1.0\n" in page

    def _prometheus(self, name: str) -> Prometheus:
        """By a shipped configuration, whose addresses are replaced by those of the brokers."""
        directory = self._directory / name
        directory.mkdir()
        text = (SHIPPED / name).read_text()
        for number, target in enumerate(self.targets, 1):
            text = text.replace(f"broker-{number}:8080", target)
        config = yaml.safe_load(text)
        config["global"] = {"scrape_interval": "2s", "evaluation_interval": "1s"}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        for rules in config["rule_files"]:
            (directory / rules).write_text(scaled((SHIPPED / rules).read_text()))
        started = Prometheus(directory)
        self._all.append(started)
        return started.wait_ready()

    def kill_victim(self) -> None:
        self.cluster.kill_broker(self.victim)

    def end(self) -> None:
        for prometheus in self._all:
            prometheus.kill()
        self.cluster.kill_all()
