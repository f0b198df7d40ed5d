"""Envelope: the messages."""

from __future__ import annotations

from wire.schema import Request, Response, int16


class EnvelopeRequest(Request, api_key=58, versions="0", flexible="0+"):
    request_data: bytes = b""
    request_principal: bytes | None = b""
    client_host_address: bytes = b""


class EnvelopeResponse(Response, api_key=58, versions="0", flexible="0+"):
    response_data: bytes | None = None
    error_code: int16 = 0
