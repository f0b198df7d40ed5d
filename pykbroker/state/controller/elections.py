"""How one partition changes: who leads it, who is in sync, who may still be elected.

Rules (replication protocol, KIP-966):

- The leader is in the ISR. It is kept while it may lead; else the first of ``replicas`` that may.
- A replica may lead if it is active and in the ISR, or in the ELR when the ISR is empty.
- When nobody is left in both, the last known leader is waited for; any other replica only with
  unclean leader election. Such a leader starts alone and RECOVERING: data may be gone.
- Members that leave the ISR when it falls below the minimum stay eligible (ELR): the high
  watermark stands still there, so that they hold everything committed. The ELR is empty while the
  ISR is at the minimum or above it. A replica that may have lost its tail leaves both.
- A leader gained, lost or replaced, and a replica dropped, raise the leader epoch; every change
  raises the partition epoch.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from pykbroker.state.controller.image import replace
from pykbroker.state.types import NO_LEADER, LeaderEpoch, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pykbroker.state.controller.image import PartitionImage

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


class Target(NamedTuple):
    """What is asked for; None leaves a part as it is."""

    isr: Nodes | None = None
    replicas: Nodes | None = None
    adding: Nodes | None = None
    removing: Nodes | None = None
    recovering: bool | None = None
    lost_tail: Collection[NodeId] = ()
    """Replicas that stopped uncleanly: not to be trusted with what they held."""


class _Winner(NamedTuple):
    leader: NodeId
    unclean: bool = False


def elect(
    partition: PartitionImage, electorate: Electorate, target: Target | None = None
) -> PartitionImage | None:
    """The partition after the change; None when nothing changes."""
    wanted = _with_target(partition, target or Target())
    wanted = _completed(wanted)
    min_isr = min(electorate.min_isr, len(wanted.replicas))
    lost_tail = target.lost_tail if target is not None else ()
    wanted = replace(wanted, elr=_eligible(partition, wanted, min_isr, lost_tail))
    winner = _winner(partition, wanted, electorate)
    wanted = _with_leader(partition, wanted, winner, min_isr)
    if wanted == partition:
        return None
    moved = winner.leader != partition.leader or winner.unclean
    dropped = not set(partition.replicas) <= set(wanted.replicas)
    return replace(
        wanted,
        leader_epoch=LeaderEpoch(partition.leader_epoch + (1 if moved or dropped else 0)),
        partition_epoch=partition.partition_epoch + 1,
    )


def is_unclean(before: PartitionImage, after: PartitionImage) -> bool:
    """Whether the new leader was neither in sync nor eligible."""
    return (
        after.isr == (after.leader,)
        and after.leader != before.leader
        and after.leader not in before.isr
        and after.leader not in before.elr
    )


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
    partition: PartitionImage,
    wanted: PartitionImage,
    min_isr: int,
    lost_tail: Collection[NodeId],
) -> Nodes:
    if len(wanted.isr) >= min_isr:
        return ()
    held_all = {*partition.isr, *partition.elr} - {*wanted.isr, *lost_tail}
    return tuple(node for node in wanted.replicas if node in held_all)


def _winner(partition: PartitionImage, wanted: PartitionImage, electorate: Electorate) -> _Winner:
    trusted = wanted.isr or wanted.elr

    def may_lead(node: NodeId) -> bool:
        return node in trusted and electorate.is_active(node)

    order = [partition.leader, *wanted.replicas]
    if electorate.election is Election.PREFERRED:
        order.insert(0, wanted.replicas[0])
    for node in order:
        if may_lead(node):
            return _Winner(node)
    if not trusted and len(partition.last_known_elr) == 1:
        (last_known,) = partition.last_known_elr
        if last_known in wanted.replicas and electorate.is_active(last_known):
            return _Winner(last_known, unclean=True)
    if electorate.election is Election.UNCLEAN:
        for node in wanted.replicas:
            if electorate.is_active(node):
                return _Winner(node, unclean=True)
    return _Winner(NO_LEADER)


def _with_leader(
    partition: PartitionImage, wanted: PartitionImage, winner: _Winner, min_isr: int
) -> PartitionImage:
    leader, isr, elr, recovering = winner.leader, wanted.isr, wanted.elr, wanted.recovering
    if winner.unclean:
        # A sole replica has nobody to differ from, and so nothing to recover.
        isr, elr, recovering = (leader,), (), len(wanted.replicas) > 1
    elif leader != NO_LEADER and leader not in isr:
        isr = (leader,)
        elr = _without(elr, isr) if min_isr > 1 else ()
    last_known = partition.last_known_elr
    if leader != NO_LEADER:
        last_known = ()
    elif not last_known and partition.leader != NO_LEADER:
        last_known = (partition.leader,)
    return replace(
        wanted, leader=leader, isr=isr, elr=elr, recovering=recovering, last_known_elr=last_known
    )


def _without(nodes: Nodes, gone: Collection[NodeId]) -> Nodes:
    return tuple(node for node in nodes if node not in gone)
