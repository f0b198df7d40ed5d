"""Records for clients from before Fetch v10: older message formats, no zstd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.runtime.fetching import failed
from pykbroker.state.fetch_session import Answer
from wire.errors import ErrorCode
from wire.records.batch import iter_headers
from wire.records.compression import Compression
from wire.records.errors import CorruptBatch
from wire.records.legacy import ZstdNotConvertible, convert_down

if TYPE_CHECKING:
    from pykbroker.runtime.traffic import TopicTraffic
    from wire.schema import Buffer


def fit(answer: Answer, version: int, traffic: TopicTraffic) -> Answer:
    """The same records in a form that a Fetch of ``version`` can carry."""
    if not answer.size:
        return answer
    records: Buffer = answer.data.records  # type: ignore[assignment]
    try:
        if version < 4:
            count = sum(header.record_count for _, header in iter_headers(records))
            records = convert_down(
                records, 0 if version < 2 else 1, answer.entry.request.fetch_offset
            )
            traffic.fetch_conversions += count
        else:
            records = _before_zstd(records)
    except ZstdNotConvertible:
        return _refused(answer, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    except CorruptBatch:
        return _refused(answer, ErrorCode.CORRUPT_MESSAGE)
    answer.data.records = records
    return Answer(answer.entry, answer.data, len(records))


def _refused(answer: Answer, code: ErrorCode) -> Answer:
    return Answer(answer.entry, failed(answer.entry.partition, code), 0)


def _before_zstd(records: Buffer) -> Buffer:
    """KIP-110: the client is told when it gets there; what is before can be read."""
    for position, header in iter_headers(records):
        if header.compression == Compression.ZSTD:
            if position == 0:
                raise ZstdNotConvertible("the next batch is compressed with zstd")
            return memoryview(records)[:position]
    return records
