"""A cluster as users run it: the supervisor and its brokers, each of which can be struck alone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from typing import TYPE_CHECKING

from tests.support.process import BrokerProcess, eventually

if TYPE_CHECKING:
    from pathlib import Path

_BROKER = re.compile(r"INFO broker node_id=(\d+) pid=(\d+) \(pykbroker\.supervisor\)")


class ClusterProcess(BrokerProcess):
    """``pykbroker serve --brokers N``. Its own pid is the supervisor's."""

    def __init__(
        self, *arguments: str, log_dir: Path, brokers: int = 3, env: dict[str, str] | None = None
    ) -> None:
        super().__init__("--brokers", str(brokers), *arguments, log_dir=log_dir, env=env)
        self.brokers = brokers

    @property
    def servers(self) -> list[str]:
        """By node id, from 1."""
        return self.bootstrap.split(",")

    def broker_pids(self) -> dict[int, int]:
        return {int(node): int(pid) for node, pid in _BROKER.findall(self.stderr)}

    def kill_broker(self, node_id: int) -> None:
        """kill -9; returns once the process is gone."""
        pid = self.broker_pids()[node_id]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_alive(pid), what=f"the end of broker {node_id}")

    def stop_broker(self, node_id: int) -> None:
        pid = self.broker_pids()[node_id]
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not is_alive(pid), what=f"the end of broker {node_id}")

    def kill_all(self) -> None:
        """For the end of a test: whoever is still there, paused ones included."""
        pids = self.broker_pids().values()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kill()
        eventually(lambda: not any(is_alive(pid) for pid in pids), what="the end of the brokers")


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
