"""Syncs in rounds: all logs that asked while one round ran share the next (group commit)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.runtime.storage.flush import FlushJob

if TYPE_CHECKING:
    from pykbroker.ports import Workers
    from pykbroker.runtime.storage.log import PartitionLog


ROUND_LIMIT = 64
"""Logs of one round: their files are pinned open while it lasts."""


class Flusher:
    """One per log directory."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._wanted: dict[PartitionLog, None] = {}
        self._wake: anyio.Event | None = None
        self.rounds = 0

    def request(self, log: PartitionLog) -> None:
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
        jobs = self.begin()
        if not jobs:
            return
        try:
            await self._workers.run(run_all, jobs)
        finally:
            finish_all(jobs)

    def begin(self) -> list[FlushJob]:
        logs = list(self._wanted)[:ROUND_LIMIT]
        for log in logs:
            del self._wanted[log]
        jobs = []
        for log in logs:
            if log.is_failed or log.is_closed:
                continue
            try:
                jobs.append(FlushJob(log))
            except OSError as error:
                log.note_error(error)
        self.rounds += bool(jobs)
        return jobs


def run_all(jobs: list[FlushJob]) -> None:
    for job in jobs:
        job.run()


def finish_all(jobs: list[FlushJob]) -> None:
    for job in jobs:
        job.finish()
