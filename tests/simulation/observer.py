"""What must hold at every step, whoever fails when.

- Every leader epoch of a partition has one leader at most; epochs never go back.
- What any leader has ever called committed (below its high watermark) is on every registered
  member of the true ISR, byte for byte, and stays there.
- The high watermark of a leader never falls; a follower's progress counts in its epoch alone.
- A leader is elected from the ISR or the ELR of before.
- What a producer with acks=all is told, and what a consumer reads, is committed.

The rules are checked where the state changes: the methods through which logs and leaderships
change are watched, so that nothing needs to be compared in between.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pykbroker.runtime.partition import Partition
from pykbroker.runtime.storage.log import PartitionLog
from pykbroker.state.controller.facts import decode_value
from pykbroker.state.controller.replay import Replay
from pykbroker.state.types import NO_LEADER
from wire.records.batch import iter_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pykbroker.ports import StoreUpdate
    from pykbroker.state.controller.image import MetadataDelta, MetadataImage, PartitionImage
    from pykbroker.state.types import TopicId
    from tests.simulation.cluster import Cluster, Node
    from tests.simulation.loop import Life

    Key = tuple[TopicId, int]

READ_BYTES = 1 << 20


class Batch(NamedTuple):
    """What makes a batch at an offset the same batch on another replica."""

    next_offset: int
    leader_epoch: int
    crc: int


class Committed:
    """One partition, as the cluster must agree on it."""

    def __init__(self) -> None:
        self.batches: dict[int, Batch] = {}
        self.end = 0
        self.leaders: dict[int, int] = {}
        """Leader epoch -> who believed to lead in it."""


class Held:
    """One partition on one life of a broker."""

    def __init__(self, partition: Partition, node: Node, key: Key) -> None:
        self.partition = partition
        self.log = partition.stored_log
        self.node = node
        self.life = node.life
        self.key = key
        self.verified = 0
        """The log agrees with what is committed up to here."""
        self.leader_epoch = -1


class Observer:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.truth = Replay()
        self.committed: dict[Key, Committed] = {}
        self.checks = 0
        self.elections = 0
        self.unclean_topics: set[str] = set()
        self.watchers: list[Callable[[MetadataImage], None]] = []
        """Told of every change of the metadata."""
        self._incarnations: dict[Life, bytes] = {}
        self._held: dict[PartitionLog, Held] = {}
        self._by_key: dict[tuple[Key, int], Held] = {}
        cluster.on_store_change = self.store_changed

    def fail(self, what: str) -> None:
        self.cluster.fail(what)

    def key_of(self, topic: str, partition: int) -> Key | None:
        image = self.truth.image.topics.get(topic)
        return None if image is None else (image.topic_id, partition)

    def partition(self, key: Key) -> PartitionImage | None:
        topic = self.truth.image.topic_by_id(key[0])
        return None if topic is None else topic.partitions[key[1]]

    def leads(self, topic: str, partition: int, leader: tuple[int, int]) -> bool:
        """Whether the cluster has that leader in that epoch."""
        image = self.truth.image.topics[topic].partitions[partition]
        return (image.leader, image.leader_epoch) == leader

    def name(self, key: Key) -> str:
        return f"{self.truth.image.topic_names.get(key[0], key[0].hex())}-{key[1]}"

    # The controller's decisions

    def store_changed(self, update: StoreUpdate) -> None:
        delta = self.truth.apply(update)
        before, after = delta.before, delta.after
        if after.controller_epoch < before.controller_epoch:
            self.fail(f"controller epoch {after.controller_epoch} after {before.controller_epoch}")
        for name in delta.topics_changed:
            old, new = before.topics[name], after.topics[name]
            for index, partition in enumerate(new.partitions):
                if index < len(old.partitions) and old.partitions[index] is not partition:
                    self._partition_changed((new.topic_id, index), old.partitions[index], partition)
        self._isrs_changed(delta)
        for watcher in self.watchers:
            watcher(after)

    def _partition_changed(self, key: Key, old: PartitionImage, new: PartitionImage) -> None:
        name = self.name(key)
        if new.partition_epoch <= old.partition_epoch or new.leader_epoch < old.leader_epoch:
            self.fail(f"{name}: epochs went back: {old} {new}")
        if new.leader != NO_LEADER and new.leader not in new.isr:
            self.fail(f"{name}: the leader is not in sync: {new}")
        if new.leader == old.leader:
            return
        self.elections += 1
        if new.leader_epoch == old.leader_epoch:
            self.fail(f"{name}: another leader in the same epoch: {old} {new}")
        if new.leader == NO_LEADER or new.leader in (*old.isr, *old.elr):
            return
        if self.truth.image.topic_names[key[0]] in self.unclean_topics:
            return
        if new.partition_epoch > old.partition_epoch + 1 and new.leader in new.isr:
            return  # It joined the ISR in the same transaction; whether rightly, check_isr says.
        if (old.adding or old.removing) and not (new.adding or new.removing):
            return  # It joined the ISR with the end of a move; whether rightly, check_isr says.
        # Nobody is left who surely holds everything: the one who led last has the most.
        lost_tail = set(old.isr) | set(old.elr) <= set(old.replicas) - {new.leader, *new.elr}
        if new.leader not in old.last_known_elr or not lost_tail:
            self.fail(f"{name}: elected from outside the ISR: {old} {new}")

    def _isrs_changed(self, delta: MetadataDelta) -> None:
        for name in (*delta.topics_created, *delta.topics_changed):
            topic = delta.after.topics[name]
            for index in range(len(topic.partitions)):
                self.check_isr((topic.topic_id, index))
        if delta.brokers_changed:
            for key in self.committed:
                self.check_isr(key)

    def is_registered(self, node: Node) -> bool:
        """The cluster counts on this very life of the broker."""
        live = self.truth.live.get(node.number)
        known = self.truth.image.brokers.get(node.number)
        return (
            node.life is not None
            and live is not None
            and known is not None
            and known.epoch == live.epoch
            and live.record.incarnation_id == self._incarnation(node.life)
        )

    def _incarnation(self, life: Life) -> bytes:
        """As this life announced itself to the store, whether or not that arrived."""
        if not life.announced:
            return b""
        found = self._incarnations.get(life)
        if found is None:
            record: Any = decode_value("/brokers/0", life.announced)
            found = self._incarnations[life] = record.incarnation_id
        return found

    # The brokers' state

    def leadership(self, partition: Partition) -> None:
        """After ``partition`` began to lead or to follow, or heard of another ISR."""
        held = self._held_by(partition.stored_log, partition)
        if held is None:
            return
        state = partition.state
        if state.leader_epoch < held.leader_epoch:
            self.fail(f"{held.node.host} {self.name(held.key)}: leader epoch went back")
        held.leader_epoch = state.leader_epoch
        if not state.is_leader:
            return
        leaders = self._committed(held.key).leaders
        known = leaders.setdefault(state.leader_epoch, held.node.number)
        if known != held.node.number:
            self.fail(
                f"{self.name(held.key)}: epoch {state.leader_epoch} is led by {known} and "
                f"{held.node.number}"
            )
        if held.log.is_loaded:
            self._is_committed(held, held.log.high_watermark)

    def progress(self, partition: Partition, follower: int, leader_epoch: int) -> None:
        """A fetch is about to count: its sender must follow in this very epoch, or what it says
        that it holds may be what it still has to cut off."""
        held = self._held.get(partition.stored_log)
        if held is None or held.life is None or held.life.is_dead:
            return
        if leader_epoch != partition.leader_epoch:
            self.fail(
                f"{held.node.host} {self.name(held.key)}: in epoch {partition.leader_epoch} a "
                f"fetch of broker {follower} in epoch {leader_epoch} counts"
            )

    def high_watermark(self, log: PartitionLog, before: int) -> None:
        held = self._held_by(log)
        if held is None:
            return
        after = log.high_watermark
        where = f"{held.node.host} {self.name(held.key)}"
        if held.partition.is_leader:
            if after < before:
                self.fail(f"{where}: high watermark {after} after {before}")
            self._is_committed(held, after)
            return
        end = self._committed(held.key).end
        self._verify(held, min(after, end))
        if after > end:
            self.fail(f"{where}: high watermark {after}, and {end} is the highest of any leader")

    def _is_committed(self, held: Held, after: int) -> None:
        """So says a leader."""
        committed = self._committed(held.key)
        self._verify(held, min(after, committed.end))
        if after > committed.end:
            for offset, batch in self._read(held.log, committed.end, after):
                committed.batches[offset] = batch
                committed.end = batch.next_offset
            held.verified = committed.end
            if committed.end != after:
                self.fail(f"{self.name(held.key)}: {after} is not the end of a batch")
            self.cluster.trace.note("committed", self.name(held.key), after)
            self.check_isr(held.key)

    def truncated(self, log: PartitionLog, offset: int) -> None:
        held = self._held_by(log)
        if held is None:
            return
        held.verified = min(held.verified, offset)
        self.cluster.trace.note("truncated", held.node.host, self.name(held.key), offset)
        if offset < self._committed(held.key).end:
            self.check_isr(held.key)

    def check_isr(self, key: Key) -> None:
        """Every member of the true ISR holds everything committed."""
        committed = self.committed.get(key)
        partition = self.partition(key)
        if committed is None or partition is None:
            return
        for number in partition.isr:
            node = self.cluster.node(number)
            held = self._by_key.get((key, number))
            if held is None or held.life is not node.life or not held.log.is_loaded:
                continue
            if not self.is_registered(node):
                continue
            if held.log.log_end_offset < committed.end:
                self.fail(
                    f"{node.host} {self.name(key)}: is in sync, ends at "
                    f"{held.log.log_end_offset}, committed is {committed.end}: {partition}"
                )
                return
            self._verify(held, committed.end)

    def _verify(self, held: Held, end: int) -> None:
        if held.verified >= end:
            return
        committed = self._committed(held.key)
        for offset, batch in self._read(held.log, held.verified, end):
            self.checks += 1
            if offset != held.verified or committed.batches.get(offset) != batch:
                self.fail(
                    f"{held.node.host} {self.name(held.key)}: at "
                    f"{held.verified} another batch, {offset}: "
                    f"{batch}, committed is {committed.batches.get(offset)}"
                )
                return
            held.verified = batch.next_offset

    def _read(self, log: PartitionLog, offset: int, end: int) -> Iterator[tuple[int, Batch]]:
        while offset < end:
            data = log.read(offset, READ_BYTES, upper_bound=end, min_one_batch=True).records
            progress = offset
            for _, header in iter_headers(data):
                if header.base_offset >= end:
                    return
                offset = header.next_offset
                yield (
                    header.base_offset,
                    Batch(offset, header.partition_leader_epoch, header.crc),
                )
            if offset == progress:
                return

    def _committed(self, key: Key) -> Committed:
        found = self.committed.get(key)
        if found is None:
            found = self.committed[key] = Committed()
        return found

    def _held_by(self, log: PartitionLog, partition: Partition | None = None) -> Held | None:
        held = self._held.get(log)
        if held is None and partition is not None:
            node = self.cluster.node(partition.state.node_id)
            if node.life is None:
                return None
            key = (partition.topic_id, partition.topic_partition.partition)
            held = self._held[log] = self._by_key[key, node.number] = Held(partition, node, key)
        if held is None or held.life is None or held.life.is_dead:
            return None
        return held

    # The clients' history

    def acked(self, key: Key, base_offset: int, count: int, crc: int) -> None:
        """A producer was told that acks=all is fulfilled."""
        committed = self._committed(key)
        if base_offset + count > committed.end:
            self.fail(f"{self.name(key)}: {base_offset} acknowledged before it is committed")
            return
        batch = committed.batches.get(base_offset)
        if batch is None or batch.crc != crc:
            self.fail(f"{self.name(key)}: {base_offset} acknowledged, and another batch is there")

    def consumed(self, key: Key, data: Any) -> int:
        """A consumer was given these; where they end."""
        committed = self._committed(key)
        end = -1
        for _, header in iter_headers(data):
            batch = Batch(header.next_offset, header.partition_leader_epoch, header.crc)
            if committed.batches.get(header.base_offset) != batch:
                self.fail(f"{self.name(key)}: {header.base_offset} was read and is not committed")
            end = header.next_offset
        return end


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Watch every partition and log of this interpreter."""
    originals = {
        (Partition, "lead"): Partition.lead,
        (Partition, "follow"): Partition.follow,
        (Partition, "follower_fetched"): Partition.follower_fetched,
        (PartitionLog, "update_high_watermark"): PartitionLog.update_high_watermark,
        (PartitionLog, "truncate_to"): PartitionLog.truncate_to,
        (PartitionLog, "truncate_fully_and_start_at"): PartitionLog.truncate_fully_and_start_at,
    }
    has_own = {key: key[1] in vars(key[0]) for key in originals}
    lead, follow, fetched, update, truncate, restart = originals.values()

    def watched_lead(self: Partition, *args: Any, **options: Any) -> Any:
        result = lead(self, *args, **options)
        observer.leadership(self)
        return result

    def watched_follow(self: Partition, *args: Any, **options: Any) -> Any:
        result = follow(self, *args, **options)
        observer.leadership(self)
        return result

    def watched_fetch(
        self: Partition, node_id: int, broker_epoch: int, request: Any, *args: Any, **options: Any
    ) -> Any:
        observer.progress(self, node_id, request.current_leader_epoch)
        return fetched(self, node_id, broker_epoch, request, *args, **options)

    def watched_update(self: PartitionLog, *args: Any, **options: Any) -> Any:
        before = self.high_watermark
        result = update(self, *args, **options)
        if self.high_watermark != before:
            observer.high_watermark(self, before)
        return result

    def watched_truncate(self: PartitionLog, *args: Any, **options: Any) -> Any:
        before = self.log_end_offset
        result = truncate(self, *args, **options)
        if self.log_end_offset < before:
            observer.truncated(self, self.log_end_offset)
        return result

    def watched_restart(self: PartitionLog, *args: Any, **options: Any) -> Any:
        result = restart(self, *args, **options)
        observer.truncated(self, 0)
        return result

    watched = (
        watched_lead,
        watched_follow,
        watched_fetch,
        watched_update,
        watched_truncate,
        watched_restart,
    )
    for (cls, name), function in zip(originals, watched, strict=True):
        setattr(cls, name, function)
    try:
        yield
    finally:
        for (cls, name), original in originals.items():
            if has_own[cls, name]:
                setattr(cls, name, original)
            else:
                delattr(cls, name)
