"""EndTxn: the messages."""

from __future__ import annotations

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
