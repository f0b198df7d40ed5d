"""The bytes of a ``.snapshot`` file: Kafka's ProducerSnapshot, version 1, with its CRC-32C."""

from __future__ import annotations

from struct import Struct, error, unpack_from
from typing import TYPE_CHECKING

from pykbroker.state.log.producers import BatchMetadata, ProducerEntry
from wire.records.crc import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
_HEAD = Struct(">hI")
_COUNT = Struct(">i")
_ENTRY = Struct(">qhiqiqiq")


class CorruptSnapshot(ValueError):
    """Not a producer snapshot, or a damaged one: an older one or a replay must serve."""


def encode_snapshot(entries: Iterable[ProducerEntry]) -> bytes:
    body = [
        _ENTRY.pack(
            entry.producer_id,
            entry.epoch,
            entry.last_sequence,
            entry.last_data_offset,
            entry.last_offset_delta,
            entry.last_timestamp,
            entry.coordinator_epoch,
            entry.current_txn_first_offset,
        )
        for entry in entries
    ]
    payload = _COUNT.pack(len(body)) + b"".join(body)
    return _HEAD.pack(VERSION, crc32c(payload)) + payload


def decode_snapshot(data: bytes) -> list[ProducerEntry]:
    try:
        version, crc = _HEAD.unpack_from(data)
        (count,) = unpack_from(">i", data, _HEAD.size)
    except error:
        raise CorruptSnapshot(f"{len(data)} bytes are no producer snapshot") from None
    if version != VERSION:
        raise CorruptSnapshot(f"version {version} of the producer snapshot is not known")
    payload = data[_HEAD.size :]
    if crc32c(payload) != crc:
        raise CorruptSnapshot("the checksum of the producer snapshot does not match")
    if len(payload) != _COUNT.size + count * _ENTRY.size:
        raise CorruptSnapshot(f"{len(payload)} bytes do not hold {count} producers")
    return [_entry(values) for values in _ENTRY.iter_unpack(payload[_COUNT.size :])]


def _entry(values: tuple[int, ...]) -> ProducerEntry:
    producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator_epoch, first = (
        values
    )
    entry = ProducerEntry(producer_id, epoch)
    if last_offset >= 0:
        entry.batches.append(BatchMetadata(last_sequence, last_offset, delta, timestamp))
    entry.last_timestamp = timestamp
    entry.coordinator_epoch = coordinator_epoch
    entry.current_txn_first_offset = first if first >= 0 else -1
    return entry
