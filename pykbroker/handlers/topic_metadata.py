"""What Metadata and DescribeTopicPartitions say of a partition, as one listener's clients see it.

Brokers are shown by their endpoint on the listener that the client came in on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.errors import KafkaError
from pykbroker.state.operations import NOT_ASKED
from pykbroker.state.topic_names import check_topic_name
from pykbroker.state.types import NO_LEADER
from wire.errors import ErrorCode
from wire.messages.metadata import MetadataResponsePartition, StandingTopic
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.runtime.metadata import Images
    from pykbroker.state.controller.image import (
        BrokerImage,
        Endpoint,
        MetadataImage,
        PartitionImage,
        TopicImage,
    )
    from pykbroker.state.types import NodeId
    from wire.messages.metadata import MetadataResponseTopic

INTERNAL_TOPICS = frozenset(("__consumer_offsets", "__transaction_state", "__share_group_state"))


class Style(NamedTuple):
    """What a version of Metadata shows."""

    listener: str
    only_available: bool
    """v0 names no broker that cannot be reached, and calls that an error."""
    names_missing_listener: bool
    """Since v6 a leader without the client's listener is LISTENER_NOT_FOUND."""
    operations: int = NOT_ASKED


def endpoint_of(broker: BrokerImage | None, listener: str) -> Endpoint | None:
    if broker is None:
        return None
    return next((e for e in broker.endpoints if e.listener == listener), None)


def leader_and_offline(
    image: MetadataImage, partition: PartitionImage, listener: str
) -> tuple[NodeId, list[int]]:
    """The leader if it can be reached through the listener, and the replicas that cannot."""
    brokers = image.brokers
    leader = partition.leader
    if endpoint_of(brokers.get(leader), listener) is None:
        leader = NO_LEADER
    return leader, [n for n in partition.replicas if not _is_online(brokers, n, listener)]


def _is_online(brokers: Mapping[NodeId, BrokerImage], node: NodeId, listener: str) -> bool:
    broker = brokers.get(node)
    return broker is not None and not broker.fenced and endpoint_of(broker, listener) is not None


def unknown_topic_error(name: str) -> ErrorCode:
    try:
        check_topic_name(name)
    except KafkaError as error:
        return error.code
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


class TopicDescriber:
    """Answers per topic, kept while neither the topic nor the brokers change."""

    def __init__(self, image: MetadataImage, style: Style) -> None:
        self._image = image
        self._style = style
        self._known: dict[str, tuple[TopicImage, MetadataResponseTopic]] = {}

    @classmethod
    def of(cls, images: Images, style: Style) -> TopicDescriber:
        """The describer for the current image, with what an earlier one has left."""
        kept: dict[Style, TopicDescriber] = images.derived.setdefault("metadata", {})
        describer = kept.get(style)
        if describer is None or describer._image.brokers is not images.current.brokers:
            describer = kept[style] = cls(images.current, style)
        describer._image = images.current
        return describer

    def topic(self, topic: TopicImage) -> MetadataResponseTopic:
        """Not to be changed: it is handed out again."""
        known = self._known.get(topic.name)
        if known is not None and known[0] is topic:
            return known[1]
        made = StandingTopic(
            name=topic.name,
            topic_id=topic.topic_id,
            is_internal=topic.name in INTERNAL_TOPICS,
            partitions=[self._partition(i, p) for i, p in enumerate(topic.partitions)],
            topic_authorized_operations=self._style.operations,
        )
        self._known[topic.name] = (topic, made)
        return made

    def all_topics(self) -> list[MetadataResponseTopic]:
        topics = self._image.topics
        if len(self._known) > len(topics):
            self._known = {name: entry for name, entry in self._known.items() if name in topics}
        return [self.topic(topic) for topic in topics.values()]

    def _partition(self, index: int, partition: PartitionImage) -> MetadataResponsePartition:
        leader, offline = leader_and_offline(self._image, partition, self._style.listener)
        replicas, isr = list[int](partition.replicas), list[int](partition.isr)
        error = ErrorCode.NONE
        if self._style.only_available:
            replicas = [node for node in replicas if node not in offline]
            isr = [node for node in isr if node not in offline]
            if len(replicas) < len(partition.replicas) or len(isr) < len(partition.isr):
                error = ErrorCode.REPLICA_NOT_AVAILABLE
        if leader == NO_LEADER:
            error = ErrorCode.LEADER_NOT_AVAILABLE
            if self._style.names_missing_listener and partition.leader in self._image.brokers:
                error = ErrorCode.LISTENER_NOT_FOUND
        return MetadataResponsePartition(
            error_code=error,
            partition_index=index,
            leader_id=leader,
            leader_epoch=partition.leader_epoch,
            replica_nodes=replicas,
            isr_nodes=isr,
            offline_replicas=offline,
        )
