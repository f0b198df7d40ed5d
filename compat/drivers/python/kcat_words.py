"""What kcat says, and how it is called: one process for each thing that is asked of it."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from compat.drivers.python.kafka_errors import RETRIABLE, error_name
from compat.drivers.python.words import CommandError, unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATIENCE_SECONDS = 60.0

_BROKER_TEXTS = {
    "Offset out of range": 1,
    "Invalid message": 2,
    "Unknown topic or partition": 3,
    "Leader not available": 5,
    "Not leader for partition": 6,
    "Request timed out": 7,
    "Message size too large": 10,
    "Coordinator load in progress": 14,
    "Coordinator not available": 15,
    "Not coordinator": 16,
    "Invalid topic": 17,
    "Message batch larger than configured server segment size": 18,
    "Not enough in-sync replicas": 19,
    "Message(s) written to insufficient number of in-sync replicas": 20,
    "Invalid required acks value": 21,
    "Specified group generation id is not valid": 22,
    "Inconsistent group protocol": 23,
    "Invalid group.id": 24,
    "Unknown member": 25,
    "Invalid session timeout": 26,
    "Group rebalance in progress": 27,
    "Topic authorization failed": 29,
    "Group authorization failed": 30,
    "Invalid timestamp": 32,
    "Policy violation": 44,
    "Broker received an out of order sequence number": 45,
    "Unknown Producer Id": 59,
    "Static consumer fenced by other consumer with same group.instance.id": 82,
    "Broker failed to validate record": 87,
}
_LOCAL_TEXTS = {
    "Message timed out": "TIMEOUT",
    "Timed out": "TIMEOUT",
    "Broker transport failure": "DISCONNECTED",
    "All broker connections are down": "DISCONNECTED",
    "Host resolution failure": "DISCONNECTED",
    "Fatal error": "FENCED",
}
_UNKNOWN = ("Unknown topic", "Unknown partition")
_SAID = re.compile(r"(Broker|Local): ([^:]+?)(?: \(broker \d+\))?(?=$|:)")


def error_of(text: str) -> CommandError:
    """From the words of librdkafka in a line of kcat."""
    code, number, fatal = "CLIENT", None, False
    for kind, words in _SAID.findall(text):
        if kind == "Broker" and words in _BROKER_TEXTS:
            number = _BROKER_TEXTS[words]
            code = error_name(number)
            break
        if words in _UNKNOWN:
            number, code = 3, error_name(3)
            break
        code = _LOCAL_TEXTS.get(words, code)
        fatal = code == "FENCED"
    return CommandError(code, text, number=number, retriable=code in RETRIABLE, fatal=fatal)


def properties(settings: Mapping[str, Any]) -> list[str]:
    """Settings of librdkafka as arguments."""
    arguments = []
    for name, value in settings.items():
        written = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-X", f"{name}={written}"]
    return arguments


def argument(data: bytes, what: str) -> bytes:
    if b"\0" in data:
        raise unsupported(f"{what} with a zero byte")
    return data


_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def start(arguments: Sequence[str | bytes], *, reads: bool = False) -> subprocess.Popen[bytes]:
    with _lock:
        process = subprocess.Popen(
            ["kcat", *arguments],
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _running.add(process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C would, waiting for it; it is killed if that takes too long."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise CommandError("TIMEOUT", "kcat does not end") from error
    finally:
        has_ended(process)


def has_ended(process: subprocess.Popen[bytes]) -> None:
    with _lock:
        _running.discard(process)


def kill_all() -> None:
    with _lock:
        for process in _running:
            process.kill()


def ask(arguments: Sequence[str | bytes]) -> str:
    """What it writes. Raises what it reports."""
    process = start(arguments)
    out, err = process.communicate()
    has_ended(process)
    if process.returncode != 0:
        raise error_of(last_words(err.decode(errors="replace").splitlines()))
    return out.decode("utf-8", "surrogateescape")


def last_words(said: Sequence[str]) -> str:
    """The line in which it says what is wrong."""
    errors = [line for line in said if "ERROR" in line]
    return (errors or [*said, "kcat ended without a word"])[-1]


def version() -> str:
    said = ask(["-V"])
    found = re.search(r"Version (\S+)", said)
    return found[1] if found else "0"


def features() -> frozenset[str]:
    """What its librdkafka was built with."""
    found = re.search(r"builtin\.features=([\w,]+)", ask(["-V"]))
    return frozenset(found[1].split(",") if found else ())
