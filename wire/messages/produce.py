"""Produce: append record batches.

v1 throttle time - v2 message format 1, log append time - v3 message format 2, transactions (KIP-98)
v4 KAFKA_STORAGE_ERROR - v5 log start offset (KIP-107) - v7 zstd (KIP-110)
v8 errors of single records (KIP-467) - v9 flexible - v10 where the leader went (KIP-951)
v11 TRANSACTION_ABORTABLE (KIP-890) - v12 partitions join a transaction by it (KIP-890)
v13 topic ids (KIP-516)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    at,
    batches,
    int16,
    int32,
    int64,
    string,
    uuid,
)


class PartitionProduceData(Struct):
    index: int32 = 0
    records: batches | None = None


class TopicProduceData(Struct):
    name: string = at("0-12", default="", ignorable=True)
    topic_id: uuid = at("13+", default=ZERO_UUID, ignorable=True)
    partition_data: list[PartitionProduceData] = []


class ProduceRequest(Request, api_key=0, versions="0-13", flexible="9+"):
    transactional_id: string | None = at("3+", default=None)
    acks: int16 = 0
    timeout_ms: int32 = 0
    topic_data: list[TopicProduceData] = []


class BatchIndexAndErrorMessage(Struct):
    batch_index: int32 = 0
    batch_index_error_message: string | None = None


class LeaderIdAndEpoch(Struct):
    leader_id: int32 = -1
    leader_epoch: int32 = -1


class PartitionProduceResponse(Struct):
    index: int32 = 0
    error_code: int16 = 0
    base_offset: int64 = 0
    log_append_time_ms: int64 = at("2+", default=-1, ignorable=True)
    log_start_offset: int64 = at("5+", default=-1, ignorable=True)
    record_errors: list[BatchIndexAndErrorMessage] = at("8+", default=[], ignorable=True)
    error_message: string | None = at("8+", default=None, ignorable=True)
    current_leader: LeaderIdAndEpoch = at("10+", default=LeaderIdAndEpoch(), tag=0)


class TopicProduceResponse(Struct):
    name: string = at("0-12", default="", ignorable=True)
    topic_id: uuid = at("13+", default=ZERO_UUID, ignorable=True)
    partition_responses: list[PartitionProduceResponse] = []


class NodeEndpoint(Struct):
    node_id: int32 = 0
    host: string = ""
    port: int32 = 0
    rack: string | None = None


class ProduceResponse(Response, api_key=0, versions="0-13", flexible="9+"):
    responses: list[TopicProduceResponse] = []
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    node_endpoints: list[NodeEndpoint] = at("10+", default=[], tag=0)


def downgrade(response: ProduceResponse, version: int) -> ProduceResponse:
    """Older clients know fewer errors, and are not told where the leader went."""
    if version >= 11:
        return response
    if version < 10:
        response.node_endpoints = []
    for topic in response.responses:
        for partition in topic.partition_responses:
            if partition.error_code:
                _downgrade_error(partition, version)
    return response


def _downgrade_error(partition: PartitionProduceResponse, version: int) -> None:
    if version < 10:
        partition.current_leader = LeaderIdAndEpoch()
    if partition.error_code == ErrorCode.TRANSACTION_ABORTABLE:
        partition.error_code = ErrorCode.INVALID_TXN_STATE
    elif partition.error_code == ErrorCode.KAFKA_STORAGE_ERROR and version < 4:
        partition.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
