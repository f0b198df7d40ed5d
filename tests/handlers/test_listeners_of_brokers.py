"""What only brokers ask is served where brokers connect, and nowhere advertised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pykbroker.ports import Peer
from tests.support.in_process import Wire, broker_in_process
from wire.apis import ApiKey
from wire.client import request_frame, response_body
from wire.codec import decode
from wire.messages.allocate_producer_ids import AllocateProducerIdsRequest
from wire.messages.alter_partition import AlterPartitionRequest
from wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from wire.messages.envelope import EnvelopeRequest

if TYPE_CHECKING:
    from wire.schema import Request

pytestmark = pytest.mark.anyio
ASKED: list[tuple[Request, int]] = [
    (AlterPartitionRequest(), 3),
    (BrokerHeartbeatRequest(), 1),
    (AllocateProducerIdsRequest(), 0),
    (EnvelopeRequest(), 0),
]
OPTIONS = (
    "listeners=INSIDE://localhost:0,OUTSIDE://localhost:0",
    "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name=INSIDE",
)


@pytest.mark.parametrize(("listener", "served"), [("INSIDE", True), ("OUTSIDE", False)])
async def test_where_brokers_are_heard(listener: str, served: bool) -> None:
    async with broker_in_process(*OPTIONS) as broker:
        for request, version in ASKED:
            wire = Wire(broker, Peer(listener, "PLAINTEXT", "127.0.0.1", 50_000))
            wire.send(b"".join(request_frame(request, version, 1, "x")))
            assert wire.is_closed != served


@pytest.mark.parametrize("listener", ["INSIDE", "OUTSIDE"])
async def test_nothing_of_it_is_advertised(listener: str) -> None:
    async with broker_in_process(*OPTIONS) as broker:
        wire = Wire(broker, Peer(listener, "PLAINTEXT", "127.0.0.1", 50_000))
        request = ApiVersionsRequest(client_software_name="x", client_software_version="1")
        wire.send(b"".join(request_frame(request, 3, 1, "x")))
        [frame] = wire.take_responses()
        body = response_body(frame, ApiKey.API_VERSIONS, 3)
        response, _ = decode(ApiVersionsResponse, 3, frame, body)
        advertised = {api.api_key for api in response.api_keys}
        assert ApiKey.PRODUCE in advertised
        assert not advertised & {request.api_key for request, _ in ASKED}
