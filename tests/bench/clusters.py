"""Clusters with nothing between their brokers: what a person would start on one machine."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from pykbroker.edges.metadata_store.addresses import socket_address
from tests.faults.brokers import Brokers, Process, wait_until
from tests.faults.cluster import free_ports
from tests.support.cluster_process import ClusterProcess, is_alive

if TYPE_CHECKING:
    from pathlib import Path

STARTED = "Kafka Server started"
COMMAND = (sys.executable, "-m", "pykbroker", "serve")


def options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


class Child(Process):
    """A supervisor's at first; killed and started again, it is its own."""

    def __init__(self, node: int, pid: int, directory: Path, settings: dict[str, str]) -> None:
        command = [*COMMAND, "--node-id", str(node), "--data-dir", str(directory / "data")]
        command += options(settings)
        super().__init__(f"broker {node}", command, directory / f"broker-{node}.log")
        self._child_pid = pid

    @property
    def is_running(self) -> bool:
        return super().is_running if self.process is not None else is_alive(self._child_pid)

    def signal(self, number: int) -> None:
        if self.process is not None:
            super().signal(number)
        elif self.is_running:
            os.kill(self._child_pid, number)

    def wait(self) -> int:
        if self.process is not None:
            return super().wait()
        wait_until(lambda: not self.is_running, f"the end of {self.name}")
        return 0  # its parent knows


class Supervised(Brokers):
    """``pykbroker serve --brokers 3``: the end of a process is seen at once."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        super().__init__([1, 2, 3])
        arguments = ["--data-dir", str(directory / "data"), *options(settings)]
        self._supervisor = ClusterProcess(*arguments, log_dir=directory)
        self._supervisor.wait_ready()
        for node, pid in self._supervisor.broker_pids().items():
            self.brokers[node] = Child(node, pid, directory, settings)
            self.client_ports[node] = int(self._supervisor.servers[node - 1].rpartition(":")[2])
        self.store_address = socket_address(str(directory / "data"))

    def end(self) -> None:
        for broker in self.brokers.values():
            broker.signal(signal.SIGKILL)
        self._supervisor.kill_all()
        self.close_clients()


class Unsupervised(Brokers):
    """Three brokers and a metadata store as if on machines of their own: a lease runs out."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        super().__init__([1, 2, 3])
        (directory / "store").mkdir()
        store, *ports = free_ports(4)
        self.store_address = f"tcp://127.0.0.1:{store}"
        command = [sys.executable, "-m", "tests.faults.store_process"]
        command += [str(directory / "store"), str(store)]
        self._store = Process("store", command, directory / "store.log")
        self._store.start()
        self._store.wait_for("ready")
        for node, port in zip(self.nodes, ports, strict=True):
            arguments = ["--node-id", str(node), "--port", str(port)]
            arguments += ["--metadata", self.store_address, "--data-dir", str(directory / "data")]
            arguments += options(settings)
            log = directory / f"broker-{node}.log"
            self.brokers[node] = Process(f"broker {node}", [*COMMAND, *arguments], log)
            self.client_ports[node] = port
            self.brokers[node].start()
        for broker in self.brokers.values():
            broker.wait_for(STARTED)

    def end(self) -> None:
        for process in [*self.brokers.values(), self._store]:
            if process.is_running:
                process.kill()
        self.close_clients()
