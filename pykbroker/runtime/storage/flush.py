"""Making a log durable in three steps, so that only the middle one may block.

``begin`` on the loop notes what the log holds and pins its files; ``run`` in a worker syncs them;
``finish`` on the loop moves the recovery point. A truncation in between makes the result void.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.log.checkpoints import encode_epochs
from pykbroker.state.log.names import (
    INDEX,
    LEADER_EPOCH_CHECKPOINT,
    LOG,
    TIME_INDEX,
    TXN_INDEX,
)

if TYPE_CHECKING:
    from pykbroker.ports import File
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.segment import Segment


class FlushJob:
    def __init__(self, log: PartitionLog, *, final: bool = False) -> None:
        """``final`` if the log is being closed."""
        self.log = log
        self._final = final
        self.end_offset = log.log_end_offset
        self._generation = log.generation
        self._pinned: list[tuple[str, File]] = []
        self._segments: list[Segment] = []
        self._epochs: bytes | None = None
        self._directories: list[str] = []
        self.error: OSError | None = None
        try:
            self._pin_all()
        except OSError:
            self._unpin_all()
            raise

    def _pin_all(self) -> None:
        log = self.log
        handles, disk = log.context.handles, log.context.disk
        for segment in log.unsynced_segments():
            segment.write_indexes()
            # An unclean stop has the active segment's indexes made anew in any case.
            only_log = segment.is_active and not self._final
            kinds = (LOG,) if only_log else (LOG, INDEX, TIME_INDEX, TXN_INDEX)
            if not only_log:
                self._segments.append(segment)
            for kind in kinds:
                path = segment.file_path(kind)
                if kind == LOG or disk.exists(path):
                    self._pinned.append((path, handles.pin(path)))
        for path in log.files.take_unsynced_files():
            if disk.exists(path):
                self._pinned.append((path, handles.pin(path)))
        if log.leader_epochs.dirty and log.files.exists:
            log.leader_epochs.dirty = False
            self._epochs = encode_epochs(log.leader_epochs.entries)
        self._directories = log.files.take_unsynced_folders()

    def run(self) -> None:
        """Blocking. A failed sync is final: what it was to write may be gone from the cache."""
        disk = self.log.context.disk
        try:
            for _, file in self._pinned:
                file.sync()
            if self._epochs is not None:
                disk.write_atomic(f"{self.log.directory}/{LEADER_EPOCH_CHECKPOINT}", self._epochs)
            for directory in self._directories:
                disk.sync_dir(directory)
        except OSError as error:
            self.error = error

    def _unpin_all(self) -> None:
        for path, file in self._pinned:
            self.log.context.handles.unpin(path, file)
        self._pinned.clear()

    def finish(self) -> None:
        self._unpin_all()
        if self.error is not None:
            self.log.fail(self.error)
            return
        for segment in self._segments:
            segment.needs_sync = False
        if self.log.generation == self._generation:
            self.log.synced(self.end_offset)
