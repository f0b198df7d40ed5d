"""SaslHandshake: which mechanism (KIP-43).

v0 the exchange follows outside of requests - v1 it follows in SaslAuthenticate (KIP-152)
"""

from __future__ import annotations

from wire.schema import Request, Response, int16, string


class SaslHandshakeRequest(Request, api_key=17, versions="0-1"):
    mechanism: string = ""


class SaslHandshakeResponse(Response, api_key=17, versions="0-1"):
    error_code: int16 = 0
    mechanisms: list[string] = []
