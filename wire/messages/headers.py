"""The headers before every request and response."""

from __future__ import annotations

from wire.schema import Message, at, int16, int32, string


class RequestHeader(Message, versions="0-2", flexible="2+"):
    request_api_key: int16 = 0
    request_api_version: int16 = 0
    correlation_id: int32 = 0
    client_id: string | None = at("1+", default="", never_flexible=True)


class ResponseHeader(Message, versions="0-1", flexible="1+"):
    correlation_id: int32 = 0
