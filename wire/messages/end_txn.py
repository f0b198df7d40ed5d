"""EndTxn: commit or abort.

v2 PRODUCER_FENCED (KIP-588) - v3 flexible - v4 TRANSACTION_ABORTABLE (KIP-890)
v5 the epoch after it (KIP-890)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import Request, Response, at, int16, int32, int64, string


class EndTxnRequest(Request, api_key=26, versions="0-5", flexible="3+"):
    transactional_id: string = ""
    producer_id: int64 = 0
    producer_epoch: int16 = 0
    committed: bool = False


class EndTxnResponse(Response, api_key=26, versions="0-5", flexible="3+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    producer_id: int64 = at("5+", default=-1, ignorable=True)
    producer_epoch: int16 = at("5+", default=-1, ignorable=True)


def downgrade(response: EndTxnResponse, version: int) -> EndTxnResponse:
    if version < 2 and response.error_code == ErrorCode.PRODUCER_FENCED:
        response.error_code = ErrorCode.INVALID_PRODUCER_EPOCH
    return response
