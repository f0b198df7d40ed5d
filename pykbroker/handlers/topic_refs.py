"""Which topic a request means, by name or by id, and who leads its partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_EPOCH, NO_LEADER, NO_TOPIC_ID, TopicId
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from pykbroker.handlers.api import Context
    from pykbroker.state.controller.image import BrokerImage, Endpoint, MetadataImage, TopicImage
    from pykbroker.state.types import NodeId

INTERNAL_TOPICS = frozenset(("__consumer_offsets", "__transaction_state", "__share_group_state"))
"""Written by coordinators only."""
ADMIN_CLIENT_ID = "__admin_client"
"""The client id under which Kafka lets produce to internal topics."""


class TopicRef:
    """A topic as the image knows it: the name is empty or the id zero if it does not."""

    __slots__ = ("image", "name", "topic_id")

    def __init__(self, name: str, topic_id: TopicId, image: TopicImage | None) -> None:
        self.name = name
        self.topic_id = topic_id
        self.image = image


def topic_ref(image: MetadataImage, name: str, topic_id: bytes) -> TopicRef:
    """By id, if one is given."""
    if topic_id != NO_TOPIC_ID:
        found = image.topic_by_id(TopicId(topic_id))
        return TopicRef(found.name if found else "", TopicId(topic_id), found)
    found = image.topics.get(name)
    return TopicRef(name, found.topic_id if found else NO_TOPIC_ID, found)


def check_partition(topic: TopicRef, index: int, *, by_id: bool = False) -> None:
    """``by_id``: the client named the topic by its id."""
    if topic.image is None or not 0 <= index < len(topic.image.partitions):
        unknown_id = topic.image is None and by_id
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_ID if unknown_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        )


class LeaderHint:
    """Whom to ask instead; ``endpoint`` as the client's listener reaches it, if it is alive."""

    __slots__ = ("broker", "endpoint", "leader", "leader_epoch")

    def __init__(
        self,
        leader: NodeId = NO_LEADER,
        leader_epoch: int = NO_EPOCH,
        broker: BrokerImage | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        self.leader = leader
        self.leader_epoch = leader_epoch
        self.broker = broker
        self.endpoint = endpoint


def leader_hint(ctx: Context, name: str, index: int) -> LeaderHint:
    image = ctx.broker.images.current
    topic = image.topics.get(name)
    if topic is None or not 0 <= index < len(topic.partitions):
        return LeaderHint()
    partition = topic.partitions[index]
    broker = image.brokers.get(partition.leader)
    endpoint = None
    if broker is not None and not broker.fenced:
        listener = ctx.connection.peer.listener
        endpoint = next((e for e in broker.endpoints if e.listener == listener), None)
    return LeaderHint(partition.leader, partition.leader_epoch, broker, endpoint)
