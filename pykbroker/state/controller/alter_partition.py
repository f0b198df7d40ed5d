"""AlterPartition: a leader asks for another ISR (KIP-497), and is believed by the epochs it knows.

Compare and set: the request names the leader epoch and the partition epoch that it was made from.
A leader that knows higher ones than we do speaks to a controller of yesterday (NOT_CONTROLLER); one
that knows lower ones has to learn what happened meanwhile. Members of the new ISR are named with
their broker epochs (KIP-903): a replica that restarted since it fetched is not in sync.

Asked again for what already stands, nothing changes and the answer is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.decision import Decision, Note, View
from pykbroker.state.controller.elections import Target, is_active
from pykbroker.state.controller.leadership import Elections
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId, TopicId
from wire.errors import ErrorCode
from wire.messages.alter_partition import (
    AlterPartitionResponse,
    AlterPartitionResponsePartitionData,
    AlterPartitionResponseTopicData,
)

if TYPE_CHECKING:
    from pykbroker.state.controller.image import MetadataImage, PartitionImage, TopicImage
    from wire.messages.alter_partition import (
        AlterPartitionRequest,
        BrokerState,
        PartitionData,
    )

RECOVERED, RECOVERING = 0, 1
UNCHECKED_EPOCH = -1


def alter_partition(request: AlterPartitionRequest, view: View) -> Decision[AlterPartitionResponse]:
    image = view.image
    sender = image.brokers.get(NodeId(request.broker_id))
    if sender is None or sender.epoch != request.broker_epoch:
        raise KafkaError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Broker {request.broker_id} is not registered with epoch {request.broker_epoch}.",
        )
    elections = Elections(view, lambda node: is_active(image, node))
    decision = Decision(AlterPartitionResponse(), elections.changes, elections.notes)
    done: set[tuple[TopicId, int]] = set()
    for asked in request.topics:
        topic = image.topic_by_id(TopicId(asked.topic_id))
        if topic is None and asked.topic_name:
            topic = image.topics.get(asked.topic_name)
        answer = AlterPartitionResponseTopicData(
            topic_name=asked.topic_name, topic_id=asked.topic_id
        )
        decision.response.topics.append(answer)
        for data in asked.partitions:
            try:
                if topic is None:
                    raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
                key = topic.topic_id, data.partition_index
                if key in done:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate partition.")
                done.add(key)
                result = _alter(elections, image, request.broker_id, topic, data)
            except KafkaError as error:
                result = _refused(data, error.code)
                _note(decision, topic, request.broker_id, data, error)
            answer.partitions.append(result)
    return decision


def _alter(
    elections: Elections, image: MetadataImage, sender: int, topic: TopicImage, data: PartitionData
) -> AlterPartitionResponsePartitionData:
    index = data.partition_index
    if not 0 <= index < len(topic.partitions):
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    before = topic.partitions[index]
    _check_epochs(before, sender, data)
    _check_isr(before, data)
    _check_members(image, data.new_isr_with_epochs)
    wanted = tuple(NodeId(member.broker_id) for member in data.new_isr_with_epochs)
    target = Target(isr=wanted, recovering=data.leader_recovery_state == RECOVERING)
    after = elections.after(topic, index, target)
    if after is None:
        return _result(index, before)
    if after.leader != sender:
        # It completed a reassignment that leaves the sender out: the change is made all the same.
        raise KafkaError(ErrorCode.NEW_LEADER_ELECTED, "The change ends its leadership.")
    return _result(index, after)


def _check_epochs(partition: PartitionImage, sender: int, data: PartitionData) -> None:
    if (
        data.leader_epoch > partition.leader_epoch
        or data.partition_epoch > partition.partition_epoch
    ):
        raise KafkaError(ErrorCode.NOT_CONTROLLER, "An epoch above the controller's.")
    if data.leader_epoch < partition.leader_epoch:
        raise KafkaError(ErrorCode.FENCED_LEADER_EPOCH)
    if sender != partition.leader:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"The leader is {partition.leader}.")
    if data.partition_epoch < partition.partition_epoch:
        raise KafkaError(ErrorCode.INVALID_UPDATE_VERSION)


def _check_isr(partition: PartitionImage, data: PartitionData) -> None:
    isr = [member.broker_id for member in data.new_isr_with_epochs]
    if not isr or len(set(isr)) != len(isr) or not set(isr) <= set(partition.replicas):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"No possible ISR: {isr}.")
    if partition.leader not in isr:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"The leader is not in the ISR: {isr}.")
    if data.leader_recovery_state not in (RECOVERED, RECOVERING):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Unknown leader recovery state.")
    if data.leader_recovery_state == RECOVERING and len(isr) > 1:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "A leader that recovers is in sync alone.")
    if data.leader_recovery_state == RECOVERING and not partition.recovering:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "The leader has recovered already.")


def _check_members(image: MetadataImage, members: list[BrokerState]) -> None:
    for member in members:
        node = NodeId(member.broker_id)
        broker = image.brokers.get(node)
        if broker is None or not is_active(image, node):
            raise KafkaError(ErrorCode.INELIGIBLE_REPLICA, f"Broker {node} is not active.")
        if member.broker_epoch not in (UNCHECKED_EPOCH, broker.epoch):
            raise KafkaError(
                ErrorCode.INELIGIBLE_REPLICA,
                f"Broker {node} has epoch {broker.epoch}, not {member.broker_epoch}.",
            )


def _result(index: int, partition: PartitionImage) -> AlterPartitionResponsePartitionData:
    return AlterPartitionResponsePartitionData(
        partition_index=index,
        leader_id=partition.leader,
        leader_epoch=partition.leader_epoch,
        isr=list(partition.isr),
        leader_recovery_state=RECOVERING if partition.recovering else RECOVERED,
        partition_epoch=partition.partition_epoch,
    )


def _refused(data: PartitionData, code: ErrorCode) -> AlterPartitionResponsePartitionData:
    return AlterPartitionResponsePartitionData(
        partition_index=data.partition_index, error_code=code
    )


_QUIET = frozenset(
    (
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.INVALID_UPDATE_VERSION,
        ErrorCode.NEW_LEADER_ELECTED,
    )
)
"""Nothing is wrong: the leader will learn what happened."""


def _note(
    decision: Decision[AlterPartitionResponse],
    topic: TopicImage | None,
    sender: int,
    data: PartitionData,
    error: KafkaError,
) -> None:
    if error.code not in _QUIET and topic is not None:
        fields = {
            "topic": topic.name,
            "partition": data.partition_index,
            "broker": sender,
            "isr": [member.broker_id for member in data.new_isr_with_epochs],
            "reason": str(error),
        }
        decision.notes.append(Note("ISR not changed", fields))
