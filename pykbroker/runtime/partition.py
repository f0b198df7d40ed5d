"""One partition of this broker: its replica state and its log, and who waits for either.

An append, a sync, a follower's fetch or an election moves the high watermark; whoever that makes
complete is handed to ``Wakeups`` at once. Whoever causes such a change calls ``wakeups.run()``
when it is done; methods that say so do it themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.runtime.purgatory import OffsetWaits
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.producers import AppendOrigin
from pykbroker.state.replica import ReplicaState
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.config.topic import LogConfig
    from pykbroker.ports import Clock
    from pykbroker.runtime.isr import IsrUpdates
    from pykbroker.runtime.metadata import Images
    from pykbroker.runtime.purgatory import FetchWait, Outcome, Wakeups
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.results import AppendInfo
    from pykbroker.runtime.throttles import Throttles
    from pykbroker.runtime.traffic import Traffic
    from pykbroker.state.controller.image import PartitionImage
    from pykbroker.state.fetch_session import FetchEntry
    from pykbroker.state.replica import IsrChange
    from pykbroker.state.types import NodeId, TopicId, TopicPartition
    from wire.messages.fetch import FetchPartition, PartitionData
    from wire.records.record import Record
    from wire.schema import Buffer

ACKS_ALL = -1
HIGH_WATERMARK, TXN_COMMITTED, LOG_END = 0, 1, 2
"""How far a reader sees: a consumer by its isolation level, a replica everything."""


class Surroundings:
    """What all partitions of a broker share."""

    __slots__ = (
        "clock",
        "images",
        "isr_updates",
        "node_id",
        "settings",
        "throttles",
        "traffic",
        "wakeups",
    )

    def __init__(
        self,
        node_id: NodeId,
        clock: Clock,
        settings: DynamicSettings,
        images: Images,
        wakeups: Wakeups,
        traffic: Traffic,
    ) -> None:
        self.node_id = node_id
        self.clock = clock
        self.settings = settings
        self.images = images
        self.wakeups = wakeups
        self.traffic = traffic
        self.isr_updates: IsrUpdates | None = None
        """None where nobody could ask for another ISR: then none is proposed."""
        self.throttles: Throttles | None = None
        """None while nothing is replicated."""


class Watched:
    """What a waiting fetch wants of one partition, and where that begins."""

    __slots__ = ("base_offset", "entry", "position")

    def __init__(self, entry: FetchEntry, base_offset: int, position: int) -> None:
        self.entry = entry
        self.base_offset = base_offset
        """Of the segment."""
        self.position = position


class Partition:
    """Every one begins as an UnopenedPartition."""

    __slots__ = (
        "_closed_log",
        "_commits",
        "_deletions",
        "_fetches",
        "_shared",
        "future_log",
        "has_crowd",
        "log",
        "on_synced",
        "standing",
        "state",
        "topic_id",
        "topic_partition",
        "traffic",
    )

    log: PartitionLog
    """Set when it is opened."""

    def __new__(cls, *_args: Any) -> Partition:
        return super().__new__(UnopenedPartition)

    def __init__(
        self,
        topic_partition: TopicPartition,
        topic_id: TopicId,
        log: PartitionLog,
        shared: Surroundings,
    ) -> None:
        self.topic_partition = topic_partition
        self.topic_id = topic_id
        self.state = ReplicaState(shared.node_id)
        self.future_log: PartitionLog | None = None
        """A copy in the making in another log directory."""
        self.on_synced: Callable[[], None] | None = None
        """Called when this replica, while it follows, may say that it holds more than before."""
        self._closed_log = log
        self._shared = shared
        self._commits = OffsetWaits(shared.wakeups)
        self._fetches: dict[FetchWait[Any], Watched] = {}
        self._deletions = OffsetWaits(shared.wakeups)
        self.has_crowd = False
        """Several consumers waited for what was appended last."""
        self.standing: PartitionData | None = None
        """What a fetch was told last that found nothing."""
        self.traffic = shared.traffic.of(topic_partition.topic)
        """The topic's."""

    def __repr__(self) -> str:
        return f"Partition({self.topic_partition})"

    @property
    def stored_log(self) -> PartitionLog:
        """The log without opening it."""
        return self._closed_log

    @property
    def is_leader(self) -> bool:
        return self.state.is_leader

    @property
    def leader_epoch(self) -> int:
        return self.state.leader_epoch

    @property
    def high_watermark(self) -> int:
        return self.log.high_watermark

    @property
    def log_start_offset(self) -> int:
        return self.log.log_start_offset

    @property
    def log_end_offset(self) -> int:
        return self.log.log_end_offset

    # Appending

    def append_as_leader(
        self,
        data: Buffer,
        *,
        acks: int = ACKS_ALL,
        origin: AppendOrigin = AppendOrigin.CLIENT,
    ) -> AppendInfo:
        """Append one batch, or raise KafkaError and write nothing. The caller runs the wakeups."""
        traffic = self.traffic
        traffic.produces += 1
        state = self.state
        if state.leader != state.node_id:
            self.require_leader()
        log = self.log
        if (
            acks == ACKS_ALL
            and state.followers
            and state.is_under_min_isr(log.config.min_insync_replicas)
        ):
            raise KafkaError(
                ErrorCode.NOT_ENOUGH_REPLICAS,
                f"The size of the current ISR {len(state.isr)} is insufficient to satisfy the "
                f"min.isr requirement of "
                f"{state.effective_min_isr(log.config.min_insync_replicas)} for partition "
                f"{self.topic_partition}",
            )
        info = log.append_as_leader(
            data, state.leader_epoch, self._shared.clock.wall_ms(), origin=origin
        )
        if not info.duplicate:
            traffic.records_in += info.record_count
            traffic.bytes_in += info.size_in_bytes
            self._advance()
        return info

    def append_records(
        self,
        records: Sequence[Record],
        *,
        compression: int = 0,
        producer_id: int = -1,
        producer_epoch: int = -1,
        base_sequence: int = -1,
        is_transactional: bool = False,
    ) -> AppendInfo:
        """Append what a coordinator writes, as one batch, with acks=all; then run the wakeups."""
        from wire.records.record import build_batch

        batch = build_batch(
            records,
            compression=compression,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=base_sequence,
            is_transactional=is_transactional,
        )
        info = self.append_as_leader(batch, origin=AppendOrigin.COORDINATOR)
        self._shared.wakeups.run()
        return info

    def restore(self, base_offset: int, batches: Buffer) -> None:
        """Put what a log held once, from ``base_offset`` on, into this one, which is empty:
        batches keep their offsets, and gaps between them. The caller runs the wakeups. Raises
        KafkaError.
        """
        self.require_leader()
        log = self.log
        if log.log_end_offset > log.log_start_offset:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{self.topic_partition} is not empty")
        if base_offset != log.log_end_offset:
            log.truncate_fully_and_start_at(base_offset)
        if batches:
            log.append_as_follower(batches)
        self._advance()

    def require_leader(self) -> None:
        if not self.state.is_leader:
            raise KafkaError(
                ErrorCode.NOT_LEADER_OR_FOLLOWER,
                f"Leader not local for partition {self.topic_partition} "
                f"on broker {self.state.node_id}",
            )

    # The high watermark

    def _advance(self) -> None:
        """Something that decides the high watermark has changed, or the log has grown."""
        log = self.log
        state = self.state
        offset: int | None = log.durable_end_offset
        if state.followers:
            shared = self._shared
            offset = state.committed_offset(
                log.durable_end_offset,
                log.log_end_offset,
                log.config.min_insync_replicas,
                shared.clock.monotonic_ms(),
                shared.settings.current.int("replica.lag.time.max.ms"),
                shared.images.current.brokers,
            )
        if offset is not None and offset > log.high_watermark:
            log.update_high_watermark(offset)
            if self._commits.waiting:
                self._commits.reached(offset)
        if self._fetches:
            self._offer()

    def _synced(self) -> None:
        """The log's durable end has moved; a sync is nobody's request, so this runs the rest."""
        if self.state.is_leader:
            self._advance()
        elif self.on_synced is not None:
            self.on_synced()
        self._shared.wakeups.run()

    def high_watermark_moved(self) -> None:
        """On a follower: consumers may wait here as well (KIP-392). The caller runs the wakeups."""
        if self._fetches:
            self._offer()

    def when_committed(self, offset: int, callback: Outcome) -> Callable[[], None]:
        """Once the high watermark has reached ``offset`` (NONE), or this leadership has ended
        (why it has). At once if it has already. Called at most once, and never once the returned
        function was called.
        """
        if not self.state.is_leader:
            callback(ErrorCode.NOT_LEADER_OR_FOLLOWER)
            return _nothing
        if self.log.high_watermark >= offset:
            callback(ErrorCode.NONE)
            return _nothing
        return self._commits.add(offset, callback)

    def when_replicated(self, offset: int, callback: Outcome) -> Callable[[], None]:
        """``when_committed`` as acks=all means it: with too few in sync by then, the records are
        in the log, yet the producer is told NOT_ENOUGH_REPLICAS_AFTER_APPEND."""

        def committed(code: ErrorCode) -> None:
            if code is ErrorCode.NONE:
                state = self.state
                needed = state.effective_min_isr(self.log.config.min_insync_replicas)
                if len(state.maximal_isr) < needed:
                    code = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
            callback(code)

        return self.when_committed(offset, committed)

    # Waiting fetches

    def watch(self, wait: FetchWait[Any], entry: FetchEntry) -> None:
        """``wait`` has read this partition to its end and wants to hear of more."""
        base_offset = position = 0
        if wait.min_bytes > 1:
            base_offset, position = _position(self.log, entry.request.fetch_offset)
        self._fetches[wait] = Watched(entry, base_offset, position)

    def unwatch(self, wait: FetchWait[Any]) -> None:
        self._fetches.pop(wait, None)

    def _offer(self) -> None:
        log = self.log
        consumers = 0
        for wait, watched in list(self._fetches.items()):
            bound = self.visible_end(wait.isolation)
            request = watched.entry.request
            if bound <= request.fetch_offset or self.is_held_back(wait.replica_id):
                continue
            consumers += wait.replica_id < 0
            if wait.min_bytes <= 1:
                wait.wake()
                continue
            size = _available(log, watched, bound)
            if size is None:
                wait.wake()
            else:
                wait.offer(self, min(size, request.partition_max_bytes))
        if consumers:
            self.has_crowd = consumers > 1

    def ready_bytes(self, entry: FetchEntry, isolation: int, replica_id: NodeId) -> int:
        """What lies there for a fetch, as far as it may read at once: more than it was given where
        the next batch did not fit."""
        log, request = self.log, entry.request
        bound = self.visible_end(isolation)
        if bound <= request.fetch_offset or self.is_held_back(replica_id):
            return 0
        size = _available(log, Watched(entry, *_position(log, request.fetch_offset)), bound)
        limit = request.partition_max_bytes
        return limit if size is None else min(size, limit)

    def visible_end(self, isolation: int) -> int:
        """How far a reader sees."""
        if isolation == HIGH_WATERMARK:
            return self.log.high_watermark
        if isolation == TXN_COMMITTED:
            return self.log.last_stable_offset
        return self.log.log_end_offset

    def _wake_fetches(self) -> None:
        for wait in list(self._fetches):
            wait.wake()

    # Reading

    def local_log(self, current_leader_epoch: int, *, only_leader: bool) -> PartitionLog:
        """The log, if the epoch that the client believes in is ours."""
        state = self.state
        if current_leader_epoch != state.leader_epoch:
            state.check_epoch(current_leader_epoch)
        if only_leader and not state.is_leader:
            self.require_leader()
        return self.log

    # Followers

    def follower_fetched(
        self, node_id: NodeId, broker_epoch: int, request: FetchPartition, leader_end: int
    ) -> None:
        """A replica has fetched, nothing diverged, and ``leader_end`` was our end before."""
        shared = self._shared
        state = self.state
        brokers = shared.images.current.brokers
        follower = state.follower(node_id, request.current_leader_epoch)
        state.check_broker_epoch(node_id, broker_epoch, brokers)
        had = follower.log_end_offset
        follower.fetched(
            request.fetch_offset,
            request.log_start_offset,
            leader_end,
            shared.clock.monotonic_ms(),
            broker_epoch,
        )
        if node_id not in state.isr:
            self._expand_isr(node_id)
        if follower.log_end_offset != had:
            self._advance()
        self._records_deleted()

    def is_held_back(self, replica_id: NodeId) -> bool:
        """Whether that follower is to be sent nothing now (KIP-73). Consumers' id is negative."""
        throttles = self._shared.throttles
        return replica_id >= 0 and throttles is not None and throttles.holds_back(self, replica_id)

    @property
    def counts_as_throttled(self) -> bool:
        """Whether what followers are sent of it counts against this leader's quota."""
        throttles = self._shared.throttles
        return throttles is not None and throttles.is_throttled_leader(self)

    # The ISR

    def _expand_isr(self, node_id: NodeId) -> bool:
        shared = self._shared
        updates = shared.isr_updates
        if updates is None:
            return False
        change = self.state.propose_expansion(
            node_id, self.log.high_watermark, shared.images.current.brokers, updates.broker_epoch()
        )
        if change is not None:
            updates.send(self, change)
        return change is not None

    def shrink_isr(self, max_lag_ms: int) -> None:
        """Ask for an ISR without those that have lagged behind for too long."""
        updates = self._shared.isr_updates
        if updates is None or len(self.state.isr) <= 1:
            return
        now_ms = self._shared.clock.monotonic_ms()
        change = self.state.propose_shrink(
            self.log.log_end_offset, now_ms, max_lag_ms, updates.broker_epoch()
        )
        if change is not None:
            updates.send(self, change)

    def isr_changed(
        self, change: IsrChange, isr: frozenset[NodeId], leader_epoch: int, partition_epoch: int
    ) -> None:
        """What the controller answered. The caller runs the wakeups."""
        if self.state.isr_changed(change, isr, leader_epoch, partition_epoch):
            self.isr_settled()

    def isr_refused(self, change: IsrChange, code: ErrorCode) -> bool:
        """True: ask again. The caller runs the wakeups."""
        if self.state.isr_refused(change, code):
            return True
        if self.state.is_leader and self.state.pending is None:
            self._advance()
        return False

    def isr_settled(self) -> None:
        """Nothing is pending any more: who waited for that to join does not wait for its next
        fetch as well."""
        self._advance()
        state = self.state
        waiting = [
            node
            for node, follower in state.followers.items()
            if node not in state.isr and follower.last_fetch_ms is not None
        ]
        if not waiting:
            return
        end = self.log.log_end_offset
        now_ms = self._shared.clock.monotonic_ms()
        max_lag_ms = self._shared.settings.current.int("replica.lag.time.max.ms")
        for node in waiting:
            # Who has just been put out would be let in for an old fetch else.
            if state.followers[node].is_caught_up(end, now_ms, max_lag_ms) and self._expand_isr(
                node
            ):
                break

    # Deleting records

    def delete_records(self, offset: int) -> int:
        """Forget records below ``offset``, -1 being the high watermark; the offset meant."""
        self.require_leader()
        log = self.log
        if not log.config.cleanup_delete and log.config.cleanup_compact:
            raise KafkaError(
                ErrorCode.POLICY_VIOLATION,
                f"Records of partition {self.topic_partition} can not be deleted due to the "
                "configured policy",
            )
        if offset == -1:
            offset = log.high_watermark
        if offset < 0:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"The offset {offset} for partition {self.topic_partition} is not valid",
            )
        if log.advance_log_start_offset(offset):
            self._records_deleted()
        return offset

    def low_watermark(self) -> int:
        low = self.log.log_start_offset
        if self.state.followers:
            low = self.state.low_watermark(low, self._shared.images.current.brokers)
        if self.future_log is not None:
            low = min(low, self.future_log.log_start_offset)
        return low

    def _records_deleted(self) -> None:
        """Some replica may have deleted records."""
        if self._deletions.waiting:
            self._deletions.reached(self.low_watermark())

    def when_deleted(self, offset: int, callback: Outcome) -> Callable[[], None]:
        """As ``when_committed``, for the low watermark."""
        if not self.state.is_leader:
            callback(ErrorCode.NOT_LEADER_OR_FOLLOWER)
            return _nothing
        if self.low_watermark() >= offset:
            callback(ErrorCode.NONE)
            return _nothing
        return self._deletions.add(offset, callback)

    # Elections. The caller runs the wakeups.

    def lead(self, image: PartitionImage) -> bool:
        """True when a new epoch begins."""
        log = self._closed_log
        state = self.state
        end = log.log_end_offset if log.is_loaded else None
        if not state.lead(image, end, self._shared.clock.monotonic_ms()):
            if log.is_loaded and state.is_leader:
                self.isr_settled()
            return False
        log.begin_epoch(state.leader_epoch)
        if log.is_loaded:
            self._interrupt(ErrorCode.NOT_LEADER_OR_FOLLOWER)
            self._advance()
        return True

    def follow(self, image: PartitionImage) -> bool:
        """True when a new epoch begins: whoever waited for the old one is told."""
        if not self.state.follow(image):
            return False
        self._interrupt(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        return True

    def brokers_changed(self) -> None:
        """Followers may have been fenced, or let in again."""
        if self.state.followers and self._closed_log.is_loaded:
            self._advance()
            self._records_deleted()

    def configure(self, config: LogConfig) -> None:
        log = self._closed_log
        log.config = config
        if self.future_log is not None:
            self.future_log.config = config
        if log.is_loaded and self.state.is_leader:
            self._advance()

    def log_moved(self, log: PartitionLog) -> None:
        """``log`` holds the same in another directory; it is the log from now on."""
        self._closed_log.on_synced = None
        self._closed_log = self.log = log
        self.future_log = None
        log.on_synced = self._synced
        # Where they wait was said in places of the old log.
        self._wake_fetches()
        if self.state.is_leader:
            self._advance()
        self._records_deleted()

    def end(self, code: ErrorCode) -> None:
        """This broker holds the partition no longer, or can no longer reach its log."""
        self.state = ReplicaState(self._shared.node_id)
        self._interrupt(code)

    def _interrupt(self, code: ErrorCode) -> None:
        self._commits.interrupt(code)
        self._deletions.interrupt(code)
        self._wake_fetches()


def _position(log: PartitionLog, offset: int) -> tuple[int, int]:
    """(base offset of the segment, position in it) where the batch with ``offset`` begins."""
    if not log.segments:
        return log.log_end_offset, 0
    segment = log.segments[max(log.segment_index(offset), 0)]
    return segment.base_offset, segment.size if offset >= log.log_end_offset else segment.locate(
        offset
    )


def _available(log: PartitionLog, watched: Watched, bound: int) -> int | None:
    """Bytes from where a fetch begins to ``bound``; None if they span segments."""
    segment = log.segments[-1]
    if segment.base_offset != watched.base_offset:
        return None
    end = segment.size if bound >= log.log_end_offset else segment.locate(bound)
    return end - watched.position


def _nothing() -> None:
    pass


class UnopenedPartition(Partition):
    """The log is opened by its first use: a broker with thousands of partitions starts at once.
    From then on this is a Partition: in a class with ``__getattr__`` every attribute is slow."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name != "log":
            raise AttributeError(name)
        return self._open()

    def _open(self) -> PartitionLog:
        log = self._closed_log
        try:
            log.load()
        except OSError as error:
            log.fail(error)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        self.__class__ = Partition  # type: ignore[assignment]
        self.log = log
        log.on_synced = self._synced
        self.state.log_opened(log.log_end_offset)
        if self.state.is_leader:
            self._advance()
        return log
