"""``pykbroker serve`` under control, known by its command line and its output alone."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

from compat.control import BrokerStates, ControlError
from compat.processes import Child, ProcessFailed, end_process, eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_READY = r"^pykbroker ready bootstrap\.servers=(\S+)"
_BROKER = re.compile(r"INFO broker node_id=(\d+) pid=(\d+) ")


class PykbrokerCluster(BrokerStates):
    """One broker, or a supervisor with several; each is started again alone by ``--node-id``."""

    def __init__(
        self,
        work: Path,
        *,
        brokers: int = 3,
        settings: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "pykbroker", "serve"),
    ) -> None:
        super().__init__(range(1, brokers + 1))
        self._work = work
        self.data = work / "data"
        self._options = [f"-o{name}={value}" for name, value in (settings or {}).items()]
        self._command = [*command]
        self._again: dict[int, Child] = {}
        self._supervisor = self._serve("--brokers", str(brokers), "--port", "0")
        self.pids: dict[int, int] = {}
        """By broker."""
        try:
            self.bootstrap = self._supervisor.wait_for(_READY)[1]
            if brokers == 1:
                self.pids = {1: self._supervisor.pid}
            else:
                self.pids = self._children(brokers)
        except ProcessFailed as failure:
            self.close()
            raise ControlError(str(failure)) from failure

    def data_directory(self, broker: int) -> Path:
        """Its log directory."""
        return self.data / f"broker-{broker}"

    def _serve(self, *arguments: str, name: str = "cluster") -> Child:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")}
        return Child(
            [*self._command, *arguments, "--data-dir", str(self.data), *self._options],
            self._work / f"{name}.out",
            env=environment,
        )

    def _children(self, count: int) -> dict[int, int]:
        found: dict[int, int] = {}

        def all_named() -> bool:
            named = _BROKER.findall(self._supervisor.text())
            found.update((int(node), int(pid)) for node, pid in named)
            return len(found) == count

        eventually(all_named, f"the pids of {count} brokers")
        return found

    def _end(self, broker: int, number: signal.Signals) -> None:
        pid = self.pids[broker]
        own = {child.pid: child for child in (self._supervisor, *self._again.values())}.get(pid)
        try:
            if own is not None:
                own.end(number)
            else:
                end_process(pid, number)
        except ProcessFailed as failure:
            raise ControlError(str(failure)) from failure

    def _kill(self, broker: int) -> None:
        self._end(broker, signal.SIGKILL)

    def _stop(self, broker: int) -> None:
        self._end(broker, signal.SIGTERM)

    def _pause(self, broker: int) -> None:
        os.kill(self.pids[broker], signal.SIGSTOP)

    def _resume(self, broker: int) -> None:
        os.kill(self.pids[broker], signal.SIGCONT)

    def _start(self, broker: int) -> None:
        port = self.bootstrap.split(",")[broker - 1].rpartition(":")[2]
        where = ("--port", port) if len(self.brokers) == 1 else ()
        child = self._serve("--node-id", str(broker), *where, name=f"broker-{broker}")
        self._again[broker] = child
        self.pids[broker] = child.pid
        try:
            child.wait_for(_READY)
        except ProcessFailed as failure:
            child.end(signal.SIGKILL)
            raise ControlError(str(failure)) from failure

    def close(self) -> None:
        """Everything ends at once: what the disk holds is what ``kill -9`` leaves."""
        for child in (self._supervisor, *self._again.values()):
            child.end(signal.SIGKILL)
        for pid in self.pids.values():
            end_process(pid, signal.SIGKILL)
