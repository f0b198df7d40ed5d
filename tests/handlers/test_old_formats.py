"""Records in the form that Fetch carried before version 10."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.handlers.old_formats import fit
from pykbroker.runtime.traffic import TopicTraffic
from pykbroker.state.fetch_session import Answer, FetchEntry
from tests.support.data_path import batch
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition, PartitionData
from wire.records.compression import Compression
from wire.records.legacy import decode_message_set

ZSTD = Compression.ZSTD


def answer(records: Any, offset: int = 0) -> Answer:
    entry = FetchEntry("t", "t", FetchPartition(partition=3, fetch_offset=offset))
    data = PartitionData(partition_index=3, high_watermark=9, records=records)
    return Answer(entry, data, len(records))


@pytest.mark.parametrize("version", range(10))
def test_nothing_stays_nothing(version: int) -> None:
    given = answer(b"")
    assert fit(given, version, TopicTraffic()) is given


@pytest.mark.parametrize(("version", "magic"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_batches_become_messages_from_the_offset_on(version: int, magic: int) -> None:
    fitted = fit(answer(batch(b"a", b"b", b"c"), offset=1), version, TopicTraffic())
    assert isinstance(fitted.data.records, bytes)
    assert fitted.size == len(fitted.data.records)
    assert fitted.data.records[16] == magic
    found = decode_message_set(fitted.data.records)
    assert [(r.offset, r.value) for r in found] == [(1, b"b"), (2, b"c")]
    assert fitted.data.high_watermark == 9


@pytest.mark.parametrize("version", range(4, 10))
def test_batches_pass_as_far_as_the_first_zstd(version: int) -> None:
    plain, packed = batch(b"a"), batch(b"b", base_offset=1, compression=ZSTD)
    fitted = fit(answer(bytes(plain + plain + packed + plain)), version, TopicTraffic())
    assert bytes(fitted.data.records or b"") == bytes(plain + plain)  # type: ignore[arg-type]
    assert fitted.size == 2 * len(plain)
    whole = answer(bytes(plain))
    assert bytes(fit(whole, version, TopicTraffic()).data.records or b"") == bytes(plain)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", range(10))
def test_zstd_itself_is_refused(version: int) -> None:
    fitted = fit(answer(batch(b"a", compression=ZSTD)), version, TopicTraffic())
    assert fitted.data.error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert (fitted.data.partition_index, fitted.size, fitted.data.records) == (3, 0, b"")


def test_what_cannot_be_converted_is_corrupt() -> None:
    records = batch(b"x" * 1000, compression=Compression.GZIP)
    records[70:] = bytes(len(records) - 70)
    assert fit(answer(records), 3, TopicTraffic()).data.error_code == ErrorCode.CORRUPT_MESSAGE
