"""A cluster of Apache Kafka in KRaft mode: every broker is a controller too.

What is set beside the addresses is what one machine needs: as many replicas of the internal topics
as there are brokers, few partitions of them, small heaps, and no wait for a group's second member.
Everything else is Kafka's default, so that it can be the reference.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from compat.control import BrokerStates, ControlError
from compat.kafka.libraries import Java, find_libraries
from compat.processes import Child, ProcessFailed, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_STARTED = r"Kafka Server started"
_STORAGE = "kafka.tools.StorageTool"


class KafkaCluster(BrokerStates):
    """Formats ``work/broker-N`` and runs one broker on each; ControlError when one cannot start."""

    def __init__(
        self,
        work: Path,
        *,
        brokers: int = 3,
        settings: Mapping[str, str] | None = None,
        libs: Path | None = None,
        heap: str | None = None,
    ) -> None:
        super().__init__(range(1, brokers + 1))
        self._work = work
        self._heap = heap or ("512m" if brokers == 1 else "384m")
        self.java = Java(libs or find_libraries(), work)
        ports = free_ports(2 * brokers)
        self._ports = dict(zip(self.brokers, ports, strict=False))
        self._controllers = dict(zip(self.brokers, ports[brokers:], strict=True))
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self._ports.values())
        self._settings = self._common_settings() | dict(settings or {})
        self._children: dict[int, Child] = {}
        self.cluster_id = self.java.run(_STORAGE, "random-uuid", level="OFF").split()[-1]
        try:
            for broker in self.brokers:
                self._format(broker)
                self._begin(broker)
            for child in self._children.values():
                child.wait_for(_STARTED)
        except (ProcessFailed, AssertionError) as failure:
            self.close()
            raise ControlError(str(failure)) from failure

    @property
    def pids(self) -> dict[int, int]:
        """By broker."""
        return {broker: child.pid for broker, child in self._children.items()}

    def data_directory(self, broker: int) -> Path:
        """Its log directory."""
        return self._work / f"broker-{broker}"

    def _common_settings(self) -> dict[str, str]:
        count = len(self.brokers)
        internal = {
            f"{topic}.{name}": str(value)
            for topic in ("transaction.state.log", "share.coordinator.state.topic")
            for name, value in (("replication.factor", count), ("min.isr", min(2, count)))
        }
        voters = (f"{node}@127.0.0.1:{port}" for node, port in self._controllers.items())
        return internal | {
            "process.roles": "broker,controller",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": ",".join(voters),
            "offsets.topic.replication.factor": str(count),
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
        }

    def _properties(self, broker: int) -> Path:
        listeners = (
            f"PLAINTEXT://127.0.0.1:{self._ports[broker]},"
            f"CONTROLLER://127.0.0.1:{self._controllers[broker]}"
        )
        own = {
            "node.id": str(broker),
            "listeners": listeners,
            "advertised.listeners": listeners,
            "log.dirs": str(self.data_directory(broker)),
        }
        path = self._work / f"broker-{broker}.properties"
        path.write_text("".join(f"{k}={v}\n" for k, v in (self._settings | own).items()))
        return path

    def _format(self, broker: int) -> None:
        properties = str(self._properties(broker))
        self.java.run(_STORAGE, "format", "-t", self.cluster_id, "-c", properties)

    def _begin(self, broker: int) -> None:
        properties = str(self._properties(broker))
        self._children[broker] = Child(
            self.java.command("kafka.Kafka", properties, level="INFO", heap=self._heap),
            self._work / f"broker-{broker}.out",
            cwd=self._work,
        )

    def _kill(self, broker: int) -> None:
        self._children[broker].end(signal.SIGKILL)

    def _stop(self, broker: int) -> None:
        try:
            self._children[broker].end(signal.SIGTERM)
        except ProcessFailed as failure:
            raise ControlError(str(failure)) from failure

    def _pause(self, broker: int) -> None:
        os.kill(self._children[broker].pid, signal.SIGSTOP)

    def _resume(self, broker: int) -> None:
        os.kill(self._children[broker].pid, signal.SIGCONT)

    def _start(self, broker: int) -> None:
        self._begin(broker)
        try:
            self._children[broker].wait_for(_STARTED)
        except ProcessFailed as failure:
            self._children[broker].end(signal.SIGKILL)
            raise ControlError(str(failure)) from failure

    def close(self) -> None:
        """Everything ends at once: what the disk holds is what ``kill -9`` leaves."""
        for child in self._children.values():
            child.end(signal.SIGKILL)
