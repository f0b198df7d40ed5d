"""What the logs of one log directory share."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pykbroker.runtime.distribution import Timings
from pykbroker.runtime.storage.handles import FileHandles
from pykbroker.runtime.storage.recent import RecentReads
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.config.topic import LogConfig
    from pykbroker.ports import Clock, Disk, Random
    from pykbroker.runtime.storage.append import Intake
    from pykbroker.runtime.storage.log_state import LogState
    from pykbroker.runtime.storage.segment import Segment
    from pykbroker.state.log.producers import AppendOrigin


class Upkeep(Protocol):
    """What a log asks of the manager that keeps its directory."""

    def flush_soon(self, log: LogState) -> None:
        """Sync up to the log's end; several logs share one round."""

    def flush_within(self, log: LogState, delay_ms: int) -> None: ...

    def log_start_moved(self, log: LogState) -> None: ...

    def truncated(self, log: LogState) -> None:
        """Checkpoints on disk may be ahead of the log now: write them soon."""

    def folder_is_stray(self, log: LogState) -> None:
        """Put away what lies in the log's folder: it is another topic's."""

    def delete_later(self, paths: Iterable[str], delay_ms: int) -> None:
        """Remove files that already bear a ``.deleted`` suffix."""

    def directory_failed(self, log_directory: str, error: OSError) -> None:
        """The directory can no longer be trusted to hold what it was given."""


class LogContext:
    """Disk, clock, open files and loaded indexes; one per log directory, or one for all."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        rng: Random,
        *,
        handles: FileHandles | None = None,
        loaded_indexes: int = 128,
    ) -> None:
        self.disk = disk
        self.clock = clock
        self.rng = rng
        self.handles = FileHandles(disk) if handles is None else handles
        self.recent = RecentReads()
        self.flushes = Timings()
        self.producer_id_expiration_ms = 86_400_000
        self.validate_records = False
        """Walk the records of every produced batch, not only where something hangs on them."""
        self.intakes: dict[AppendOrigin, tuple[tuple[LogConfig, bool], Intake]] = {}
        """What was made of settings last: the next log is likely one of the same topic."""
        self._loaded: OrderedDict[int, Segment] = OrderedDict()
        self._loaded_limit = loaded_indexes

    def index_used(self, segment: Segment) -> None:
        """Closed segments give up their indexes, the least recently used first."""
        loaded = self._loaded
        key = id(segment)
        if key in loaded:
            loaded.move_to_end(key)
            return
        loaded[key] = segment
        if len(loaded) > self._loaded_limit:
            _, oldest = loaded.popitem(last=False)
            oldest.unload()

    def index_gone(self, segment: Segment) -> None:
        self._loaded.pop(id(segment), None)
