"""Encode and decode messages.

A function is compiled for each (message, version) when it is first needed, and kept. Decoding
raises DecodeError and nothing else; encoding raises EncodeError and nothing else.

Fields that a version lacks have their defaults after decoding. In encoding, a value that such a
field has and that may not be dropped silently is an error.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from sys import modules
from typing import TYPE_CHECKING, Any, TypeVar

from wire.errors import DecodeError, EncodeError
from wire.layout import is_defined

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.apis import Api
    from wire.decoding import Decoder
    from wire.encoding import Encoder
    from wire.schema import Buffer, Message, Request, Response

M = TypeVar("M", bound="Message")

_decoders: dict[tuple[type[Message], int], Decoder] = {}
_encoders: dict[tuple[type[Message], int], Encoder] = {}
_upgrades: dict[type[Message], Callable[[Any, int], Any] | None] = {}
_downgrades: dict[type[Message], Callable[[Any, int], Any] | None] = {}
_restores: dict[type[Message], Callable[[Any, int], Any] | None] = {}

JOIN_BELOW_BYTES = 4 * 1024
_UNREADABLE = (StructError, IndexError)
_UNWRITABLE = (StructError, TypeError, AttributeError, UnicodeEncodeError, OverflowError)


def decode(cls: type[M], version: int, data: Buffer, offset: int = 0) -> tuple[M, int]:
    """The value and where it ends. Fields of type ``batches`` are views into ``data``."""
    decoder = _decoders.get((cls, version)) or _decoder(cls, version)
    view = data if type(data) is memoryview else memoryview(data)
    try:
        return decoder(view, offset, len(view))
    except _UNREADABLE as error:
        raise DecodeError(_too_short(cls, version)) from error


def decode_exact(cls: type[M], version: int, data: Buffer, offset: int = 0) -> M:
    """Where nothing may follow."""
    value, end = decode(cls, version, data, offset)
    if end != len(data):
        raise DecodeError(f"{cls.__name__} version {version}: {len(data) - end} bytes left over")
    return value


def encode(message: Message, version: int) -> list[Buffer]:
    """Buffers to be written one after another; batches of some size are among them as given."""
    cls = type(message)
    encoder = _encoders.get((cls, version)) or _encoder(cls, version)
    done: list[Buffer] = []
    parts: list[Buffer] = []
    try:
        encoder(message, done, parts)
        if parts:
            done.append(b"".join(parts))
    except EncodeError as error:
        raise EncodeError(f"{cls.__name__} version {version}: {error}") from None
    except _UNWRITABLE as error:
        raise EncodeError(f"{cls.__name__} version {version}: {error}") from error
    return done


def encode_bytes(message: Message, version: int) -> bytes:
    buffers = encode(message, version)
    if len(buffers) == 1 and type(buffers[0]) is bytes:
        return buffers[0]
    return b"".join(buffers)


def decode_request(api: Api, version: int, data: Buffer, offset: int = 0) -> Request:
    """In the newest shape. Bytes behind the request are passed over, as Kafka does."""
    cls = api.request
    request, _ = decode(cls, version, data, offset)
    upgrade = _upgrades[cls] if cls in _upgrades else _shape_change(cls, "upgrade", _upgrades)
    return request if upgrade is None else upgrade(request, version)


def encode_request(request: Request, version: int) -> list[Buffer]:
    """From the newest shape to that of the version: what ``decode_request`` undoes."""
    cls = type(request)
    restore = _restores[cls] if cls in _restores else _shape_change(cls, "restore", _restores)
    return encode(request if restore is None else restore(request, version), version)


def encode_response(response: Response, version: int) -> list[Buffer]:
    """From the newest shape to that of the version."""
    cls = type(response)
    if cls in _downgrades:
        downgrade = _downgrades[cls]
    else:
        downgrade = _shape_change(cls, "downgrade", _downgrades)
    return encode(response if downgrade is None else downgrade(response, version), version)


def request_reader(api: Api, version: int) -> Callable[[memoryview, int], Request]:
    """``decode_request`` for many requests of one API in one version."""
    cls = api.request
    decoder = _decoders.get((cls, version)) or _decoder(cls, version)
    upgrade = _shape_change(cls, "upgrade", _upgrades)

    def read(data: memoryview, offset: int) -> Request:
        try:
            request, _ = decoder(data, offset, len(data))
        except _UNREADABLE as error:
            raise DecodeError(_too_short(cls, version)) from error
        if upgrade is not None:
            request = upgrade(request, version)
        return request  # type: ignore[no-any-return]

    return read


def response_writer(api: Api, version: int) -> Callable[[Response, int], list[Buffer]]:
    """Makes whole frames of the responses of one API in one version: size, header, body. The
    function takes the correlation id as well. What is small is one buffer."""
    cls = api.response
    encoder = _encoders.get((cls, version)) or _encoder(cls, version)
    downgrade = _shape_change(cls, "downgrade", _downgrades)
    flexible = version >= api.flexible_responses_since
    head = Struct(">iix" if flexible else ">ii")
    pack, behind_size = head.pack, head.size - 4

    def write(response: Response, correlation_id: int) -> list[Buffer]:
        done: list[Buffer] = []
        parts: list[Buffer] = []
        try:
            if downgrade is not None:
                response = downgrade(response, version)
            encoder(response, done, parts)
            if done:
                if parts:
                    done.append(b"".join(parts))
                return [pack(sum(map(len, done)) + behind_size, correlation_id), *done]
            body = b"".join(parts)
        except EncodeError as error:
            raise EncodeError(f"{cls.__name__} version {version}: {error}") from None
        except _UNWRITABLE as error:
            raise EncodeError(f"{cls.__name__} version {version}: {error}") from error
        size = len(body)
        start = pack(size + behind_size, correlation_id)
        return [start + body] if size < JOIN_BELOW_BYTES else [start, body]

    return write


def _too_short(cls: type[Message], version: int) -> str:
    return f"{cls.__name__} version {version}: the data ends too soon"


def _decoder(cls: type[Message], version: int) -> Decoder:
    if not is_defined(cls, version):
        raise DecodeError(f"{cls.__name__} has no version {version}")
    from wire.decoding import compile_decoder

    made = _decoders[cls, version] = compile_decoder(cls, version)
    return made


def _encoder(cls: type[Message], version: int) -> Encoder:
    if not is_defined(cls, version):
        raise EncodeError(f"{cls.__name__} has no version {version}")
    from wire.encoding import compile_encoder

    made = _encoders[cls, version] = compile_encoder(cls, version)
    return made


def _shape_change(
    cls: type[Message], name: str, known: dict[type[Message], Callable[[Any, int], Any] | None]
) -> Callable[[Any, int], Any] | None:
    """``upgrade`` and the like of the module that defines a message, where it has one."""
    found: Callable[[Any, int], Any] | None = getattr(modules[cls.__module__], name, None)
    known[cls] = found
    return found
