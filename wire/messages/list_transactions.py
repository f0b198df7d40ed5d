"""ListTransactions: what this broker coordinates (KIP-664).

v1 by duration (KIP-994) - v2 by pattern (KIP-1152)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class ListTransactionsRequest(Request, api_key=66, versions="0-2", flexible="0+"):
    state_filters: list[string] = []
    producer_id_filters: list[int64] = []
    duration_filter: int64 = at("1+", default=-1)
    transactional_id_pattern: string | None = at("2+", default=None)


class TransactionState(Struct):
    transactional_id: string = ""
    producer_id: int64 = 0
    transaction_state: string = ""


class ListTransactionsResponse(Response, api_key=66, versions="0-2", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    unknown_state_filters: list[string] = []
    transaction_states: list[TransactionState] = []
