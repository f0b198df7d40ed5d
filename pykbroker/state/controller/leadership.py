"""Leadership of many partitions at once: when a broker comes or goes, and from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.topic import topic_value
from pykbroker.state.controller.decision import Note, View
from pykbroker.state.controller.elections import (
    Election,
    Electorate,
    Target,
    elect,
    is_active,
    is_unclean,
)
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import partition_key
from pykbroker.state.controller.replay import partition_record
from pykbroker.state.features import has_elr
from pykbroker.state.types import NO_LEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pykbroker.state.controller.image import (
        BrokerImage,
        MetadataImage,
        PartitionImage,
        TopicImage,
    )
    from pykbroker.state.types import NodeId

TOPIC_RESOURCE = 2


class Elections:
    """Elects, and writes down what changed."""

    def __init__(self, view: View, is_active: Callable[[NodeId], bool]) -> None:
        self._view = view
        self._is_active = is_active
        self._plain: Electorate | None = None
        self.changes: list[Change] = []
        self.notes: list[Note] = []
        self.moved = 0
        """Partitions that have another leader now."""
        self.left = 0
        """Partitions that had a leader and have none now."""

    def electorate(self, topic: TopicImage) -> Electorate:
        """Nearly every topic has the cluster's own minimum ISR and no unclean elections."""
        overrides = self._view.image.config_of(TOPIC_RESOURCE, topic.name)
        if not overrides and self._plain is not None:
            return self._plain
        settings = self._view.settings
        min_isr = topic_value(settings, overrides, "min.insync.replicas")
        unclean = topic_value(settings, overrides, "unclean.leader.election.enable")
        assert isinstance(min_isr, int)
        election = Election.UNCLEAN if unclean else Election.ONLINE
        electorate = Electorate(
            self._is_active, min_isr, election, has_elr(self._view.image.features)
        )
        if not overrides:
            self._plain = electorate
        return electorate

    def run(
        self,
        topic: TopicImage,
        index: int,
        target: Target | None = None,
        election: Election | None = None,
    ) -> bool:
        """Whether the partition changes. ``election`` overrides what the topic's settings say."""
        return self.after(topic, index, target, election) is not None

    def after(
        self,
        topic: TopicImage,
        index: int,
        target: Target | None = None,
        election: Election | None = None,
    ) -> PartitionImage | None:
        """What becomes of the partition; None when nothing does."""
        before = topic.partitions[index]
        electorate = self.electorate(topic)
        if election is not None:
            electorate = electorate._replace(election=election)
        after = elect(before, electorate, target)
        if after is None:
            return None
        key = partition_key(topic.topic_id, index)
        self.changes.append(Change(key, partition_record(topic.topic_id, index, after)))
        if after.leader != before.leader:
            self.moved += after.leader != NO_LEADER
            self.left += after.leader == NO_LEADER
        if is_unclean(before, after):
            self.notes.append(_unclean(topic, index, before, after))
        return after

    def note(self, event: str, broker: BrokerImage, *, is_warning: bool = False) -> Note:
        """What happened to a broker, and to the leaderships for that. ``is_warning``: where
        partitions are left without a leader."""
        fields = {"broker": broker.node_id, "epoch": broker.epoch}
        if self.moved:
            fields["leaders_elected"] = self.moved
        if self.left:
            fields["without_leader"] = self.left
        return Note(event, fields, is_warning=is_warning and self.left > 0)


def _unclean(topic: TopicImage, index: int, before: PartitionImage, after: PartitionImage) -> Note:
    return Note(
        "unclean leader election: committed records may be lost",
        {
            "topic": topic.name,
            "partition": index,
            "leader": after.leader,
            "isr": list(before.isr),
            "elr": list(before.elr),
            "last_known_leader": list(before.last_known_elr),
        },
        is_warning=True,
    )


def broker_leaves(
    view: View, node: NodeId, *, lost_tail: bool, gone: Collection[NodeId] = ()
) -> Elections:
    """It leaves every ISR and leads nothing; with its tail lost it is eligible for nothing.

    The others of ``gone`` leave the ISRs that it leaves: they will be next.
    """
    image = view.image
    leaving = {node, *gone}
    elections = Elections(view, lambda other: other not in leaving and is_active(image, other))
    for topic, index, partition in _partitions(image):
        concerned = node in partition.isr or node == partition.leader
        if concerned or (lost_tail and node in partition.elr):
            isr = tuple(other for other in partition.isr if other not in leaving)
            target = Target(isr=isr, lost_tail=(node,) if lost_tail else ())
            elections.run(topic, index, target)
    return elections


def broker_joins(view: View, node: NodeId) -> Elections:
    """Partitions without a leader may have found one."""
    image = view.image
    elections = Elections(view, lambda other: other == node or is_active(image, other))
    for topic, index, partition in _partitions(image):
        if partition.leader == NO_LEADER and node in partition.replicas:
            elections.run(topic, index)
    return elections


def _partitions(image: MetadataImage) -> Iterator[tuple[TopicImage, int, PartitionImage]]:
    for topic in image.topics.values():
        for index, partition in enumerate(topic.partitions):
            yield topic, index, partition


def rebalance_leaders(view: View, limit: int) -> Elections:
    """Preferred elections where the preferred replica could lead and does not."""
    image = view.image
    elections = Elections(view, lambda node: is_active(image, node))
    for topic, index, partition in _partitions(image):
        if partition.leader != partition.replicas[0] and len(elections.changes) < limit:
            elections.run(topic, index, election=Election.PREFERRED)
    return elections


def elect_uncleanly(view: View, limit: int) -> Elections:
    """For topics that allow it, when their partitions have stayed without a leader."""
    image = view.image
    elections = Elections(view, lambda node: is_active(image, node))
    for topic, index, partition in _partitions(image):
        if partition.leader == NO_LEADER and len(elections.changes) < limit:
            elections.run(topic, index)
    return elections
