"""Every partition this broker holds, kept in line with the metadata image.

``apply`` runs within the change of the image, before anybody reads the new one: the table below
and ``images.current`` always speak of the same cluster. Partitions are known by topic id; a topic
deleted and made again under its name is another topic.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pykbroker.config.topic import log_config
from pykbroker.log import get_logger
from pykbroker.runtime.log_dir_moves import LogDirMoves
from pykbroker.runtime.purgatory import Counts, Wakeups
from pykbroker.state.errors import KafkaError
from pykbroker.state.topic_names import MAX_TOPIC_NAME_LENGTH
from pykbroker.state.types import TopicId, TopicPartition
from wire.errors import ErrorCode
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.config.topic import LogConfig
    from pykbroker.ports import Clock
    from pykbroker.runtime.fetching import Reading
    from pykbroker.runtime.metadata import Images
    from pykbroker.runtime.partition import Partition, Surroundings
    from pykbroker.runtime.replication import Replication
    from pykbroker.runtime.shared_answers import SharedAnswers
    from pykbroker.runtime.storage.directory import LogDirectory
    from pykbroker.runtime.storage.log import PartitionLog
    from pykbroker.runtime.storage.manager import LogManager
    from pykbroker.runtime.traffic import Traffic
    from pykbroker.state.controller.image import (
        BrokerImage,
        MetadataDelta,
        MetadataImage,
        TopicImage,
    )
    from pykbroker.state.fetch_session import FetchEntry, TopicKey
    from pykbroker.state.types import NodeId

logger = get_logger("pykbroker.runtime.replica_manager")

TOPIC_RESOURCE = 2
_NO_PARTITIONS: Mapping[int, Partition] = {}


class LeadershipListener(Protocol):
    def on_elected(self, index: int, partition: Partition, leader_epoch: int) -> None: ...

    def on_resigned(self, index: int) -> None: ...


class ReplicaManager:
    def __init__(
        self,
        *,
        node_id: NodeId,
        clock: Clock,
        settings: DynamicSettings,
        images: Images,
        logs: LogManager,
    ) -> None:
        self.node_id = node_id
        self.logs = logs
        self.wakeups = Wakeups()
        self.counts = Counts()
        self._clock = clock
        self._images = images
        self._settings = settings
        self._by_id: dict[TopicId, dict[int, Partition]] = {}
        self._by_name: dict[str, dict[int, Partition]] = {}
        """The same inner tables."""
        self._offline: set[tuple[TopicId, int]] = set()
        """Ours, but their log directory has failed."""
        self._is_starting = True
        """Until the first metadata: who is in them may have had a log before."""
        self._listeners: dict[str, list[LeadershipListener]] = {}
        self._moves = LogDirMoves(logs, clock, settings, logs.workers, self.wakeups)
        self._wanted_directories: dict[TopicPartition, str] = {}
        """Where partitions shall lie that are not here yet."""
        self._make_replication: Callable[[], Replication] | None = None
        self.replication: Replication | None = None
        """Once a partition has replicas elsewhere."""
        settings.on_change(self._settings_changed)
        logs.on_directory_failed = self._directory_failed

    @cached_property
    def traffic(self) -> Traffic:
        """From the first partition on, as what partitions share."""
        from pykbroker.runtime.traffic import Traffic

        return Traffic()

    @cached_property
    def shared_answers(self) -> SharedAnswers:
        from pykbroker.runtime.shared_answers import SharedAnswers

        return SharedAnswers()

    @cached_property
    def _shared(self) -> Surroundings:
        """From the first partition on: a broker that holds none starts without the code."""
        from pykbroker.runtime.partition import Surroundings

        return Surroundings(
            self.node_id, self._clock, self._settings, self._images, self.wakeups, self.traffic
        )

    # Looking up

    def leader(self, topic_partition: TopicPartition) -> Partition:
        """Or KafkaError: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER or
        KAFKA_STORAGE_ERROR."""
        partition = self.hosted(topic_partition)
        partition.require_leader()
        return partition

    def hosted(self, topic_partition: TopicPartition) -> Partition:
        """As leader or follower."""
        name, index = topic_partition
        table = self._by_name.get(name)
        partition = table.get(index) if table else None
        if partition is None:
            raise self._absent(self._images.current.topics.get(name), index)
        return partition

    def leader_by_id(self, topic_id: TopicId, index: int) -> Partition:
        """As ``leader``, or UNKNOWN_TOPIC_ID."""
        partition = self.hosted_by_id(topic_id, index)
        state = partition.state
        if state.leader != state.node_id:
            partition.require_leader()
        return partition

    def hosted_by_id(self, topic_id: TopicId, index: int) -> Partition:
        table = self._by_id.get(topic_id)
        partition = table.get(index) if table else None
        if partition is None:
            topic = self._images.current.topic_by_id(topic_id)
            if topic is None:
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
            raise self._absent(topic, index)
        return partition

    def fetched(self, entry: FetchEntry) -> Partition:
        """The partition that a fetch means, or KafkaError. A session may know the name of an id
        that is a topic's no more."""
        key = entry.key
        if isinstance(key, str):
            return self.hosted(TopicPartition(key, entry.partition))
        try:
            return self.hosted_by_id(TopicId(key), entry.partition)
        except KafkaError as error:
            if error.code is not ErrorCode.UNKNOWN_TOPIC_ID or entry.topic is None:
                raise
            topic = self._images.current.topics.get(entry.topic)
            if topic is None or entry.partition >= len(topic.partitions):
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) from None
            raise KafkaError(ErrorCode.INCONSISTENT_TOPIC_ID) from None

    def table(self, key: TopicKey) -> Mapping[int, Partition]:
        """Those of a topic, by index."""
        tables: Mapping[Any, dict[int, Partition]] = (
            self._by_name if isinstance(key, str) else self._by_id
        )
        return tables.get(key, _NO_PARTITIONS)

    def find(self, topic_partition: TopicPartition) -> Partition | None:
        table = self._by_name.get(topic_partition.topic)
        return table.get(topic_partition.partition) if table else None

    def _absent(self, topic: TopicImage | None, index: int) -> KafkaError:
        if topic is None or not 0 <= index < len(topic.partitions):
            return KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if (topic.topic_id, index) in self._offline:
            return KafkaError(
                ErrorCode.KAFKA_STORAGE_ERROR,
                f"Partition {topic.name}-{index} is in an offline log directory",
            )
        return KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def partitions(self) -> Iterator[Partition]:
        """Those that are in service."""
        for table in self._by_id.values():
            yield from table.values()

    @property
    def brokers(self) -> Mapping[NodeId, BrokerImage]:
        return self._images.current.brokers

    def now_ms(self) -> int:
        return self._clock.monotonic_ms()

    @property
    def offline_count(self) -> int:
        return len(self._offline)

    # Following the metadata

    def add_leadership_listener(self, topic_name: str, listener: LeadershipListener) -> None:
        """Listeners of a topic are called in the order in which they came; this one at once for
        what is led already."""
        self._listeners.setdefault(topic_name, []).append(listener)
        for index, partition in self._by_name.get(topic_name, {}).items():
            if partition.is_leader:
                listener.on_elected(index, partition, partition.leader_epoch)

    def apply(self, delta: MetadataDelta) -> None:
        """Deletions first: the same name may be back as another topic."""
        after = delta.after
        for topic_id, name in delta.topics_deleted.items():
            self._delete_topic(topic_id, name)
        elected: list[Partition] = []
        for name in (*delta.topics_created, *delta.topics_changed):
            self._apply_topic(after.topics[name], after, elected)
        for resource in delta.configs_changed:
            if resource.type == TOPIC_RESOURCE:
                self._configure(resource.name, after)
        if delta.brokers_changed:
            for partition in self.partitions():
                partition.brokers_changed()
        for partition in elected:
            self._announce(partition)
        self._is_starting = False
        self.wakeups.run()

    def _apply_topic(
        self, topic: TopicImage, image: MetadataImage, elected: list[Partition]
    ) -> None:
        table = self._by_id.get(topic.topic_id)
        config: LogConfig | None = None
        for index, decided in enumerate(topic.partitions):
            partition = table.get(index) if table else None
            if self.node_id not in decided.replicas:
                if partition is not None:
                    self._drop(partition, ErrorCode.NOT_LEADER_OR_FOLLOWER)
                self._offline.discard((topic.topic_id, index))
                continue
            if partition is None:
                if (topic.topic_id, index) in self._offline:
                    continue
                config = config or self._config(topic.name, image)
                partition = self._create(topic, index, config)
                if partition is None:
                    continue
                table = self._by_id[topic.topic_id]
            elif decided.partition_epoch <= partition.state.partition_epoch:
                continue
            was_leader = partition.is_leader
            if decided.leader == self.node_id:
                if partition.lead(decided):
                    elected.append(partition)
            elif partition.follow(decided) and was_leader:
                self._resigned(partition)
            self._replicate(partition)

    def replicate(self, make: Callable[[], Replication]) -> None:
        """From now on partitions that have replicas elsewhere are kept in step with them; ``make``
        is called with the first of them."""
        self._make_replication = make
        for partition in list(self.partitions()):
            self._replicate(partition)

    def stop_replicating(self) -> None:
        """The logs are about to be closed: nothing that is still to come goes into them."""
        replication, self.replication = self.replication, None
        self._make_replication = self._shared.isr_updates = self._shared.throttles = None
        if replication is not None:
            for partition in self.partitions():
                replication.followers.unfollow(partition)

    def _replicate(self, partition: Partition) -> None:
        replication = self.replication
        if replication is None:
            if self._make_replication is None or len(partition.state.replicas) < 2:
                return
            replication = self.replication = self._make_replication()
            self._shared.isr_updates = replication.isr_updates
            self._shared.throttles = replication.throttles
        replication.followers.follow(partition)

    def replicated_out(self, reading: Reading) -> None:
        """What a follower is about to be sent."""
        self.traffic.replicated_out += reading.size
        self.traffic.reassigned_out += reading.reassigned_size
        if reading.throttled_size and self._shared.throttles is not None:
            self._shared.throttles.sent(reading.throttled_size)

    def _config(self, name: str, image: MetadataImage) -> LogConfig:
        return log_config(self._settings.current, image.config_of(TOPIC_RESOURCE, name))

    def _create(self, topic: TopicImage, index: int, config: LogConfig) -> Partition | None:
        from pykbroker.runtime.partition import Partition

        topic_partition = TopicPartition(topic.name, index)
        try:
            if self._is_starting and self.logs.may_have_lost(topic_partition):
                raise KafkaError(
                    ErrorCode.KAFKA_STORAGE_ERROR, "it may be in a log directory that has failed"
                )
            log = self.logs.get_or_create(
                topic_partition,
                topic.topic_id,
                config,
                directory=self._wanted_directory(topic_partition),
            )
        except KafkaError as error:
            logger.error("partition is offline", partition=str(topic_partition), reason=str(error))
            self._offline.add((topic.topic_id, index))
            return None
        partition = Partition(topic_partition, topic.topic_id, log, self._shared)
        table = self._by_id.get(topic.topic_id)
        if table is None:
            table = self._by_id[topic.topic_id] = self._by_name[topic.name] = {}
        table[index] = partition
        self._moves.resume(partition)
        return partition

    def _wanted_directory(self, topic_partition: TopicPartition) -> LogDirectory | None:
        path = self._wanted_directories.pop(topic_partition, None)
        live = self.logs.live_directories()
        return next((d for d in live if d.path == path), None) if path else None

    def _delete_topic(self, topic_id: TopicId, name: str) -> None:
        for partition in list(self._by_id.get(topic_id, {}).values()):
            self._drop(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        self.traffic.topic_deleted(name)
        self._offline = {key for key in self._offline if key[0] != topic_id}

    def _drop(self, partition: Partition, code: ErrorCode) -> None:
        """This broker is to hold it no longer: its log is deleted."""
        self._forget(partition, code)
        self.logs.delete(partition.topic_partition)

    def _forget(self, partition: Partition, code: ErrorCode) -> None:
        table = self._by_id[partition.topic_id]
        del table[partition.topic_partition.partition]
        if not table:
            del self._by_id[partition.topic_id]
            del self._by_name[partition.topic_partition.topic]
        was_leader = partition.is_leader
        self.shared_answers.forget(partition)
        self._moves.forget(partition)
        if self.replication is not None:
            self.replication.followers.unfollow(partition)
        partition.end(code)
        if was_leader:
            self._resigned(partition)

    def _announce(self, partition: Partition) -> None:
        name, index = partition.topic_partition
        for listener in self._listeners.get(name, ()):
            listener.on_elected(index, partition, partition.leader_epoch)

    def _resigned(self, partition: Partition) -> None:
        name, index = partition.topic_partition
        for listener in self._listeners.get(name, ()):
            listener.on_resigned(index)

    # Settings

    def _configure(self, name: str, image: MetadataImage) -> None:
        table = self._by_name.get(name)
        if not table:
            return
        config = self._config(name, image)
        for partition in table.values():
            partition.configure(config)

    def _settings_changed(self, names: frozenset[str]) -> None:
        """Every topic's settings fall back on the broker's."""
        from pykbroker.config.resource_tables import TOPIC

        if not names.isdisjoint(e for n in TOPIC.names() for e in TOPIC[n].extras):
            for name in self._by_name:
                self._configure(name, self._images.current)
            self.wakeups.run()

    # Log directories

    def move(self, topic_partition: TopicPartition, path: str) -> None:
        """Begin to move a partition's log, or KafkaError: LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR,
        REPLICA_NOT_AVAILABLE (a replica that comes later will lie there), or
        INVALID_TOPIC_EXCEPTION for a name too long for a directory."""
        if len(topic_partition.topic) > MAX_TOPIC_NAME_LENGTH:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, "The topic name is too long.")
        directory = next((d for d in self.logs.directories if d.path == path), None)
        if directory is None:
            raise KafkaError(
                ErrorCode.LOG_DIR_NOT_FOUND, f"Log directory {path} is not found in the config"
            )
        if directory.is_failed:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"Log directory {path} is offline")
        try:
            partition = self.hosted(topic_partition)
        except KafkaError as error:
            if error.code is ErrorCode.NOT_LEADER_OR_FOLLOWER:
                self._wanted_directories[topic_partition] = path
                raise KafkaError(ErrorCode.REPLICA_NOT_AVAILABLE, error.message) from None
            raise
        self._moves.request(partition, path)

    async def run(self) -> None:
        """What goes on beside requests, until cancelled."""
        await self._moves.run()

    def _directory_failed(self, directory: str, lost_logs: list[PartitionLog]) -> None:
        """What lies there is out of service until the broker starts again."""
        lost = [p for p in self.partitions() if p.stored_log in lost_logs]
        for partition in self.partitions():
            if partition.future_log in lost_logs:
                self._moves.forget(partition)
        for partition in lost:
            self._offline.add((partition.topic_id, partition.topic_partition.partition))
            self._forget(partition, ErrorCode.KAFKA_STORAGE_ERROR)
        logger.error("log directory failed", directory=directory, partitions=len(lost))
        # This may be the middle of an append: whoever waits hears of it when that is over.
        self._clock.call_at(self._clock.monotonic_ms(), self.wakeups.run)
