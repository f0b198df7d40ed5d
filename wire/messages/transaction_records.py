"""Records of __transaction_state."""

from __future__ import annotations

from wire.schema import Record, Struct, at, int8, int16, int32, int64, string


class TransactionLogKey(Record, api_key=0, versions="0"):
    transactional_id: string = ""


class PartitionsSchema(Struct):
    topic: string = ""
    partition_ids: list[int32] = []


class TransactionLogValue(Record, api_key=0, versions="0-1", flexible="1+"):
    producer_id: int64 = 0
    previous_producer_id: int64 = at("1+", default=-1, tag=0)
    next_producer_id: int64 = at("1+", default=-1, tag=1)
    producer_epoch: int16 = 0
    next_producer_epoch: int16 = at("1+", default=-1, tag=3)
    transaction_timeout_ms: int32 = 0
    transaction_status: int8 = 0
    transaction_partitions: list[PartitionsSchema] | None = []
    transaction_last_update_timestamp_ms: int64 = 0
    transaction_start_timestamp_ms: int64 = 0
    client_transaction_version: int16 = at("1+", default=0, tag=2)
