"""Reads that consumers share: the file is read less often, and nothing old is ever seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pykbroker.runtime.storage.recent import KEPT_BYTES, REMEMBERED, WORTH_BYTES, RecentReads
from tests.support.storage import LogBox
from wire.records.batch import iter_headers
from wire.records.record import decode_records

if TYPE_CHECKING:
    from wire.schema import Buffer

MB = 1 << 20


def filled(batches: int = 10, size: int = WORTH_BYTES) -> LogBox:
    box = LogBox(max_message_bytes=2 * KEPT_BYTES)
    for number in range(batches):
        box.append(b"%d" % number + bytes(size))
    return box


def values(records: Buffer) -> list[bytes]:
    return [
        (record.value or b"").rstrip(b"\0")
        for at, _ in iter_headers(records)
        for record in decode_records(records, at)
    ]


@pytest.fixture
def preads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each read of the file that is worth sharing, its size."""
    found: list[int] = []
    kind = type(LogBox().disk.open("/file", create=True))
    pread = kind.pread

    def noted(self: object, position: int, size: int) -> bytes:
        if size >= WORTH_BYTES:
            found.append(size)
        return pread(self, position, size)

    monkeypatch.setattr(kind, "pread", noted)
    return found


@pytest.mark.parametrize("limit", [MB, 3 * WORTH_BYTES, 1])
def test_whoever_asks_third_gets_what_the_second_read(preads: list[int], limit: int) -> None:
    box = filled()
    found = [bytes(box.log.read(2, limit, min_one_batch=True).records) for _ in range(5)]
    assert len(preads) == 2
    assert len(set(found)) == 1
    assert values(found[0])[0] == b"2"


def test_what_has_grown_is_read_anew(preads: list[int]) -> None:
    box = filled()
    for number in range(10, 14):
        for _ in range(3):
            assert len(values(box.log.read(5, MB).records)) == number - 5
        box.append(b"%d" % number + bytes(WORTH_BYTES))
    assert len(preads) == 4 * 2


def test_a_lone_reader_leaves_nothing_behind() -> None:
    box = filled(3 * REMEMBERED)
    for _ in range(2):
        for offset in range(3 * REMEMBERED):
            box.log.read(offset, WORTH_BYTES, min_one_batch=True)
    assert box.context.recent.kept_bytes == 0


def test_small_reads_are_not_kept() -> None:
    box = filled(1, WORTH_BYTES - 200)
    for _ in range(3):
        box.log.read(0, MB)
    assert box.context.recent.kept_bytes == 0


def test_only_so_much_is_kept() -> None:
    box = filled(12, MB // 2)
    kept = []
    for offset in range(12):
        for _ in range(3):
            box.log.read(offset, 1, min_one_batch=True)
        kept.append(box.context.recent.kept_bytes)
    assert KEPT_BYTES - MB < max(kept) <= KEPT_BYTES
    box.append(bytes(KEPT_BYTES))
    for _ in range(3):
        assert len(box.log.read(12, 1, min_one_batch=True).records) > KEPT_BYTES
    assert box.context.recent.kept_bytes <= KEPT_BYTES


def test_what_was_cut_and_written_anew_is_not_seen_as_it_was(preads: list[int]) -> None:
    box = filled()
    before = [box.log.read(6, MB).records for _ in range(3)]
    box.log.truncate_to(8)
    assert box.context.recent.kept_bytes == 0
    for number in (80, 90):
        box.append(b"%d" % number + bytes(WORTH_BYTES - 1))
    for _ in range(3):
        after = box.log.read(6, MB).records
        assert len(after) == len(before[0])
        assert values(after) == [b"6", b"7", b"80", b"90"]
    # Answers that were made before stay what they were when they were made.
    assert all(values(records) == [b"6", b"7", b"8", b"9"] for records in before)


@pytest.mark.parametrize("offset", [0, 5, 50])
def test_a_log_that_begins_anew_shows_nothing_old(offset: int) -> None:
    box = filled()
    for _ in range(3):
        box.log.read(0, MB)
    box.log.truncate_fully_and_start_at(offset)
    assert box.context.recent.kept_bytes == 0
    box.append(b"new" + bytes(WORTH_BYTES))
    for _ in range(3):
        assert values(box.log.read(offset, MB).records) == [b"new"]


def test_segments_that_are_deleted_leave_nothing_behind() -> None:
    box = filled()
    box.log.roll()
    for _ in range(3):
        box.log.read(0, MB)
    assert box.context.recent.kept_bytes
    box.log.update_high_watermark(10)
    box.log.advance_log_start_offset(10)
    box.log.delete_old_segments(box.clock.now_ms)
    assert box.context.recent.kept_bytes == 0


def test_two_logs_are_told_apart() -> None:
    recent = RecentReads()
    one, two = filled(), LogBox()
    for number in range(10):
        two.append(b"%d!" % number + bytes(WORTH_BYTES - 1))
    for _ in range(3):
        for box, mark in ((one, b""), (two, b"!")):
            segment = box.log.segments[0]
            data = recent.pread(segment, 0, segment.size)
            assert values(data) == [b"%d" % n + mark for n in range(10)]
