"""A led partition as the log of a coordinator: typed records in, typed records out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.state.coordinator import CoordinatorRecord
from pykbroker.state.errors import KafkaError
from wire.errors import EncodeError, ErrorCode
from wire.persisted import decode_control_key, decode_record, encode_record
from wire.records.batch import iter_headers
from wire.records.record import ControlType, Record, iter_records
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.ports import Clock
    from pykbroker.runtime.partition import Partition
    from pykbroker.state.coordinator import Shard
    from wire.persisted import RecordTypes
    from wire.records.batch import BatchHeader

logger = get_logger("pykbroker.runtime.coordinator")

READ_BYTES = 1 << 16
"""Replayed in one turn; some thousand records."""


class LoggedRecord(NamedTuple):
    offset: int
    producer_id: int
    record: CoordinatorRecord

    def replay(self, shard: Shard) -> None:
        shard.replay(self.record, self.offset, self.producer_id)


class LoggedMarker(NamedTuple):
    """The end of a transaction."""

    producer_id: int
    committed: bool

    def replay(self, shard: Shard) -> None:
        shard.replay_end_of_transaction(self.producer_id, self.committed)


class PartitionCoordinatorLog:
    def __init__(
        self, partition: Partition, clock: Clock, types: RecordTypes, compression: int = 0
    ) -> None:
        self._partition = partition
        self._clock = clock
        self._types = types
        self._compression = compression

    @property
    def start_offset(self) -> int:
        return self._partition.log_start_offset

    @property
    def end_offset(self) -> int:
        return self._partition.log_end_offset

    @property
    def high_watermark(self) -> int:
        return self._partition.high_watermark

    def read(self, offset: int) -> tuple[list[LoggedRecord | LoggedMarker], int]:
        """Some records from ``offset`` on, and the offset after them."""
        data = self._partition.log.read(offset, READ_BYTES, min_one_batch=True).records
        found: list[LoggedRecord | LoggedMarker] = []
        next_offset = offset
        for position, header in iter_headers(data):
            next_offset = header.next_offset
            for record in iter_records(data, position):
                if record.offset >= offset:
                    logged = self._logged(header, record)
                    if logged is not None:
                        found.append(logged)
        return found, next_offset

    def _logged(self, header: BatchHeader, record: Record) -> LoggedRecord | LoggedMarker | None:
        key = record.key or b""
        if header.is_control:
            kind = decode_control_key(key)
            if kind in (ControlType.COMMIT, ControlType.ABORT):
                return LoggedMarker(header.producer_id, kind == ControlType.COMMIT)
            return None
        decoded = decode_record(key, record.value, self._types)
        if decoded is None:
            logger.warning(
                "record of a newer broker passed over",
                partition=str(self._partition.topic_partition),
                offset=record.offset,
            )
            return None
        producer_id = header.producer_id if header.is_transactional else -1
        return LoggedRecord(record.offset, producer_id, CoordinatorRecord(*decoded))

    def append(self, records: list[CoordinatorRecord]) -> int:
        """One batch, whole or not at all; the offset of its first record."""
        timestamp = self._clock.wall_ms()
        try:
            encoded = [
                Record(offset, timestamp, *encode_record(*record))
                for offset, record in enumerate(records)
            ]
        except EncodeError as error:
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, str(error)) from error
        info = self._partition.append_records(encoded, compression=self._compression)
        return info.first_offset

    def when_committed(
        self, offset: int, callback: Callable[[ErrorCode], None]
    ) -> Callable[[], None]:
        return self._partition.when_committed(offset, callback)
