"""TxnOffsetCommit: offsets that count once a transaction commits (KIP-98).

v2 leader epochs (KIP-320) - v3 flexible, generation and member (KIP-447)
v4 TRANSACTION_ABORTABLE (KIP-890) - v5 the group joins the transaction by it (KIP-890)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class TxnOffsetCommitRequestPartition(Struct):
    partition_index: int32 = 0
    committed_offset: int64 = 0
    committed_leader_epoch: int32 = at("2+", default=-1, ignorable=True)
    committed_metadata: string | None = ""


class TxnOffsetCommitRequestTopic(Struct):
    name: string = ""
    partitions: list[TxnOffsetCommitRequestPartition] = []


class TxnOffsetCommitRequest(Request, api_key=28, versions="0-5", flexible="3+"):
    transactional_id: string = ""
    group_id: string = ""
    producer_id: int64 = 0
    producer_epoch: int16 = 0
    generation_id: int32 = at("3+", default=-1)
    member_id: string = at("3+", default="")
    group_instance_id: string | None = at("3+", default=None)
    topics: list[TxnOffsetCommitRequestTopic] = []


class TxnOffsetCommitResponsePartition(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0


class TxnOffsetCommitResponseTopic(Struct):
    name: string = ""
    partitions: list[TxnOffsetCommitResponsePartition] = []


class TxnOffsetCommitResponse(Response, api_key=28, versions="0-5", flexible="3+"):
    throttle_time_ms: int32 = 0
    topics: list[TxnOffsetCommitResponseTopic] = []


def downgrade(response: TxnOffsetCommitResponse, version: int) -> TxnOffsetCommitResponse:
    """Producers before v2 fail on a coordinator that is loading; one that is away they know."""
    if version < 2:
        for topic in response.topics:
            for partition in topic.partitions:
                if partition.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
                    partition.error_code = ErrorCode.COORDINATOR_NOT_AVAILABLE
    return response
