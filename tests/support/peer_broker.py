"""A network with brokers at its other end that answer as the test says, without sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wire.apis import API_BY_KEY, ApiKey, response_header_version
from wire.codec import decode_request, encode_response
from wire.frame import FrameReader, request_header
from wire.messages.api_versions import ApiVersion, ApiVersionsResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykbroker.ports import ConnectionProtocol, Transport
    from wire.schema import Buffer, Request, Response


class Asked:
    """A request as it arrived at the other broker."""

    def __init__(self, peer: Peer, frame: memoryview) -> None:
        self.peer = peer
        header, offset = request_header(frame)
        self.api_key = header.api_key
        self.version = header.api_version
        self.correlation_id = header.correlation_id
        self.client_id = header.client_id
        api = API_BY_KEY[header.api_key]
        self.request: Request = decode_request(api, header.api_version, frame, offset)

    def frame(self, response: Response, correlation_id: int | None = None) -> bytes:
        number = self.correlation_id if correlation_id is None else correlation_id
        head = number.to_bytes(4, "big", signed=True)
        if response_header_version(self.api_key, self.version) >= 1:
            head += b"\x00"
        data = b"".join((head, *encode_response(response, self.version)))
        return len(data).to_bytes(4, "big") + data

    def answer(self, response: Response) -> None:
        self.peer.give(self.frame(response))


class Peer:
    """The other end of one connection: the link's transport."""

    def __init__(self, network: FakeNetwork, host: str, port: int) -> None:
        self.network = network
        self.host, self.port = host, port
        self.asked: list[Asked] = []
        self.is_closed = False
        self.unsent = 0
        self.link: Any = None
        self._reader = FrameReader(1 << 30)

    def give(self, data: Buffer, *, step: int = 1 << 30) -> None:
        """In pieces of at most ``step`` bytes, as a network would."""
        position = 0
        while position < len(data) and not self.is_closed:
            room = self.link.get_buffer(-1)
            size = min(len(room), len(data) - position, step)
            room[:size] = data[position : position + size]
            self.link.buffer_updated(size)
            position += size

    def hang_up(self) -> None:
        self.is_closed = True
        self.link.closed()

    @property
    def open_requests(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.api_key != ApiKey.API_VERSIONS]

    # ports.Transport

    def write(self, buffers: Sequence[Buffer]) -> None:
        for frame in self._reader.feed(b"".join(buffers)):
            asked = Asked(self, frame)
            self.asked.append(asked)
            self.network.arrived(asked)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class FakeNetwork:
    """``respond`` gives the answer to what arrives, or None to keep silent."""

    def __init__(self, respond: Callable[[Asked], Response | None] | None = None) -> None:
        self.respond = respond
        self.peers: list[Peer] = []
        self.refuses: OSError | None = None
        self.ranges: dict[int, tuple[int, int]] = {
            key: (api.min_version, api.max_version)
            for key, api in API_BY_KEY.items()
            if api.is_client_facing
        }
        self.shakes_hands = True
        self.tried = 0

    async def connect(
        self, host: str, port: int, factory: Callable[[Transport], ConnectionProtocol]
    ) -> None:
        self.tried += 1
        if self.refuses is not None:
            raise self.refuses
        peer = Peer(self, host, port)
        peer.link = factory(peer)
        self.peers.append(peer)

    def arrived(self, asked: Asked) -> None:
        if asked.api_key == ApiKey.API_VERSIONS:
            if self.shakes_hands:
                asked.answer(self.api_versions())
            return
        response = None if self.respond is None else self.respond(asked)
        if response is not None:
            asked.answer(response)

    def api_versions(self) -> ApiVersionsResponse:
        return ApiVersionsResponse(
            api_keys=[
                ApiVersion(api_key=key, min_version=low, max_version=high)
                for key, (low, high) in self.ranges.items()
            ]
        )

    @property
    def peer(self) -> Peer:
        """The connection made last."""
        return self.peers[-1]
