"""What a log serves after an unclean stop, whatever happened to its files."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from pykbroker.log import CURRENT, WARNING, Log
from pykbroker.runtime.storage.flush import begin
from pykbroker.runtime.storage.results import KnownPartition
from pykbroker.state.log.checkpoints import Checkpoint, encode_epochs
from pykbroker.state.log.epochs import EpochEntry
from pykbroker.state.log.producers import AppendOrigin
from tests.support.faulty_disk import FaultyDisk
from tests.support.storage import START_MS, LogBox, batch, config
from wire.records.batch import (
    BATCH_LENGTH,
    PARTITION_LEADER_EPOCH,
    iter_headers,
    verify_crc,
)
from wire.records.record import ControlType, control_batch, decode_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.storage.log import PartitionLog

FOLDER = "/logs/t-0"


def served(log: PartitionLog) -> list[tuple[int, bytes | None]]:
    """Every record that a reader can get."""
    found: list[tuple[int, bytes | None]] = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        records = log.read(offset, 1 << 20, min_one_batch=True).records
        if not records:
            break
        for position, header in iter_headers(records):
            found += [(r.offset, r.value) for r in decode_records(records, position)]
            offset = header.next_offset
    return found


def written(box: LogBox) -> tuple[bytes, list[int]]:
    """The bytes of the only segment, and where its batches end."""
    data = box.disk.read_bytes(f"{FOLDER}/{0:020d}.log")
    ends = [position + header.size_in_bytes for position, header in iter_headers(data)]
    return data, ends


def replaced(box: LogBox, data: bytes) -> None:
    file = box.disk.open(f"{FOLDER}/{0:020d}.log")
    file.truncate(0)
    file.append((data,))


@pytest.fixture
def box() -> LogBox:
    """Five batches, of which the last three are to suffer."""
    box = LogBox(FaultyDisk())
    box.append(b"one", b"two")
    box.append(b"three")
    box.append(b"four" * 10, b"five")
    box.append(b"six", producer_id=7, producer_epoch=0, base_sequence=0)
    box.append(b"seven", b"eight", b"nine")
    return box


def reopened(box: LogBox, **options: object) -> PartitionLog:
    return box.open(recover=True, **options)  # type: ignore[arg-type]


def test_a_log_cut_at_any_byte_serves_the_whole_batches_before_the_cut(box: LogBox) -> None:
    everything = served(box.log)
    data, ends = written(box)
    for cut in range(ends[1], len(data)):
        replaced(box, data[:cut])
        log = reopened(box)
        kept = max(end for end in ends if end <= cut)
        count = sum(h.record_count for _, h in iter_headers(data[:kept]))
        assert served(log) == everything[:count], cut
        assert log.log_end_offset == count
        assert box.recovery is not None
        assert box.recovery.cut_bytes == cut - kept
        assert box.disk.size(f"{FOLDER}/{0:020d}.log") == kept


def flips(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    for at in range(start, len(data)):
        for bit in (0, 3, 7):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            yield at, bytes(flipped)


def test_a_flip_in_any_byte_of_the_last_batches_is_found(box: LogBox) -> None:
    everything = served(box.log)
    data, ends = written(box)
    box.known = KnownPartition(box.config, leader_epoch=0)
    for at, flipped in flips(data, ends[1]):
        replaced(box, flipped)
        log = reopened(box)
        kept = max(end for end in ends if end <= at)
        count = sum(h.record_count for _, h in iter_headers(data[:kept]))
        assert served(log) == everything[:count], at
        assert box.recovery is not None
        assert box.recovery.cut_bytes == len(data) - kept
        assert box.recovery.reason


def test_without_metadata_only_a_raised_offset_or_epoch_goes_unseen(box: LogBox) -> None:
    """The two fields that the format does not cover with its checksum."""
    everything = served(box.log)
    data, ends = written(box)
    box.known = None
    starts = [0, *ends]
    unseen = set()
    for at, flipped in flips(data, ends[1]):
        replaced(box, flipped)
        log = reopened(box)
        kept = max(end for end in ends if end <= at)
        count = sum(h.record_count for _, h in iter_headers(data[:kept]))
        if served(log) != everything[:count]:
            unseen.add(at - max(start for start in starts if start <= at))
    covered = set(range(BATCH_LENGTH, PARTITION_LEADER_EPOCH)) | set(range(16, 200))
    assert unseen
    assert not unseen & covered


def test_a_batch_that_only_its_own_segment_knows_of_is_cut_with_all_behind_it() -> None:
    box = LogBox(FaultyDisk(), internal_segment_bytes=150)
    for index in range(6):
        box.append(b"%d" % index)
    bases = [segment.base_offset for segment in box.log.segments]
    assert len(bases) > 2
    path = box.log.segments[1].path
    box.disk.open(path).pwrite(65, b"\xff")
    log = reopened(box)
    assert log.log_end_offset == bases[1]
    assert served(log) == [(i, b"%d" % i) for i in range(bases[1])]
    assert [s.base_offset for s in log.segments] == bases[:2]
    assert box.recovery is not None
    assert box.recovery.cut_bytes == sum(s.size for s in log.segments) * 2


def test_a_segment_lost_from_the_middle_ends_the_log_before_it() -> None:
    box = LogBox(FaultyDisk(), internal_segment_bytes=150)
    for index in range(6):
        box.append(b"%d" % index)
    gone = box.log.segments[1]
    box.disk.unlink(gone.path)
    log = reopened(box)
    assert log.log_end_offset == gone.base_offset


def test_a_compacted_log_may_have_gaps() -> None:
    box = LogBox(FaultyDisk(), cleanup_policy="compact")
    box.append(b"a", key=b"k")
    box.log.append_as_follower(batch(b"b", key=b"k", base_offset=5, partition_leader_epoch=0))
    log = reopened(box)
    assert log.log_end_offset == 6
    box.known = KnownPartition(config())
    assert reopened(box).log_end_offset == 1


def test_zeros_behind_the_last_batch_are_cut(box: LogBox) -> None:
    everything = served(box.log)
    file = box.disk.open(f"{FOLDER}/{0:020d}.log")
    size = file.size
    file.append((bytes(4096),))
    log = reopened(box)
    assert served(log) == everything
    assert box.disk.size(f"{FOLDER}/{0:020d}.log") == size
    log.append_as_leader(batch(b"more"), 0, START_MS)
    assert served(log) == [*everything, (9, b"more")]


def test_segments_below_the_recovery_point_are_not_read_again() -> None:
    box = LogBox(FaultyDisk(), internal_segment_bytes=150)
    for index in range(6):
        box.append(b"%d" % index)
    last = box.log.segments[-1]
    reopened(box, checkpoint=Checkpoint(recovery_point=last.base_offset))
    assert box.recovery is not None
    assert box.recovery.scanned_bytes == last.size


@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize(
    "damage", ["missing", "empty", "garbage", "zeros", "odd size", "plausible", "shifted"]
)
@pytest.mark.parametrize("kind", [".index", ".timeindex"])
def test_damaged_indexes_change_nothing_that_is_read(kind: str, damage: str, recover: bool) -> None:
    box = LogBox(FaultyDisk(), internal_segment_bytes=3000, index_interval_bytes=100)
    for index in range(100):
        box.clock.now_ms += 10
        box.append(b"value %d" % index)
    everything = served(box.log)
    box.log.close()
    rng = Random(1)
    for name in box.disk.listdir(FOLDER):
        if not name.endswith(kind):
            continue
        path = f"{FOLDER}/{name}"
        data = box.disk.read_bytes(path)
        box.disk.unlink(path)
        if damage == "missing":
            continue
        file = box.disk.open(path, create=True)
        if damage == "garbage":
            file.append((rng.randbytes(len(data)),))
        elif damage == "zeros":
            file.append((bytes(len(data)),))
        elif damage == "odd size":
            file.append((data[:-1],))
        elif damage == "plausible":
            # Every position one byte too far: it rises as it should and leads nowhere.
            spoilt = bytearray(data)
            size = 8 if kind == ".index" else 12
            for at in range(size - 1, len(spoilt), size):
                spoilt[at] |= 1
            file.append((bytes(spoilt),))
        elif damage == "shifted":
            # Every position is that of a batch, but not of the one that the entry names.
            spoilt = bytearray(data)
            size, field = (8, slice(4, 8)) if kind == ".index" else (12, slice(8, 12))
            for at in range(0, len(spoilt) - size, size):
                following = spoilt[at + size : at + 2 * size]
                spoilt[at + field.start : at + field.stop] = following[field]
            file.append((bytes(spoilt[:-size]),))
    log = box.open(recover=recover)
    for position, header in iter_headers(log.read(0, 1000).records):
        verify_crc(log.read(0, 1000).records, position)
        assert header.base_offset < 100
    assert served(log) == everything
    for offset in range(0, 100, 7):
        found = log.read(offset, 1, min_one_batch=True).records
        assert next(iter_headers(found))[1].base_offset == offset
    if not (kind == ".timeindex" and damage in ("plausible", "shifted")):
        for index in range(0, 100, 9):
            timestamp = START_MS + 10 * (index + 1)
            assert log.offset_for_timestamp(timestamp).offset == index
    log.append_as_leader(batch(b"more"), 0, START_MS)
    assert served(log)[-1] == (100, b"more")


def test_a_recovery_point_beyond_the_end_is_not_believed(box: LogBox) -> None:
    everything = served(box.log)
    log = reopened(box, checkpoint=Checkpoint(recovery_point=10_000))
    assert served(log) == everything
    assert log.recovery_point == log.log_end_offset
    assert box.recovery is not None
    assert box.recovery.scanned_bytes > 0


def test_a_high_watermark_beyond_the_end_is_cut_to_it(box: LogBox) -> None:
    log = reopened(box, checkpoint=Checkpoint(high_watermark=10_000))
    assert log.high_watermark == log.log_end_offset


@pytest.mark.parametrize(("high_watermark", "told"), [(8, 0), (9, 0), (10, 1)])
def test_a_log_that_ends_below_what_was_committed_says_so(
    box: LogBox, high_watermark: int, told: int
) -> None:
    """The box holds nine records."""
    events: list[str] = []

    class Sink:
        def emit(self, level: int, name: str, event: str, fields: dict[str, object]) -> None:
            if level >= WARNING:
                events.append(event)

    token = CURRENT.set(Log(Sink()))
    try:
        reopened(box, checkpoint=Checkpoint(high_watermark=high_watermark))
    finally:
        CURRENT.reset(token)
    assert len(events) == told
    assert all("below its high watermark" in event for event in events)


def test_a_log_start_beyond_the_end_loses_no_data(box: LogBox) -> None:
    everything = served(box.log)
    log = reopened(box, checkpoint=Checkpoint(log_start_offset=10_000))
    assert (log.log_start_offset, served(log)) == (0, everything)


def test_a_stale_epoch_checkpoint_is_corrected_by_the_batches() -> None:
    box = LogBox(FaultyDisk())
    box.append(b"a", epoch=0)
    box.append(b"b", epoch=3)
    box.append(b"c", epoch=4)
    for stale in (
        encode_epochs([]),
        encode_epochs([EpochEntry(0, 0)]),
        encode_epochs([EpochEntry(0, 0), EpochEntry(2, 1), EpochEntry(9, 40)]),
        b"garbage",
        b"0\n5\n0 0\n",
    ):
        box.disk.write_atomic(f"{FOLDER}/leader-epoch-checkpoint", stale)
        log = reopened(box)
        assert log.leader_epochs.entries == (EpochEntry(0, 0), EpochEntry(3, 1), EpochEntry(4, 2))
    box.disk.unlink(f"{FOLDER}/leader-epoch-checkpoint")
    assert reopened(box).leader_epochs.latest_epoch == 4
    assert len(box.open().leader_epochs.entries) == 3


def test_damaged_producer_snapshots_are_replaced_by_a_replay(box: LogBox) -> None:
    box.log.close()
    (name,) = [name for name in box.disk.listdir(FOLDER) if name.endswith(".snapshot")]
    data = bytearray(box.disk.read_bytes(f"{FOLDER}/{name}"))
    for at in range(len(data)):
        spoilt = bytearray(data)
        spoilt[at] ^= 4
        box.disk.write_atomic(f"{FOLDER}/{name}", bytes(spoilt))
        for recover in (False, True):
            log = box.open(recover=recover)
            assert log.producers.entries[7].last_data_offset == 5
            again = batch(b"six", producer_id=7, producer_epoch=0, base_sequence=0)
            assert log.append_as_leader(again, 0, START_MS).duplicate
            box.disk.write_atomic(f"{FOLDER}/{name}", bytes(spoilt))


def test_a_snapshot_beyond_the_end_is_removed(box: LogBox) -> None:
    box.log.close()
    data, ends = written(box)
    replaced(box, data[: ends[2]])
    log = reopened(box)
    assert log.producers.entries == {}
    assert log.files.snapshots == []
    assert not [name for name in box.disk.listdir(FOLDER) if name.endswith(".snapshot")]


def test_leftovers_of_deletions_and_broken_off_cleanings_go(box: LogBox) -> None:
    everything = served(box.log)
    for name in ("00000000000000000000.log.deleted", "00000000000000000000.log.cleaned"):
        box.disk.open(f"{FOLDER}/{name}", create=True)
    # Its making was not finished, as the .cleaned beside it shows.
    box.disk.open(f"{FOLDER}/00000000000000000000.log.swap", create=True)
    log = reopened(box)
    assert served(log) == everything
    assert not [
        n for n in box.disk.listdir(FOLDER) if n.endswith((".deleted", ".cleaned", ".swap"))
    ]


def test_the_end_of_a_log_damaged_after_a_clean_stop_is_cut_too(box: LogBox) -> None:
    everything = served(box.log)
    box.log.close()
    data, _ = written(box)
    replaced(box, data[:-3])
    log = box.open()
    assert served(log) == everything[:-3]
    assert log.log_end_offset == 6


def test_a_folder_of_another_topic_with_this_name_is_put_away(box: LogBox) -> None:
    box.log.close()
    box.disk.write_atomic(
        f"{FOLDER}/partition.metadata", b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"
    )
    log = box.open()
    assert log.log_end_offset == 0
    assert box.disk.exists(f"{FOLDER}.stray")


def test_the_same_damage_is_told_once(box: LogBox) -> None:
    """A second start finds nothing more to cut."""
    data, _ = written(box)
    replaced(box, data[:-5])
    reopened(box)
    assert box.recovery is not None
    assert box.recovery.cut_bytes
    reopened(box)
    assert box.recovery.cut_bytes == 0


def unsynced(box: LogBox) -> list[str]:
    assert isinstance(box.disk, FaultyDisk)
    return [
        path.rpartition("/")[2]
        for path, file in box.disk.files().items()
        if file.synced_size < file.size
    ]


def test_a_clean_stop_leaves_nothing_unsynced() -> None:
    box = LogBox(FaultyDisk(), index_interval_bytes=100, internal_segment_bytes=1000)
    for index in range(20):
        box.clock.now_ms += 10
        box.append(b"value %d" % index, producer_id=1, producer_epoch=0, base_sequence=index)
    box.log.flush()
    box.append(b"more")
    box.log.close()
    assert unsynced(box) == []


def test_a_rolled_segment_is_synced_with_its_indexes() -> None:
    """Also when its data had been synced before it was rolled."""
    box = LogBox(FaultyDisk(), index_interval_bytes=100)
    for index in range(20):
        box.append(b"value %d" % index)
    box.log.flush()
    assert unsynced(box) == []
    box.log.roll()
    assert unsynced(box)
    box.log.flush()
    assert unsynced(box) == []
    box.open(recover=True, checkpoint=Checkpoint(recovery_point=20))
    assert box.recovery is not None
    assert box.recovery.scanned_bytes == 0


def test_a_sync_that_was_called_off_counts_for_nothing() -> None:
    box = LogBox(FaultyDisk())
    box.append(b"x")
    (job,) = begin([box.log])
    job.finish()
    assert box.log.recovery_point == 0
    box.log.flush()
    assert box.log.recovery_point == 1
    assert unsynced(box) == []


def test_transaction_indexes_are_made_anew_with_the_segments_that_are_judged() -> None:
    box = LogBox(FaultyDisk())
    for producer_id in (1, 2):
        box.append(
            b"x",
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=0,
            is_transactional=True,
        )
        marker = control_batch(
            ControlType.ABORT, timestamp=START_MS, producer_id=producer_id, producer_epoch=0
        )
        box.log.append_as_leader(marker, 0, START_MS, origin=AppendOrigin.COORDINATOR)
        box.log.roll()
    expected = box.log.aborted_between(0, 10)
    assert [a.producer_id for a in expected] == [1, 2]
    assert reopened(box).aborted_between(0, 10) == expected
    box.disk.open(f"{FOLDER}/{0:020d}.txnindex").truncate(10)
    assert reopened(box).aborted_between(0, 10) == expected


def test_epochs_are_on_disk_with_the_data_that_has_them() -> None:
    box = LogBox(FaultyDisk())
    box.append(b"a", epoch=2)
    box.append(b"b", epoch=5)
    box.log.flush()
    path = f"{FOLDER}/leader-epoch-checkpoint"
    assert box.disk.read_bytes(path) == b"0\n2\n2 0\n5 1\n"
    box.log.begin_epoch(6)
    box.log.flush()
    # An epoch without data has nothing to tell.
    assert box.disk.read_bytes(path) == b"0\n2\n2 0\n5 1\n"
    box.append(b"c", epoch=6)
    box.log.close()
    assert box.disk.read_bytes(path) == b"0\n3\n2 0\n5 1\n6 2\n"
    assert box.open().leader_epochs.latest_epoch == 6


def test_a_restart_that_leads_nothing_new_writes_nothing() -> None:
    box = LogBox(FaultyDisk())
    box.append(b"a")
    box.log.close()
    box.open(checkpoint=Checkpoint(recovery_point=1))
    box.log.begin_epoch(7)
    steps = box.disk.steps
    box.log.close()
    assert box.disk.steps == steps
