"""The processes at the other end of a local socket: who they are, and when they are gone.

A lease that was granted to a process need not outlive it. That a connection ended proves nothing:
a living process may come back. Where the kernel offers it (Linux' pidfd), the end of a process is
an event of its own, whatever happened to its connections; elsewhere the process is looked for
when its last connection has ended. What cannot be told for sure is left to the lease's time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

from pykbroker.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.ports import Clock

logger = get_logger("pykbroker.edges.metadata_store.processes")

LOOK_AGAIN_MS = (0, 5, 20, 50, 100, 250, 500)
"""How long after its last connection a process is looked for: it may be just about to end."""
_SOL_LOCAL, _LOCAL_PEERPID = 0, 2


def peer_pid(sock: socket.socket) -> int | None:
    """The process that connected this Unix socket; None where the system does not say."""
    try:
        if sys.platform == "linux":
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid = struct.unpack("3i", credentials)[0]
        elif sys.platform == "darwin":
            pid = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)
        else:
            return None
    except OSError as error:
        logger.warning("the peer's process is not known", reason=str(error))
        return None
    # Zero: a process of another pid namespace.
    return int(pid) or None


class Process:
    """One process, its leases, and the number of its connections."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.leases: set[int] = set()
        self.connections = 0
        self.is_gone = False
        self.pidfd = -1


class Processes:
    """``on_gone`` is called on the loop for each process that is found to have ended."""

    def __init__(
        self, clock: Clock, on_gone: Callable[[Process], None], *, use_pidfd: bool = True
    ) -> None:
        self._clock = clock
        self._on_gone = on_gone
        self._use_pidfd = use_pidfd and hasattr(os, "pidfd_open")
        self._known: dict[int, Process] = {}

    def connected(self, pid: int) -> Process:
        """A connection of this process has come in."""
        process = self._known.get(pid)
        if process is None:
            process = self._known[pid] = Process(pid)
            self._watch(process)
        process.connections += 1
        return process

    def disconnected(self, process: Process) -> None:
        process.connections -= 1
        if process.connections == 0 and not process.is_gone:
            if not process.leases:
                self._forget(process)
            elif process.pidfd < 0:
                self._look(process, 0)

    def gone(self, pid: int) -> Process | None:
        """Its parent, say, knows that this process has ended. The process, if it was known."""
        process = self._known.get(pid)
        if process is not None:
            process.is_gone = True
            self._forget(process)
        return process

    def close(self) -> None:
        for process in list(self._known.values()):
            self._forget(process)

    def _watch(self, process: Process) -> None:
        if not self._use_pidfd:
            return
        try:
            process.pidfd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            self._end(process)
        except OSError as error:
            logger.debug("no pidfd", pid=process.pid, reason=str(error))
        else:
            asyncio.get_running_loop().add_reader(process.pidfd, self._end, process)

    def _look(self, process: Process, turn: int) -> None:
        """Whether it still exists; again a little later, while it has no connection."""
        if process.connections or process.is_gone or self._known.get(process.pid) is not process:
            return
        try:
            os.kill(process.pid, 0)
        except ProcessLookupError:
            self._end(process)
            return
        except PermissionError:
            pass  # it exists
        if turn + 1 < len(LOOK_AGAIN_MS):
            when_ms = self._clock.monotonic_ms() + LOOK_AGAIN_MS[turn + 1]
            self._clock.call_at(when_ms, lambda: self._look(process, turn + 1))

    def _end(self, process: Process) -> None:
        if not process.is_gone:
            process.is_gone = True
            self._forget(process)
            self._on_gone(process)

    def _forget(self, process: Process) -> None:
        if self._known.get(process.pid) is process:
            del self._known[process.pid]
        if process.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(process.pidfd)
            os.close(process.pidfd)
            process.pidfd = -1
