"""``--brokers N`` as a person meets it: one command, one line, processes that live and die."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster_process import ClusterProcess, is_alive
from tests.support.process import BrokerProcess, eventually, run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[Callable[..., ClusterProcess]]:
    started: list[ClusterProcess] = []

    def start(*arguments: str, brokers: int = 3) -> ClusterProcess:
        cluster = ClusterProcess(*arguments, log_dir=tmp_path, brokers=brokers)
        started.append(cluster)
        cluster.wait_ready()
        return cluster

    yield start
    for cluster in started:
        cluster.kill_all()


def live_brokers(bootstrap: str) -> set[int]:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bootstrap})
    return set(admin.list_topics(timeout=60).brokers)


@pytest.mark.parametrize("where", [("--memory",), ("--data-dir", "data")])
def test_one_line_names_all_brokers_once_they_serve(
    start_cluster: Callable[..., ClusterProcess], where: tuple[str, ...]
) -> None:
    cluster = start_cluster(*where)
    assert len(cluster.servers) == 3
    assert sum(line.startswith("pykbroker ready") for line in cluster.lines) == 1
    for server in cluster.servers:
        assert live_brokers(server) == {1, 2, 3}
    pids = cluster.broker_pids()
    assert cluster.terminate() == 0, cluster.stderr
    assert not any(is_alive(pid) for pid in pids.values())


def test_ports_go_up_from_the_one_that_was_named(
    start_cluster: Callable[..., ClusterProcess], tmp_path: Path
) -> None:
    cluster = start_cluster("--memory", "--http-port", "0")
    assert cluster.http is not None
    assert len(cluster.http.split(",")) == 3


def test_the_brokers_stop_when_the_supervisor_dies(
    start_cluster: Callable[..., ClusterProcess],
) -> None:
    cluster = start_cluster("--memory")
    pids = cluster.broker_pids()
    cluster.kill()
    for node, pid in pids.items():
        eventually(lambda pid=pid: not is_alive(pid), what=f"the end of broker {node}")


def test_a_broker_that_was_killed_is_fenced_and_can_be_started_again_alone(
    start_cluster: Callable[..., ClusterProcess],
    start_broker: Callable[..., BrokerProcess],
    tmp_path: Path,
) -> None:
    # The lease alone would take longer than anybody waits here.
    lease = ("-o", "broker.session.timeout.ms=600000")
    cluster = start_cluster("--data-dir", str(tmp_path / "data"), *lease)
    cluster.kill_broker(2)
    eventually(lambda: live_brokers(cluster.servers[0]) == {1, 3}, what="broker 2 fenced")
    assert "broker is gone" in cluster.stderr
    again = BrokerProcess(
        "--node-id", "2", "--data-dir", str(tmp_path / "data"), log_dir=tmp_path, port=None
    )
    try:
        again.wait_ready()
        assert again.bootstrap == cluster.servers[1]
        eventually(lambda: live_brokers(cluster.servers[0]) == {1, 2, 3}, what="broker 2 back")
        assert again.terminate() == 0
    finally:
        again.kill()


def test_a_cluster_comes_back_with_its_id(
    start_cluster: Callable[..., ClusterProcess], tmp_path: Path
) -> None:
    from confluent_kafka.admin import AdminClient

    def cluster_id(cluster: ClusterProcess) -> str:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        return str(admin.list_topics(timeout=60).cluster_id)

    first = start_cluster("--data-dir", str(tmp_path / "data"))
    known = cluster_id(first)
    assert first.terminate() == 0
    assert cluster_id(start_cluster("--data-dir", str(tmp_path / "data"))) == known


def test_one_broker_that_cannot_start_ends_the_command(
    start_cluster: Callable[..., ClusterProcess], tmp_path: Path
) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run_command(
            "serve", "--brokers", "2", "--memory", "--port", str(port - 1), cwd=tmp_path
        )
    assert code == 1
    # Somebody else may have the first one.
    assert re.search(rf"cannot listen on localhost:({port}|{port - 1}): the port is in use", err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--brokers", "2", "--node-id", "1"), "--brokers and --node-id"),
        (("--brokers", "0"), "is not a number from 1 up"),
        (("--brokers", "3", "--port", "65534"), "there are not as many ports"),
        (("--brokers", "2", "-o", "log.dirs=/tmp/x"), "cannot be combined with log.dirs"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run_command("serve", "--memory", *arguments, cwd=tmp_path)
    assert code == 2
    assert not out
    assert message in err
    assert len(err.splitlines()) == 1


def test_ctrl_c_stops_every_broker(start_cluster: Callable[..., ClusterProcess]) -> None:
    cluster = start_cluster("--memory")
    os.kill(cluster.pid, signal.SIGINT)
    assert cluster.process.wait(60) == 0, cluster.stderr
    for node, pid in cluster.broker_pids().items():
        assert not is_alive(pid), node


def test_a_second_signal_does_not_wait(start_cluster: Callable[..., ClusterProcess]) -> None:
    cluster = start_cluster("--memory")
    paused = cluster.broker_pids()[2]
    os.kill(paused, signal.SIGSTOP)
    os.kill(cluster.pid, signal.SIGTERM)
    eventually(lambda: "stopping signal=SIGTERM" in cluster.stderr, what="the first signal")
    os.kill(cluster.pid, signal.SIGTERM)
    assert cluster.process.wait(60) == 128 + signal.SIGTERM
