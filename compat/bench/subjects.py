"""A broker under load: its address, and where known its processes."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
from kio.schema.errors import ErrorCode
from kio.schema.fetch.v12.response import FetchResponse

from compat.bench.processes import ProcessTree
from compat.bench.raw import (
    BrokerError,
    Connection,
    create_topic,
    decode,
    delete_topic,
    fetch_request,
    metadata,
    parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.bench.launchers import Launcher

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.001
names = itertools.count(1)


class BadTarget(ValueError):
    """A target that was named on the command line is none."""


class Topic(NamedTuple):
    """``leaders``: host and port by partition."""

    name: str
    leaders: dict[int, tuple[str, int]]

    def connect(self, partition: int = 0) -> Connection:
        return Connection(*self.leaders[partition])


class Subject:
    """``bootstrap``: host:port[,host:port...]. ``launcher``: starts further ones of its kind."""

    def __init__(
        self,
        name: str,
        bootstrap: str,
        processes: ProcessTree | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        self.name = name
        self.bootstrap = bootstrap
        self.processes = processes
        self.launcher = launcher

    def connect(self) -> Connection:
        host, _, port = self.bootstrap.split(",")[0].rpartition(":")
        return Connection(host.strip("[]"), int(port))

    @contextlib.contextmanager
    def topic(self, partitions: int = 1, replicas: int = 1) -> Iterator[Topic]:
        """A new topic, deleted at the end of the block."""
        name = f"bench-{time.time_ns():x}-{next(names)}"
        with self.connect() as connection:
            create_topic(connection, name, partitions, replicas)
            leaders = await_leaders(connection, name, partitions, replicas)
            await_served(name, leaders)
            yield Topic(name, leaders)
            delete_topic(connection, name)

    @contextlib.contextmanager
    def cpu(self) -> Iterator[list[float]]:
        """Filled at the end of the block with the processor seconds spent, if they are known."""
        spent: list[float] = []
        if self.processes is None:
            yield spent
            return
        begun = self.processes.cpu_seconds()
        yield spent
        spent.append(self.processes.cpu_seconds() - begun)


def await_leaders(
    connection: Connection, topic: str, partitions: int, replicas: int = 1
) -> dict[int, tuple[str, int]]:
    """By partition, once each has one and all replicas are in sync."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        response = metadata(connection, [topic])
        brokers = {broker.node_id: (broker.host, broker.port) for broker in response.brokers}
        found = {
            partition.partition_index: brokers[partition.leader_id]
            for partition in response.topics[0].partitions
            if partition.leader_id in brokers and len(partition.isr_nodes) == replicas
        }
        if len(found) == partitions:
            return found
        time.sleep(POLL_SECONDS)
    raise BrokerError(f"topic {topic} has no leaders after {PATIENCE_SECONDS:.0f} s")


def await_served(topic: str, leaders: dict[int, tuple[str, int]]) -> None:
    """A broker may tell who leads a partition before that one leads it: until then it is refused
    what it is asked, and that is quickly done. (Tansu leaves out partitions that have nothing.)"""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for where in dict.fromkeys(leaders.values()):
        led = [partition for partition, leader in leaders.items() if leader == where]
        request = fetch_request(topic, led, 0, max_wait_ms=0, min_bytes=0)
        with Connection(*where) as connection:
            while has_refusals(decode(FetchResponse, bytes(connection.ask(request)))):
                if time.monotonic() > deadline:
                    raise BrokerError(f"topic {topic} is not served after {PATIENCE_SECONDS:.0f} s")
                time.sleep(POLL_SECONDS)


def has_refusals(response: FetchResponse) -> bool:
    return any(part.error_code is not ErrorCode.none for part in parts(response))


@contextlib.contextmanager
def started(launcher: Launcher, brokers: int = 1) -> Iterator[Subject]:
    """A broker or a cluster with an empty directory, once all of it serves."""
    directory = Path(tempfile.mkdtemp(prefix=f"bench-{launcher.name}-"))
    try:
        server = launcher.prepare(directory, brokers)()
        try:
            subject = Subject(launcher.name, server.bootstrap, server.tree(), launcher)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not serves(subject, brokers):
                server.check()
                if time.monotonic() > deadline:
                    raise BrokerError(f"{launcher.name} does not serve")
                time.sleep(0.05)
            yield subject
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def serves(subject: Subject, brokers: int) -> bool:
    try:
        with subject.connect() as connection:
            return len(metadata(connection, []).brokers) == brokers
    except (OSError, BrokerError):
        return False


def parse_target(text: str) -> Subject:
    """NAME=BOOTSTRAP[,pid=N]; several addresses and several ids are separated by commas too."""
    name, equals, rest = text.partition("=")
    if not (name and equals and rest):
        raise BadTarget(f"{text!r} is not NAME=HOST:PORT[,pid=N]")
    addresses: list[str] = []
    pids: list[int] = []
    for part in rest.split(","):
        key, is_setting, value = part.partition("=")
        if is_setting and (key != "pid" or not value.isdigit()):
            raise BadTarget(f"{text!r}: {part!r} is neither HOST:PORT nor pid=N")
        if is_setting:
            pids.append(int(value))
        elif part.rpartition(":")[0] and part.rpartition(":")[2].isdigit():
            addresses.append(part)
        else:
            raise BadTarget(f"{text!r}: {part!r} is neither HOST:PORT nor pid=N")
    if not addresses:
        raise BadTarget(f"{text!r} is not NAME=HOST:PORT[,pid=N]")
    try:
        processes = ProcessTree(*pids) if pids else None
    except psutil.NoSuchProcess as gone:
        raise BadTarget(f"{text!r}: no process {gone.pid}") from gone
    return Subject(name, ",".join(addresses), processes)
