"""What log directories tell of syncs and of the cleaner."""

from __future__ import annotations

import pytest

from pykbroker.runtime.figures.storage import storage_samples
from pykbroker.runtime.storage import flush
from pykbroker.runtime.storage.cleaner import Cleaner
from tests.support.faulty_disk import FaultyFile
from tests.support.scraped import scrape, value
from tests.support.storage import ManagerBox

pytestmark = pytest.mark.anyio
CLEANER = "kafka_log_logcleanermanager_"
FLUSH = "kafka_log_logflushstats_logflushrateandtimems"


@pytest.fixture
async def box() -> ManagerBox:
    box = ManagerBox()
    await box.start()
    return box


async def test_syncs_are_counted_and_timed(
    box: ManagerBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [box.log(partition=index) for index in range(3)]
    for log in logs:
        box.append(log, b"a")
    sync = FaultyFile.sync
    synced: list[FaultyFile] = []

    def slow_sync(file: FaultyFile) -> None:
        box.clock.now_ms += 8
        synced.append(file)
        sync(file)

    monkeypatch.setattr(FaultyFile, "sync", slow_sync)
    await flush.run(box.manager.workers, flush.begin(logs))
    found = scrape(storage_samples(box.manager))
    assert value(found, f"{FLUSH}_count") == 3
    median = value(found, FLUSH, quantile="0.50")
    assert median == pytest.approx(8 * len(synced) / 3, rel=0.04)


async def test_the_space_of_a_directory_is_told_while_its_disk_answers(
    box: ManagerBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> list[float | None]:
        found = scrape(storage_samples(box.manager))
        names = (f"pykbroker_log_directory_{kind}_bytes" for kind in ("total", "usable"))
        return [value(found, name, logDirectory="/data") for name in names]

    assert told() == [None, None]  # in memory
    monkeypatch.setattr(box.disk, "space", lambda path: (1000, 400))
    assert told() == [1000, 400]

    def fail(path: str) -> tuple[int, int]:
        raise OSError(5, "EIO")

    monkeypatch.setattr(box.disk, "space", fail)
    assert told() == [None, None]


async def test_the_cleaner_tells_how_dirty_it_found_logs(box: ManagerBox) -> None:
    log = box.log(
        cleanup_policy="compact", internal_segment_bytes=100, min_cleanable_dirty_ratio=0.5
    )
    for number in range(20):
        box.append(log, b"v%d" % number, key=b"k")
    cleaner = box.manager.upkeep.cleaner = Cleaner(box.manager)
    box.clock.now_ms += 5_000
    found = scrape(storage_samples(box.manager))
    assert value(found, "kafka_log_logcleaner_max_dirty_percent") == 0
    assert value(found, f"{CLEANER}time_since_last_run_ms") == 5_000
    assert await cleaner.clean_dirtiest()
    found = scrape(storage_samples(box.manager))
    assert value(found, "kafka_log_logcleaner_max_dirty_percent") == 100
    assert value(found, f"{CLEANER}time_since_last_run_ms") == 0
    assert value(found, f"{CLEANER}uncleanable_partitions_count", logDirectory="/data") == 0
    cleaner.uncleanable.add(log)
    found = scrape(storage_samples(box.manager))
    assert value(found, f"{CLEANER}uncleanable_partitions_count", logDirectory="/data") == 1
