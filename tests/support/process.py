"""A broker as users run it: a child process, watched through its ready line and its exit."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

PATIENCE_SECONDS = 60.0
"""Liveness is waited for this long; nothing is asserted about how fast it comes."""

READY = re.compile(r"^pykbroker ready bootstrap\.servers=(\S+)(?: http=(\S+))?$")
ROOT = Path(__file__).resolve().parents[2]


class BrokerDied(AssertionError):
    """The process ended before it was ready; carries what it said."""


class BrokerProcess:
    """One ``pykbroker serve`` on free ports, with its output collected in files."""

    def __init__(
        self,
        *arguments: str,
        log_dir: Path,
        env: dict[str, str] | None = None,
        port: int | None = 0,
    ) -> None:
        self.arguments = arguments
        self.stdout_path = log_dir / f"broker-{time.monotonic_ns()}.out"
        self.stderr_path = self.stdout_path.with_suffix(".err")
        command = [sys.executable, "-m", "pykbroker", "serve", *arguments]
        if port is not None:
            command += ["--port", str(port)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")}
        environment |= {"PYTHONPATH": str(ROOT)} | (env or {})
        self._err: IO[bytes] = self.stderr_path.open("wb")
        self.process = subprocess.Popen(
            command,
            bufsize=0,  # select and readline must see the same bytes
            stdout=subprocess.PIPE,
            stderr=self._err,
            env=environment,
            cwd=log_dir,
        )
        self.lines: list[str] = []
        self.bootstrap = ""
        self.http: str | None = None

    @property
    def port(self) -> int:
        return int(self.bootstrap.split(",")[0].rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self) -> BrokerProcess:
        """Until the ready line and the last line of start-up have been printed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self.bootstrap and any("Kafka Server started" in line for line in self.lines)):
            line = self._read_line(deadline)
            self.lines.append(line)
            found = READY.match(line)
            if found:
                self.bootstrap = found[1]
                self.http = found[2]
        return self

    def _read_line(self, deadline: float) -> str:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            self.kill()
            raise BrokerDied(f"not ready in {PATIENCE_SECONDS} s\n{self.stderr}")
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait(PATIENCE_SECONDS)
            raise BrokerDied(f"exit code {code} before it was ready\n{self.stderr}")
        return line.decode().rstrip("\n")

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    def terminate(self) -> int:
        """SIGTERM, then its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._finish()

    def kill(self) -> int:
        if self.process.poll() is None:
            self.process.kill()
        return self._finish()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _finish(self) -> int:
        code = self.process.wait(PATIENCE_SECONDS)
        if self.process.stdout is not None and not self.process.stdout.closed:
            rest = self.process.stdout.read().decode(errors="replace")
            self.lines.extend(rest.splitlines())
            self.process.stdout.close()
        self._err.close()
        return code


def run_command(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """``pykbroker ARGUMENTS`` to its end: exit code, standard output, standard error."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")}
    environment |= {"PYTHONPATH": str(ROOT)} | (env or {})
    done = subprocess.run(
        [sys.executable, "-m", "pykbroker", *arguments],
        capture_output=True,
        cwd=cwd,
        env=environment,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def eventually(condition: object, *, what: str = "condition") -> object:
    """Call until true, within the patience; returns the value."""
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about in {PATIENCE_SECONDS} s")
        time.sleep(0.02)
