"""What is known of one log, and how far it is committed and synced.

Nothing is read from disk before something of the log is needed: ``log.UnloadedLog`` loads what
comes from the files on first use.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NoReturn

from pykbroker.log import get_logger
from pykbroker.runtime.storage import flush
from pykbroker.runtime.storage.files import LogFiles
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.checkpoints import UNKNOWN_CHECKPOINT, Checkpoint, encode_epochs
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.config.topic import LogConfig
    from pykbroker.runtime.storage.append import Intake
    from pykbroker.runtime.storage.context import LogContext, Upkeep
    from pykbroker.runtime.storage.results import KnownPartition, Recovery
    from pykbroker.runtime.storage.segment import Segment
    from pykbroker.state.log.epochs import LeaderEpochCache
    from pykbroker.state.log.producers import AppendOrigin, ProducerState
    from pykbroker.state.types import TopicId, TopicPartition

logger = get_logger("pykbroker.storage.log")

NEVER = 2**63 - 1
_PASSING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE))
"""Refusals that leave the directory as it was: it serves again once there is room."""


class LogState:
    """The part of a log that appends, reads and truncations have in common."""

    log_start_offset: int
    log_end_offset: int
    high_watermark: int
    recovery_point: int
    """Everything below has been synced."""
    durable_end_offset: int
    """How far this replica may say that it holds the data: the log's end, or with flush.messages
    what is synced plus what the setting allows to be lost."""
    leader_epochs: LeaderEpochCache
    producers: ProducerState

    def __init__(
        self,
        context: LogContext,
        upkeep: Upkeep,
        log_directory: str,
        topic_partition: TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        *,
        folder: str | None = None,
        checkpoint: Checkpoint = UNKNOWN_CHECKPOINT,
    ) -> None:
        self.context = context
        self.upkeep = upkeep
        self.log_directory = log_directory
        self.topic_partition = topic_partition
        self.topic_id = topic_id
        self.files = LogFiles(
            context, upkeep, log_directory, folder or str(topic_partition), config
        )
        self.on_synced: Callable[[], None] | None = None
        """Called after ``recovery_point`` and ``durable_end_offset`` have moved on."""
        self.is_loaded = False
        self.is_failed = False
        self.is_closed = False
        self.generation = 0
        """Raised by truncation: what was planned or synced before is not about this end."""
        self.lowest_truncation: int | None = None
        """Since the cleaner last looked: what it cleaned above is not this log's any more."""
        self._checkpoint = checkpoint
        self._pending_epoch = -1
        self._stored_epochs = b""
        self._intakes: dict[AppendOrigin, Intake] = {}
        self._flush_is_due = False
        self.config = config

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory})"

    @property
    def config(self) -> LogConfig:
        return self._config

    @config.setter
    def config(self, config: LogConfig) -> None:
        self._config = self.files.config = config
        self._flushes = config.flush_messages != NEVER or config.flush_ms != NEVER
        self._intakes.clear()
        if self.is_loaded:
            self._flush_if_due()

    @property
    def directory(self) -> str:
        """The log's own folder."""
        return self.files.folder

    @property
    def segments(self) -> list[Segment]:
        if not self.is_loaded:
            self.load()
        return self.files.segments

    # Loading and ending

    def load(
        self, *, recover: bool = False, known: KnownPartition | None = None
    ) -> Recovery | None:
        """Read the files; with ``recover``, after an unclean stop, judge their contents first."""
        if self.is_loaded:
            return None
        from pykbroker.runtime.storage import loader

        loaded = loader.load(self, self._checkpoint, recover=recover, known=known)
        self.is_loaded = True
        self.log_start_offset = loaded.log_start_offset
        self.log_end_offset = loaded.log_end_offset
        self.recovery_point = loaded.recovery_point
        # Only the page cache may have what was found above: that says nothing for certain.
        self.durable_end_offset = max(self._allowed_end(), self.log_start_offset)
        if recover or self.recovery_point < self.log_end_offset:
            self.files.found_unsynced(self.recovery_point)
        known_committed = self._checkpoint.high_watermark
        if recover and known_committed > self.log_end_offset:
            logger.warning(
                "log ends below its high watermark: committed records are not in it",
                partition=str(self.topic_partition),
                high_watermark=known_committed,
                log_end_offset=self.log_end_offset,
            )
        committed = min(known_committed, self.log_end_offset)
        self.high_watermark = max(committed, self.log_start_offset)
        self.leader_epochs = loaded.leader_epochs
        self._stored_epochs = loaded.stored_epochs
        self.producers = loaded.producers
        self.producers.on_high_watermark(self.high_watermark)
        self._flush_if_due()
        if self._pending_epoch >= 0:
            self.leader_epochs.assign(self._pending_epoch, self.log_end_offset)
        return loaded.recovery

    def begin_epoch(self, epoch: int) -> None:
        """This replica leads from now on: the epoch starts at the log's end."""
        if self.is_loaded:
            self.leader_epochs.assign(epoch, self.log_end_offset)
        else:
            self._pending_epoch = max(epoch, self._pending_epoch)

    def close(self) -> None:
        """Write and sync everything; blocking."""
        if not self.is_loaded or self.is_failed or self.is_closed:
            return
        for job in flush.begin([self], final=True):
            job.run()
            job.finish()
        self.release_files()

    def write_ends(self) -> None:
        """Put on disk what was only in memory: the log is about to be closed."""
        self.files.write_snapshot(self.producers)
        for segment in self.files.segments[-1:]:
            segment.write_ends()

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.log_start_offset, self.recovery_point, self.high_watermark)

    def first_base_offset(self) -> int:
        return self.segments[0].base_offset if self.segments else self.log_start_offset

    def may_have_files(self) -> bool:
        """Without loading the log."""
        if self.is_loaded:
            return self.files.exists
        return self.context.disk.is_directory(self.directory)

    def release_files(self) -> None:
        """Keep no handle; the log is of no more use."""
        self.is_closed = True
        if self.is_loaded:
            for segment in self.segments:
                segment.drop()

    def fail(self, error: OSError) -> None:
        self.is_failed = True
        self.upkeep.directory_failed(self.log_directory, error)

    def note_error(self, error: OSError) -> None:
        """Lack of room passes; after anything else the directory is not believed any more."""
        if error.errno not in _PASSING:
            self.fail(error)

    def storage_error(self, error: OSError) -> NoReturn:
        self.note_error(error)
        raise KafkaError(
            ErrorCode.KAFKA_STORAGE_ERROR, f"{self.directory}: {error.strerror or error}"
        ) from error

    # Segments

    def segment_index(self, offset: int) -> int:
        return self.files.index_of(offset)

    def unsynced_segments(self) -> list[Segment]:
        """Whose ``.log`` holds what has not been synced."""
        if self.recovery_point >= self.log_end_offset:
            return []
        return self.files.from_offset(self.recovery_point)

    @property
    def size_in_bytes(self) -> int:
        return sum(segment.size for segment in self.segments)

    # How far it is committed

    @property
    def last_stable_offset(self) -> int:
        """Everything below is committed and belongs to no open transaction."""
        first = self.producers.first_unstable_offset
        if first is None or first >= self.high_watermark:
            return self.high_watermark
        return max(first, self.log_start_offset)

    def update_high_watermark(self, offset: int) -> int:
        """Bounded by the log's ends; the value it has now."""
        if offset > self.log_end_offset:
            offset = self.log_end_offset
        if offset < self.log_start_offset:
            offset = self.log_start_offset
        self.high_watermark = offset
        self.producers.on_high_watermark(offset)
        return offset

    # Durability

    def synced(self, end_offset: int) -> None:
        """Everything below has reached the disk."""
        self.recovery_point = max(self.recovery_point, end_offset)
        self._flush_is_due = False
        self.durable_end_offset = max(self.durable_end_offset, self._allowed_end())
        if self.on_synced is not None:
            self.on_synced()

    def _allowed_end(self) -> int:
        """The log's end, if flush.messages lets that much be unsynced."""
        end = self.log_end_offset
        return (
            end if end - self.recovery_point < self.config.flush_messages else self.recovery_point
        )

    def _flush_if_due(self) -> None:
        """What was found on disk, or written under other settings, may need a sync now."""
        unsynced = self.log_end_offset - self.recovery_point
        if unsynced >= self._config.flush_messages:
            self.upkeep.flush_soon(self)
        elif unsynced and self._config.flush_ms != NEVER:
            self._flush_is_due = True
            self.upkeep.flush_within(self, self._config.flush_ms)

    @property
    def synced_end_offset(self) -> int:
        return self.recovery_point

    def flush(self) -> None:
        """Blocking; the flusher's rounds are the way that does not block the loop."""
        for job in flush.begin([self]):
            job.run()
            job.finish()

    def take_changed_epochs(self) -> bytes | None:
        """The leader epochs for their checkpoint, if they are not what stands there.

        An epoch without data yet is left for later: it has nothing to say after a restart.
        """
        epochs = self.leader_epochs
        if not epochs.dirty or not self.files.exists:
            return None
        known = [e for e in epochs.entries if e.start_offset < self.log_end_offset]
        epochs.dirty = len(known) < len(epochs.entries)
        data = encode_epochs(known)
        if data == self._stored_epochs:
            return None
        self._stored_epochs = data
        return data
