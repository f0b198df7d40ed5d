"""What only brokers ask, of the controller and on the listener between brokers alone.

AlterPartition: v2 topic ids (KIP-841) - v3 the broker epochs of ISR members (KIP-903)
BrokerHeartbeat: v1 offline log directories (KIP-858)
AllocateProducerIds
Envelope: a client's request to a broker that is not the controller (KIP-590)

All of them are decided here or not at all: a controller of yesterday says NOT_CONTROLLER, and does
not pass on what was passed on to it. None holds back what comes behind it on its connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.handlers.api import Connection, Context, handles
from pykbroker.handlers.error_response import error_response
from pykbroker.handlers.registry import SERVED
from pykbroker.log import get_logger
from pykbroker.ports import Peer
from pykbroker.runtime.controller_batch import NotController
from pykbroker.runtime.waiters import Deferral
from pykbroker.state.errors import KafkaError
from wire.apis import API_BY_KEY, ApiKey, response_header_version
from wire.codec import decode_exact, decode_request, encode_response
from wire.errors import DecodeError, ErrorCode
from wire.frame import request_header
from wire.messages.allocate_producer_ids import AllocateProducerIdsRequest
from wire.messages.alter_partition import AlterPartitionRequest
from wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from wire.messages.envelope import EnvelopeRequest, EnvelopeResponse
from wire.messages.principal import DefaultPrincipalData

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Request, Response

logger = get_logger("pykbroker.handlers.inter_broker")

MUTATION_ERROR_SINCE = {
    int(ApiKey.CREATE_TOPICS): 6,
    int(ApiKey.DELETE_TOPICS): 5,
    int(ApiKey.CREATE_PARTITIONS): 3,
}
"""The first versions that know THROTTLING_QUOTA_EXCEEDED."""


@handles(AlterPartitionRequest)
def alter_partition(request: AlterPartitionRequest, ctx: Context) -> Deferral[Response]:
    return _decided(request, ctx)


@handles(BrokerHeartbeatRequest)
def broker_heartbeat(request: BrokerHeartbeatRequest, ctx: Context) -> Deferral[Response]:
    return _decided(request, ctx)


@handles(AllocateProducerIdsRequest)
def allocate_producer_ids(request: AllocateProducerIdsRequest, ctx: Context) -> Deferral[Response]:
    return _decided(request, ctx)


def _decided(request: Request, ctx: Context) -> Deferral[Response]:
    def answer(response: Response | None) -> Response:
        if response is not None:
            return response
        return error_response(request, ErrorCode.NOT_CONTROLLER, None, ctx.api_version)

    return _decide(request, ctx, None).then(answer)


def _decide(
    request: Request, ctx: Context, charge: Callable[[int], None] | None
) -> Deferral[Response | None]:
    """None: it was not looked at."""
    deferral: Deferral[Response | None] = Deferral()
    ctx.broker.spawn(_complete, deferral, request, ctx, charge)
    return deferral


async def _complete(
    deferral: Deferral[Response | None],
    request: Request,
    ctx: Context,
    charge: Callable[[int], None] | None,
) -> None:
    response: Response | None
    try:
        response = await ctx.broker.controller.serve(request, charge)
    except NotController:
        response = None
    except KafkaError as error:
        response = error_response(request, error.code, error.message, ctx.api_version)
    except Exception as error:
        logger.error("request failed", api=API_BY_KEY[ctx.api_key].name, error=error)
        code = ErrorCode.UNKNOWN_SERVER_ERROR
        response = error_response(request, code, None, ctx.api_version)
    deferral.complete(response)


@handles(EnvelopeRequest)
def envelope(
    request: EnvelopeRequest, ctx: Context
) -> EnvelopeResponse | Deferral[EnvelopeResponse]:
    try:
        forwarded, inner = _unwrap(request, ctx)
    except KafkaError as error:
        logger.warning("envelope refused", peer=ctx.connection.peer.host, reason=str(error))
        return EnvelopeResponse(error_code=error.code)
    since = MUTATION_ERROR_SINCE.get(inner.api_key)
    mutation = None
    if since is not None:
        mutation = ctx.broker.quotas.controller_mutation(inner, strict_since=since)

    def wrap(response: Any) -> EnvelopeResponse:
        if response is None:
            return EnvelopeResponse(error_code=ErrorCode.NOT_CONTROLLER)
        if mutation is not None:
            response.throttle_time_ms = max(response.throttle_time_ms, mutation.throttle_ms)
        return EnvelopeResponse(response_data=_response_data(response, inner))

    charge = None if mutation is None else mutation.record
    return _decide(forwarded, inner, charge).then(wrap)


def _unwrap(request: EnvelopeRequest, ctx: Context) -> tuple[Request, Context]:
    """The request inside, and the client it came from. Raises KafkaError."""
    connection = Connection(
        Peer(
            ctx.connection.peer.listener,
            ctx.connection.peer.security_protocol,
            _address(request.client_host_address),
            0,
        ),
        ctx.connection.number,
    )
    connection.principal = _principal(request.request_principal)
    data = memoryview(request.request_data)
    try:
        header, offset = request_header(data)
    except DecodeError as error:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, str(error)) from error
    api = API_BY_KEY.get(header.api_key)
    if api is None or not (api.is_forwarded and api.is_client_facing) or api.key not in SERVED:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"API {header.api_key} is not eligible for forwarding."
        )
    if not api.min_version <= header.api_version <= api.max_version:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_VERSION, f"{api.name} version {header.api_version} is not served."
        )
    try:
        forwarded = decode_request(api, header.api_version, data, offset)
    except DecodeError as error:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, str(error)) from error
    inner = Context(
        ctx.broker,
        connection,
        header.api_key,
        header.api_version,
        header.client_id,
        header.correlation_id,
        ctx.received_ms,
        len(data),
    )
    return forwarded, inner


def _principal(data: bytes | None) -> str:
    """As Kafka's default principal serializes itself; see ``runtime.forwarding``."""
    if data is None or len(data) < 2:
        raise KafkaError(ErrorCode.PRINCIPAL_DESERIALIZATION_FAILURE, "There is no principal.")
    try:
        version = int.from_bytes(data[:2], "big", signed=True)
        found = decode_exact(DefaultPrincipalData, version, data, 2)
    except DecodeError as error:
        raise KafkaError(ErrorCode.PRINCIPAL_DESERIALIZATION_FAILURE, str(error)) from error
    return f"{found.type}:{found.name}"


def _address(data: bytes) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(bytes(data)))
    except ValueError as error:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Not a client's address.") from error


def _response_data(response: Response, inner: Context) -> bytes:
    head = inner.correlation_id.to_bytes(4, "big", signed=True)
    if response_header_version(inner.api_key, inner.api_version) >= 1:
        head += b"\x00"
    return b"".join((head, *encode_response(response, inner.api_version)))
