"""What stands in ``examples`` is run, as far as a machine without Docker can."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.container.round_trip import live_brokers, round_trip

if TYPE_CHECKING:
    from tests.container.engine import Engine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def services(name: str) -> dict[str, Any]:
    read = yaml.safe_load((EXAMPLES / name).read_text())
    found: dict[str, Any] = read.get("services") or read["jobs"]["test"]["services"]
    return found


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("compose.yaml", [9092]),
        ("compose-cluster.yaml", [29093, 29094, 29095]),
        ("github-actions.yml", [9092]),
    ],
)
def test_the_services_of_an_example_serve(engine: Engine, name: str, ports: list[int]) -> None:
    found = services(name)
    commands = {service: said["command"] for service, said in found.items() if "command" in said}
    for service, said in found.items():
        if service in commands:
            continue
        environment = said.get("environment") or said["env"]
        broker = engine.run(
            {variable: str(value) for variable, value in environment.items()},
            name=service,
            peers=tuple(found),
        )
        for port in said["ports"]:
            mapped, _, inside = port.partition(":")
            engine.map_port(broker, int(inside), int(mapped))
    for broker in engine.containers:
        broker.wait_for_log("Kafka Server started")
    for service, command in commands.items():
        once = engine.run({}, shlex.split(command), name=service, peers=tuple(found))
        assert once.process.wait(60) == 0, once.text
    expected = {node: f"localhost:{port}" for node, port in enumerate(ports, 1)}
    assert live_brokers(engine, f"localhost:{ports[-1]}") == expected
    round_trip(engine, f"localhost:{ports[0]}", replicas=len(ports))


def test_the_python_example_is_python() -> None:
    ast.parse((EXAMPLES / "testcontainers" / "test_orders.py").read_text())
