"""The child process of ``ProcessHost``: ``python -m pykbroker.testing.child``.

Standard input brings what is to be done, standard output takes what came of it; whatever else is
printed goes to standard error. The end of standard input is the end of the brokers.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import IO, TYPE_CHECKING, Any

from pykbroker.edges.log_sink import StreamSink
from pykbroker.testing.hosts import ThreadHost, read_message, write_message

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    # An interrupt at the terminal reaches the whole group; our parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    first = read_message(requests)
    if first is None:
        return
    brokers, settings, level = first
    hosts: list[ThreadHost] = []
    sink = StreamSink(sys.stderr)
    _answer(answers, lambda: hosts.append(ThreadHost(brokers, settings, sink, level)))
    if not hosts:
        return
    while (message := read_message(requests)) is not None:
        action, arguments, named = message
        _answer(answers, lambda: hosts[0].call(action, *arguments, **named))  # noqa: B023
    hosts[0].close()


def _answer(stream: IO[bytes], work: Callable[[], Any]) -> None:
    message: tuple[Any, Exception | None]
    try:
        message = (work(), None)
    except Exception as error:
        message = (None, error)
    write_message(stream, message)


if __name__ == "__main__":
    main()
