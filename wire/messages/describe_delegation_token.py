"""DescribeDelegationToken (KIP-48).

v2 flexible - v3 who asked for it (KIP-373)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class DescribeDelegationTokenOwner(Struct):
    principal_type: string = ""
    principal_name: string = ""


class DescribeDelegationTokenRequest(Request, api_key=41, versions="0-3", flexible="2+"):
    owners: list[DescribeDelegationTokenOwner] | None = []


class DescribedDelegationTokenRenewer(Struct):
    principal_type: string = ""
    principal_name: string = ""


class DescribedDelegationToken(Struct):
    principal_type: string = ""
    principal_name: string = ""
    token_requester_principal_type: string = at("3+", default="")
    token_requester_principal_name: string = at("3+", default="")
    issue_timestamp: int64 = 0
    expiry_timestamp: int64 = 0
    max_timestamp: int64 = 0
    token_id: string = ""
    hmac: bytes = b""
    renewers: list[DescribedDelegationTokenRenewer] = []


class DescribeDelegationTokenResponse(Response, api_key=41, versions="0-3", flexible="2+"):
    error_code: int16 = 0
    tokens: list[DescribedDelegationToken] = []
    throttle_time_ms: int32 = 0


def downgrade(
    response: DescribeDelegationTokenResponse, version: int
) -> DescribeDelegationTokenResponse:
    """Before v3 the owner of a token is who asked for it."""
    if version < 3:
        for token in response.tokens:
            token.token_requester_principal_type = token.token_requester_principal_name = ""
    return response
