"""A driver whose client is Kafka's command line: each tool is a JVM of its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from compat.kafka.libraries import version_of
from compat.processes import ProcessFailed
from compat.tools.runner import LocalTools, Running


class Driver:
    def __init__(self, libraries: Path, work: Path) -> None:
        self._tools = LocalTools(libraries, work)
        self._running: dict[str, Running] = {}
        self._writing = threading.Lock()

    def hello(self, version: str) -> None:
        said = {"client": "kafka-tools", "version": version, "language": "java"}
        self._write({"hello": said | {"partitioner": "java", "capabilities": ["tools"]}})

    def take(self, command: dict[str, Any]) -> None:
        """Its result, whenever the tool has ended."""
        answer: dict[str, Any] = {"id": command.get("id")}
        try:
            answer |= {"ok": True, "result": self._done(command)}
        except (AssertionError, KeyError, ProcessFailed) as error:
            code = "UNSUPPORTED" if isinstance(error, KeyError) else "TIMEOUT"
            answer |= {"ok": False, "error": {"code": code, "message": str(error)}}
        self._write(answer)

    def _done(self, command: dict[str, Any]) -> dict[str, Any]:
        op = command["op"]
        if op == "tool.stop":
            return {"output": self._running.pop(command["handle"]).stop()}
        tool, arguments = command["tool"], command["arguments"]
        if op == "tool.start":
            self._running[command["handle"]] = self._tools.start(tool, *arguments)
            return {}
        if op != "tool.run":
            raise KeyError(op)
        code, output = self._tools.attempt(tool, *arguments, stdin=command.get("input", ""))
        return {"code": code, "output": output}

    def close(self) -> None:
        for running in self._running.values():
            running.stop()

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
        driver.close()
    os._exit(0)


if __name__ == "__main__":
    main()
