"""What consumers that waited for the same records are answered: read once, and encoded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.types import NO_EPOCH
from wire.messages.fetch import StandingData

if TYPE_CHECKING:
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.storage.log import PartitionLog
    from wire.messages.fetch import FetchPartition, PartitionData

SHARED_BYTES = 16 * 1024
"""Of the records: the bytes of a larger answer are better not copied into one piece."""
KEPT = 64


class _Shared:
    __slots__ = ("data", "generation", "isolation", "log", "max_bytes", "offset", "size")

    def __init__(
        self,
        log: PartitionLog,
        request: FetchPartition,
        max_bytes: int,
        isolation: int,
        data: PartitionData,
        size: int,
    ) -> None:
        self.log = log
        self.generation = log.generation
        self.offset = request.fetch_offset
        self.max_bytes = max_bytes
        self.isolation = isolation
        self.data = data
        self.size = size


class SharedAnswers:
    """The last one of each of a few partitions. Nobody may change what is in them."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[Partition, _Shared] = {}

    def find(
        self, partition: Partition, request: FetchPartition, max_bytes: int, isolation: int
    ) -> tuple[PartitionData, int] | None:
        """What reading would find, if that is plain: the question is the same, and the partition
        has not moved."""
        known = self._kept.get(partition)
        if known is None:
            return None
        log, state, data = partition.log, partition.state, known.data
        if (
            known.log is not log
            or known.generation != log.generation
            or known.offset != request.fetch_offset
            or known.max_bytes != max_bytes
            or known.isolation != isolation
            or data.high_watermark != log.high_watermark
            or data.last_stable_offset != log.last_stable_offset
            or data.log_start_offset != log.log_start_offset
            or state.leader != state.node_id
            or request.current_leader_epoch not in (NO_EPOCH, state.leader_epoch)
            or request.last_fetched_epoch not in (NO_EPOCH, log.leader_epochs.latest_epoch)
        ):
            return None
        return data, known.size

    def keep(
        self,
        partition: Partition,
        request: FetchPartition,
        max_bytes: int,
        isolation: int,
        data: PartitionData,
        size: int,
    ) -> PartitionData:
        """What was read just now for one of them; the form of it that he is to be answered."""
        if (
            not 0 < size <= min(max_bytes, SHARED_BYTES)
            or data.error_code
            or data.diverging_epoch.epoch >= 0
            or data.preferred_read_replica >= 0
        ):
            return data
        shared = StandingData(
            partition_index=data.partition_index,
            high_watermark=data.high_watermark,
            last_stable_offset=data.last_stable_offset,
            log_start_offset=data.log_start_offset,
            aborted_transactions=data.aborted_transactions,
            records=data.records,
        )
        kept = self._kept
        kept.pop(partition, None)
        kept[partition] = _Shared(partition.log, request, max_bytes, isolation, shared, size)
        if len(kept) > KEPT:
            del kept[next(iter(kept))]
        return shared

    def forget(self, partition: Partition) -> None:
        self._kept.pop(partition, None)
