"""Runs the tools, each call in a JVM of its own, as its script in Kafka's bin directory does."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
from typing import TYPE_CHECKING, Protocol

from compat.kafka.libraries import Java
from compat.processes import PATIENCE_SECONDS, Child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TOOLS = "org.apache.kafka.tools"
MAIN_CLASSES = {
    "kafka-acls": f"{_TOOLS}.AclCommand",
    "kafka-broker-api-versions": f"{_TOOLS}.BrokerApiVersionsCommand",
    "kafka-client-metrics": f"{_TOOLS}.ClientMetricsCommand",
    "kafka-cluster": f"{_TOOLS}.ClusterTool",
    "kafka-configs": f"{_TOOLS}.ConfigCommand",
    "kafka-console-consumer": f"{_TOOLS}.consumer.ConsoleConsumer",
    "kafka-console-producer": f"{_TOOLS}.ConsoleProducer",
    "kafka-consumer-groups": f"{_TOOLS}.consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test": f"{_TOOLS}.ConsumerPerformance",
    "kafka-delete-records": f"{_TOOLS}.DeleteRecordsCommand",
    "kafka-dump-log": f"{_TOOLS}.DumpLogSegments",
    "kafka-e2e-latency": f"{_TOOLS}.EndToEndLatency",
    "kafka-features": f"{_TOOLS}.FeatureCommand",
    "kafka-get-offsets": f"{_TOOLS}.GetOffsetShell",
    "kafka-groups": f"{_TOOLS}.GroupsCommand",
    "kafka-leader-election": f"{_TOOLS}.LeaderElectionCommand",
    "kafka-log-dirs": f"{_TOOLS}.LogDirsCommand",
    "kafka-metadata-quorum": f"{_TOOLS}.MetadataQuorumCommand",
    "kafka-producer-perf-test": f"{_TOOLS}.ProducerPerformance",
    "kafka-reassign-partitions": f"{_TOOLS}.reassign.ReassignPartitionsCommand",
    "kafka-topics": f"{_TOOLS}.TopicCommand",
    "kafka-transactions": f"{_TOOLS}.TransactionsCommand",
    "kafka-verifiable-consumer": f"{_TOOLS}.VerifiableConsumer",
    "kafka-verifiable-producer": f"{_TOOLS}.VerifiableProducer",
}

_NOISE = re.compile(
    r"^(OpenJDK|Java HotSpot|\[[\d.]+s\]|SLF4J:|StatusLogger|WARNING:"
    r"|The consumer rebalance protocol).*\n?",
    re.MULTILINE,
)


class Running(Protocol):
    def stop(self) -> str:
        """End it (SIGTERM); what it has said."""
        ...


class Tools:
    """How a check calls the tools; where they run is for those who derive."""

    data_directories: Sequence[Path] = ()
    """The brokers' log directories, where they can be read."""

    def attempt(self, tool: str, *arguments: str, stdin: str = "") -> tuple[int, str]:
        """Exit code and output, standard error included."""
        raise NotImplementedError

    def start(self, tool: str, *arguments: str) -> Running:
        """In the background; whoever starts it stops it."""
        raise NotImplementedError

    def name(self, kind: str) -> str:
        """Of a topic, a group or a client that nobody else uses."""
        return f"tools-{kind}-{secrets.token_hex(4)}"

    def run(self, tool: str, *arguments: str, stdin: str = "") -> str:
        """Its output; AssertionError when it does not end well."""
        code, output = self.attempt(tool, *arguments, stdin=stdin)
        assert code == 0, f"{tool} {' '.join(arguments)}: exit code {code}\n{output}"
        return output

    def refused(self, tool: str, *arguments: str) -> str:
        """The output of a call that must fail."""
        code, output = self.attempt(tool, *arguments)
        assert code != 0, f"{tool} {' '.join(arguments)} did not fail\n{output}"
        return output


class LocalTools(Tools):
    """Here. ``work`` keeps what is said and an archive of classes, which halves each start."""

    def __init__(self, libs: Path, work: Path, data_directories: Sequence[Path] = ()) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._java = Java(libs, work)
        self._work = work
        self._archive = work / "tools.jsa"
        self.data_directories = data_directories

    def command(self, tool: str, *arguments: str) -> list[str]:
        java, *rest = self._java.command(MAIN_CLASSES[tool], *arguments)
        option = "SharedArchiveFile" if self._archive.exists() else "ArchiveClassesAtExit"
        return [java, f"-XX:{option}={self._archive}", "-Xlog:disable", *rest]

    def attempt(self, tool: str, *arguments: str, stdin: str = "") -> tuple[int, str]:
        try:
            done = subprocess.run(
                self.command(tool, *arguments),
                input=stdin.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE_SECONDS,
                check=False,
                cwd=self._work,
            )
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode(errors="replace")
            raise AssertionError(f"{tool} {' '.join(arguments)} does not end\n{said}") from error
        return done.returncode, _NOISE.sub("", done.stdout.decode(errors="replace"))

    def start(self, tool: str, *arguments: str) -> Running:
        output = self._work / f"{tool}-{secrets.token_hex(4)}.out"
        return _Background(Child(self.command(tool, *arguments), output, cwd=self._work))


class _Background:
    def __init__(self, child: Child) -> None:
        self._child = child

    def stop(self) -> str:
        self._child.end(signal.SIGTERM)
        return _NOISE.sub("", self._child.text())


def expect(output: str, *patterns: str) -> None:
    """Each a regular expression that a line of the output must hold."""
    for pattern in patterns:
        assert re.search(pattern, output, re.MULTILINE), f"no {pattern!r} in:\n{output}"


def expect_none(output: str, *patterns: str) -> None:
    for pattern in patterns:
        assert not re.search(pattern, output, re.MULTILINE), f"{pattern!r} is in:\n{output}"
