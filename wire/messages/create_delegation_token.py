"""CreateDelegationToken (KIP-48).

v2 flexible - v3 for another owner (KIP-373)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class CreatableRenewers(Struct):
    principal_type: string = ""
    principal_name: string = ""


class CreateDelegationTokenRequest(Request, api_key=38, versions="0-3", flexible="2+"):
    owner_principal_type: string | None = at("3+", default="")
    owner_principal_name: string | None = at("3+", default="")
    renewers: list[CreatableRenewers] = []
    max_lifetime_ms: int64 = 0


class CreateDelegationTokenResponse(Response, api_key=38, versions="0-3", flexible="2+"):
    error_code: int16 = 0
    principal_type: string = ""
    principal_name: string = ""
    token_requester_principal_type: string = at("3+", default="")
    token_requester_principal_name: string = at("3+", default="")
    issue_timestamp_ms: int64 = 0
    expiry_timestamp_ms: int64 = 0
    max_timestamp_ms: int64 = 0
    token_id: string = ""
    hmac: bytes = b""
    throttle_time_ms: int32 = 0


def downgrade(
    response: CreateDelegationTokenResponse, version: int
) -> CreateDelegationTokenResponse:
    """Before v3 the owner of a token is who asked for it."""
    if version < 3:
        response.token_requester_principal_type = response.token_requester_principal_name = ""
    return response
