"""The loops that keep the logs: flushers, checkpoints, retention, delayed deletion, cleaner.

Nothing here blocks the loop: syncs, checkpoint writes and removals run in workers.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import anyio

from pykbroker.log import get_logger
from pykbroker.runtime.storage.flusher import Flusher
from pykbroker.state.log.names import (
    HIGH_WATERMARK_CHECKPOINT,
    LOG_START_CHECKPOINT,
    RECOVERY_POINT_CHECKPOINT,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pykbroker.ports import Clock
    from pykbroker.runtime.storage.cleaner import Cleaner
    from pykbroker.runtime.storage.directory import LogDirectory
    from pykbroker.runtime.storage.log_state import LogState
    from pykbroker.runtime.storage.manager import LogManager
    from pykbroker.state.log.checkpoints import Checkpoint
    from pykbroker.state.types import TopicPartition

logger = get_logger("pykbroker.storage.upkeep")
CHECKPOINTS = {
    HIGH_WATERMARK_CHECKPOINT: "replica.high.watermark.checkpoint.interval.ms",
    RECOVERY_POINT_CHECKPOINT: "log.flush.offset.checkpoint.interval.ms",
    LOG_START_CHECKPOINT: "log.flush.start.offset.checkpoint.interval.ms",
}
"""File -> how often it is written."""
LOGS_PER_TURN = 50
"""Looked at before others get their turn on the loop."""


class Alarm:
    """Wakes the one task that waits on it, at the time set or when it is rung."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event: anyio.Event | None = None
        self._rung = False

    def ring(self) -> None:
        self._rung = True
        if self._event is not None:
            self._event.set()

    async def wait_until(self, when_ms: int | None) -> None:
        if not self._rung:
            self._event = anyio.Event()
            timer = None if when_ms is None else self._clock.call_at(when_ms, self._event.set)
            try:
                await self._event.wait()
            finally:
                self._event = None
                if timer is not None:
                    timer.cancel()
        self._rung = False


class LogUpkeep:
    def __init__(self, manager: LogManager) -> None:
        self.manager = manager
        self._clock = manager.clock
        self.flushers = {
            directory.path: Flusher(manager.workers) for directory in manager.directories
        }
        self._doomed: list[tuple[int, str]] = []
        """Heap of (when, path): files and folders to be removed."""
        self._doom = Alarm(self._clock)
        self.cleaner: Cleaner | None = None
        """Once it runs."""
        self._writing = Alarm(self._clock)

    # What logs ask for

    def flush_soon(self, log: LogState) -> None:
        self.flushers[log.log_directory].request(log)

    def flush_within(self, log: LogState, delay_ms: int) -> None:
        self._clock.call_at(self._clock.monotonic_ms() + delay_ms, lambda: self.flush_soon(log))

    def delete_later(self, paths: Iterable[str], delay_ms: int) -> None:
        when_ms = self._clock.monotonic_ms() + delay_ms
        for path in paths:
            heapq.heappush(self._doomed, (when_ms, path))
        self._doom.ring()

    def log_start_moved(self, log: LogState) -> None:
        """DeleteRecords: a crash within the minute must not bring the records back."""
        self._writing.ring()

    def truncated(self, log: LogState) -> None:
        self.flush_soon(log)
        self._writing.ring()

    def folder_is_stray(self, log: LogState) -> None:
        self.manager.retire_stray(log)

    def directory_failed(self, log_directory: str, error: OSError) -> None:
        manager = self.manager
        directory = manager.directory_at(log_directory)
        if directory.is_failed:
            return
        logger.error("log directory failed", directory=log_directory, reason=str(error))
        directory.is_failed = True
        logs = [
            log
            for log in (*manager.logs.values(), *manager.futures.values())
            if log.log_directory == log_directory
        ]
        for log in logs:
            log.is_failed = True
        if manager.on_directory_failed is not None:
            manager.on_directory_failed(log_directory, logs)
        if manager.on_all_failed is not None and not any(manager.live_directories()):
            manager.on_all_failed()

    # Loops

    async def run(self) -> None:
        from pykbroker.runtime.storage.cleaner import Cleaner

        async with anyio.create_task_group() as tasks:
            for flusher in self.flushers.values():
                tasks.start_soon(flusher.run)
            tasks.start_soon(self._remove_doomed)
            tasks.start_soon(self._keep_checkpoints)
            tasks.start_soon(self._keep_retention)
            tasks.start_soon(self._expire_producers)
            self.cleaner = Cleaner(self.manager)
            tasks.start_soon(self.cleaner.run)

    def _setting(self, name: str) -> int:
        return self.manager.settings.current.int(name)

    async def _keep_checkpoints(self) -> None:
        """One task writes them all, so that no file is written twice at once."""
        now_ms = self._clock.monotonic_ms()
        due = {name: now_ms + max(self._setting(s), 1) for name, s in CHECKPOINTS.items()}
        while True:
            await self._writing.wait_until(min(due.values()))
            now_ms = self._clock.monotonic_ms()
            names = [name for name, when_ms in due.items() if when_ms <= now_ms]
            # Rung before its time: a log start has moved, or a log was truncated.
            await self.write_checkpoints(names or CHECKPOINTS)
            for name in names:
                due[name] = now_ms + max(self._setting(CHECKPOINTS[name]), 1)

    async def write_checkpoints(self, names: Iterable[str] = tuple(CHECKPOINTS)) -> None:
        for directory in self.manager.live_directories():
            pending = self.pending_checkpoints(directory, names)
            if pending:
                try:
                    await self.manager.workers.run(directory.write_all, pending)
                except OSError as error:
                    self.directory_failed(directory.path, error)

    def pending_checkpoints(
        self, directory: LogDirectory, names: Iterable[str] = tuple(CHECKPOINTS)
    ) -> list[tuple[str, bytes]]:
        """The values are taken here, on the loop; the writing may be done anywhere."""
        logs = [log for log in self.manager.logs.values() if log.log_directory == directory.path]
        pending = []
        for name in names:
            data = directory.changed(name, self._offsets(directory, logs, name))
            if data is not None:
                pending.append((name, data))
        return pending

    def _offsets(
        self, directory: LogDirectory, logs: Sequence[LogState], name: str
    ) -> dict[TopicPartition, int]:
        """Of every partition with files here, in service or not yet."""
        known: dict[TopicPartition, Checkpoint] = {
            topic_partition: directory.checkpoint(topic_partition)
            for topic_partition in directory.partitions
        }
        for log in logs:
            if log.is_loaded and log.files.exists:
                known[log.topic_partition] = log.checkpoint()
        if name == HIGH_WATERMARK_CHECKPOINT:
            return {key: values.high_watermark for key, values in known.items()}
        if name == RECOVERY_POINT_CHECKPOINT:
            return {key: values.recovery_point for key, values in known.items()}
        # A start that the first segment's name tells needs no saying.
        bases = {log.topic_partition: log.first_base_offset() for log in logs if log.is_loaded}
        starts = {key: values.log_start_offset for key, values in known.items()}
        return {key: start for key, start in starts.items() if start > bases.get(key, 0)}

    async def _remove_doomed(self) -> None:
        while True:
            await self._doom.wait_until(self._doomed[0][0] if self._doomed else None)
            now_ms = self._clock.monotonic_ms()
            paths = []
            while self._doomed and self._doomed[0][0] <= now_ms:
                paths.append(heapq.heappop(self._doomed)[1])
            if paths:
                await self.manager.workers.run(self._remove, paths)

    def _remove(self, paths: list[str]) -> None:
        """Blocking. What cannot be removed is left for the next start."""
        disk = self.manager.disk
        for path in paths:
            try:
                if disk.is_directory(path):
                    disk.rmtree(path)
                elif disk.exists(path):
                    disk.unlink(path)
            except OSError as error:
                logger.warning("cannot remove", path=path, reason=str(error))

    async def _keep_retention(self) -> None:
        await self._clock.sleep(self._setting("log.initial.task.delay.ms"))
        while True:
            await self.apply_retention()
            await self._clock.sleep(max(self._setting("log.retention.check.interval.ms"), 1))

    async def apply_retention(self) -> int:
        """One round over all logs; how many segments went."""
        count = 0
        for index, log in enumerate([*self.manager.logs.values(), *self.manager.futures.values()]):
            if index % LOGS_PER_TURN == LOGS_PER_TURN - 1:
                await self._clock.sleep(0)
            if log.is_failed or log.is_closed or not log.may_have_files():
                continue
            try:
                count += log.delete_old_segments(self._clock.wall_ms())
            except OSError as error:
                log.note_error(error)
        return count

    async def _expire_producers(self) -> None:
        while True:
            await self._clock.sleep(
                max(self._setting("producer.id.expiration.check.interval.ms"), 1)
            )
            now_ms = self._clock.wall_ms()
            expiration_ms = self._setting("producer.id.expiration.ms")
            for log in self.manager.logs.values():
                if log.is_loaded:
                    log.producers.remove_expired(now_ms, expiration_ms)
