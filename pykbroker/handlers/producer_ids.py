"""InitProducerId: v3 the producer's own id and epoch (KIP-360) - v4 PRODUCER_FENCED - v6 two-phase
commit (KIP-939), hidden
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import handles
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pykbroker.handlers.api import Context


@handles(InitProducerIdRequest)
def init_producer_id(
    request: InitProducerIdRequest, ctx: Context
) -> InitProducerIdResponse | Awaitable[InitProducerIdResponse]:
    if request.transactional_id is not None:
        return _refused(_transactional(request.transactional_id))
    if (request.producer_id == -1) != (request.producer_epoch == -1):
        return _refused(ErrorCode.INVALID_REQUEST)
    # A producer without a transactional id gets a new id whatever it had: only its own state on
    # the partitions it writes to knows the old one.
    producer_id = ctx.broker.producer_ids.take()
    if producer_id is None:
        return _allocated(ctx)
    return InitProducerIdResponse(producer_id=producer_id)


async def _allocated(ctx: Context) -> InitProducerIdResponse:
    try:
        return InitProducerIdResponse(producer_id=await ctx.broker.producer_ids.fetch_and_take())
    except KafkaError as error:
        return _refused(error.code)


def _refused(code: ErrorCode) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=code, producer_epoch=-1)


def _transactional(transactional_id: str) -> ErrorCode:
    """Final for every client; what means "not now" they would ask for ever."""
    if not transactional_id:
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
