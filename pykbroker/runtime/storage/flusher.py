"""Syncs in rounds: all logs that asked while one round ran share the next (group commit)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.runtime.storage import flush

if TYPE_CHECKING:
    from pykbroker.ports import Workers
    from pykbroker.runtime.storage.log_state import LogState


ROUND_LIMIT = 64
"""Logs of one round: their files are pinned open while it lasts."""


class Flusher:
    """One per log directory."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._wanted: dict[LogState, None] = {}
        self._wake: anyio.Event | None = None
        self.rounds = 0

    def request(self, log: LogState) -> None:
        self._wanted[log] = None
        if self._wake is not None:
            self._wake.set()

    async def run(self) -> None:
        while True:
            if not self._wanted:
                self._wake = anyio.Event()
                await self._wake.wait()
            await self.flush_wanted()

    async def flush_wanted(self) -> None:
        """One round."""
        logs = list(self._wanted)[:ROUND_LIMIT]
        for log in logs:
            del self._wanted[log]
        jobs = flush.begin(logs)
        if jobs:
            self.rounds += 1
            await flush.run(self._workers, jobs)
