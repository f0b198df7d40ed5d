"""``pykbroker exec -- COMMAND``: a broker for as long as a command runs.

The broker is in memory, on a free port, in this process; the command finds it in
``KAFKA_BOOTSTRAP_SERVERS``. Its exit code is ours; that of a command that a signal ended is 128 and
the signal's number, as a shell has it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pykbroker.config.load import from_options
from pykbroker.config.settings import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
NOT_FOUND, NOT_EXECUTABLE = 127, 126
HANDED_ON = (signal.SIGTERM, signal.SIGHUP)


def execute(command: Sequence[str], *, brokers: int, options: Sequence[str]) -> int:
    """The exit code. 2 for a wrong setting, 127 where there is no such command."""
    from pykbroker.testing import Cluster, Wrong

    try:
        cluster = Cluster(brokers, settings=from_options(options)).start()
    except (ConfigError, Wrong) as error:
        print(f"pykbroker: {error}", file=sys.stderr)
        return 2
    try:
        return _run(command, os.environ | {VARIABLE: cluster.bootstrap_servers})
    finally:
        cluster.stop()


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environment)
    except FileNotFoundError:
        print(f"pykbroker: {command[0]}: command not found", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"pykbroker: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE
    with _signals_handed_on(process):
        code = process.wait()
    return 128 - code if code < 0 else code


@contextmanager
def _signals_handed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """What we are told the command is told; an interrupt at the terminal reaches it by itself."""

    def hand_on(number: int, _: Any) -> None:
        if process.poll() is None:
            process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in HANDED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
