"""AddOffsetsToTxn: the offsets of a group are to be part of a transaction.

v2 PRODUCER_FENCED (KIP-588) - v3 flexible - v4 TRANSACTION_ABORTABLE (KIP-890)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import Request, Response, int16, int32, int64, string


class AddOffsetsToTxnRequest(Request, api_key=25, versions="0-4", flexible="3+"):
    transactional_id: string = ""
    producer_id: int64 = 0
    producer_epoch: int16 = 0
    group_id: string = ""


class AddOffsetsToTxnResponse(Response, api_key=25, versions="0-4", flexible="3+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0


def downgrade(response: AddOffsetsToTxnResponse, version: int) -> AddOffsetsToTxnResponse:
    if version < 2 and response.error_code == ErrorCode.PRODUCER_FENCED:
        response.error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return response
