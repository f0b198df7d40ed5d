"""Single brokers are struck and come back, with one interface for every kind of cluster."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from compat.control import CommandControl, ControlError, brokers_of, start_cluster
from compat.kafka.cluster import KafkaCluster
from compat.processes import eventually, is_alive
from compat.serving import PykbrokerCluster
from tests.support.apache_kafka import java

if TYPE_CHECKING:
    from pathlib import Path

    from compat.control import BrokerStates

RECORDER = """\
import sys
with open({path!r}, "a") as file:
    print(*sys.argv[1:], file=file)
sys.exit("no such broker" if sys.argv[2] == "9" else 0)
"""


def strike(cluster: BrokerStates, victim: int) -> None:
    """Every step once, with what clients see of it."""
    everybody = cluster.brokers
    others = [broker for broker in everybody if broker != victim]
    for down, up in (("kill", "start"), ("stop", "start")):
        getattr(cluster, down)(victim)
        assert not cluster.is_running(victim)
        if others:
            eventually(lambda: brokers_of(cluster.bootstrap) == others, "a broker gone")
        getattr(cluster, up)(victim)
        eventually(lambda: brokers_of(cluster.bootstrap) == everybody, "a broker back")
    cluster.pause(victim)
    with pytest.raises(ControlError, match=f"broker {victim} is paused"):
        cluster.stop(victim)
    cluster.resume(victim)
    eventually(lambda: brokers_of(cluster.bootstrap) == everybody, "a broker resumed")
    cluster.pause(victim)
    cluster.kill(victim)
    cluster.start(victim)


@pytest.mark.parametrize("brokers", [1, 3])
def test_brokers_of_pykbroker_are_struck_one_by_one(tmp_path: Path, brokers: int) -> None:
    with PykbrokerCluster(tmp_path, brokers=brokers) as cluster:
        assert cluster.brokers == list(range(1, brokers + 1))
        pids = set(cluster.pids.values())
        strike(cluster, brokers)
        assert cluster.data_directory(brokers).is_dir()
        pids |= set(cluster.pids.values())
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.kafka
@pytest.mark.parametrize("brokers", [1, 3])
def test_brokers_of_kafka_are_struck_one_by_one(tmp_path: Path, brokers: int) -> None:
    libs = java(tmp_path).libs
    with KafkaCluster(tmp_path, brokers=brokers, libs=libs) as cluster:
        strike(cluster, brokers)
        assert cluster.data_directory(brokers).is_dir()
        pids = set(cluster.pids.values())
    assert not any(is_alive(pid) for pid in pids)


def test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="num\\.partitions"):
        start_cluster("pykbroker", tmp_path / "work", settings={"num.partitions": "none"})
    with pytest.raises(ControlError, match="no kind of cluster"):
        start_cluster("another", tmp_path / "work")


def test_somebody_elses_cluster_is_struck_by_a_command(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = tmp_path / "script.py"
    script.write_text(RECORDER.format(path=str(said)))
    control = CommandControl(f"{sys.executable} {script} --on x", "127.0.0.1:1", [2, 1])
    assert control.brokers == [1, 2]
    with control:
        control.kill(1)
        control.start(1)
        control.pause(2)
        control.resume(2)
        control.stop(1)
        control.pause(2)
    wanted = ["kill 1", "start 1", "pause 2", "resume 2", "stop 1", "pause 2"]
    brought_back = ["start 1", "resume 2"]
    assert said.read_text().splitlines() == [f"--on x {line}" for line in wanted + brought_back]


def test_a_command_that_fails_changes_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(RECORDER.format(path=str(tmp_path / "said")).replace("[2]", "[-1]"))
    control = CommandControl(f"{sys.executable} {script}", "127.0.0.1:1", [9])
    with pytest.raises(ControlError, match=r"kill 9: exit code 1: no such broker"):
        control.kill(9)
    assert control.is_running(9)
    with pytest.raises(ControlError, match="there is no broker 3"):
        control.kill(3)
    with pytest.raises(ControlError, match="broker 9 is running"):
        control.start(9)
    with pytest.raises(ControlError, match="cannot-be-found"):
        CommandControl("./cannot-be-found", "127.0.0.1:1", [9]).kill(9)


FIRST_THREAD_ENDS = """
import ctypes, threading, sys
threading.Thread(target=sys.stdin.read).start()
print("up", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_process_is_alive_until_its_last_thread_has_ended() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST_THREAD_ENDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        eventually(lambda: first_thread_state(process.pid) == "Z", "the end of the first thread")
        assert is_alive(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        eventually(lambda: not is_alive(process.pid), "the end of the process")
        process.communicate()


def first_thread_state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]
