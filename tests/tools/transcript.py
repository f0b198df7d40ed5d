"""A session with Kafka's tools: ``transcript.txt`` is what they said, noise of the JVM taken off.

``$ TOOL ARGUMENTS <<INPUT``, then the output of both streams, then the exit code in brackets. The
bootstrap server is added to each command; addresses and topic ids are written as words.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Attempt = Callable[[str, list[str], str], tuple[int, str]]

FILE = Path(__file__).with_name("transcript.txt")
ONLY_KAFKA = " or some brokers have all their log directories cordoned"
NOISE = re.compile(
    r"^(\[\d{4}-|\tat | \(org\.|Caused by|WARNING|console-consumer-\d+$|Error processing message)"
)
EXCEPTION = re.compile(r"^(?:[a-z]+(?:\.\w+)+(?:Exception|Error)(?:: |$))+")


def commands(text: str) -> list[str]:
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def play(attempt: Attempt, server: str, text: str) -> str:
    """The transcript of the commands in ``text`` with another set of tools."""
    return "".join(said(attempt, server, command) for command in commands(text))


def said(attempt: Attempt, server: str, command: str) -> str:
    line, _, stdin = command.partition(" <<")
    tool, *arguments = line.split(" ")
    stdin = stdin.replace("\\n", "\n").replace("\\t", "\t")
    code, output = attempt(tool, [*arguments, "--bootstrap-server", server], stdin)
    lines = "".join(f"{line}\n" for line in plain(output.replace(server, "HOST:PORT")))
    return f"$ {command}\n{lines}[{code}]\n"


def plain(output: str) -> list[str]:
    kept: list[str] = []
    usage, _, _ = output.partition("Option  ")
    for line in usage.splitlines():
        if NOISE.match(line):
            continue
        message = EXCEPTION.sub("", line).replace(ONLY_KAFKA, "").rstrip()
        message = re.sub(r"TopicId: \S{22}", "TopicId: ID", message)
        message = re.sub(r"(\* Group .*Exception): .*", r"\1", message)  # a text of the client's
        message = re.sub(r"(?<=Configs: ).*", in_order, message)
        # The stack trace repeats what was said.
        if message != line.rstrip() and (not message or (kept and message in kept[-1])):
            continue
        kept.append(message)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def in_order(configs: re.Match[str]) -> str:
    """Kafka's come out of a hash table."""
    return ",".join(sorted(configs[0].split(",")))
