"""The files of one log: its folder, its segments in order, its producer snapshots.

What is created or renamed here is durable only once the folder is synced: ``unsynced_folders``.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from pykbroker.state.log.checkpoints import encode_partition_metadata
from pykbroker.state.log.names import DELETED, PARTITION_METADATA, SNAPSHOT, SWAP, segment_file
from pykbroker.state.types import NO_TOPIC_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.config.topic import LogConfig
    from pykbroker.runtime.storage.context import LogContext, Upkeep
    from pykbroker.runtime.storage.segment import Segment
    from pykbroker.state.log.producers import ProducerState
    from pykbroker.state.types import TopicId


class LogFiles:
    def __init__(
        self,
        context: LogContext,
        upkeep: Upkeep,
        log_directory: str,
        folder: str,
        config: LogConfig,
    ) -> None:
        self.log_directory = log_directory
        self.folder = f"{log_directory}/{folder}"
        self.config = config
        self.exists = False
        """The folder is there, and at least one segment in it."""
        self.segments: list[Segment] = []
        self.snapshots: list[int] = []
        """Offsets of the producer snapshots on disk, rising."""
        self._context = context
        self._upkeep = upkeep
        self._unsynced_folders: list[str] = []
        self._unsynced_files: list[str] = []

    # Segments

    def make(self, base_offset: int, topic_id: TopicId) -> None:
        """The log's first append brings its folder into being."""
        disk = self._context.disk
        is_new = disk.mkdir(self.folder)
        if topic_id != NO_TOPIC_ID:
            path = f"{self.folder}/{PARTITION_METADATA}"
            file = disk.open(path, create=True)
            if file.size:
                file.truncate(0)
            file.append((encode_partition_metadata(topic_id),))
            file.close()
            self._unsynced_files.append(path)
        self.add_segment(base_offset, in_new_folder=is_new)
        self.exists = True
        self._unsynced_folders.append(self.log_directory)

    def new_segment(self, base_offset: int, *, size: int = 0, suffix: str = "") -> Segment:
        """Of files that are there already, or that ``create`` will make."""
        from pykbroker.runtime.storage.segment import Segment

        config = self.config
        jitter_ms = min(config.segment_jitter_ms, config.segment_ms)
        return Segment(
            self._context,
            self.folder,
            base_offset,
            size=size,
            suffix=suffix,
            index_interval_bytes=config.index_interval_bytes,
            roll_jitter_ms=self._context.rng.randrange(jitter_ms) if jitter_ms else 0,
        )

    def add_segment(self, base_offset: int, *, in_new_folder: bool = False) -> Segment:
        segment = self.new_segment(base_offset)
        segment.create(in_new_folder=in_new_folder)
        segment.is_active = True
        self.segments.append(segment)
        if self.folder not in self._unsynced_folders:
            self._unsynced_folders.append(self.folder)
        return segment

    def replace_empty_segment(self, base_offset: int) -> Segment:
        """The last one holds nothing, and what comes is too far from its base."""
        empty = self.segments.pop()
        empty.drop()
        segment = self.add_segment(base_offset)
        for path in empty.rename(DELETED):
            self._context.disk.unlink(path)
        return segment

    def index_of(self, offset: int) -> int:
        """Of the last segment whose base is not above ``offset``; -1 if all are above."""
        return bisect_right(self.segments, offset, key=_base_offset) - 1

    def from_offset(self, offset: int) -> list[Segment]:
        """The segment that holds ``offset`` and those behind it."""
        segments = self.segments
        if segments and segments[-1].base_offset <= offset:  # Nearly all reads are there.
            return segments[-1:]
        return segments[max(self.index_of(offset), 0) :]

    def delete(self, segments: Iterable[Segment], *, at_once: bool = False) -> None:
        """Files of segments that are not part of the log any more, in an order in which a crash
        leaves no hole."""
        paths = []
        for segment in segments:
            paths += segment.rename(DELETED)
            segment.drop()
        self._upkeep.delete_later(paths, 0 if at_once else self.config.file_delete_delay_ms)

    def swap_in(self, size: int, segments: list[Segment]) -> Segment:
        """Put the cleaned segment, whose files end in ``.swap``, in the place of its sources."""
        first = self.segments.index(segments[0])
        cleaned = self.new_segment(segments[0].base_offset, size=size, suffix=SWAP)
        self.segments[first : first + len(segments)] = [cleaned]
        self.delete(segments)
        self.delete_snapshots([segment.base_offset for segment in segments[1:]])
        return cleaned

    def move_to(self, folder: str) -> None:
        """Rename the folder, within its log directory."""
        target = f"{self.log_directory}/{folder}"
        for segment in self.segments:
            segment.moved(target)
        if self.exists:
            self._context.disk.rename(self.folder, target)
        self._unsynced_files = [
            path.replace(self.folder, target, 1) for path in self._unsynced_files
        ]
        self.folder = target
        self._unsynced_folders.append(self.log_directory)

    # Producer snapshots

    def write_snapshot(self, producers: ProducerState) -> None:
        """Spare the next start the reading of everything up to here."""
        offset = producers.map_end_offset
        if not self.exists or (self.snapshots and self.snapshots[-1] >= offset):
            return
        from pykbroker.state.log.producer_snapshot import encode_snapshot

        path = self.snapshot_path(offset)
        file = self._context.disk.open(path, create=True)
        file.truncate(0)
        file.append((encode_snapshot(producers.entries.values()),))
        file.close()
        self.snapshots.append(offset)
        self._unsynced_files.append(path)

    def snapshot_path(self, offset: int) -> str:
        return f"{self.folder}/{segment_file(offset, SNAPSHOT)}"

    def delete_snapshots(self, offsets: list[int]) -> None:
        """Of segments that are gone."""
        disk = self._context.disk
        paths = []
        for offset in set(offsets) & set(self.snapshots):
            self.snapshots.remove(offset)
            path = self.snapshot_path(offset)
            self._context.handles.forget(path)
            disk.rename(path, path + DELETED)
            paths.append(path + DELETED)
        self._upkeep.delete_later(paths, self.config.file_delete_delay_ms)

    def drop_snapshots_above(self, offset: int) -> None:
        while self.snapshots and self.snapshots[-1] > offset:
            self.drop_snapshot(self.snapshots[-1])

    def drop_snapshot(self, offset: int) -> None:
        self.snapshots.remove(offset)
        path = self.snapshot_path(offset)
        self._context.handles.forget(path)
        if self._context.disk.exists(path):
            self._context.disk.unlink(path)

    # Durability

    def truncated(self, last: Segment) -> None:
        """What stands in place of what was cut off may be in the next segment, or be longer than
        the one that was removed: before it counts as held, the old must be gone for good."""
        if last.path not in self._unsynced_files:
            self._unsynced_files.append(last.path)
        if self.folder not in self._unsynced_folders:
            self._unsynced_folders.append(self.folder)

    def found_unsynced(self, recovery_point: int) -> None:
        """The process that made the files did not live to sync them, nor perhaps their names, nor
        what it had cut off before there."""
        if self.exists:
            self._unsynced_folders += [self.folder, self.log_directory]
            first = self.index_of(recovery_point)
            if first > 0:
                self._unsynced_files.append(self.segments[first - 1].path)

    def take_unsynced_files(self) -> list[str]:
        """Small ones beside the segments, and segments that were cut."""
        paths, self._unsynced_files = self._unsynced_files, []
        return paths

    def still_unsynced(self, files: list[str], folders: list[str]) -> None:
        """What was taken was not synced after all."""
        self._unsynced_files += files
        self._unsynced_folders += folders

    def take_unsynced_folders(self) -> list[str]:
        folders, self._unsynced_folders = self._unsynced_folders, []
        return folders


def _base_offset(segment: Segment) -> int:
    return segment.base_offset
