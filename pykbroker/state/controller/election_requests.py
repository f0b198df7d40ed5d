"""ElectLeaders: leaders elected because somebody asks for it (KIP-460)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.decision import Decision, View
from pykbroker.state.controller.elections import Election, is_active
from pykbroker.state.controller.leadership import Elections
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_LEADER
from wire.errors import ErrorCode
from wire.messages.elect_leaders import (
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

if TYPE_CHECKING:
    from pykbroker.state.controller.image import MetadataImage
    from wire.messages.elect_leaders import ElectLeadersRequest

PREFERRED, UNCLEAN = 0, 1
"""Election types on the wire."""


def elect_leaders(request: ElectLeadersRequest, view: View) -> Decision[ElectLeadersResponse]:
    """For all partitions, those that need no election are left out of the answer."""
    if request.election_type not in (PREFERRED, UNCLEAN):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unknown election type {request.election_type}"
        )
    image = view.image
    elections = Elections(view, lambda node: is_active(image, node))
    everything = request.topic_partitions is None
    if request.topic_partitions is None:
        asked = [(t.name, list(range(len(t.partitions)))) for t in image.topics.values()]
    else:
        asked = [(t.topic, t.partitions) for t in request.topic_partitions]
    response = ElectLeadersResponse()
    for name, partitions in asked:
        result = ReplicaElectionResult(topic=name)
        response.replica_election_results.append(result)
        done: set[int] = set()
        for index in partitions:
            code, message = _elect_one(elections, image, name, index, request.election_type, done)
            if everything and code == ErrorCode.ELECTION_NOT_NEEDED:
                continue
            result.partition_result.append(
                PartitionResult(partition_id=index, error_code=code, error_message=message)
            )
    return Decision(response, elections.changes, elections.notes)


def _elect_one(
    elections: Elections,
    image: MetadataImage,
    name: str,
    index: int,
    election_type: int,
    done: set[int],
) -> tuple[ErrorCode, str | None]:
    topic = image.topics.get(name)
    if topic is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such topic as {name}"
    if not 0 <= index < len(topic.partitions):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such partition as {name}-{index}"
    partition = topic.partitions[index]
    preferred = election_type == PREFERRED
    needless = partition.leader == (partition.replicas[0] if preferred else partition.leader)
    if not preferred:
        needless = partition.leader != NO_LEADER
    if needless or index in done:
        return ErrorCode.ELECTION_NOT_NEEDED, "Leader election not needed for topic partition."
    election = Election.PREFERRED if preferred else Election.UNCLEAN
    if elections.run(topic, index, election=election):
        done.add(index)
        return ErrorCode.NONE, None
    if preferred:
        message = "The preferred leader was not available."
        return ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, message
    message = "Eligible topic partition leaders are not available."
    return ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, message
