"""The example with Prometheus and Grafana: its brokers run, its files are where they should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from tests.container.engine import Engine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "compose-monitoring.yaml"
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def services() -> dict[str, Any]:
    """With what ``extends`` says."""
    found: dict[str, Any] = read(EXAMPLE)["services"]
    for service in found.values():
        if "extends" in service:
            base = read(EXAMPLE.parent / service["extends"]["file"])["services"]
            environment = base[service["extends"]["service"]]["environment"]
            service["environment"] = environment | service["environment"]
    return found


def mounted(service: str) -> dict[str, Path]:
    """By where it is inside."""
    volumes = [volume.split(":") for volume in services()[service]["volumes"]]
    return {inside: (EXAMPLE.parent / outside).resolve() for outside, inside, _ in volumes}


def test_brokers_tell_prometheus_their_figures(engine: Engine) -> None:
    config = read(mounted("prometheus")["/etc/prometheus"] / "prometheus.yml")
    (targets,) = [each["targets"] for each in config["scrape_configs"][0]["static_configs"]]
    brokers = {name: told for name, told in services().items() if name.startswith("broker")}
    assert {target.partition(":")[0] for target in targets} == brokers.keys()
    for name, service in brokers.items():
        environment = {key: str(value) for key, value in service["environment"].items()}
        engine.run(environment, name=name, peers=tuple(brokers))
    for broker in engine.containers:
        broker.wait_for_log("Kafka Server started")
    for target in targets:
        page = engine.containers[0].execute("python3", "-c", FETCH, f"http://{target}/metrics")
        assert "pykbroker_build_info" in page.stdout, page.stderr


def test_grafana_finds_what_is_provisioned() -> None:
    inside = mounted("grafana")
    assert all(path.is_dir() for path in inside.values())
    provisioning = inside["/etc/grafana/provisioning"]
    (provider,) = read(provisioning / "dashboards" / "pykbroker.yaml")["providers"]
    assert list(inside[provider["options"]["path"]].glob("*.json"))
    (source,) = read(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    (port,) = services()["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port.partition(':')[2]}"
