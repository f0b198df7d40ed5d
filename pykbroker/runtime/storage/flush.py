"""Making logs durable in three steps, so that only the middle one may block.

``begin`` on the loop notes what the logs hold and pins their files; ``run`` in workers syncs them,
several at a time, so that the file system can do many with one of its own commits; ``finish`` on
the loop moves the recovery points. A truncation in between makes a log's result void.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.state.log.names import INDEX, LEADER_EPOCH_CHECKPOINT, TIME_INDEX, TXN_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.ports import File, Workers
    from pykbroker.runtime.storage.log_state import LogState
    from pykbroker.runtime.storage.segment import Segment

PARALLEL = 8
"""Threads that sync at once."""


class FlushJob:
    """One log. ``final`` if it is being closed: then all of it must reach the disk."""

    def __init__(self, log: LogState, *, final: bool = False) -> None:
        self.log = log
        self.error: OSError | None = None
        self.took_ns = 0
        self._end_offset = log.log_end_offset
        self._generation = log.generation
        self._pinned: list[tuple[str, File]] = []
        self._indexed: list[Segment] = []
        try:
            self._pin_segments(final)
            self._files = log.files.take_unsynced_files()
            for path in self._files:
                self._pin(path)
        except OSError:
            self._unpin_all()
            raise
        self._epochs = log.take_changed_epochs()
        self._folders = log.files.take_unsynced_folders()
        self._has_run = False

    def _pin_segments(self, final: bool) -> None:
        log = self.log
        dirty = log.unsynced_segments()
        for segment in dirty:
            self._pin(segment.path)
        for segment in log.files.segments:
            # An unclean stop has the active segment's indexes made anew in any case.
            if segment.needs_sync and (final or not segment.is_active):
                self._indexed.append(segment)
                for kind in (INDEX, TIME_INDEX, TXN_INDEX):
                    self._pin(segment.file_path(kind))

    def _pin(self, path: str) -> None:
        try:
            file = self.log.context.handles.pin(path)
        except FileNotFoundError:
            return  # many an index is not there
        self._pinned.append((path, file))

    def _unpin_all(self) -> None:
        for path, file in self._pinned:
            self.log.context.handles.unpin(path, file)
        self._pinned.clear()

    def share_folders(self, others: set[str]) -> None:
        """Several jobs may have created something in one folder: the first of them syncs it."""
        self._folders = [folder for folder in self._folders if folder not in others]
        others.update(self._folders)

    def run(self) -> None:
        """Blocking. A failed sync is final: what it was to write may be gone from the cache."""
        disk, clock = self.log.context.disk, self.log.context.clock
        begun_ns = clock.monotonic_ns()
        self._has_run = True
        try:
            for _, file in self._pinned:
                file.sync()
            if self._epochs is not None:
                disk.write_atomic(f"{self.log.directory}/{LEADER_EPOCH_CHECKPOINT}", self._epochs)
                self._folders = [f for f in self._folders if f != self.log.directory]
            for folder in self._folders:
                disk.sync_dir(folder)
        except OSError as error:
            self.error = error
        self.took_ns = clock.monotonic_ns() - begun_ns

    def finish(self) -> None:
        self._unpin_all()
        for path in self._files:
            self.log.context.handles.forget(path)  # nobody is going to write there again
        if self.log.is_closed and isinstance(self.error, FileNotFoundError):
            return  # deleted meanwhile: its folder was renamed under the worker
        if self.error is not None:
            self.log.fail(self.error)
            return
        if not self._has_run:
            self.log.files.still_unsynced(self._files, self._folders)
            return
        for segment in self._indexed:
            segment.needs_sync = False
        context = self.log.context
        context.flushes.add(self.took_ns, context.clock.monotonic_ns())
        if self.log.generation == self._generation:
            self.log.synced(self._end_offset)


def begin(logs: Iterable[LogState], *, final: bool = False) -> list[FlushJob]:
    """A job for each log that is in service. Without room a log waits for another round."""
    jobs = []
    folders: set[str] = set()
    for log in logs:
        if log.is_failed or log.is_closed:
            continue
        try:
            if final:
                log.write_ends()
            job = FlushJob(log, final=final)
        except OSError as error:
            log.note_error(error)
            continue
        job.share_folders(folders)
        jobs.append(job)
    return jobs


async def run(workers: Workers, jobs: list[FlushJob]) -> None:
    """All of them have been finished when this returns or is cancelled."""
    try:
        if len(jobs) <= 1:
            await workers.run(_run_all, jobs)
            return
        async with anyio.create_task_group() as tasks:
            for part in range(min(PARALLEL, len(jobs))):
                tasks.start_soon(workers.run, _run_all, jobs[part::PARALLEL])
    finally:
        for job in jobs:
            job.finish()


def _run_all(jobs: list[FlushJob]) -> None:
    for job in jobs:
        job.run()
