"""Reassignments (KIP-455): replicas that are moved, where they move, and how that is called off.

While one is under way ``replicas`` holds the wanted replicas first and then those to go; what is
new stands in ``adding``, what goes in ``removing``. It ends in ``elections``, with the change that
brings every wanted replica in sync: at once if they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.decision import Decision, Note, View
from pykbroker.state.controller.elections import Election, Target, is_active
from pykbroker.state.controller.leadership import Elections
from pykbroker.state.controller.partitions import check_assignment
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId
from wire.errors import ErrorCode
from wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pykbroker.state.controller.image import PartitionImage, TopicImage
    from wire.messages.alter_partition_reassignments import AlterPartitionReassignmentsRequest
    from wire.messages.list_partition_reassignments import ListPartitionReassignmentsRequest


def alter_partition_reassignments(
    request: AlterPartitionReassignmentsRequest, view: View
) -> Decision[AlterPartitionReassignmentsResponse]:
    """Each partition for itself; replicas of None call its reassignment off."""
    elections = Elections(view, lambda node: is_active(view.image, node))
    response = AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=request.allow_replication_factor_change,
        error_message=None if request.topics else "",  # Kafka's own, for nothing to do
    )
    decision = Decision(response, elections.changes, elections.notes)
    done: set[tuple[str, int]] = set()
    for asked in request.topics:
        results = ReassignableTopicResponse(name=asked.name)
        response.responses.append(results)
        for part in asked.partitions:
            index, replicas = part.partition_index, part.replicas
            result = ReassignablePartitionResponse(partition_index=index, error_message=None)
            results.partitions.append(result)
            try:
                topic = _topic(view, asked.name, index)
                if (asked.name, index) in done:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate partition.")
                if replicas is None:
                    changed = _cancel(elections, topic, index)
                else:
                    check_assignment(view.image, replicas)
                    if not request.allow_replication_factor_change:
                        _check_factor_is_kept(topic.partitions[index], replicas)
                    changed = _reassign(elections, topic, index, replicas)
            except KafkaError as error:
                result.error_code, result.error_message = error.code, error.message
                continue
            done.add((asked.name, index))
            if changed:
                fields = {"topic": asked.name, "partition": index, "replicas": replicas}
                event = "reassignment called off" if replicas is None else "partition reassigned"
                decision.notes.append(Note(event, fields))
    return decision


def _topic(view: View, name: str, index: int) -> TopicImage:
    """The topic, with that partition in it."""
    topic = view.image.topics.get(name)
    if topic is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find a topic named {name}."
        )
    if not 0 <= index < len(topic.partitions):
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find partition {name}:{index}."
        )
    return topic


def _is_reassigning(partition: PartitionImage) -> bool:
    return bool(partition.adding or partition.removing)


def _check_factor_is_kept(partition: PartitionImage, replicas: Sequence[int]) -> None:
    """Under way, it is the factor that the reassignment will end with."""
    factor = len({*partition.replicas, *partition.adding} - {*partition.removing})
    if factor != len(replicas):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The replication factor is changed from {factor} to {len(replicas)}",
        )


def _reassign(elections: Elections, topic: TopicImage, index: int, replicas: Sequence[int]) -> bool:
    partition = topic.partitions[index]
    wanted = tuple(NodeId(node) for node in replicas)
    removing = _difference(partition.replicas, wanted)
    adding = _difference(wanted, partition.replicas)
    # What joins already goes on joining where the new request adds nothing (as in Kafka), and goes
    # when all is called off. What was to leave is decided anew: it may be wanted after all.
    target = Target(replicas=(*wanted, *removing), adding=adding or None, removing=removing)
    return elections.run(topic, index, target, Election.ONLINE)


def _difference(nodes: Iterable[NodeId], others: Iterable[NodeId]) -> tuple[NodeId, ...]:
    return tuple(sorted(set(nodes) - set(others)))


def _cancel(elections: Elections, topic: TopicImage, index: int) -> bool:
    """The replicas of before, less what was added. A leader that was in sync is needed there."""
    partition = topic.partitions[index]
    if not _is_reassigning(partition):
        raise KafkaError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    replicas = tuple(node for node in partition.replicas if node not in partition.adding)
    if not replicas:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            "Invalid replica assignment: addingReplicas contains all replicas.",
        )
    isr = tuple(node for node in partition.isr if node not in partition.adding)
    if not isr:
        if elections.electorate(topic).election is not Election.UNCLEAN:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Unable to revert partition assignment for {topic.name}:{index} because it would "
                "require an unclean leader election.",
            )
        isr = replicas[:1]
    target = Target(isr=isr, replicas=replicas, adding=(), removing=())
    return elections.run(topic, index, target)


def list_partition_reassignments(
    request: ListPartitionReassignmentsRequest, view: View
) -> Decision[ListPartitionReassignmentsResponse]:
    """What is under way, among the partitions asked for; unknown ones are not."""
    topics = view.image.topics
    asked: Iterable[tuple[str, Iterable[int]]]
    if request.topics is None:
        asked = [(topic.name, range(len(topic.partitions))) for topic in topics.values()]
    else:
        asked = [(t.name, t.partition_indexes) for t in request.topics if t.name in topics]
    response = ListPartitionReassignmentsResponse(error_message=None)
    for name, indexes in asked:
        partitions = topics[name].partitions
        ongoing = [
            OngoingPartitionReassignment(
                partition_index=index,
                replicas=list(partitions[index].replicas),
                adding_replicas=list(partitions[index].adding),
                removing_replicas=list(partitions[index].removing),
            )
            for index in indexes
            if 0 <= index < len(partitions) and _is_reassigning(partitions[index])
        ]
        if ongoing:
            response.topics.append(OngoingTopicReassignment(name=name, partitions=ongoing))
    return Decision(response)
