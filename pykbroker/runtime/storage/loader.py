"""Reading a log from its files: after a clean stop believing them, after any other judging them.

After an unclean stop every batch from the recovery point's segment on is checked: structure,
CRC-32C, offsets and leader epochs that do not fall. The log ends before the first batch that
fails; what is behind it goes, and the indexes are made anew.

Two fields lie outside the checksum. A base offset that is too high is seen where offsets must have
no gaps, which is everywhere but in compacted logs; a leader epoch that is too high where the
metadata say what the partition's epoch is. A flip that stays within these bounds cannot be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.runtime.storage.replay import note_batch
from pykbroker.runtime.storage.results import Recovery
from pykbroker.runtime.storage.scan import scan
from pykbroker.state.log.checkpoints import (
    UNKNOWN_CHECKPOINT,
    Checkpoint,
    CorruptCheckpoint,
    decode_epochs,
    decode_partition_metadata,
)
from pykbroker.state.log.epochs import LeaderEpochCache
from pykbroker.state.log.names import (
    CLEANED,
    DELETED,
    INDEX,
    LEADER_EPOCH_CHECKPOINT,
    LOG,
    PARTITION_METADATA,
    SNAPSHOT,
    SWAP,
    TIME_INDEX,
    TXN_INDEX,
    parse_segment_file,
    segment_file,
)
from pykbroker.state.log.producer_snapshot import CorruptSnapshot, decode_snapshot
from pykbroker.state.log.producers import ProducerState
from pykbroker.state.types import NO_TOPIC_ID
from wire.records.batch import verify_crc
from wire.records.errors import CorruptBatch
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.ports import Disk
    from pykbroker.runtime.storage.log_state import LogState
    from pykbroker.runtime.storage.results import KnownPartition
    from pykbroker.runtime.storage.segment import Segment
    from wire.records.batch import BatchHeader

logger = get_logger("pykbroker.storage.loader")


class Loaded(NamedTuple):
    """Segments and snapshots are put into the log's ``files``."""

    log_start_offset: int
    log_end_offset: int
    recovery_point: int
    leader_epochs: LeaderEpochCache
    stored_epochs: bytes
    """What stands in their checkpoint file."""
    producers: ProducerState
    recovery: Recovery | None


def load(
    log: LogState,
    checkpoint: Checkpoint,
    *,
    recover: bool = False,
    known: KnownPartition | None = None,
) -> Loaded:
    disk = log.context.disk
    exists = disk.is_directory(log.directory)
    if exists and not _is_same_topic(log):
        log.upkeep.folder_is_stray(log)
        checkpoint = UNKNOWN_CHECKPOINT
        exists = False
    if not exists:
        start = checkpoint.log_start_offset
        producers = ProducerState()
        producers.clear(start)
        return Loaded(start, start, start, LeaderEpochCache(), b"", producers, None)
    files = log.files
    files.exists = True
    _find(log, finish_interrupted(disk, log.directory))
    segments = files.segments
    epochs, stored_epochs = _read_epochs(log)
    first_judged: int | None = None
    recovery = None
    if recover and segments:
        first_judged = _segment_of(segments, checkpoint.recovery_point)
        recovery = _Judge(log, epochs, known).judge_from(first_judged)
    elif segments:
        first_judged, recovery = _adopt(log, segments, epochs)
    end = segments[-1].next_offset() if segments else checkpoint.log_start_offset
    start = _log_start(log, segments, checkpoint, end)
    if not segments:
        files.add_segment(end)
    _settle_epochs(segments, epochs, start, end)
    files.drop_snapshots_above(end)
    point = end if first_judged is None else min(checkpoint.recovery_point, end)
    producers = _load_producers(log, start, end, first_judged)
    return Loaded(start, end, point, epochs, stored_epochs, producers, recovery)


def _is_same_topic(log: LogState) -> bool:
    """What lies in the folder may be of an older topic with the same name."""
    path = f"{log.directory}/{PARTITION_METADATA}"
    try:
        stored = decode_partition_metadata(log.context.disk.read_bytes(path))
    except FileNotFoundError:
        return True
    except CorruptCheckpoint as problem:
        logger.warning("partition.metadata not used", path=path, reason=str(problem))
        return True
    return stored == log.topic_id or NO_TOPIC_ID in (stored, log.topic_id)


def finish_interrupted(disk: Disk, directory: str) -> list[str]:
    """Undo or complete what a crash broke off in a cleaning or a deletion; the names that remain.

    ``.swap`` files are complete and take the place of what they replace, unless ``.cleaned`` ones
    below them show that their making was not finished.
    """
    names = disk.listdir(directory)
    parsed = {name: found for name in names if (found := parse_segment_file(name))}
    cleaned = [p.base_offset for p in parsed.values() if p.suffix == CLEANED]
    lowest_cleaned = min(cleaned, default=None)
    swaps: dict[int, list[str]] = {}
    for name, found in parsed.items():
        path = f"{directory}/{name}"
        if found.suffix in (DELETED, CLEANED):
            disk.unlink(path)
        elif found.suffix == SWAP:
            if lowest_cleaned is not None and found.base_offset >= lowest_cleaned:
                disk.unlink(path)
            else:
                swaps.setdefault(found.base_offset, []).append(name)
    for base_offset, files in sorted(swaps.items()):
        _swap_in(disk, directory, base_offset, files)
    if any(found.suffix for found in parsed.values()):
        names = disk.listdir(directory)
    return names


def _swap_in(disk: Disk, directory: str, base_offset: int, files: list[str]) -> None:
    """Segments between the swapped one's first and last offset are what it replaces."""
    log_name = segment_file(base_offset, LOG, SWAP)
    if log_name in files:
        file = disk.open(f"{directory}/{log_name}")
        end = base_offset
        for stored in scan(file, 0, file.size):
            end = stored.header.next_offset
        file.close()
        for name in disk.listdir(directory):
            found = parse_segment_file(name)
            if (
                found
                and not found.suffix
                and base_offset <= found.base_offset < end
                and (found.kind != SNAPSHOT or found.base_offset > base_offset)
            ):
                disk.unlink(f"{directory}/{name}")
    for name in files:
        disk.rename(f"{directory}/{name}", f"{directory}/{name.removesuffix(SWAP)}")
    disk.sync_dir(directory)


def _find(log: LogState, names: list[str]) -> None:
    disk, directory = log.context.disk, log.directory
    bases, snapshots, indexes = [], [], []
    for name in names:
        found = parse_segment_file(name)
        if found is None or found.suffix:
            continue
        if found.kind == LOG:
            bases.append(found.base_offset)
        elif found.kind == SNAPSHOT:
            snapshots.append(found.base_offset)
        elif found.kind in (INDEX, TIME_INDEX, TXN_INDEX):
            indexes.append((found.base_offset, name))
    for base, name in indexes:
        if base not in bases:
            disk.unlink(f"{directory}/{name}")
    log.files.segments = [
        log.files.new_segment(base, size=disk.size(f"{directory}/{segment_file(base, LOG)}"))
        for base in sorted(bases)
    ]
    log.files.snapshots = sorted(snapshots)


def _segment_of(segments: list[Segment], offset: int) -> int:
    index = len(segments) - 1
    while index > 0 and segments[index].base_offset > offset:
        index -= 1
    return index


def _adopt(
    log: LogState, segments: list[Segment], epochs: LeaderEpochCache
) -> tuple[int | None, Recovery | None]:
    """A clean stop: only the end of the last segment is looked at. If even that is not as a clean
    stop leaves it, somebody else has been here, and that segment is judged."""
    try:
        segments[-1].adopt_tail()
    except CorruptBatch as problem:
        logger.warning(
            "log damaged after a clean stop",
            partition=str(log.topic_partition),
            reason=str(problem),
        )
        last = len(segments) - 1
        return last, _Judge(log, epochs, None).judge_from(last)
    return None, None


class _Judge:
    """Looks at every batch from a segment on and ends the log before the first bad one."""

    def __init__(
        self, log: LogState, epochs: LeaderEpochCache, known: KnownPartition | None
    ) -> None:
        self._log = log
        self._epochs = epochs
        self._may_have_gaps = known is None or known.config.cleanup_compact
        self._highest_epoch = None if known is None else known.leader_epoch
        self._expected = 0
        """The offset that must come next, or the lowest that may."""

    def judge_from(self, first: int) -> Recovery:
        segments = self._log.files.segments
        # A truncation may not have reached the checkpoint file: the batches know better.
        self._epochs.truncate_from_end(segments[first].base_offset)
        self._expected = segments[first].base_offset
        scanned, cut, reason = 0, 0, ""
        for index in range(first, len(segments)):
            segment = segments[index]
            if segment.base_offset != self._expected and not (
                self._may_have_gaps and segment.base_offset > self._expected
            ):
                reason = f"a segment at {segment.base_offset}, {self._expected} was expected"
                cut = self._end_before(index)
                break
            self._expected = max(self._expected, segment.base_offset)
            scanned += segment.size
            valid, reason = self._valid_bytes(segment)
            segment_cut = segment.size - valid
            if reason:
                segment.cut(valid)
            segment.rebuild_indexes()
            if reason:
                cut = segment_cut + self._end_before(index + 1)
                break
        segments[-1].adopt_tail()
        end = segments[-1].next_offset()
        if reason:
            logger.warning(
                "cut damaged end of log",
                partition=str(self._log.topic_partition),
                cut_bytes=cut,
                end_offset=end,
                reason=reason,
            )
        return Recovery(scanned, cut, end, reason)

    def _end_before(self, index: int) -> int:
        """Remove the segments from ``index`` on; their bytes."""
        segments = self._log.files.segments
        gone = segments[index:]
        del segments[index:]
        size = sum(segment.size for segment in gone)
        _remove(self._log, gone)
        return size

    def _valid_bytes(self, segment: Segment) -> tuple[int, str]:
        """(bytes of the valid prefix, what is wrong behind it)."""
        position = 0
        try:
            for stored in scan(segment.file(), 0, segment.size):
                verify_crc(stored.data)
                self._check(segment, stored.header)
                self._expected = stored.header.next_offset
                position = stored.position + stored.header.size_in_bytes
        except CorruptBatch as problem:
            return position, str(problem)
        return position, ""

    def _check(self, segment: Segment, header: BatchHeader) -> None:
        offset, epoch = header.base_offset, header.partition_leader_epoch
        if offset != self._expected and not (self._may_have_gaps and offset > self._expected):
            raise CorruptBatch(f"offset {offset} where {self._expected} was expected")
        if segment.would_overflow(header.last_offset):
            raise CorruptBatch(f"offset {header.last_offset} is too far for its segment")
        latest = self._epochs.latest_epoch
        if epoch < latest or (self._highest_epoch is not None and epoch > self._highest_epoch):
            raise CorruptBatch(f"leader epoch {epoch} after {latest}")
        if epoch > latest:
            self._epochs.assign(epoch, offset)


def _remove(log: LogState, segments: list[Segment]) -> None:
    for segment in segments:
        for path in segment.rename(DELETED):
            log.context.disk.unlink(path)
        segment.drop()


def _read_epochs(log: LogState) -> tuple[LeaderEpochCache, bytes]:
    """Empty where the file is missing or damaged: the batches tell the same."""
    path = f"{log.directory}/{LEADER_EPOCH_CHECKPOINT}"
    try:
        data = log.context.disk.read_bytes(path)
    except FileNotFoundError:
        return LeaderEpochCache(), b""
    try:
        return LeaderEpochCache(decode_epochs(data)), data
    except CorruptCheckpoint as problem:
        logger.warning("rebuilding leader epochs", path=path, reason=str(problem))
        return LeaderEpochCache(), data


def _settle_epochs(segments: list[Segment], epochs: LeaderEpochCache, start: int, end: int) -> None:
    """Make the cache agree with the batches that are there."""
    epochs.truncate_from_end(end)
    first = epochs.entries[0].start_offset if epochs.entries else end
    if first > start and end > start:
        known = epochs.entries
        epochs.clear()
        for segment in segments:
            for stored in scan(segment.file(), 0, segment.size):
                epoch = stored.header.partition_leader_epoch
                if epoch > epochs.latest_epoch:
                    epochs.assign(epoch, stored.header.base_offset)
        for entry in known:
            if entry.epoch > epochs.latest_epoch:
                epochs.assign(entry.epoch, entry.start_offset)
    epochs.truncate_from_start(start)


def _log_start(log: LogState, segments: list[Segment], checkpoint: Checkpoint, end: int) -> int:
    first = segments[0].base_offset if segments else end
    if checkpoint.log_start_offset > end:
        # Believing it would throw the whole log away.
        logger.warning(
            "log start checkpoint is beyond the log's end, not used",
            partition=str(log.topic_partition),
            checkpoint=checkpoint.log_start_offset,
            log_end_offset=end,
        )
        return first
    return max(first, checkpoint.log_start_offset)


def _load_producers(log: LogState, start: int, end: int, first_judged: int | None) -> ProducerState:
    """From a snapshot and the batches behind it. Transaction indexes of judged segments are made
    anew on the way, so a snapshot must not be younger than the first of those."""
    segments = log.files.segments
    producers = ProducerState()
    renewed = [] if first_judged is None else segments[first_judged:]
    _load_snapshot(log, producers, start, renewed[0].base_offset if renewed else end)
    for segment in renewed:
        segment.reset_txn_index()
    replay(producers, segments, end, renewed)
    for segment in renewed:
        segment.write_indexes()
    return producers


def _load_snapshot(log: LogState, producers: ProducerState, start: int, limit: int) -> None:
    """The newest readable one not above ``limit``; damaged ones are removed."""
    files, context = log.files, log.context
    for offset in reversed([offset for offset in files.snapshots if offset <= limit]):
        path = files.snapshot_path(offset)
        try:
            entries = decode_snapshot(context.disk.read_bytes(path))
        except (CorruptSnapshot, FileNotFoundError) as problem:
            logger.warning("dropping a producer snapshot", path=path, reason=str(problem))
            files.drop_snapshot(offset)
            continue
        producers.load(entries, offset)
        producers.remove_expired(context.clock.wall_ms(), context.producer_id_expiration_ms)
        return
    producers.clear(start)


def replay(
    producers: ProducerState, segments: list[Segment], end: int, renewed: list[Segment]
) -> None:
    """Take the batches from ``producers.map_end_offset`` up to ``end`` into the state."""
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if following is not None and following.base_offset <= producers.map_end_offset:
            continue
        if producers.map_end_offset >= end:
            break
        start = segment.locate(producers.map_end_offset)
        for stored in scan(segment.file(), start, segment.size):
            header = stored.header
            if header.producer_id >= 0:
                told = segment if segment in renewed else None
                note_batch(producers, header, stored.data, told)
            producers.map_end_offset = header.next_offset
    producers.map_end_offset = end


def rebuild_producers(log: LogState, end: int) -> None:
    """After a truncation: what the remaining batches say."""
    _load_snapshot(log, log.producers, log.log_start_offset, end)
    replay(log.producers, log.segments, end, [])
