"""Of log directories: which have failed, how syncs and cleaning go."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.runtime.figures.timings import timing_samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.storage.manager import LogManager

_MANAGER = "kafka_log_logmanager_"
_CLEANER = "kafka_log_logcleanermanager_"


def storage_samples(logs: LogManager) -> Iterator[Sample | None]:
    directories = logs.directories
    failed = sum(directory.is_failed for directory in directories)
    yield f"{_MANAGER}offlinelogdirectorycount", (), failed
    for directory in directories:
        yield f"{_MANAGER}logdirectoryoffline", (directory.path,), directory.is_failed
    yield from timing_samples("kafka_log_logflushstats_logflushrateandtimems", logs.context.flushes)
    cleaner = logs.upkeep.cleaner
    if cleaner is None:
        return
    yield "kafka_log_logcleaner_max_dirty_percent", (), int(100 * cleaner.dirtiest_ratio)
    since_ms = logs.clock.monotonic_ms() - cleaner.last_run_ms
    yield f"{_CLEANER}time_since_last_run_ms", (), since_ms
    given_up = Counter(log.log_directory for log in cleaner.uncleanable)
    for directory in directories:
        yield f"{_CLEANER}uncleanable_partitions_count", (directory.path,), given_up[directory.path]
