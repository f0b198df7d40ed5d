"""New partitions: of a new topic, or added to one. Placed by the controller or assigned by hand."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.state.controller.decision import (
    MAX_PARTITIONS_PER_REQUEST,
    Decision,
    Note,
    View,
    excessive,
)
from pykbroker.state.controller.elections import is_active
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.image import PartitionImage, TopicImage
from pykbroker.state.controller.keys import partition_key
from pykbroker.state.controller.placement import place
from pykbroker.state.controller.replay import partition_record
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import LeaderEpoch, NodeId
from wire.errors import ErrorCode
from wire.messages.create_partitions import (
    CreatePartitionsResponse,
    CreatePartitionsTopicResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pykbroker.state.controller.image import MetadataImage
    from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
    from wire.messages.create_topics import CreatableTopic

_INCLUDES = "The manual partition assignment includes"


def repeated(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def new_partitions(topic: CreatableTopic, view: View) -> list[PartitionImage]:
    if topic.assignments:
        return _assigned_partitions(topic, view.image)
    factor, count = topic.replication_factor, topic.num_partitions
    if factor < -1 or factor == 0:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if count < -1 or count == 0:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        )
    factor = view.settings.int("default.replication.factor") if factor == -1 else factor
    count = view.settings.int("num.partitions") if count == -1 else count
    try:
        placed = place(view.image.brokers.values(), count, factor, view.rng)
    except KafkaError as error:
        raise _unable(factor, error.message) from error
    return [_new_partition(view.image, replicas) for replicas in placed]


def _unable(replication_factor: int, reason: str | None) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_REPLICATION_FACTOR,
        f"Unable to replicate the partition {replication_factor} time(s): {reason}",
    )


def _assigned_partitions(topic: CreatableTopic, image: MetadataImage) -> list[PartitionImage]:
    for is_default, what in (
        (topic.replication_factor == -1, "replication factor"),
        (topic.num_partitions == -1, "numPartitions"),
    ):
        if not is_default:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                f"A manual partition assignment was specified, but {what} was not set to -1.",
            )
    partitions: dict[int, PartitionImage] = {}
    factor: int | None = None
    for assignment in topic.assignments:
        index, replicas = assignment.partition_index, assignment.broker_ids
        if index in partitions:
            raise _bad_assignment(
                f"Found multiple manual partition assignments for partition {index}"
            )
        partitions[index] = _assigned_partition(image, index, replicas, factor)
        factor = len(replicas)
    if sorted(partitions) != list(range(len(partitions))):
        raise _bad_assignment("partitions should be a consecutive 0-based integer sequence")
    return [partitions[index] for index in range(len(partitions))]


def _assigned_partition(
    image: MetadataImage, index: int, replicas: Sequence[int], factor: int | None
) -> PartitionImage:
    check_assignment(image, replicas)
    if factor is not None and len(replicas) != factor:
        raise _bad_assignment(
            f"{_INCLUDES} a partition with {len(replicas)} replica(s), but this is not consistent "
            f"with previous partitions, which have {factor} replica(s)."
        )
    nodes = tuple(NodeId(node) for node in replicas)
    if not any(is_active(image, node) for node in nodes):
        raise _bad_assignment(
            f"All brokers specified in the manual partition assignment for partition {index} "
            "are fenced or in controlled shutdown."
        )
    return _new_partition(image, nodes)


def check_assignment(image: MetadataImage, replicas: Sequence[int]) -> None:
    """Replicas named by hand are brokers that are registered, each once."""
    if not replicas:
        raise _bad_assignment(f"{_INCLUDES} an empty replica list.")
    for node, count in sorted(Counter(replicas).items()):
        if node not in image.brokers:
            raise _bad_assignment(f"{_INCLUDES} broker {node}, but no such broker is registered.")
        if count > 1:
            raise _bad_assignment(f"{_INCLUDES} the broker {node} more than once.")


def _bad_assignment(message: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)


def _new_partition(image: MetadataImage, replicas: tuple[NodeId, ...]) -> PartitionImage:
    """``replicas`` has an active member."""
    isr = tuple(node for node in replicas if is_active(image, node))
    return PartitionImage(isr[0], LeaderEpoch(0), 0, replicas, isr)


def create_partitions(
    request: CreatePartitionsRequest, view: View
) -> Decision[CreatePartitionsResponse]:
    decision = Decision(CreatePartitionsResponse())
    twice = repeated(topic.name for topic in request.topics)
    duplicate = KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
    results = [_partitions_result(name, duplicate) for name in sorted(twice)]
    total = 0
    for topic in request.topics:
        if topic.name in twice:
            continue
        try:
            known = _topic_to_grow(topic, view.image)
            total += topic.count - len(known.partitions)
            if total > MAX_PARTITIONS_PER_REQUEST:
                raise excessive()
            added = _added_partitions(topic, known, view)
            view.charge(len(added))
        except KafkaError as error:
            results.append(_partitions_result(topic.name, error))
            continue
        results.append(_partitions_result(topic.name, None))
        if not request.validate_only:
            for index, partition in enumerate(added, len(known.partitions)):
                key = partition_key(known.topic_id, index)
                record = partition_record(known.topic_id, index, partition)
                decision.changes.append(Change(key, record))
            note = Note("partitions created", {"topic": topic.name, "partitions": topic.count})
            decision.notes.append(note)
    decision.response.results = results
    return decision


def _partitions_result(name: str, error: KafkaError | None) -> CreatePartitionsTopicResult:
    if error is None:
        return CreatePartitionsTopicResult(name=name)
    return CreatePartitionsTopicResult(
        name=name, error_code=error.code, error_message=error.message
    )


def _topic_to_grow(topic: CreatePartitionsTopic, image: MetadataImage) -> TopicImage:
    known = image.topics.get(topic.name)
    if known is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    have = len(known.partitions)
    if topic.count == have:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {have} partition(s).")
    if topic.count < have:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {topic.name} currently has {have} partition(s); {topic.count} would not "
            "be an increase.",
        )
    return known


def _added_partitions(
    topic: CreatePartitionsTopic, known: TopicImage, view: View
) -> list[PartitionImage]:
    start = len(known.partitions)
    additional = topic.count - start
    factor = len(known.partitions[0].replicas)
    if topic.assignments is None:
        placed = place(view.image.brokers.values(), additional, factor, view.rng)
        return [_new_partition(view.image, replicas) for replicas in placed]
    if len(topic.assignments) != additional:
        raise _bad_assignment(
            f"Attempted to add {additional} additional partition(s), but only "
            f"{len(topic.assignments)} assignment(s) were specified."
        )
    return [
        _assigned_partition(view.image, index, assignment.broker_ids, factor)
        for index, assignment in enumerate(topic.assignments, start)
    ]
