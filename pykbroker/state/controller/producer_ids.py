"""Blocks of producer ids: no id is ever given out twice in a cluster's life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.decision import Decision, View
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import PRODUCER_IDS
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId
from wire.errors import ErrorCode
from wire.messages.allocate_producer_ids import AllocateProducerIdsResponse
from wire.messages.metadata_records import ProducerIdsRecord

if TYPE_CHECKING:
    from wire.messages.allocate_producer_ids import AllocateProducerIdsRequest

BLOCK_SIZE = 1_000
_LAST_BLOCK = (1 << 63) - 1 - BLOCK_SIZE


def allocate_producer_ids(
    request: AllocateProducerIdsRequest, view: View
) -> Decision[AllocateProducerIdsResponse]:
    broker = view.image.brokers.get(NodeId(request.broker_id))
    if broker is None or broker.epoch != request.broker_epoch:
        raise KafkaError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Broker {request.broker_id} is not registered with epoch {request.broker_epoch}.",
        )
    first = view.image.next_producer_id
    if first > _LAST_BLOCK:
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "All producer ids are used up.")
    record = ProducerIdsRecord(
        broker_id=request.broker_id,
        broker_epoch=request.broker_epoch,
        next_producer_id=first + BLOCK_SIZE,
    )
    response = AllocateProducerIdsResponse(producer_id_start=first, producer_id_len=BLOCK_SIZE)
    return Decision(response, [Change(PRODUCER_IDS, record)])
