"""Encode and decode messages. Functions are compiled on first use and kept.

Only DecodeError comes out of decoding whatever the bytes are, and only EncodeError out of
encoding. Handlers see a message's newest shape: ``decode_request`` and ``encode_response`` apply
the ``upgrade`` and ``downgrade`` that stand beside a definition whose structure once changed.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from wire.compiler import decoder, encoder
from wire.errors import DecodeError, EncodeError
from wire.schema import Buffer, Message, Request, Response, VersionRange, parse_versions

if TYPE_CHECKING:
    from wire.apis import Api

M = TypeVar("M", bound=Message)
_flexible: dict[type[Message], VersionRange] = {}


def is_flexible(cls: type[Message], version: int) -> bool:
    found = _flexible.get(cls)
    if found is None:
        found = _flexible[cls] = parse_versions(cls.flexible)
    return version in found


def decode(cls: type[M], version: int, data: Buffer, offset: int = 0) -> tuple[M, int]:
    """(message, position after it). Views of ``batches`` fields point into ``data``."""
    view = data if isinstance(data, memoryview) else memoryview(data)
    try:
        return decoder(cls, version, is_flexible(cls, version))(view, offset, len(view))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DecodeError(f"{cls.__name__} version {version}: {error}") from error
    except DecodeError as error:
        raise DecodeError(f"{cls.__name__} version {version}: {error}") from error


def decode_exact(cls: type[M], version: int, data: Buffer) -> M:
    message, end = decode(cls, version, data)
    if end != len(data):
        raise DecodeError(f"{len(data) - end} bytes are left after {cls.__name__}")
    return message


def encode(message: Message, version: int) -> list[Buffer]:
    """Large ``batches`` stand in the list as they are, not copied."""
    out = bytearray()
    splices: list[tuple[int, list[Any]]] = []
    cls = type(message)
    try:
        encoder(cls, version, is_flexible(cls, version))(message, out, splices)
    except (struct.error, TypeError, AttributeError) as error:
        raise EncodeError(f"{cls.__name__} version {version}: {error}") from error
    if not splices:
        return [out]
    pieces: list[Buffer] = []
    view = memoryview(out)
    begin = 0
    for position, inserted in splices:
        pieces.append(view[begin:position])
        pieces.extend(inserted)
        begin = position
    if begin < len(out):
        pieces.append(view[begin:])
    return pieces


def encode_bytes(message: Message, version: int) -> bytes:
    return b"".join(encode(message, version))


def decode_request(api: Api, version: int, data: Buffer, offset: int = 0) -> Request:
    """The request in its newest shape. Kafka ignores bytes after it, and so do we."""
    request, _ = decode(api.request, version, data, offset)
    upgrade = getattr(sys.modules[api.request.__module__], "upgrade", None)
    if upgrade is not None:
        request = upgrade(request, version)
    return request


def encode_response(response: Response, version: int) -> list[Buffer]:
    downgrade = getattr(sys.modules[type(response).__module__], "downgrade", None)
    if downgrade is not None:
        response = downgrade(response, version)
    return encode(response, version)
