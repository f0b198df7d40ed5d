"""A cluster of real processes with a proxy on every link between them.

Each broker is a process with a source address of its own, a listener for clients, which they reach
directly, and one for the other brokers, of which only the proxy's port is told. The metadata store
has an owner of its own and is reached through the proxy too, or is an etcd.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from tests.faults.brokers import Brokers, Process
from tests.faults.platter import Platter
from tests.faults.proxy import Proxy, Rule
from tests.support.etcd import an_etcd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

STORE = "store"
TIMINGS = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "3000",
    "replica.fetch.wait.max.ms": "200",
    "replica.socket.timeout.ms": "3000",
    "controller.socket.timeout.ms": "3000",
    "group.initial.rebalance.delay.ms": "500",
    "log.cleaner.backoff.ms": "1000",
    "log.roll.ms": "5000",
    "log.flush.interval.messages": "9223372036854775807",
}
"""Short, so that much happens in a minute."""
DEFAULTS = {
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "6",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "auto.create.topics.enable": "false",
}


class Cluster(Brokers):
    """``metadata``: "etcd" and "etcd3" start one member or three, of which ``store`` is the one
    that is struck; without, ``store`` is a process that serves an SQLite store. Brokers reach it
    through the proxy, ``store_address`` is where it is. ``journaled`` brokers write down what they
    have synced, so that their power can be cut.
    """

    def __init__(
        self,
        directory: Path,
        *,
        brokers: int = 3,
        settings: dict[str, str] | None = None,
        metadata: str | None = None,
        log_level: str = "info",
        journaled: bool = False,
    ) -> None:
        super().__init__(range(1, brokers + 1))
        self.directory = directory
        self._journaled = journaled
        self.settings = TIMINGS | DEFAULTS | (settings or {})
        self.proxy = Proxy({str(n): f"127.0.0.{10 + n}" for n in self.nodes})
        self.proxy.__enter__()
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        (directory / "data").mkdir(exist_ok=True)  # the brokers' own folders are in it
        self.store: Process
        self._log_level = log_level
        self._members: list[Process] = []
        ports = free_ports(2 * brokers + 7)
        store_port = self.proxy.listen(STORE)
        if metadata is None:
            self.proxy.set_target(STORE, ports[0])
            (directory / "store").mkdir(exist_ok=True)
            command = [sys.executable, "-m", "tests.faults.store_process"]
            command += [str(directory / "store"), str(ports[0])]
            self.store = Process(STORE, command, self.logs / "store.log")
            metadata = f"tcp://127.0.0.1:{store_port}"
            self.store_address = f"tcp://127.0.0.1:{ports[0]}"
            self._ready_line = "ready"
        else:
            own = ports[-6:]
            count = 3 if metadata == "etcd3" else 1
            self._members = etcd_members(directory, self.logs, own[:count], own[3 : 3 + count])
            self.store = self._members[0]
            self.proxy.set_target(STORE, own[0])
            others = "".join(f",127.0.0.1:{port}" for port in own[1:count])
            metadata = f"etcd://127.0.0.1:{store_port}{others}"
            self.store_address = f"etcd://127.0.0.1:{own[0]}{others}"
            self._ready_line = "ready to serve client requests"
        for node in self.nodes:
            client, internal = ports[2 * node - 1 : 2 * node + 1]
            self.client_ports[node] = client
            self.proxy.set_target(str(node), internal)
            hidden = self.proxy.listen(str(node))
            self.brokers[node] = self._broker(node, metadata, client, internal, hidden)

    def _broker(self, node: int, metadata: str, client: int, internal: int, hidden: int) -> Process:
        settings = {
            "listeners": f"PLAINTEXT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client},INTERNAL://127.0.0.1:{hidden}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT",
            "inter.broker.listener.name": "INTERNAL",
            "pykbroker.source.host": f"127.0.0.{10 + node}",
            **self.settings,
        }
        command = [sys.executable, "-m"]
        if self._journaled:
            command += ["tests.faults.journaled", str(self._journal(node))]
        else:
            command += ["pykbroker"]
        command += ["serve", "--node-id", str(node)]
        command += ["--metadata", metadata, "--data-dir", str(self.directory / "data")]
        command += ["--log-level", self._log_level]
        for name, value in settings.items():
            command += ["-o", f"{name}={value}"]
        return Process(f"broker {node}", command, self.logs / f"broker-{node}.log")

    def start(self) -> Cluster:
        for member in self._members[1:]:
            member.start()
        self.start_store()
        for broker in self.brokers.values():
            broker.start()
        for broker in self.brokers.values():
            broker.wait_for("Kafka Server started")
        return self

    def start_store(self) -> None:
        self.store.start()
        self.store.wait_for(self._ready_line)

    def cut(self, rule: Rule, source: int | str, destination: int | str, *directions: str) -> None:
        if directions:
            self.proxy.set(rule, str(source), str(destination), directions)
        else:
            self.proxy.set(rule, str(source), str(destination))

    def isolate(self, rule: Rule, node: int) -> None:
        """From all other brokers, both ways; not from the store, and not from clients."""
        for other in self.nodes:
            if other != node:
                self.cut(rule, node, other)
                self.cut(rule, other, node)

    def heal(self) -> None:
        self.proxy.heal()
        for broker in self.brokers.values():
            if broker.is_paused:
                broker.resume()
        if self.store.is_paused:
            self.store.resume()

    def stop(self) -> dict[int, int]:
        """Cleanly, all at once; their exit codes."""
        self.heal()
        for broker in self.brokers.values():
            broker.signal(signal.SIGTERM)
        codes = {node: broker.wait() for node, broker in self.brokers.items()}
        for process in self._members or [self.store]:
            process.terminate()
        return codes

    def end(self) -> None:
        for process in [*self.brokers.values(), self.store, *self._members]:
            if process.is_running:
                process.kill()
        self.close_clients()
        self.proxy.__exit__()

    def log_dir(self, node: int) -> Path:
        return self.directory / "data" / f"broker-{node}"

    def _journal(self, node: int) -> Path:
        return self.directory / "journals" / str(node)

    def cut_power(self, *nodes: int, dice: Random) -> dict[str, int]:
        """Of brokers, all at once; how much of what they had written that has cost."""
        assert self._journaled
        for node in nodes:
            self.brokers[node].kill()
        lost: dict[str, int] = {}
        for node in nodes:
            platter = Platter(self._journal(node), self.log_dir(node))
            for kind, count in platter.cut_power(dice).items():
                lost[kind] = lost.get(kind, 0) + count
        return lost

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def etcd_members(
    directory: Path, logs: Path, ports: Sequence[int], peer_ports: Sequence[int]
) -> list[Process]:
    """A cluster of as many as there are ports; skips the test where there is no etcd."""
    binary = an_etcd()
    peers = [f"http://127.0.0.1:{port}" for port in peer_ports]
    cluster = ",".join(f"m{n}={peer}" for n, peer in enumerate(peers))
    members = []
    for n, (port, peer) in enumerate(zip(ports, peers, strict=True)):
        url = f"http://127.0.0.1:{port}"
        command = [binary, "--name", f"m{n}", "--data-dir", str(directory / f"etcd-{n}")]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", cluster, "--initial-cluster-token", str(directory)]
        members.append(Process(f"etcd {n}", command, logs / f"etcd-{n}.log"))
    return members


def free_ports(count: int) -> list[int]:
    """Each free a moment ago. Below the range from which connections take theirs."""
    found: list[int] = []
    start = 20_000 + os.getpid() * 37 % 9_000
    for port in range(start, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")
