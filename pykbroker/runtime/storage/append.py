"""What stands between a produced batch and the log: validation, conversion, idempotence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.topic import LOG_APPEND_TIME
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.errors import RecordsRefused
from pykbroker.state.log.producers import AppendOrigin
from wire.errors import ErrorCode
from wire.records.batch import magic_of, read_header, set_max_timestamp
from wire.records.compression import Compression
from wire.records.errors import CorruptBatch, UnsupportedMagic
from wire.records.record import iter_records, marker_coordinator_epoch
from wire.records.validate import InvalidRecords, Rules, plain_header, recompress, validate

if TYPE_CHECKING:
    from pykbroker.config.topic import LogConfig
    from pykbroker.state.log.producers import BatchMetadata, ProducerState
    from wire.records.batch import BatchHeader
    from wire.records.validate import ValidBatch
    from wire.schema import Buffer

    Writable = bytearray | memoryview


class Intake:
    """A topic's settings as far as they bind appends. Made once per set of settings."""

    __slots__ = (
        "_levels",
        "codec",
        "max_message_bytes",
        "origin",
        "rules",
        "segment_bytes",
        "stamp",
    )

    def __init__(self, config: LogConfig, origin: AppendOrigin, *, walk: bool) -> None:
        self.origin = origin
        name = config.compression_type
        self.codec = None if name == "producer" else int(Compression.from_config(name))
        self._levels = {
            Compression.GZIP: config.compression_gzip_level,
            Compression.LZ4: config.compression_lz4_level,
            Compression.ZSTD: config.compression_zstd_level,
        }
        self.max_message_bytes = config.max_message_bytes
        self.segment_bytes = config.segment_bytes
        self.stamp = config.message_timestamp_type == LOG_APPEND_TIME
        from_client = origin is AppendOrigin.CLIENT
        self.rules = Rules(
            compacted=config.cleanup_compact and from_client,
            compression=self.codec,
            timestamp_type=config.message_timestamp_type,
            before_max_ms=config.message_timestamp_before_max_ms,
            after_max_ms=config.message_timestamp_after_max_ms,
            walk=walk and from_client,
            from_client=from_client,
            max_decompressed_bytes=config.max_decompressed_message_bytes,
        )

    def prepare(self, data: Buffer, now_ms: int) -> tuple[Writable, BatchHeader]:
        """One batch fit to be numbered and written, in ``data`` itself where that is possible."""
        size = len(data)
        if size > self.max_message_bytes:
            self._refuse_size(size)
        plain = plain_header(data, self.rules, now_ms) if size <= self.segment_bytes else None
        if plain is not None:
            return _writable(data), plain
        batch, data = self._validated(data, now_ms)
        header = batch.header
        changed = False
        codec = self.codec
        if codec is not None and codec != header.compression and not header.is_control:
            data = recompress(data, 0, codec, self._level(codec), body=batch.body)
            changed = True
        else:
            data = _writable(data)
        if self.stamp:
            set_max_timestamp(data, 0, now_ms)
            changed = True
        elif batch.max_timestamp != header.max_timestamp:
            set_max_timestamp(data, 0, batch.max_timestamp, header.timestamp_type)
            changed = True
        if changed:
            header = read_header(data)
            if len(data) > self.max_message_bytes:
                self._refuse_size(len(data))
        if len(data) > self.segment_bytes:
            raise KafkaError(
                ErrorCode.RECORD_LIST_TOO_LARGE,
                f"The batch of {len(data)} bytes is larger than a segment of {self.segment_bytes}",
            )
        return data, header

    def _validated(self, data: Buffer, now_ms: int) -> tuple[ValidBatch, Buffer]:
        try:
            if magic_of(data) < 2:
                data = self._converted(data)
            batches = validate(data, self.rules, now_ms)
        except InvalidRecords as refusal:
            raise RecordsRefused(
                refusal.error_code, refusal.message, refusal.record_errors, refusal.kind
            ) from None
        except CorruptBatch as problem:
            kind = "magic" if isinstance(problem, UnsupportedMagic) else "crc"
            raise RecordsRefused(ErrorCode.CORRUPT_MESSAGE, str(problem), (), kind) from None
        if len(batches) > 1:
            raise KafkaError(
                ErrorCode.INVALID_RECORD, f"{len(batches)} record batches where one is allowed"
            )
        return batches[0], data

    def _converted(self, data: Buffer) -> bytearray:
        """Message formats 0 and 1 become one batch of format 2."""
        from wire.records.legacy import convert_up

        codec = self.codec
        return convert_up(
            data,
            compression=codec,
            level=None if codec is None else self._level(codec),
            max_decompressed_bytes=self.rules.max_decompressed_bytes,
        )

    def _level(self, codec: int) -> int | None:
        return self._levels.get(Compression(codec))

    def _refuse_size(self, size: int) -> None:
        raise KafkaError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"The record batch of {size} bytes exceeds max.message.bytes={self.max_message_bytes}",
        )

    def find_duplicate(self, producers: ProducerState, header: BatchHeader) -> BatchMetadata | None:
        """Of a client's batch, among the last of its producer."""
        if header.is_control or self.origin is not AppendOrigin.CLIENT:
            return None
        return producers.find_duplicate(
            header.producer_id, header.producer_epoch, header.base_sequence, header.last_sequence
        )

    def check_producer(
        self,
        producers: ProducerState,
        header: BatchHeader,
        data: Buffer,
        transaction_version: int,
    ) -> None:
        """May a leader append this batch of a producer id? KafkaError if not."""
        if header.is_control:
            marker = next(iter_records(data))
            producers.check_marker(
                header.producer_id,
                header.producer_epoch,
                marker_coordinator_epoch(marker),
                transaction_version,
            )
        else:
            producers.check_data(
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
                header.is_transactional,
                self.origin,
            )


def _writable(data: Buffer) -> Writable:
    if type(data) is memoryview:
        return bytearray(data) if data.readonly else data
    return bytearray(data) if isinstance(data, bytes) else data
