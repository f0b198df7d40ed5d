"""What replicas hold on their disks, batch by batch, read from the files alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from tests.faults.workload import name_of
from wire.records.batch import iter_headers, verify_crc
from wire.records.record import decode_records

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.faults.history import Recorder
    from tests.faults.workload import Topic
    from wire.records.record import Record


def dump_replicas(
    recorder: Recorder, broker: int, log_dir: Path, topic: Topic, *, rest: bool
) -> int:
    """One line for each partition of the topic that lies there; how many."""
    marks = checkpoint(log_dir / "replication-offset-checkpoint")
    starts = checkpoint(log_dir / "log-start-offset-checkpoint")
    count = 0
    for tp in topic.tps:
        directory = log_dir / tp
        if not directory.is_dir():
            continue
        batches = read_batches(directory)
        end = batches[-1][1] + 1 if batches else 0
        first = batches[0][0] if batches else 0
        start = max(starts.get(tp, 0), min(first, end))
        # A compacted log is another on each replica, batch for batch; what it holds is not.
        held = {"records": read_records(directory)} if topic.keys else {"batches": batches}
        recorder.write(
            "dump",
            0,
            broker=broker,
            tp=tp,
            start=start,
            hw=marks.get(tp, 0),
            end=end,
            epochs=epochs_of(directory / "leader-epoch-checkpoint"),
            rest=rest,
            res="ok",
            **held,
        )
        count += 1
    return count


def read_batches(directory: Path) -> list[list[int]]:
    """Base and last offset, leader epoch, checksum (which holds), producer id, epoch, sequence."""
    found = []
    for path in sorted(directory.glob("*.log")):
        data = memoryview(path.read_bytes())
        for position, header in iter_headers(data, partial=True):
            verify_crc(data, position, header)
            found.append(
                [
                    header.base_offset,
                    header.last_offset,
                    header.partition_leader_epoch,
                    header.crc,
                    header.producer_id,
                    header.producer_epoch,
                    header.base_sequence,
                ]
            )
    return found


def read_records(directory: Path) -> list[list[Any]]:
    """Offset, leader epoch, name and key."""
    found: list[list[Any]] = []
    for path in sorted(directory.glob("*.log")):
        data = memoryview(path.read_bytes())
        for position, header in iter_headers(data, partial=True):
            found += [
                [r.offset, header.partition_leader_epoch, *_named(r, directory.name)]
                for r in decode_records(data, position)
            ]
    return found


def _named(record: Record, tp: str) -> tuple[str, str]:
    """What the record is known as, and its key; what brokers write has no names."""
    key = record.key or b""
    if tp.startswith("__"):
        return f"{crc32(record.value or b''):x}", key.hex()
    return name_of(record.value, record.headers), key.decode()


def checkpoint(path: Path) -> dict[str, int]:
    """Kafka's: a version, a count, and lines of topic, partition and offset."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines()[2:]:
        topic, partition, offset = line.split()
        found[f"{topic}-{partition}"] = int(offset)
    return found


def epochs_of(path: Path) -> list[list[int]]:
    if not path.exists():
        return []
    return [[int(n) for n in line.split()] for line in path.read_text().splitlines()[2:]]
