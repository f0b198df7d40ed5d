"""The client's half of a connection: requests into frames, response frames taken apart."""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING

from wire.apis import API_BY_KEY, request_header_version, response_header_version
from wire.codec import encode_request
from wire.errors import DecodeError
from wire.primitives import skip_tags

if TYPE_CHECKING:
    from wire.schema import Buffer, Request

_HEAD = Struct(">hhih")
_CORRELATION_ID = Struct(">i")


def request_data(
    request: Request, version: int, correlation_id: int, client_id: str | None
) -> list[Buffer]:
    """Header and body, as they stand in an Envelope. Raises EncodeError."""
    key = request.api_key
    name = None if client_id is None else client_id.encode()
    head = _HEAD.pack(key, version, correlation_id, -1 if name is None else len(name))
    tags = b"\x00" if request_header_version(key, version) >= 2 else b""
    return [head + (name or b"") + tags, *encode_request(request, version)]


def request_frame(
    request: Request, version: int, correlation_id: int, client_id: str | None
) -> list[Buffer]:
    """The same behind its size, as it goes out on a connection."""
    data = request_data(request, version, correlation_id, client_id)
    return [sum(map(len, data)).to_bytes(4, "big") + data[0], *data[1:]]


def response_head(frame: Buffer) -> int:
    """Which request a frame answers: its correlation id."""
    try:
        (correlation_id,) = _CORRELATION_ID.unpack_from(frame)
    except error as reason:
        raise DecodeError("a response without a header") from reason
    return int(correlation_id)


def response_body(frame: Buffer, api_key: int, version: int) -> int:
    """Where the body of a response begins."""
    if response_header_version(api_key, version) == 0:
        return 4
    try:
        return skip_tags(frame, 4, len(frame))
    except IndexError as reason:
        raise DecodeError("the header of the response cannot be read") from reason


def newest_version(api_key: int) -> int:
    return API_BY_KEY[api_key].max_version
