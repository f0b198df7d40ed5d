"""Child processes that serve brokers: forked from a process that has loaded everything already.

Parent and child each hold one end of a socket. The child says through it that it is ready; the end
of the stream tells either of them that the other is gone, however that came about.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MESSAGE_LIMIT = 64 * 1024


class Child:
    """One forked process, as its parent sees it."""

    def __init__(self, node_id: int, pid: int, link: socket.socket) -> None:
        self.node_id = node_id
        self.pid = pid
        self.exit_code: int | None = None
        """Once it is gone; negative is the number of the signal that ended it."""
        self._link = link

    async def messages(self, on_message: Callable[[dict[str, Any]], None]) -> None:
        """Every message of the child, until it is gone and its exit code known."""
        buffered = b""
        while True:
            await anyio.wait_readable(self._link)
            try:
                received = self._link.recv(MESSAGE_LIMIT)
            except ConnectionError:
                received = b""
            if not received:
                break
            *lines, buffered = (buffered + received).split(b"\n")
            for line in lines:
                on_message(json.loads(line))
        self._reap()

    def _reap(self) -> None:
        """Its end of the socket went with the process itself: this does not wait."""
        self._link.close()
        _, status = os.waitpid(self.pid, 0)
        self.exit_code = os.waitstatus_to_exitcode(status)

    def signal(self, number: int) -> None:
        """Does nothing for a child that is gone: until it was waited for its pid is its own."""
        if self.exit_code is None:
            os.kill(self.pid, number)


class Parent:
    """The other end, in the child."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self._link.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            # It is gone; ``gone`` says so to whom that concerns.
            return

    async def gone(self) -> None:
        """Returns when the parent process has ended."""
        while True:
            await anyio.wait_readable(self._link)
            try:
                if not self._link.recv(MESSAGE_LIMIT):
                    return
            except ConnectionError:
                return


def fork(node_id: int, serve: Callable[[Parent], int], others: Iterable[Child]) -> Child:
    """Run ``serve`` in a new process; what it returns is the exit code.

    To be called before there is an event loop or a thread. The child has a process group of its
    own: what a terminal sends reaches the parent, which hands it on.
    """
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        theirs.close()
        ours.setblocking(False)
        return Child(node_id, pid, ours)
    ours.close()
    for other in others:
        other._link.close()
    _serve(serve, theirs)


def _serve(serve: Callable[[Parent], int], link: socket.socket) -> NoReturn:
    """Never returns into the parent's code, whatever happens."""
    code = 1
    try:
        os.setpgid(0, 0)
        code = serve(Parent(link))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
