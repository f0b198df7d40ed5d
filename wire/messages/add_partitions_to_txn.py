"""AddPartitionsToTxn: partitions join a transaction; brokers verify that they did.

v2 PRODUCER_FENCED (KIP-588) - v3 flexible - v4 several transactions, verification (KIP-890)
v5 TRANSACTION_ABORTABLE (KIP-890)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class AddPartitionsToTxnTopic(Struct):
    name: string = ""
    partitions: list[int32] = []


class AddPartitionsToTxnTransaction(Struct):
    transactional_id: string = ""
    producer_id: int64 = 0
    producer_epoch: int16 = 0
    verify_only: bool = False
    topics: list[AddPartitionsToTxnTopic] = []


class AddPartitionsToTxnRequest(Request, api_key=24, versions="0-5", flexible="3+"):
    transactions: list[AddPartitionsToTxnTransaction] = at("4+", default=[])
    v3_and_below_transactional_id: string = at("0-3", default="")
    v3_and_below_producer_id: int64 = at("0-3", default=0)
    v3_and_below_producer_epoch: int16 = at("0-3", default=0)
    v3_and_below_topics: list[AddPartitionsToTxnTopic] = at("0-3", default=[])


class AddPartitionsToTxnPartitionResult(Struct):
    partition_index: int32 = 0
    partition_error_code: int16 = 0


class AddPartitionsToTxnTopicResult(Struct):
    name: string = ""
    results_by_partition: list[AddPartitionsToTxnPartitionResult] = []


class AddPartitionsToTxnResult(Struct):
    transactional_id: string = ""
    topic_results: list[AddPartitionsToTxnTopicResult] = []


class AddPartitionsToTxnResponse(Response, api_key=24, versions="0-5", flexible="3+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = at("4+", default=0, ignorable=True)
    results_by_transaction: list[AddPartitionsToTxnResult] = at("4+", default=[])
    results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = at("0-3", default=[])


def upgrade(request: AddPartitionsToTxnRequest, version: int) -> AddPartitionsToTxnRequest:
    """Before v4, which brokers alone use, there is one transaction, at the top."""
    if version >= 4:
        return request
    only = AddPartitionsToTxnTransaction(
        transactional_id=request.v3_and_below_transactional_id,
        producer_id=request.v3_and_below_producer_id,
        producer_epoch=request.v3_and_below_producer_epoch,
        topics=request.v3_and_below_topics,
    )
    return AddPartitionsToTxnRequest(transactions=[only])


def downgrade(response: AddPartitionsToTxnResponse, version: int) -> AddPartitionsToTxnResponse:
    if version >= 4:
        return response
    results = response.results_by_transaction
    topics = results[0].topic_results if results else []
    if version < 2:
        for topic in topics:
            for partition in topic.results_by_partition:
                if partition.partition_error_code == ErrorCode.PRODUCER_FENCED:
                    partition.partition_error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return AddPartitionsToTxnResponse(
        throttle_time_ms=response.throttle_time_ms, results_by_topic_v3_and_below=topics
    )
