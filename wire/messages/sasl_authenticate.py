"""SaslAuthenticate: one step of the exchange (KIP-152).

v1 how long the session lives (KIP-368) - v2 flexible
"""

from __future__ import annotations

from wire.schema import Request, Response, at, int16, int64, string


class SaslAuthenticateRequest(Request, api_key=36, versions="0-2", flexible="2+"):
    auth_bytes: bytes = b""


class SaslAuthenticateResponse(Response, api_key=36, versions="0-2", flexible="2+"):
    error_code: int16 = 0
    error_message: string | None = ""
    auth_bytes: bytes = b""
    session_lifetime_ms: int64 = at("1+", default=0, ignorable=True)
