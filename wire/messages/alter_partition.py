"""AlterPartition: a leader asks the controller for another ISR (KIP-497).

v1 recovery state (KIP-704) - v2 topic ids (KIP-841) - v3 broker epochs (KIP-903)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    at,
    int8,
    int16,
    int32,
    int64,
    string,
    uuid,
)


class BrokerState(Struct):
    broker_id: int32 = 0
    broker_epoch: int64 = -1


class PartitionData(Struct):
    partition_index: int32 = 0
    leader_epoch: int32 = 0
    new_isr: list[int32] = at("0-2", default=[])
    new_isr_with_epochs: list[BrokerState] = at("3+", default=[])
    leader_recovery_state: int8 = at("1+", default=0)
    partition_epoch: int32 = 0


class TopicData(Struct):
    topic_name: string = at("0-1", default="", ignorable=True)
    topic_id: uuid = at("2+", default=ZERO_UUID, ignorable=True)
    partitions: list[PartitionData] = []


class AlterPartitionRequest(Request, api_key=56, versions="0-3", flexible="0+"):
    broker_id: int32 = 0
    broker_epoch: int64 = -1
    topics: list[TopicData] = []


class AlterPartitionResponsePartitionData(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    leader_id: int32 = 0
    leader_epoch: int32 = 0
    isr: list[int32] = []
    leader_recovery_state: int8 = at("1+", default=0, ignorable=True)
    partition_epoch: int32 = 0


class AlterPartitionResponseTopicData(Struct):
    topic_name: string = at("0-1", default="", ignorable=True)
    topic_id: uuid = at("2+", default=ZERO_UUID, ignorable=True)
    partitions: list[AlterPartitionResponsePartitionData] = []


class AlterPartitionResponse(Response, api_key=56, versions="0-3", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    topics: list[AlterPartitionResponseTopicData] = []


def upgrade(request: AlterPartitionRequest, version: int) -> AlterPartitionRequest:
    """Before v3 the ISR came without the epochs of its brokers."""
    if version < 3:
        for topic in request.topics:
            for partition in topic.partitions:
                partition.new_isr_with_epochs = [
                    BrokerState(broker_id=i) for i in partition.new_isr
                ]
                partition.new_isr = []
    return request


_BEFORE_IDS = {
    int(ErrorCode.UNKNOWN_TOPIC_ID): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    int(ErrorCode.INELIGIBLE_REPLICA): ErrorCode.OPERATION_NOT_ATTEMPTED,
    int(ErrorCode.NEW_LEADER_ELECTED): ErrorCode.FENCED_LEADER_EPOCH,
}


def downgrade(response: AlterPartitionResponse, version: int) -> AlterPartitionResponse:
    """Errors that v2 brought."""
    if version < 2:
        for topic in response.topics:
            for partition in topic.partitions:
                code = partition.error_code
                partition.error_code = _BEFORE_IDS.get(code, code)
    return response
