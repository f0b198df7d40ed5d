"""Reading for a fetch: over many partitions, within one response's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.runtime.partition import HIGH_WATERMARK, LOG_END, TXN_COMMITTED, Partition
from pykbroker.state.errors import KafkaError
from pykbroker.state.fetch_session import Answer, FetchEntry
from pykbroker.state.replica import diverging_epoch
from pykbroker.state.types import NO_EPOCH, NodeId
from wire.errors import ErrorCode
from wire.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    LeaderIdAndEpoch,
    PartitionData,
    SnapshotId,
    StandingData,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pykbroker.runtime.replica_manager import ReplicaManager
    from pykbroker.state.controller.image import BrokerImage
    from pykbroker.state.fetch_session import TopicKey
    from wire.messages.fetch import FetchPartition
    from wire.schema import Buffer

logger = get_logger("pykbroker.runtime.fetching")

NO_REPLICA = -1

# Parts of most answers, and never changed: the definition's own defaults, so that a partition costs
# one object, and that encoding finds them to be defaults at a glance.
NO_DIVERGENCE: EpochEndOffset = PartitionData.definitions["diverging_epoch"][1].default
NO_LEADER_HINT: LeaderIdAndEpoch = PartitionData.definitions["current_leader"][1].default
NO_SNAPSHOT: SnapshotId = PartitionData.definitions["snapshot_id"][1].default


_new = object.__new__


class FetchParams:
    """What holds for all partitions of one fetch."""

    __slots__ = (
        "broker_epoch",
        "is_follower",
        "isolation",
        "max_bytes",
        "max_wait_ms",
        "may_share",
        "min_bytes",
        "one_batch_each",
        "only_leader",
        "rack_id",
        "replica_id",
    )

    def __init__(
        self,
        *,
        replica_id: int = NO_REPLICA,
        broker_epoch: int = -1,
        max_wait_ms: int = 0,
        min_bytes: int = 0,
        max_bytes: int = 2**31 - 1,
        isolation: int = HIGH_WATERMARK,
        only_leader: bool = True,
        rack_id: str = "",
        one_batch_each: bool = False,
        may_share: bool = True,
    ) -> None:
        self.replica_id = NodeId(replica_id)
        self.is_follower = replica_id >= 0
        self.broker_epoch = broker_epoch
        self.max_wait_ms = max_wait_ms
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.isolation = LOG_END if replica_id >= 0 else isolation
        self.only_leader = only_leader or replica_id >= 0
        self.rack_id = rack_id
        """Empty unless followers near the consumer are to be told of."""
        self.one_batch_each = one_batch_each
        """Each partition gives at least one batch, not only the first: clients that know no limit
        of the whole response read every partition up to its own."""
        self.may_share = may_share and not self.is_follower and not rack_id
        """What a consumer reads he is told as it is, so that others may be told the same."""


class Reading:
    __slots__ = ("answers", "is_urgent", "reassigned_size", "size", "throttled_size", "watched")

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.size = 0
        """Of all records."""
        self.throttled_size = 0
        """Of those that a follower gets and that count against this leader's quota."""
        self.reassigned_size = 0
        """Of those that a follower gets which a reassignment adds."""
        self.is_urgent = False
        """Something must be told at once: an error, a diverging epoch, a nearer replica."""
        self.watched: list[tuple[Partition, FetchEntry]] = []
        """What can be waited for."""


def read_partitions(
    replicas: ReplicaManager,
    entries: Iterable[FetchEntry],
    params: FetchParams,
    *,
    only_news: bool,
    update_followers: bool,
) -> Reading:
    """With ``only_news`` partitions that have none may be missing in the answers.

    Until the first records are found one batch may be larger than every limit, so that any batch
    can be fetched at all.
    """
    reading = Reading()
    answers, watched = reading.answers, reading.watched
    total = 0
    isolation = params.isolation
    visit = None
    if params.is_follower and only_news:
        visit = FollowerVisit(replicas, params, update_followers=update_followers)
    aborted: list[AbortedTransaction] | None = [] if isolation == TXN_COMMITTED else None
    may_stand = not params.is_follower and not params.rack_id
    key: TopicKey = ""
    table: Mapping[int, Partition] = {}
    for entry in entries:
        if entry.key is not key:
            key = entry.key
            table = replicas.table(key)
        partition = table.get(entry.partition)
        if partition is None:
            try:
                partition = replicas.fetched(entry)
            except KafkaError as error:
                _absent(reading, entry, error.code)
                continue
        if not only_news:  # In a session all of it is counted with the session.
            partition.traffic.fetches += 1
        try:
            if visit is not None:
                is_idle = visit.is_idle(partition, entry)
            else:
                is_idle = only_news and not has_news(partition, entry, isolation)
            if is_idle:
                watched.append((partition, entry))
                continue
            if may_stand:
                same = standing(partition, entry.request, aborted)
                if same is not None:
                    watched.append((partition, entry))
                    answer = _new(Answer)  # its constructor would cost as much again
                    answer.entry, answer.data, answer.size = entry, same, 0
                    answers.append(answer)
                    continue
            left = params.max_bytes - total
            read = _read_alike if partition.has_crowd and params.may_share else _read
            data, size = read(replicas, partition, entry, params, left, update_followers)
        except Exception as error:
            code = _code_of(partition, error)
            answers.append(Answer(entry, failed(entry.partition, code), 0))
            reading.is_urgent = True
            continue
        watched.append((partition, entry))
        if data.diverging_epoch.epoch >= 0 or data.preferred_read_replica >= 0:
            reading.is_urgent = True
        if size and params.is_follower:
            _count_replicated(reading, partition, params.replica_id, size)
        total += size
        answers.append(Answer(entry, data, size))
    reading.size = total
    return reading


def _count_replicated(
    reading: Reading, partition: Partition, replica_id: NodeId, size: int
) -> None:
    if partition.counts_as_throttled:
        reading.throttled_size += size
    if replica_id in partition.state.adding:
        reading.reassigned_size += size


def _absent(reading: Reading, entry: FetchEntry, code: ErrorCode) -> None:
    data = failed(entry.partition, code)
    if code in _UNKNOWN:
        # Told of with the rest, or fetches would spin.
        data.aborted_transactions = []
    else:
        reading.is_urgent = True
    reading.answers.append(Answer(entry, data, 0))


def _code_of(partition: Partition, error: Exception) -> ErrorCode:
    """One partition that cannot be read must not keep the others from their readers."""
    if isinstance(error, KafkaError):
        return error.code
    partition.traffic.failed_fetches += 1
    logger.error("reading failed", partition=str(partition.topic_partition), error=error)
    return ErrorCode.UNKNOWN_SERVER_ERROR


_UNKNOWN = frozenset((ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))


class FollowerVisit:
    """One fetch of a follower, for the partitions of which there is nothing to say: its session
    may hold thousands of them."""

    __slots__ = ("_broker_epoch", "_is_known", "_node_id", "_now_ms", "_update")

    def __init__(
        self, replicas: ReplicaManager, params: FetchParams, *, update_followers: bool
    ) -> None:
        self._node_id = params.replica_id
        self._broker_epoch = params.broker_epoch
        self._update = update_followers
        self._now_ms = replicas.now_ms()
        broker = replicas.brokers.get(params.replica_id)
        self._is_known = broker is not None and broker.epoch == params.broker_epoch

    def is_idle(self, partition: Partition, entry: FetchEntry) -> bool:
        """In sync, at the end, told everything: as when it fetched last, but for the time."""
        log = partition.log
        request = entry.request
        state = partition.state
        follower = state.followers.get(self._node_id)
        if (
            follower is None
            or not self._is_known
            or request.fetch_offset != log.log_end_offset
            or log.high_watermark != entry.high_watermark
            or log.log_start_offset != entry.log_start_offset
            or request.current_leader_epoch != state.leader_epoch
            or request.last_fetched_epoch not in (NO_EPOCH, log.leader_epochs.latest_epoch)
            or follower.log_end_offset != request.fetch_offset
            or follower.log_start_offset != request.log_start_offset
            or follower.broker_epoch != self._broker_epoch
            or self._node_id not in state.isr
        ):
            return False
        if self._update:
            follower.last_fetch_ms = follower.last_caught_up_ms = self._now_ms
        return True


def has_news(partition: Partition, entry: FetchEntry, isolation: int) -> bool:
    """False only if an incremental answer would leave this partition out. Cheap: most partitions
    of most fetches end here."""
    log = partition.log
    if (
        log.high_watermark != entry.high_watermark
        or log.log_start_offset != entry.log_start_offset
        or isolation == LOG_END
    ):
        return True
    request = entry.request
    state = partition.state
    bound = log.high_watermark
    if isolation != HIGH_WATERMARK and log.producers.first_unstable_offset is not None:
        bound = log.last_stable_offset
    if request.fetch_offset != bound or state.leader != state.node_id:
        return True
    epoch = request.current_leader_epoch
    if epoch != state.leader_epoch and epoch != NO_EPOCH:
        return True
    last = request.last_fetched_epoch
    return last != NO_EPOCH and last != log.leader_epochs.latest_epoch


def standing(
    partition: Partition, request: FetchPartition, aborted: list[AbortedTransaction] | None
) -> PartitionData | None:
    """The answer to a consumer for whom there is nothing, if that is plain: it is the same object
    until the partition moves, and its bytes are made once. ``read_partition`` would say the same.

    ``aborted``: of a consumer of what is committed an empty list.
    """
    log = partition.log
    state = partition.state
    end = log.high_watermark
    if (
        request.fetch_offset != end
        or state.leader != state.node_id
        or log.producers.first_unstable_offset is not None
    ):
        return None
    epoch = request.current_leader_epoch
    if epoch != NO_EPOCH and epoch != state.leader_epoch:
        return None
    last = request.last_fetched_epoch
    if last != NO_EPOCH and last != log.leader_epochs.latest_epoch:
        return None
    known = partition.standing
    if (
        known is None
        or known.high_watermark != end
        or known.log_start_offset != log.log_start_offset
        or known.aborted_transactions != aborted
    ):
        known = partition.standing = StandingData(
            partition_index=partition.topic_partition.partition,
            high_watermark=end,
            last_stable_offset=end,
            log_start_offset=log.log_start_offset,
            aborted_transactions=aborted,
            records=b"",
        )
    return known


def _read(
    replicas: ReplicaManager,
    partition: Partition,
    entry: FetchEntry,
    params: FetchParams,
    left: int,
    update_followers: bool,
) -> tuple[PartitionData, int]:
    request = entry.request
    if params.rack_id and partition.state.followers:
        nearer = nearer_replica(partition, replicas.brokers, params.rack_id, request.fetch_offset)
        if nearer >= 0:
            data, _ = read_partition(
                partition, request, 0, params.isolation, min_one_batch=False, only_leader=False
            )
            data.preferred_read_replica = nearer
            return data, 0
    is_follower = params.is_follower
    leader_end = 0
    max_bytes = min(request.partition_max_bytes, left)
    min_one_batch = left == params.max_bytes or params.one_batch_each
    if is_follower:
        log = partition.local_log(request.current_leader_epoch, only_leader=True)
        partition.state.follower(params.replica_id, request.current_leader_epoch)
        # Before the read: what is appended meanwhile must not make a follower look late.
        leader_end = log.log_end_offset
        if partition.is_held_back(params.replica_id):
            max_bytes, min_one_batch = 0, False
    data, size = read_partition(
        partition,
        request,
        max_bytes,
        params.isolation,
        min_one_batch=min_one_batch,
        only_leader=params.only_leader,
    )
    if is_follower and update_followers and data.diverging_epoch.epoch < 0:
        partition.follower_fetched(params.replica_id, params.broker_epoch, request, leader_end)
    return data, size


def _read_alike(
    replicas: ReplicaManager,
    partition: Partition,
    entry: FetchEntry,
    params: FetchParams,
    left: int,
    update_followers: bool,
) -> tuple[PartitionData, int]:
    """``_read`` for one of several consumers that were woken together."""
    request, isolation = entry.request, params.isolation
    max_bytes = min(request.partition_max_bytes, left)
    found = replicas.shared_answers.find(partition, request, max_bytes, isolation)
    if found is not None:
        return found
    data, size = _read(replicas, partition, entry, params, left, update_followers)
    keep = replicas.shared_answers.keep
    return keep(partition, request, max_bytes, isolation, data, size), size


def nearer_replica(
    partition: Partition, brokers: Mapping[NodeId, BrokerImage], rack_id: str, offset: int
) -> int:
    """A follower in the consumer's rack that has what it wants (KIP-392); -1: stay here."""
    state = partition.state
    own = brokers.get(state.node_id)
    if not state.is_leader or (own is not None and own.rack == rack_id):
        return -1
    near = [
        (follower.log_end_offset, node)
        for node, follower in state.followers.items()
        if node in brokers
        and brokers[node].rack == rack_id
        and not brokers[node].fenced
        and state.is_readable_from(node, offset)
    ]
    return max(near)[1] if near else -1


def read_partition(
    partition: Partition,
    request: FetchPartition,
    max_bytes: int,
    isolation: int,
    *,
    min_one_batch: bool,
    only_leader: bool,
) -> tuple[PartitionData, int]:
    """(the partition's part of the response, size of its records), or KafkaError."""
    epoch = max(request.current_leader_epoch, NO_EPOCH)  # all that is negative means none
    log = partition.local_log(epoch, only_leader=only_leader)
    if request.last_fetched_epoch >= 0:
        diverging = diverging_epoch(
            log.leader_epochs,
            request.last_fetched_epoch,
            request.fetch_offset,
            log.log_start_offset,
            log.log_end_offset,
        )
        if diverging is not None:
            data = _data(partition, b"", None)
            data.diverging_epoch = EpochEndOffset(
                epoch=diverging.epoch, end_offset=diverging.end_offset
            )
            return data, 0
    bound = log.high_watermark if isolation == HIGH_WATERMARK else partition.visible_end(isolation)
    offset = request.fetch_offset
    if offset == bound or (
        offset > log.log_end_offset and not only_leader and _may_be_lost(partition, request)
    ):
        return _data(partition, b"", [] if isolation == TXN_COMMITTED else None), 0
    if max_bytes <= 0 and not min_one_batch:
        bound = 0  # The response is full; what is asked for is only how the partition stands.
    found = log.read(
        offset,
        max_bytes,
        upper_bound=bound,
        min_one_batch=min_one_batch,
        with_aborted=isolation == TXN_COMMITTED,
    )
    aborted = None
    if found.aborted is not None:
        aborted = [
            AbortedTransaction(producer_id=txn.producer_id, first_offset=txn.first_offset)
            for txn in found.aborted
        ]
    return _data(partition, found.records, aborted), len(found.records)


def _may_be_lost(partition: Partition, request: FetchPartition) -> bool:
    """A consumer that knows no epochs may take a follower for the leader that it was. What this
    one does not have yet is not out of range for that (KAFKA-14255)."""
    return not partition.is_leader and request.current_leader_epoch == NO_EPOCH


def _data(
    partition: Partition, records: Buffer, aborted: list[AbortedTransaction] | None
) -> PartitionData:
    log = partition.log
    return PartitionData(
        partition_index=partition.topic_partition.partition,
        high_watermark=log.high_watermark,
        last_stable_offset=log.last_stable_offset,
        log_start_offset=log.log_start_offset,
        diverging_epoch=NO_DIVERGENCE,
        current_leader=NO_LEADER_HINT,
        snapshot_id=NO_SNAPSHOT,
        aborted_transactions=aborted,
        records=records,
    )


def failed(index: int, code: ErrorCode) -> PartitionData:
    return PartitionData(
        partition_index=index,
        error_code=code,
        high_watermark=-1,
        diverging_epoch=NO_DIVERGENCE,
        current_leader=NO_LEADER_HINT,
        snapshot_id=NO_SNAPSHOT,
        aborted_transactions=None,
        records=b"",
    )
