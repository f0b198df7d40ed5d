"""Files beside a log that are written with the codec."""

from __future__ import annotations

from wire.schema import Record, Struct, int16, int32, int64, uint32


class ProducerEntry(Struct):
    producer_id: int64 = 0
    epoch: int16 = 0
    last_sequence: int32 = 0
    last_offset: int64 = 0
    offset_delta: int32 = 0
    timestamp: int64 = 0
    coordinator_epoch: int32 = 0
    current_txn_first_offset: int64 = 0


class ProducerSnapshot(Record, versions="1"):
    crc: uint32 = 0
    producer_entries: list[ProducerEntry] = []
