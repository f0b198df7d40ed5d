"""What tests of the log need around it: a clock to set, an upkeep that notes, batches to append."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from pykbroker.config.settings import DynamicSettings, Settings
from pykbroker.config.topic import LogConfig, log_config
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.edges.workers import InlineWorkers
from pykbroker.runtime.storage.context import LogContext
from pykbroker.runtime.storage.handles import FileHandles
from pykbroker.runtime.storage.log import PartitionLog
from pykbroker.runtime.storage.manager import LogManager
from pykbroker.runtime.storage.recent import WORTH_BYTES
from pykbroker.runtime.storage.results import KnownPartition
from pykbroker.state.types import TopicId, TopicPartition
from tests.support.faulty_disk import FaultyDisk
from wire.records.batch import iter_headers, verify_crc
from wire.records.record import Record, build_batch, decode_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pykbroker.ports import Disk, TimerHandle
    from pykbroker.runtime.storage.results import AppendInfo
    from pykbroker.state.log.checkpoints import Checkpoint

START_MS = 1_700_000_000_000
TOPIC_ID = TopicId(bytes(range(16)))
TP = TopicPartition("t", 0)


class ManualClock:
    """Stands still until it is told otherwise."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms
        self.timers: list[tuple[int, Callable[[], None]]] = []

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms - START_MS

    def monotonic_ns(self) -> int:
        return self.monotonic_ms() * 1_000_000

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> TimerHandle:
        raise NotImplementedError

    async def sleep(self, delay_ms: int) -> None:
        self.now_ms += max(delay_ms, 0)


class NotingUpkeep:
    """Deletes at once and remembers who asked for a flush."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.to_flush: list[PartitionLog] = []
        self.failures: list[OSError] = []
        self.flush_delays: list[int] = []
        self.moved_starts = self.truncations = 0

    def flush_soon(self, log: PartitionLog) -> None:
        self.to_flush.append(log)

    def flush_within(self, log: PartitionLog, delay_ms: int) -> None:
        self.flush_delays.append(delay_ms)

    def log_start_moved(self, log: PartitionLog) -> None:
        self.moved_starts += 1

    def truncated(self, log: PartitionLog) -> None:
        self.truncations += 1

    def folder_is_stray(self, log: PartitionLog) -> None:
        self.disk.rename(log.directory, f"{log.directory}.stray")

    def delete_later(self, paths: Iterable[str], delay_ms: int) -> None:
        for path in paths:
            self.disk.unlink(path)

    def directory_failed(self, log_directory: str, error: OSError) -> None:
        self.failures.append(error)

    def flush_all(self) -> None:
        logs, self.to_flush = self.to_flush, []
        for log in logs:
            log.flush()


def config(**settings: Any) -> LogConfig:
    """Kafka's defaults but for these, written with underscores."""
    return log_config(Settings({}), {k.replace("_", "."): str(v) for k, v in settings.items()})


class LogBox:
    """One log, and what it takes to close and open it again."""

    def __init__(self, disk: Disk | None = None, root: str = "/logs", **settings: Any) -> None:
        self.clock = ManualClock()
        self.disk = disk or MemoryDisk(self.clock.wall_ms)
        self.root = root
        self.disk.mkdir(root)
        self.config = config(**settings)
        self.rng = Random(1)
        self.known = KnownPartition(self.config)
        self.shared_from_bytes = WORTH_BYTES
        self.open()

    def open(
        self, *, recover: bool = False, checkpoint: Checkpoint | None = None, capacity: int = 256
    ) -> PartitionLog:
        self.context = LogContext(
            self.disk, self.clock, self.rng, handles=FileHandles(self.disk, capacity)
        )
        self.context.recent.worth_bytes = self.shared_from_bytes
        self.upkeep = NotingUpkeep(self.disk)
        extra = {} if checkpoint is None else {"checkpoint": checkpoint}
        self.log = PartitionLog(
            self.context, self.upkeep, self.root, TP, TOPIC_ID, self.config, **extra
        )
        self.recovery = self.log.load(recover=recover, known=self.known)
        return self.log

    def append(self, *values: bytes | None, epoch: int = 0, **options: Any) -> Any:
        options.setdefault("timestamp", self.clock.now_ms)
        return self.log.append_as_leader(batch(*values, **options), epoch, self.clock.now_ms)


def batch(
    *values: bytes | None,
    timestamp: int = START_MS,
    key: bytes | None = None,
    **options: Any,
) -> bytearray:
    """A produced batch; a list of keys goes as ``keys``."""
    keys = options.pop("keys", [key] * len(values))
    records = [
        Record(index, timestamp, key, value)
        for index, (key, value) in enumerate(zip(keys, values, strict=True))
    ]
    return build_batch(records, **options)


class ManagerBox:
    """A LogManager over a disk in memory, with work done inline and a clock to set."""

    def __init__(self, disk: Disk | None = None, paths: tuple[str, ...] = ("/data",)) -> None:
        self.clock = ManualClock()
        self.disk = disk or FaultyDisk(self.clock.wall_ms)
        self.paths = paths
        self.settings: dict[str, str] = {}
        self.manager = self.make()

    def make(self, workers: Any = None) -> LogManager:
        self.manager = LogManager(
            self.disk,
            self.clock,
            workers or InlineWorkers(),
            Random(2),
            DynamicSettings(Settings(self.settings)),
            self.paths,
        )
        return self.manager

    async def start(self, **options: Any) -> LogManager:
        manager = self.make()
        manager.acquire()
        await manager.start("cluster", 1, **options)
        return manager

    async def restart(self) -> LogManager:
        """As after a kill."""
        self.manager.release()
        return await self.start()

    def log(self, topic: str = "t", partition: int = 0, **settings: Any) -> PartitionLog:
        return self.manager.get_or_create(
            TopicPartition(topic, partition), TOPIC_ID, config(**settings)
        )

    def append(self, log: PartitionLog, *values: bytes | None, **options: Any) -> AppendInfo:
        data = batch(*values, timestamp=self.clock.now_ms, **options)
        info = log.append_as_leader(data, 0, self.clock.now_ms)
        log.update_high_watermark(log.log_end_offset)
        return info


def read_all(log: PartitionLog) -> list[Record]:
    """Every record that a reader can get, control records left out."""
    found: list[Record] = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        records = log.read(offset, 1 << 20, min_one_batch=True).records
        if not records:
            break
        for position, header in iter_headers(records):
            verify_crc(records, position)
            if not header.is_control:
                found += decode_records(records, position)
            offset = header.next_offset
    return found
