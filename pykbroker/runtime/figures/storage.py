"""Of log directories: which have failed, how syncs and cleaning go."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.runtime.figures.timings import timing_samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.storage.directory import LogDirectory
    from pykbroker.runtime.storage.manager import LogManager

logger = get_logger("pykbroker.runtime.figures.storage")
_MANAGER = "kafka_log_logmanager_"
_CLEANER = "kafka_log_logcleanermanager_"


def storage_samples(logs: LogManager) -> Iterator[Sample | None]:
    directories = logs.directories
    failed = sum(directory.is_failed for directory in directories)
    yield f"{_MANAGER}offlinelogdirectorycount", (), failed
    for directory in directories:
        yield f"{_MANAGER}logdirectoryoffline", (directory.path,), directory.is_failed
        yield from _space_samples(directory)
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


def _space_samples(directory: LogDirectory) -> Iterator[Sample]:
    """None in memory, where that has no meaning, and none of a disk that has failed."""
    if directory.is_failed:
        return
    try:
        total, usable = directory.disk.space(directory.path)
    except OSError as error:
        logger.warning("space of a log directory", path=directory.path, error=error)
        return
    if total >= 0:
        yield "pykbroker_log_directory_total_bytes", (directory.path,), total
        yield "pykbroker_log_directory_usable_bytes", (directory.path,), usable
