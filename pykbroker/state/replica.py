"""One partition as this broker sees it: who leads, who is in sync, how far everybody is.

Values go in, decisions come out; the log is elsewhere. What must hold (KIP-101, 497, 903, 966):

- state with a lower partition epoch than the known one is ignored;
- a follower's progress counts only from fetches in this leader's epoch;
- the high watermark is the least log end offset over the *maximal* ISR, which is the committed
  one plus a pending expansion; a pending shrink counts the old ISR until it is confirmed;
- it stands still while the committed ISR is smaller than min.insync.replicas, and never falls on
  a leader;
- one AlterPartition is in flight at most, and an unknown outcome keeps what it proposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_EPOCH, NO_LEADER, LeaderEpoch, NodeId
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.state.controller.image import BrokerImage, PartitionImage
    from pykbroker.state.log.epochs import EpochEnd, LeaderEpochCache

    Brokers = Mapping[NodeId, BrokerImage]

UNKNOWN_OFFSET = -1
NO_BROKER_EPOCH = -1
"""In a fetch: its sender does not know of broker epochs, and none is checked."""

# AlterPartition was certainly not applied, and the epochs it was sent with are the current ones.
_CERTAINLY_REFUSED = frozenset((ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED))
# It was refused for what we do not know yet: newer metadata is on its way and will replace it.
_AWAIT_METADATA = frozenset(
    (
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.INVALID_UPDATE_VERSION,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.NEW_LEADER_ELECTED,
    )
)


class Follower:
    """What a leader knows of one follower, from its fetches."""

    __slots__ = (
        "broker_epoch",
        "last_caught_up_ms",
        "last_fetch_leader_end",
        "last_fetch_ms",
        "log_end_offset",
        "log_start_offset",
    )

    def __init__(self) -> None:
        self.log_start_offset = UNKNOWN_OFFSET
        self.log_end_offset = UNKNOWN_OFFSET
        self.last_fetch_leader_end = 0
        """Our log end offset when it fetched last."""
        self.last_fetch_ms: int | None = None
        self.last_caught_up_ms: int | None = None
        """The last time at which it was known to hold all that we held then; None is never."""
        self.broker_epoch: int | None = None

    def reset(self, now_ms: int, *, in_sync: bool) -> None:
        """A new leader epoch has begun: forget how far it was, it may have truncated since.

        Members of the ISR get their time to fetch.
        """
        self.log_start_offset = self.log_end_offset = UNKNOWN_OFFSET
        self.last_fetch_leader_end = 0
        self.last_fetch_ms = None
        self.last_caught_up_ms = now_ms if in_sync else None
        self.broker_epoch = None

    def fetched(
        self, offset: int, log_start_offset: int, leader_end: int, now_ms: int, broker_epoch: int
    ) -> None:
        """It holds everything below ``offset``; ``leader_end`` was taken before the read."""
        if offset >= leader_end:
            self._caught_up(now_ms)
        elif offset >= self.last_fetch_leader_end and self.last_fetch_ms is not None:
            # Under steady small appends nobody ever reaches the end of the moment.
            self._caught_up(self.last_fetch_ms)
        self.log_start_offset = log_start_offset
        self.log_end_offset = offset
        self.last_fetch_leader_end = max(leader_end, self.last_fetch_leader_end)
        self.last_fetch_ms = now_ms
        self.broker_epoch = broker_epoch

    def _caught_up(self, at_ms: int) -> None:
        if self.last_caught_up_ms is None or at_ms > self.last_caught_up_ms:
            self.last_caught_up_ms = at_ms

    def is_caught_up(self, leader_end: int, now_ms: int, max_lag_ms: int) -> bool:
        if self.log_end_offset == leader_end:
            return True
        return self.last_caught_up_ms is not None and now_ms - self.last_caught_up_ms <= max_lag_ms


class IsrChange:
    """An AlterPartition to send. The leader recovered its log by leading: state RECOVERED."""

    __slots__ = ("is_expansion", "isr", "leader_epoch", "partition_epoch")

    def __init__(
        self, leader_epoch: int, partition_epoch: int, isr: dict[NodeId, int], is_expansion: bool
    ) -> None:
        self.leader_epoch = leader_epoch
        self.partition_epoch = partition_epoch
        self.isr = isr
        """With the broker epoch of each member's last fetch."""
        self.is_expansion = is_expansion

    @property
    def nodes(self) -> frozenset[NodeId]:
        return frozenset(self.isr)


class ReplicaState:
    """Starts as a replica of nothing known; ``lead`` or ``follow`` with the first image."""

    __slots__ = (
        "adding",
        "epoch_start_offset",
        "followers",
        "isr",
        "leader",
        "leader_epoch",
        "maximal_isr",
        "node_id",
        "partition_epoch",
        "pending",
        "removing",
        "replicas",
    )

    def __init__(self, node_id: NodeId) -> None:
        self.node_id = node_id
        self.leader = NO_LEADER
        self.leader_epoch: LeaderEpoch = NO_EPOCH
        self.partition_epoch = -1
        self.replicas: tuple[NodeId, ...] = ()
        self.adding: tuple[NodeId, ...] = ()
        self.removing: tuple[NodeId, ...] = ()
        self.isr: frozenset[NodeId] = frozenset()
        """Committed; known to the leader only."""
        self.maximal_isr: frozenset[NodeId] = frozenset()
        self.pending: IsrChange | None = None
        self.followers: dict[NodeId, Follower] = {}
        """All other replicas, while leading."""
        self.epoch_start_offset: int | None = None
        """Our log end offset when this epoch began, while leading; None until it is looked at."""

    @property
    def is_leader(self) -> bool:
        return self.leader == self.node_id

    @property
    def is_reassigning(self) -> bool:
        return bool(self.adding or self.removing)

    # What the controller decided.

    def lead(self, image: PartitionImage, log_end_offset: int | None, now_ms: int) -> bool:
        """Lead, or go on leading. True when a new epoch begins: the log's epoch cache must have
        (leader_epoch, log_end_offset) before anything is appended.

        None: the log was not looked at yet; ``log_opened`` will say where it ends.
        """
        if not self._is_news(image):
            return False
        is_new_epoch = image.leader_epoch > self.leader_epoch or not self.is_leader
        self._take(image)
        others = [node for node in image.replicas if node != self.node_id]
        self.followers = {node: self.followers.get(node) or Follower() for node in others}
        self.isr = self.maximal_isr = frozenset(image.isr)
        if is_new_epoch:
            self.epoch_start_offset = log_end_offset
            for node, follower in self.followers.items():
                follower.reset(now_ms, in_sync=node in self.isr)
        return is_new_epoch

    def log_opened(self, log_end_offset: int) -> None:
        if self.is_leader and self.epoch_start_offset is None:
            self.epoch_start_offset = log_end_offset

    def follow(self, image: PartitionImage) -> bool:
        """Follow, or wait for a leader. True when a new epoch begins: what was fetched under the
        old one is over, and the log must be brought in line with the new leader's."""
        if not self._is_news(image):
            return False
        is_new_epoch = image.leader_epoch > self.leader_epoch
        self._take(image)
        self.followers = {}
        self.isr = self.maximal_isr = frozenset()
        self.epoch_start_offset = None
        return is_new_epoch

    def _is_news(self, image: PartitionImage) -> bool:
        """An equal partition epoch is the same state, perhaps learned from AlterPartition's
        answer already: a change proposed since then stays pending."""
        return image.partition_epoch > self.partition_epoch

    def _take(self, image: PartitionImage) -> None:
        self.leader = image.leader
        self.leader_epoch = LeaderEpoch(image.leader_epoch)
        self.partition_epoch = image.partition_epoch
        self.replicas = image.replicas
        self.adding = image.adding
        self.removing = image.removing
        self.pending = None

    # Epochs of requests.

    def check_epoch(self, current_leader_epoch: int) -> None:
        """-1 is the epoch of clients that know none."""
        if current_leader_epoch == self.leader_epoch or current_leader_epoch == NO_EPOCH:
            return
        if current_leader_epoch < self.leader_epoch:
            raise KafkaError(
                ErrorCode.FENCED_LEADER_EPOCH,
                f"Leader epoch {current_leader_epoch} is older than {self.leader_epoch}",
            )
        raise KafkaError(
            ErrorCode.UNKNOWN_LEADER_EPOCH,
            f"Leader epoch {current_leader_epoch} is newer than {self.leader_epoch}",
        )

    def follower(self, node_id: NodeId, current_leader_epoch: int) -> Follower:
        found = self.followers.get(node_id)
        if found is None:
            # With our epoch it may be a replica that we have not heard of yet: it shall retry.
            code = (
                ErrorCode.NOT_LEADER_OR_FOLLOWER
                if current_leader_epoch == NO_EPOCH
                else ErrorCode.UNKNOWN_LEADER_EPOCH
            )
            raise KafkaError(code, f"Broker {node_id} is no replica of this partition")
        return found

    def check_broker_epoch(self, node_id: NodeId, broker_epoch: int, brokers: Brokers) -> None:
        """A fetch that an earlier life of the follower sent says nothing of what it holds now."""
        broker = brokers.get(node_id)
        stale = broker is not None and not broker.fenced and broker.epoch > broker_epoch
        if broker_epoch != NO_BROKER_EPOCH and stale:
            raise KafkaError(
                ErrorCode.NOT_LEADER_OR_FOLLOWER, f"Broker epoch {broker_epoch} is outdated"
            )

    # In sync, and how far.

    def effective_min_isr(self, min_insync_replicas: int) -> int:
        return min(min_insync_replicas, len(self.followers) + 1)

    def is_under_min_isr(self, min_insync_replicas: int) -> bool:
        return len(self.isr) < self.effective_min_isr(min_insync_replicas)

    def committed_offset(
        self,
        held_offset: int,
        log_end_offset: int,
        min_insync_replicas: int,
        now_ms: int,
        max_lag_ms: int,
        brokers: Brokers,
    ) -> int | None:
        """Where the high watermark may go; None while it is frozen.

        ``held_offset`` is what this broker holds for sure: its log end offset, or the end of what
        is synced where a sync counts.
        """
        if self.is_under_min_isr(min_insync_replicas):
            return None
        lowest = held_offset
        for node, follower in self.followers.items():
            if follower.log_end_offset >= lowest:
                continue
            if node in self.maximal_isr or (
                # About to join: if the high watermark ran ahead of it, it never could.
                follower.is_caught_up(log_end_offset, now_ms, max_lag_ms)
                and self._is_eligible(node, follower, brokers)
            ):
                lowest = follower.log_end_offset
        return lowest

    def low_watermark(self, log_start_offset: int, brokers: Brokers) -> int:
        """Below that, all live replicas have deleted."""
        low = log_start_offset
        for node, follower in self.followers.items():
            broker = brokers.get(node)
            if broker is not None and not broker.fenced:
                low = min(low, follower.log_start_offset)
        return low

    def is_readable_from(self, node_id: NodeId, offset: int) -> bool:
        """May a consumer be sent to that follower (KIP-392)?"""
        follower = self.followers.get(node_id)
        return (
            follower is not None
            and node_id in self.isr
            and follower.log_start_offset <= offset <= follower.log_end_offset
        )

    def _is_eligible(self, node_id: NodeId, follower: Follower, brokers: Brokers) -> bool:
        broker = brokers.get(node_id)
        if broker is None or broker.fenced or broker.in_controlled_shutdown:
            return False
        return follower.broker_epoch in (NO_BROKER_EPOCH, broker.epoch)

    # Proposing another ISR.

    def propose_expansion(
        self, node_id: NodeId, high_watermark: int, brokers: Brokers, own_broker_epoch: int
    ) -> IsrChange | None:
        """That follower has just fetched. From now on the high watermark waits for it."""
        follower = self.followers.get(node_id)
        if self.pending is not None or follower is None or node_id in self.isr:
            return None
        start = self.epoch_start_offset
        if start is None or follower.log_end_offset < max(high_watermark, start):
            return None
        if not self._is_eligible(node_id, follower, brokers):
            return None
        self.maximal_isr = self.isr | {node_id}
        return self._propose(self.maximal_isr, own_broker_epoch, is_expansion=True)

    def propose_shrink(
        self, log_end_offset: int, now_ms: int, max_lag_ms: int, own_broker_epoch: int
    ) -> IsrChange | None:
        """To be asked from time to time."""
        if self.pending is not None or not self.is_leader:
            return None
        lagging = {
            node
            for node in self.isr
            if node != self.node_id
            and not (
                node in self.followers
                and self.followers[node].is_caught_up(log_end_offset, now_ms, max_lag_ms)
            )
        }
        if not lagging:
            return None
        return self._propose(self.isr - lagging, own_broker_epoch, is_expansion=False)

    def _propose(
        self, nodes: frozenset[NodeId], own_broker_epoch: int, *, is_expansion: bool
    ) -> IsrChange:
        members = {}
        for node in sorted(nodes):
            epoch: int | None = own_broker_epoch
            if node != self.node_id:
                epoch = self.followers[node].broker_epoch
            members[node] = NO_BROKER_EPOCH if epoch is None else epoch
        self.pending = IsrChange(self.leader_epoch, self.partition_epoch, members, is_expansion)
        return self.pending

    def isr_changed(
        self,
        change: IsrChange,
        isr: frozenset[NodeId],
        leader_epoch: int,
        partition_epoch: int,
    ) -> bool:
        """The controller applied it, or says what it is. False: that is no news any more."""
        if change is not self.pending:
            return False
        if leader_epoch != self.leader_epoch or partition_epoch < self.partition_epoch:
            return False
        self.isr = self.maximal_isr = isr
        self.partition_epoch = partition_epoch
        self.pending = None
        return True

    def isr_refused(self, change: IsrChange, code: ErrorCode) -> bool:
        """True: ask again with the same change.

        Without an answer, or with one that says nothing sure, it may have been applied: what was
        proposed stays, which only ever holds the high watermark back.
        """
        if change is not self.pending:
            return False
        if code in _CERTAINLY_REFUSED:
            self.maximal_isr = self.isr
            self.pending = None
            return False
        return code not in _AWAIT_METADATA


def diverging_epoch(
    epochs: LeaderEpochCache,
    last_fetched_epoch: int,
    fetch_offset: int,
    log_start_offset: int,
    log_end_offset: int,
) -> EpochEnd | None:
    """The leader's answer to a fetch that names the epoch of its last record; None: go on."""
    end = epochs.end_offset(last_fetched_epoch, log_end_offset)
    if end.epoch == NO_EPOCH or fetch_offset < log_start_offset:
        raise KafkaError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"Offset {fetch_offset} of epoch {last_fetched_epoch} is not in this log",
        )
    if end.epoch < last_fetched_epoch or end.end_offset < fetch_offset:
        return end
    return None
