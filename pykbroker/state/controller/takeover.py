"""What Apache Kafka's metadata log says, replayed, and said again as facts of one broker.

``apply`` takes the records in the order of the log. ``changes`` gives what the metadata store of
the new cluster shall hold: the same topics, ids, settings, quotas and next producer id, with every
partition on the one broker. That broker stands there as one that led everything and is gone: what
it must prove to lead again, and what happens if it cannot, is as after any stop.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.image import ConfigResource, QuotaEntity
from pykbroker.state.controller.keys import (
    CLUSTER_ID,
    PRODUCER_IDS,
    config_key,
    partition_key,
    quota_key,
    registration_key,
    topic_key,
)
from pykbroker.state.types import NodeId, TopicId
from wire.messages.metadata_records import (
    AbortTransactionRecord,
    AccessControlEntryRecord,
    BeginTransactionRecord,
    ClearElrRecord,
    ClientQuotaRecord,
    ConfigRecord,
    DelegationTokenRecord,
    EndTransactionRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord,
    RemoveTopicRecord,
    RemoveUserScramCredentialRecord,
    TopicRecord,
    UserScramCredentialRecord,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wire.schema import Record

WITHOUT_MEANING_HERE = frozenset((0, 1, 7, 8, 12, 17, 20, 21, 27))
"""Types of records about brokers, controllers, features and nothing: they need not be readable."""
IMPORTED_EPOCH = 1
"""The broker epoch of the Kafka broker in the new store: below all that the store will give."""
NO_LEADER_CHANGE = -2
_TOPIC, _BROKER, _CLIENT_METRICS, _GROUP = 2, 4, 16, 32


class Refused(Exception):
    """What is there cannot be taken over by one broker. The message is one line."""


class KafkaMetadata:
    def __init__(self) -> None:
        self.topics: dict[str, TopicId] = {}
        self.partitions: dict[TopicId, dict[int, PartitionRecord]] = {}
        self._names: dict[TopicId, str] = {}
        self._configs: dict[tuple[ConfigResource, str], ConfigRecord] = {}
        self._quotas: dict[tuple[QuotaEntity, str], ClientQuotaRecord] = {}
        self._producer_ids: ProducerIdsRecord | None = None
        self._security: dict[tuple[object, ...], str] = {}
        self._transaction: list[Record] | None = None

    def apply(self, record: Record) -> None:
        """Records of a transaction count from its end on, and never if it has none."""
        if isinstance(record, BeginTransactionRecord | AbortTransactionRecord):
            self._transaction = [] if isinstance(record, BeginTransactionRecord) else None
        elif isinstance(record, EndTransactionRecord):
            done, self._transaction = self._transaction or [], None
            for one in done:
                self._apply(one)
        elif self._transaction is not None:
            self._transaction.append(record)
        else:
            self._apply(record)

    def _apply(self, record: Record) -> None:
        action = _ACTIONS.get(type(record))
        if action is not None:
            action(self, record)

    @property
    def left_out(self) -> Counter[str]:
        """What this broker has no place for, by kind."""
        return Counter(self._security.values())

    # Records

    def _topic(self, record: TopicRecord) -> None:
        topic_id = TopicId(record.topic_id)
        self.topics[record.name] = topic_id
        self._names[topic_id] = record.name

    def _remove_topic(self, record: RemoveTopicRecord) -> None:
        topic_id = TopicId(record.topic_id)
        self.partitions.pop(topic_id, None)
        name = self._names.pop(topic_id, None)
        if name is None:
            return
        del self.topics[name]
        resource = ConfigResource(_TOPIC, name)
        for key in [key for key in self._configs if key[0] == resource]:
            del self._configs[key]

    def _partition(self, record: PartitionRecord) -> None:
        self.partitions.setdefault(TopicId(record.topic_id), {})[record.partition_id] = record

    def _change_partition(self, record: PartitionChangeRecord) -> None:
        known = self.partitions.get(TopicId(record.topic_id), {}).get(record.partition_id)
        if known is None:
            raise Refused(f"the metadata change partition {record.partition_id} of no topic")
        for field in ("isr", "replicas", "eligible_leader_replicas", "last_known_elr"):
            value = getattr(record, field)
            if value is not None:
                setattr(known, field, value)
        if record.leader != NO_LEADER_CHANGE:
            known.leader = record.leader
            known.leader_epoch += 1
        known.partition_epoch += 1

    def _clear_elr(self, record: ClearElrRecord) -> None:
        names = [record.topic_name] if record.topic_name else list(self.topics)
        for name in names:
            for partition in self.partitions.get(self.topics[name], {}).values():
                partition.eligible_leader_replicas = partition.last_known_elr = None

    def _config(self, record: ConfigRecord) -> None:
        key = ConfigResource(record.resource_type, record.resource_name), record.name
        if record.value is None:
            self._configs.pop(key, None)
        else:
            self._configs[key] = record

    def _quota(self, record: ClientQuotaRecord) -> None:
        parts = sorted((part.entity_type, part.entity_name) for part in record.entity)
        key = QuotaEntity(tuple(parts)), record.key
        if record.remove:
            self._quotas.pop(key, None)
        else:
            self._quotas[key] = record

    def _next_producer_id(self, record: ProducerIdsRecord) -> None:
        self._producer_ids = record

    def _acl(self, record: AccessControlEntryRecord) -> None:
        self._security["acl", record.id] = "access control entries"

    def _remove_acl(self, record: RemoveAccessControlEntryRecord) -> None:
        self._security.pop(("acl", record.id), None)

    def _scram(self, record: UserScramCredentialRecord) -> None:
        self._security["scram", record.name, record.mechanism] = "SCRAM credentials"

    def _remove_scram(self, record: RemoveUserScramCredentialRecord) -> None:
        self._security.pop(("scram", record.name, record.mechanism), None)

    def _token(self, record: DelegationTokenRecord) -> None:
        self._security["token", record.token_id] = "delegation tokens"

    def _remove_token(self, record: RemoveDelegationTokenRecord) -> None:
        self._security.pop(("token", record.token_id), None)

    # What becomes of it

    def check(self, node_id: int) -> None:
        """Refuses what would lose records: every partition must be whole, and whole here."""
        for name, topic_id in self.topics.items():
            partitions = self.partitions.get(topic_id, {})
            if sorted(partitions) != list(range(len(partitions))) or not partitions:
                raise Refused(f"the metadata do not know every partition of topic {name}")
            if self.config(name, "remote.storage.enable") == "true":
                raise Refused(f"topic {name} has records in remote storage")
            for index, partition in partitions.items():
                if node_id not in partition.replicas:
                    raise Refused(f"{name}-{index} has no replica on node {node_id}")
                in_sync = partition.isr + (partition.eligible_leader_replicas or [])
                if node_id not in in_sync:
                    raise Refused(f"the replica of {name}-{index} here is not in sync")

    def config(self, topic: str, name: str) -> str | None:
        record = self._configs.get((ConfigResource(_TOPIC, topic), name))
        return None if record is None else record.value

    def changes(self, cluster_id: str, node_id: NodeId, directory_id: bytes) -> Iterator[Change]:
        """Topics last, as they make visible what belongs to them."""
        yield Change(CLUSTER_ID, cluster_id)
        if self._producer_ids is not None:
            yield Change(
                PRODUCER_IDS,
                ProducerIdsRecord(
                    broker_id=node_id, next_producer_id=self._producer_ids.next_producer_id
                ),
            )
        for (resource, name), record in self._configs.items():
            if self._is_ours(resource, node_id):
                yield Change(config_key(resource, name), record)
        for (entity, name), quota in self._quotas.items():
            yield Change(quota_key(entity, name), quota)
        for topic_id in self.topics.values():
            for index, partition in self.partitions[topic_id].items():
                here = _alone(partition, node_id, directory_id)
                yield Change(partition_key(topic_id, index), here)
        for name, topic_id in self.topics.items():
            yield Change(topic_key(name), TopicRecord(name=name, topic_id=topic_id))
        gone = RegisterBrokerRecord(
            broker_id=node_id,
            broker_epoch=IMPORTED_EPOCH,
            rack=None,
            fenced=False,
            log_dirs=[directory_id],
        )
        yield Change(registration_key(node_id), gone)

    def _is_ours(self, resource: ConfigResource, node_id: int) -> bool:
        if resource.type == _TOPIC:
            return resource.name in self.topics
        if resource.type == _BROKER:
            return resource.name in ("", str(node_id))
        return resource.type in (_CLIENT_METRICS, _GROUP)


def _alone(partition: PartitionRecord, node_id: NodeId, directory_id: bytes) -> PartitionRecord:
    return PartitionRecord(
        partition_id=partition.partition_id,
        topic_id=partition.topic_id,
        replicas=[node_id],
        isr=[node_id],
        leader=node_id,
        leader_epoch=partition.leader_epoch,
        partition_epoch=partition.partition_epoch + 1,
        directories=[directory_id],
    )


_ACTIONS: dict[type[Record], Callable[[KafkaMetadata, Any], None]] = {
    TopicRecord: KafkaMetadata._topic,
    RemoveTopicRecord: KafkaMetadata._remove_topic,
    PartitionRecord: KafkaMetadata._partition,
    PartitionChangeRecord: KafkaMetadata._change_partition,
    ClearElrRecord: KafkaMetadata._clear_elr,
    ConfigRecord: KafkaMetadata._config,
    ClientQuotaRecord: KafkaMetadata._quota,
    ProducerIdsRecord: KafkaMetadata._next_producer_id,
    AccessControlEntryRecord: KafkaMetadata._acl,
    RemoveAccessControlEntryRecord: KafkaMetadata._remove_acl,
    UserScramCredentialRecord: KafkaMetadata._scram,
    RemoveUserScramCredentialRecord: KafkaMetadata._remove_scram,
    DelegationTokenRecord: KafkaMetadata._token,
    RemoveDelegationTokenRecord: KafkaMetadata._remove_token,
}
