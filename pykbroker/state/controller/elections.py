"""How one partition changes: who leads it, who is in sync, who may still be elected.

Rules (replication protocol, KIP-966):

- The leader is in the ISR. It is kept while it may lead; else the first of ``replicas`` that may.
- A replica may lead if it is active and in the ISR, or in the ELR when the ISR is empty.
- When nobody is left in both, the last known leader is waited for; any other replica only with
  unclean leader election. Such a leader starts alone and RECOVERING: data may be gone.
- Members that leave the ISR when it falls below the minimum stay eligible (ELR): the high
  watermark stands still there, so that they hold everything committed. The ELR is empty while the
  ISR is at the minimum or above it. A replica that may have lost its tail leaves both.
- Without eligible leader replicas (a cluster may do without) the ISR is never empty: its last
  members stay in it, and are waited for.
- A leader gained, lost or replaced, and a replica dropped, raise the leader epoch; every change
  raises the partition epoch.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from pykbroker.state.controller.image import PartitionImage, replace
from pykbroker.state.types import NO_LEADER, LeaderEpoch, NodeId
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pykbroker.state.controller.image import MetadataImage

Nodes = tuple[NodeId, ...]


class Election(Enum):
    ONLINE = "online"
    """Keep the partition online, cleanly."""
    PREFERRED = "preferred"
    """The first replica if it may lead; else as ONLINE."""
    UNCLEAN = "unclean"
    """As ONLINE; if nobody may lead, any active replica."""


class Electorate(NamedTuple):
    """What an election depends on beyond the partition. ``min_isr`` is the topic's own setting."""

    is_active: Callable[[NodeId], bool]
    min_isr: int
    election: Election = Election.ONLINE
    has_elr: bool = True


class Target(NamedTuple):
    """What is asked for; None leaves a part as it is."""

    isr: Nodes | None = None
    replicas: Nodes | None = None
    adding: Nodes | None = None
    removing: Nodes | None = None
    recovering: bool | None = None
    lost_tail: Collection[NodeId] = ()
    """Replicas that stopped uncleanly: not to be trusted with what they held."""


def elect(
    partition: PartitionImage, electorate: Electorate, target: Target | None = None
) -> PartitionImage | None:
    """The partition after the change; None when nothing changes."""
    wanted = partition
    lost_tail: Collection[NodeId] = ()
    if target is not None:
        wanted, lost_tail = _completed(_with_target(partition, target)), target.lost_tail
        if not wanted.isr and not electorate.has_elr:
            kept = tuple(node for node in partition.isr if node in wanted.replicas)
            wanted = replace(wanted, isr=kept)
    replicas, isr, recovering = wanted.replicas, wanted.isr, wanted.recovering
    min_isr = min(electorate.min_isr, len(replicas))
    if electorate.has_elr:
        elr = () if len(isr) >= min_isr else _eligible(partition, wanted, lost_tail)
    else:
        elr = () if isr else partition.elr  # of the time when there were any
    unclean = False
    leader = _trusted_leader(partition, replicas, isr or elr, electorate)
    if leader == NO_LEADER:
        leader = _untrusted_leader(partition, replicas, isr or elr, electorate)
        unclean = leader != NO_LEADER
    if unclean:
        # A sole replica has nobody to differ from, and so nothing to recover.
        isr, elr, recovering = (leader,), (), len(replicas) > 1
    elif leader != NO_LEADER and leader not in isr:
        isr = (leader,)
        elr = _without(elr, isr) if min_isr > 1 and electorate.has_elr else ()
    moved = leader != partition.leader or unclean
    last_known = _last_known_leader(partition, leader) if electorate.has_elr else ()
    if not moved and wanted == partition and elr == partition.elr:
        return None
    dropped = wanted is not partition and not set(partition.replicas) <= set(replicas)
    return PartitionImage(
        leader,
        LeaderEpoch(partition.leader_epoch + (1 if moved or dropped else 0)),
        partition.partition_epoch + 1,
        replicas,
        isr,
        elr,
        last_known,
        wanted.adding,
        wanted.removing,
        recovering,
        wanted.directories,
    )


def is_unclean(before: PartitionImage, after: PartitionImage) -> bool:
    """Whether the new leader was neither in sync nor eligible, and another may have held more."""
    return (
        len(after.replicas) > 1
        and after.isr == (after.leader,)
        and after.leader != before.leader
        and after.leader not in before.isr
        and after.leader not in before.elr
    )


def is_active(image: MetadataImage, node: NodeId) -> bool:
    """Whether a broker may lead and be in sync."""
    broker = image.brokers.get(node)
    return broker is not None and not broker.fenced and not broker.in_controlled_shutdown


def _with_target(partition: PartitionImage, target: Target) -> PartitionImage:
    return replace(
        partition,
        isr=partition.isr if target.isr is None else target.isr,
        replicas=partition.replicas if target.replicas is None else target.replicas,
        adding=partition.adding if target.adding is None else target.adding,
        removing=partition.removing if target.removing is None else target.removing,
        recovering=partition.recovering if target.recovering is None else target.recovering,
    )


def _completed(wanted: PartitionImage) -> PartitionImage:
    """A reassignment ends once every replica that is to stay is in sync."""
    if not wanted.adding and not wanted.removing:
        return wanted
    isr = _without(wanted.isr, wanted.removing)
    replicas = _without(wanted.replicas, wanted.removing)
    if not replicas or not set(replicas) <= set(isr):
        return wanted
    return replace(wanted, isr=isr, replicas=replicas, adding=(), removing=())


def _eligible(
    partition: PartitionImage, wanted: PartitionImage, lost_tail: Collection[NodeId]
) -> Nodes:
    held_all = {*partition.isr, *partition.elr} - {*wanted.isr, *lost_tail}
    return tuple(node for node in wanted.replicas if node in held_all)


def _trusted_leader(
    partition: PartitionImage, replicas: Nodes, trusted: Nodes, electorate: Electorate
) -> NodeId:
    order = (partition.leader, *replicas)
    if electorate.election is Election.PREFERRED:
        order = (replicas[0], *order)
    for node in order:
        if node in trusted and electorate.is_active(node):
            return node
    return NO_LEADER


def _untrusted_leader(
    partition: PartitionImage, replicas: Nodes, trusted: Nodes, electorate: Electorate
) -> NodeId:
    if not trusted and len(partition.last_known_elr) == 1:
        (last_known,) = partition.last_known_elr
        if last_known in replicas and electorate.is_active(last_known):
            return last_known
    if electorate.election is Election.UNCLEAN:
        for node in replicas:
            if electorate.is_active(node):
                return node
    return NO_LEADER


def _last_known_leader(partition: PartitionImage, leader: NodeId) -> Nodes:
    if leader != NO_LEADER:
        return ()
    if not partition.last_known_elr and partition.leader != NO_LEADER:
        return (partition.leader,)
    return partition.last_known_elr


def _without(nodes: Nodes, gone: Collection[NodeId]) -> Nodes:
    return tuple(node for node in nodes if node not in gone)
