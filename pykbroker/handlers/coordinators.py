"""FindCoordinator: which broker looks after a group.

v1 key type (KIP-98) - v4 several keys (KIP-699) - v5 TRANSACTION_ABORTABLE (KIP-890) -
v6 share groups (KIP-932)

The topic of group state is made on the first request, which is answered when it is there: a first
consumer does not have to try twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import Context, handles
from pykbroker.handlers.topic_metadata import endpoint_of
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.messages.find_coordinator import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pykbroker.state.controller.image import Endpoint
    from pykbroker.state.types import NodeId

GROUP, TRANSACTION, SHARE = 0, 1, 2


@handles(FindCoordinatorRequest)
def find_coordinator(
    request: FindCoordinatorRequest, ctx: Context
) -> FindCoordinatorResponse | Awaitable[FindCoordinatorResponse]:
    if request.key_type == GROUP and not ctx.broker.groups.topic.exists:
        return _create_and_find(request, ctx)
    return _find(request, ctx)


async def _create_and_find(
    request: FindCoordinatorRequest, ctx: Context
) -> FindCoordinatorResponse:
    await ctx.broker.groups.topic.create()
    return _find(request, ctx)


def _find(request: FindCoordinatorRequest, ctx: Context) -> FindCoordinatorResponse:
    return FindCoordinatorResponse(
        coordinators=[_coordinator(key, request.key_type, ctx) for key in request.coordinator_keys]
    )


def _coordinator(key: str, key_type: int, ctx: Context) -> Coordinator:
    try:
        node_id = _leader(key, key_type, ctx)
        endpoint = _endpoint(node_id, ctx)
    except KafkaError as error:
        message = error.message or error.code.text
        return Coordinator(
            key=key, node_id=-1, port=-1, error_code=error.code, error_message=message
        )
    return Coordinator(
        key=key,
        node_id=node_id,
        host=endpoint.host,
        port=endpoint.port,
        error_message="NONE" if ctx.api_version < 4 else "",  # as Kafka says it
    )


def _leader(key: str, key_type: int, ctx: Context) -> NodeId:
    if key_type == GROUP:
        return ctx.broker.groups.topic.leader_for(key)
    if key_type == TRANSACTION:
        # Every client gives up on this one; anything that means "not now" it would ask for ever.
        raise KafkaError(
            ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "This broker has no transactions."
        )
    if key_type == SHARE:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "This broker has no share groups.")
    raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown coordinator type {key_type}.")


def _endpoint(node_id: NodeId, ctx: Context) -> Endpoint:
    """Where the client reaches that broker: on the listener that it uses itself."""
    broker = ctx.broker.images.current.brokers.get(node_id)
    endpoint = endpoint_of(broker, ctx.connection.peer.listener)
    if endpoint is None:
        raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return endpoint
