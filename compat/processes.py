"""Child processes that are struck: their output is kept in a file, and none is left over."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PATIENCE_SECONDS = 120.0
"""Liveness is waited for this long; nothing is asserted about how fast it comes."""

_POLL_SECONDS = 0.02


class ProcessFailed(Exception):
    """A process ended, or did not say in time what was waited for; carries its last output."""


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((host, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition()``; ProcessFailed when it does not come about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise ProcessFailed(f"waited {PATIENCE_SECONDS:.0f} s for {what}")
        time.sleep(_POLL_SECONDS)


def is_alive(pid: int) -> bool:
    """Whether the process runs or is paused; one that only waits to be reaped does not.

    A killed process looks like that as soon as its first thread has ended; while it has others its
    files are open and its locks held.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            state = file.read().rpartition(")")[2].split()[0]
        return state not in ("Z", "X") or len(os.listdir(f"/proc/{pid}/task")) > 1
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Child:
    """A process with its output, standard error included, in ``output``, which is added to.

    It does not hear the terminal's Ctrl-C: whoever started it ends it.
    """

    def __init__(
        self,
        command: Sequence[str],
        output: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.output = output
        with output.open("ab") as file:
            self._begin = file.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def text(self) -> str:
        """What this process has said; not what earlier ones left in the same file."""
        with self.output.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of a line of the output; ProcessFailed when the process ends before."""
        found: list[re.Match[str]] = []

        def has_come() -> bool:
            ended = not self.is_running
            found.extend(re.finditer(pattern, self.text(), re.MULTILINE))
            if ended and not found:
                raise ProcessFailed(self._last_words(f"ended before it said {pattern!r}"))
            return bool(found)

        try:
            eventually(has_come, repr(pattern))
        except ProcessFailed as failure:
            raise ProcessFailed(self._last_words(str(failure))) from None
        return found[0]

    def _last_words(self, reason: str) -> str:
        return f"process {self.pid}: {reason}; the end of {self.output}:\n{self.text()[-3000:]}"

    def end(self, number: signal.Signals) -> int:
        """Send a signal that ends it; its exit code, negative when a signal ended it."""
        if self.is_running:
            self._process.send_signal(number)
        try:
            return self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(self._last_words(f"did not end at {number.name}")) from None


def end_process(pid: int, number: signal.Signals) -> None:
    """Of somebody else's child: send the signal, and wait until the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    eventually(lambda: not is_alive(pid), f"the end of process {pid} at {number.name}")
