"""Apache Kafka itself, from a directory of its jars: one broker, and its tools."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.process import PATIENCE_SECONDS

LIBS_VARIABLE = "PYKBROKER_KAFKA_LIBS"
LOG4J = """\
<Configuration status="WARN"><Appenders>
<Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console>
</Appenders><Loggers><Root level="${sys:level:-WARN}"><AppenderRef ref="C"/></Root></Loggers>
</Configuration>
"""
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={directory}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=500
"""


def libraries() -> Path:
    """Skips the test where Kafka or Java is not at hand."""
    named = os.environ.get(LIBS_VARIABLE)
    if not named:
        pytest.skip(f"{LIBS_VARIABLE} does not name a directory with Kafka's jars")
    if not list(Path(named).glob("kafka-tools-*.jar")):
        pytest.skip(f"{LIBS_VARIABLE}={named} holds no kafka-tools jar")
    if shutil.which("java") is None:
        pytest.skip("java is not on the PATH")
    return Path(named)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Kafka:
    def __init__(self, libs: Path, work: Path) -> None:
        self.work = work
        self._libs = libs
        self._log4j = work / "log4j2.xml"
        self._log4j.write_text(LOG4J)

    def command(
        self, main: str, *arguments: str, level: str = "WARN", heap: str = "256m"
    ) -> list[str]:
        return [
            "java",
            f"-Xmx{heap}",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            f"-Dlog4j2.configurationFile={self._log4j}",
            f"-Dlevel={level}",
            "-cp",
            f"{self._libs}/*",
            main,
            *arguments,
        ]

    def run(self, main: str, *arguments: str, level: str = "WARN") -> str:
        """A tool's output, standard error included; it must end well."""
        done = subprocess.run(
            self.command(main, *arguments, level=level),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        assert done.returncode == 0, output
        return output

    def dump_log(self, *files: Path, options: tuple[str, ...] = ()) -> str:
        names = ",".join(map(str, files))
        return self.run("org.apache.kafka.tools.DumpLogSegments", *options, "--files", names)

    def start(self, directory: Path) -> KafkaBroker:
        """Format the directory and run one broker, which is its own controller."""
        port, controller_port = free_ports(2)
        properties = self.work / "server.properties"
        properties.write_text(
            PROPERTIES.format(port=port, controller_port=controller_port, directory=directory)
        )
        storage = "kafka.tools.StorageTool"
        cluster_id = self.run(storage, "random-uuid", level="OFF").split()[-1]
        self.run(storage, "format", "-t", cluster_id, "-c", str(properties))
        output = self.work / "kafka.out"
        command = self.command("kafka.Kafka", str(properties), level="INFO", heap="512m")
        with output.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        broker = KafkaBroker(process, f"127.0.0.1:{port}", cluster_id, output)
        broker.wait_ready()
        return broker


class KafkaBroker:
    def __init__(
        self, process: subprocess.Popen[bytes], bootstrap: str, cluster_id: str, output: Path
    ) -> None:
        self.bootstrap = bootstrap
        self.cluster_id = cluster_id
        self._process = process
        self._output = output

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while b"Kafka Server started" not in self._output.read_bytes():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(self._output.read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def stop(self) -> None:
        """Cleanly."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)
