"""InitProducerId: an identity for an idempotent or transactional producer (KIP-98).

v2 flexible - v3 the epoch can be bumped (KIP-360) - v4 PRODUCER_FENCED (KIP-588)
v5 TRANSACTION_ABORTABLE (KIP-890) - v6 two-phase commit (KIP-939), unstable
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import Request, Response, at, int16, int32, int64, string


class InitProducerIdRequest(Request, api_key=22, versions="0-6", flexible="2+"):
    transactional_id: string | None = ""
    transaction_timeout_ms: int32 = 0
    producer_id: int64 = at("3+", default=-1)
    producer_epoch: int16 = at("3+", default=-1)
    enable2_pc: bool = at("6+", default=False)
    keep_prepared_txn: bool = at("6+", default=False)


class InitProducerIdResponse(Response, api_key=22, versions="0-6", flexible="2+"):
    throttle_time_ms: int32 = at("0+", default=0, ignorable=True)
    error_code: int16 = 0
    producer_id: int64 = -1
    producer_epoch: int16 = 0
    ongoing_txn_producer_id: int64 = at("6+", default=-1)
    ongoing_txn_producer_epoch: int16 = at("6+", default=-1)


def downgrade(response: InitProducerIdResponse, version: int) -> InitProducerIdResponse:
    if version < 4 and response.error_code == ErrorCode.PRODUCER_FENCED:
        response.error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return response
