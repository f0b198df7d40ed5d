"""A driver whose client is Kafka's command line: each ``tool.run`` is a JVM of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from compat.kafka.libraries import Java, version_of

TOOLS = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "org.apache.kafka.tools.ConfigCommand",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
}
"""Their main classes since Kafka 4."""


class Driver:
    def __init__(self, libraries: Path, work: Path) -> None:
        self._java = Java(libraries, work)
        self._writing = threading.Lock()

    def hello(self, version: str) -> None:
        said = {"client": "kafka-tools", "version": version, "language": "java"}
        self._write({"hello": said | {"partitioner": "java", "capabilities": ["tools"]}})

    def take(self, command: dict[str, Any]) -> None:
        """Its result, whenever the tool has ended."""
        answer: dict[str, Any] = {"id": command.get("id")}
        if command.get("op") != "tool.run" or command.get("tool") not in TOOLS:
            text = f"no {command.get('op')} {command.get('tool')}"
            self._write(answer | {"ok": False, "error": {"code": "UNSUPPORTED", "message": text}})
            return
        line = self._java.command(TOOLS[command["tool"]], *command["arguments"])
        done = subprocess.run(
            line,
            input=command.get("input", "").encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        self._write(answer | {"ok": True, "result": {"code": done.returncode, "output": output}})

    def _write(self, message: dict[str, Any]) -> None:
        with self._writing:
            print(json.dumps(message), flush=True)


def main() -> None:
    libraries = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="compat-tools-") as work:
        driver = Driver(libraries, Path(work))
        driver.hello(version_of(libraries))
        for line in sys.stdin:
            threading.Thread(target=driver.take, args=(json.loads(line),), daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()
