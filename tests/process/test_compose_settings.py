"""Clusters as compose files describe them: several voters, controllers that are no brokers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.process import BrokerProcess, eventually, run_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[BrokerProcess]]:
    started: list[BrokerProcess] = []
    yield started
    for process in started:
        process.kill()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; another process may take one before it is used."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def live_brokers(bootstrap: str) -> set[int]:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bootstrap})
    return set(admin.list_topics(timeout=60).brokers)


def start(
    processes: list[BrokerProcess], log_dir: Path, environment: dict[str, str], *arguments: str
) -> BrokerProcess:
    process = BrokerProcess(*arguments, log_dir=log_dir, env=environment, port=None)
    processes.append(process)
    return process


def combined(tmp_path: Path, node_id: int, ports: list[int], voters: list[int]) -> dict[str, str]:
    """As the examples beside Apache Kafka's image have it."""
    quorum = ",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(voters, 1))
    return {
        "KAFKA_NODE_ID": str(node_id),
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://127.0.0.1:{ports[node_id - 1]},"
        f"CONTROLLER://127.0.0.1:{voters[node_id - 1]}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{ports[node_id - 1]}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": quorum,
        "KAFKA_LOG_DIRS": str(tmp_path / f"data-{node_id}"),
    }


@pytest.mark.parametrize("in_memory", [False, True])
def test_three_voters_form_one_cluster(
    processes: list[BrokerProcess], tmp_path: Path, in_memory: bool
) -> None:
    ports, voters = free_ports(3), free_ports(3)
    arguments = ("--memory",) if in_memory else ()
    for node in (3, 2, 1):
        start(processes, tmp_path, combined(tmp_path, node, ports, voters), *arguments)
    for process in processes:
        process.wait_ready()
    assert live_brokers(f"127.0.0.1:{ports[1]}") == {1, 2, 3}
    for process in reversed(processes[:2]):
        assert process.terminate() == 0, process.stderr
    eventually(lambda: live_brokers(f"127.0.0.1:{ports[0]}") == {1}, what="the others fenced")


def test_a_controller_that_is_no_broker_serves_its_brokers(
    processes: list[BrokerProcess], tmp_path: Path
) -> None:
    ports, voters = free_ports(2), free_ports(1)
    controller = {
        "KAFKA_NODE_ID": "100",
        "KAFKA_PROCESS_ROLES": "controller",
        "KAFKA_LISTENERS": f"CONTROLLER://127.0.0.1:{voters[0]}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"100@127.0.0.1:{voters[0]}",
        "KAFKA_LOG_DIRS": str(tmp_path / "controller"),
    }
    start(processes, tmp_path, controller)
    for node in (1, 2):
        broker = controller | {
            "KAFKA_NODE_ID": str(node),
            "KAFKA_PROCESS_ROLES": "broker",
            "KAFKA_LISTENERS": f"PLAINTEXT://127.0.0.1:{ports[node - 1]}",
            "KAFKA_LOG_DIRS": str(tmp_path / f"data-{node}"),
        }
        start(processes, tmp_path, broker)
    for process in processes:
        process.wait_ready()
    assert live_brokers(f"127.0.0.1:{ports[0]}") == {1, 2}
    create_replicated(f"127.0.0.1:{ports[1]}", factor=2)
    for process in reversed(processes):
        assert process.terminate() == 0, process.stderr


def create_replicated(bootstrap: str, factor: int) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.create_topics([NewTopic("t", 3, factor)]).values():
        done.result(60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metadata", "store://127.0.0.1:1"), "is not etcd://HOST:PORT"),
        (
            ("--brokers", "2", "-o", "controller.quorum.voters=1@localhost:9093"),
            "--brokers cannot be combined with controller.quorum.voters",
        ),
        (
            ("-o", "controller.quorum.bootstrap.servers=a:9093,b:9093"),
            "name them by controller.quorum.voters",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run_command("serve", "--memory", "--port", "0", *arguments, cwd=tmp_path)
    assert code in (1, 2)
    assert not out
    assert message in err
    assert len(err.splitlines()) == 1


def test_one_bootstrap_controller_serves_its_brokers(
    processes: list[BrokerProcess], tmp_path: Path
) -> None:
    ports, (controller,) = free_ports(2), free_ports(1)
    servers = {"KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS": f"127.0.0.1:{controller}"}
    both = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{controller}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
    }
    alone = {
        "KAFKA_NODE_ID": "2",
        "KAFKA_PROCESS_ROLES": "broker",
        "KAFKA_LISTENERS": f"PLAINTEXT://127.0.0.1:{ports[1]}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    }
    for environment in (both, alone):
        start(processes, tmp_path, environment | servers, "--memory")
    for process in processes:
        process.wait_ready()
    assert live_brokers(f"127.0.0.1:{ports[1]}") == {1, 2}
