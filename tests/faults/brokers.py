"""Processes that are struck, and a cluster of brokers as its clients and its tormentors see it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

from tests.faults.bare import Bare, Lost, Refused
from tests.support.process import PATIENCE_SECONDS, ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def wait_until(condition: Any, what: str, patience_s: float = PATIENCE_SECONDS) -> Any:
    deadline = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {patience_s} s")
        time.sleep(0.05)


class Process:
    """One child with its output in a file; started, killed, paused and started again."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.is_paused = False

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        assert not self.is_running, self.name
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")}
        environment |= {"PYTHONPATH": str(ROOT), "PYTHONDEVMODE": ""}
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=out, env=environment, cwd=self.log.parent
            )

    def wait_for(self, text: str) -> None:
        """Until it has said that since its last start."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.said():
            code = None if self.process is None else self.process.poll()
            if code is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} (exit {code}): no {text!r}\n{self.said()}")
            time.sleep(0.02)

    def said(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def signal(self, number: int) -> None:
        if self.is_running:
            assert self.process is not None
            self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        self.resume()
        self.signal(signal.SIGTERM)
        return self.wait()

    def pause(self) -> None:
        self.is_paused = True
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.is_paused = False
        self.signal(signal.SIGCONT)

    def wait(self) -> int:
        self.is_paused = False
        return 0 if self.process is None else self.process.wait(PATIENCE_SECONDS)


class Brokers:
    """``brokers`` by node id, each of which listens to clients at one of ``client_ports``."""

    def __init__(self, nodes: Sequence[int]) -> None:
        self.nodes = list(nodes)
        self.brokers: dict[int, Process] = {}
        self.client_ports: dict[int, int] = {}
        self._clients: list[Bare] = []

    def restart(self, node: int) -> None:
        """Started, not yet ready."""
        self.brokers[node].start()

    @property
    def bootstrap(self) -> str:
        return ",".join(self.bootstraps.values())

    @property
    def bootstraps(self) -> dict[int, str]:
        return {node: f"127.0.0.1:{port}" for node, port in self.client_ports.items()}

    def running(self) -> list[int]:
        return [n for n, b in self.brokers.items() if b.is_running and not b.is_paused]

    def client(self, timeout_s: float = 5.0, nodes: Sequence[int] | None = None) -> Bare:
        asked = nodes or self.running() or self.nodes
        made = Bare(",".join(self.bootstraps[n] for n in asked), timeout_s=timeout_s)
        self._clients.append(made)
        return made

    def state(self, *topics: str) -> Any:
        """As some broker sees it."""
        client = self.client(2.0)
        try:
            return client.metadata(topics)
        finally:
            client.close()

    def leader(self, topic: str, partition: int = 0) -> int:
        """-1 without one; a broker that is not running is none."""
        try:
            leader = self.state(topic).parts[topic, partition].leader
        except (Lost, Refused, KeyError):
            return -1
        return leader if leader in self.running() else -1

    def wait_in_sync(self, *topics: str, when: str = "") -> None:
        """Until every replica of them is in the ISR, as every broker sees it."""

        def look() -> bool:
            for node in self.nodes:
                client = self.client(2.0, [node])
                try:
                    parts = client.metadata(topics).parts
                except Lost:
                    return False
                finally:
                    client.close()
                if {topic for topic, _ in parts} != set(topics):
                    return False
                if any(set(s.isr) != set(s.replicas) for s in parts.values()):
                    return False
            return True

        wait_until(look, f"every replica of {', '.join(topics)} in sync {when}")

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
