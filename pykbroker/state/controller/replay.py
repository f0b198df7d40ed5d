"""The metadata image, kept up to date from the store's events.

Replaying the events after a read gives the same image as reading everything anew: that is what
lets a broker follow for months, and a new controller take over from what it followed.

A topic exists once its topic record does. Partitions, and settings, may be written before it (a
large topic takes several transactions) and may remain after it: those partitions are orphans, held
here and not in the image, until their topic appears or the controller cleans them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import Change, Fact, decode_value
from pykbroker.state.controller.image import (
    BrokerImage,
    ConfigResource,
    Endpoint,
    MetadataDelta,
    MetadataImage,
    PartitionImage,
    TopicImage,
    replace,
)
from pykbroker.state.types import NO_LEADER, NodeId, TopicId
from wire.messages.metadata_records import (
    ClientQuotaRecord,
    ConfigRecord,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    TopicRecord,
)
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pykbroker.state.seams import StoreSnapshot, StoreUpdate
    from wire.messages.metadata_records import BrokerEndpoint, ControllerEndpoint


class LiveBroker(NamedTuple):
    """A broker whose lease lives, as it announced itself. ``epoch`` is its key's create revision.

    ``record.broker_epoch`` is not its own epoch, which it could not know when it wrote: it is the
    epoch of its last incarnation that stopped cleanly, the proof that nothing was lost; or -1.
    """

    epoch: int
    record: RegisterBrokerRecord


class Replay:
    """``image``, the facts that are not in it, and the revisions that writes are fenced by."""

    def __init__(self) -> None:
        self.image = MetadataImage()
        self.orphans: dict[TopicId, dict[int, PartitionImage]] = {}
        self.live: dict[NodeId, LiveBroker] = {}
        self.seen: set[NodeId] = set()
        """Brokers that were alive at some time since everything was read."""
        self.controller_incarnation = b""
        self.mod_revisions: dict[str, int] = {}

    def load(self, snapshot: StoreSnapshot) -> MetadataDelta:
        """Start anew from everything the store holds."""
        before = self.image
        self.image = MetadataImage()
        self.orphans, self.live, self.seen = {}, {}, set()
        self.controller_incarnation = b""
        self.mod_revisions = {item.key: item.mod_revision for item in snapshot.items}
        facts = (
            Fact(item.key, decode_value(item.key, item.value), item.create_revision, 0)
            for item in snapshot.items
        )
        self._replay(facts, snapshot.revision)
        return difference(before, self.image)

    def apply(self, update: StoreUpdate) -> MetadataDelta:
        facts = []
        for event in update.events:
            key, data, created, modified = event
            if data is None:
                self.mod_revisions.pop(key, None)
                facts.append(Fact(key, None, 0, modified))
            else:
                self.mod_revisions[key] = modified
                facts.append(Fact(key, decode_value(key, data), created, modified))
        return self._replay(facts, update.revision)

    def fork(self) -> Replay:
        """A copy on which decisions are tried before they are written."""
        other = Replay()
        other.image = self.image
        other.orphans = {topic_id: dict(parts) for topic_id, parts in self.orphans.items()}
        other.live, other.seen = dict(self.live), set(self.seen)
        return other

    def assume(self, changes: Iterable[Change]) -> None:
        """As if these had been written; revisions stand still."""
        facts = [Fact(key, value, 0, 0) for key, value in changes]
        self._replay(facts, self.image.revision)

    def _replay(self, facts: Iterable[Fact], revision: int) -> MetadataDelta:
        draft = _Draft(self, revision)
        for fact in facts:
            kind, rest = keys.split_key(fact.key)
            replay = _KINDS.get(kind)
            if replay is not None:
                replay(draft, fact, rest)
        delta = draft.finish()
        self.image = delta.after
        return delta


class _Draft:
    """The next image in the making. Mappings are copied when they first change."""

    def __init__(self, owner: Replay, revision: int) -> None:
        self.owner = owner
        self.before = owner.image
        self.changed: dict[str, Any] = {"revision": revision}
        self.partitions: dict[TopicId, dict[int, PartitionImage | None]] = {}
        self.records: dict[str, TopicId | None] = {}
        self.created: set[str] = set()
        self.deleted: dict[TopicId, str] = {}
        self.altered: set[str] = set()
        self.configs: set[ConfigResource] = set()

    def mapping(self, name: str) -> dict[Any, Any]:
        mapping: dict[Any, Any] | None = self.changed.get(name)
        if mapping is None:
            mapping = self.changed[name] = dict(getattr(self.before, name))
        return mapping

    def set_or_drop(self, name: str, key: object, value: object | None) -> None:
        if value is None:
            self.mapping(name).pop(key, None)
        else:
            self.mapping(name)[key] = value

    def set_nested(self, name: str, key: object, inner: str, value: object | None) -> None:
        """One entry of a mapping of mappings; an inner mapping that empties disappears."""
        entries = dict(self.mapping(name).get(key, {}))
        if value is None:
            entries.pop(inner, None)
        else:
            entries[inner] = value
        self.set_or_drop(name, key, entries or None)

    def finish(self) -> MetadataDelta:
        if self.records or self.partitions:
            self._drop_topics()
            self._add_topics()
            self._alter_topics()
        changed = self.changed
        after = replace(self.before, **changed)
        return MetadataDelta(
            self.before,
            after,
            topics_created=frozenset(self.created),
            topics_deleted=self.deleted,
            topics_changed=frozenset(self.altered - self.created),
            configs_changed=frozenset(
                r for r in self.configs if self.before.configs.get(r) != after.configs.get(r)
            ),
            quotas_changed="quotas" in changed and self.before.quotas != after.quotas,
            brokers_changed="brokers" in changed and self.before.brokers != after.brokers,
            features_changed="features" in changed and self.before.features != after.features,
        )

    def _drop_topics(self) -> None:
        """Topics that go, or whose name now stands for another id, leave orphans behind."""
        for name, topic_id in self.records.items():
            topic = self.before.topics.get(name)
            if topic is None or topic.topic_id == topic_id:
                continue
            self.mapping("topics").pop(name)
            self.mapping("topic_names").pop(topic.topic_id)
            self.deleted[topic.topic_id] = name
            left = self._merge(topic.topic_id, topic.partitions, {})
            self._keep(topic.topic_id, left)

    def _add_topics(self) -> None:
        for name, topic_id in self.records.items():
            if topic_id is not None and topic_id not in self.before.topic_names:
                self.mapping("topics")[name] = TopicImage(name, topic_id, ())
                self.mapping("topic_names")[topic_id] = name
                self.created.add(name)
                self.partitions.setdefault(topic_id, {})

    def _alter_topics(self) -> None:
        names: Mapping[TopicId, str] = self.changed.get("topic_names", self.before.topic_names)
        for topic_id, partitions in self.partitions.items():
            name = names.get(topic_id)
            if name is None:
                self._keep(topic_id, self._merge(topic_id, (), partitions))
                continue
            topic: TopicImage = self.mapping("topics")[name]
            merged = self._merge(topic_id, topic.partitions, partitions)
            whole: list[PartitionImage] = []
            while len(whole) in merged:
                whole.append(merged.pop(len(whole)))
            self._keep(topic_id, merged)
            if tuple(whole) != topic.partitions:
                self.mapping("topics")[name] = TopicImage(name, topic_id, tuple(whole))
                self.altered.add(name)

    def _merge(
        self,
        topic_id: TopicId,
        known: tuple[PartitionImage, ...],
        partitions: dict[int, PartitionImage | None],
    ) -> dict[int, PartitionImage]:
        merged = dict(enumerate(known))
        merged.update(self.owner.orphans.get(topic_id, {}))
        for index, partition in partitions.items():
            if partition is None:
                merged.pop(index, None)
            else:
                merged[index] = partition
        return merged

    def _keep(self, topic_id: TopicId, orphans: dict[int, PartitionImage]) -> None:
        if orphans:
            self.owner.orphans[topic_id] = orphans
        else:
            self.owner.orphans.pop(topic_id, None)


def _topic(draft: _Draft, fact: Fact, rest: list[str]) -> None:
    record = fact.value
    assert record is None or isinstance(record, TopicRecord)
    draft.records[keys.unquote(rest[0])] = None if record is None else TopicId(record.topic_id)


def _partition(draft: _Draft, fact: Fact, rest: list[str]) -> None:
    record = fact.value
    topic_id, index = keys.partition_of(rest)
    partition = None
    if record is not None:
        assert isinstance(record, PartitionRecord)
        partition = partition_image(record)
    draft.partitions.setdefault(topic_id, {})[index] = partition


def _config(draft: _Draft, fact: Fact, rest: list[str]) -> None:
    record = fact.value
    assert record is None or isinstance(record, ConfigRecord)
    resource, name = keys.config_of(rest)
    draft.configs.add(resource)
    draft.set_nested("configs", resource, name, None if record is None else record.value)


def _quota(draft: _Draft, fact: Fact, rest: list[str]) -> None:
    record = fact.value
    assert record is None or isinstance(record, ClientQuotaRecord)
    entity, name = keys.quota_of(rest)
    draft.set_nested("quotas", entity, name, None if record is None else record.value)


def _feature(draft: _Draft, fact: Fact, rest: list[str]) -> None:
    record = fact.value
    assert record is None or isinstance(record, FeatureLevelRecord)
    level = None if record is None else record.feature_level
    draft.set_or_drop("features", keys.unquote(rest[0]), level)


def _broker(draft: _Draft, fact: Fact, rest: list[str]) -> None:
    record, node_id = fact.value, keys.node_of(rest)
    if record is None:
        draft.owner.live.pop(node_id, None)
    else:
        assert isinstance(record, RegisterBrokerRecord)
        draft.owner.live[node_id] = LiveBroker(fact.create_revision, record)
        draft.owner.seen.add(node_id)


def _registration(draft: _Draft, fact: Fact, rest: list[str]) -> None:
    record = fact.value
    assert record is None or isinstance(record, RegisterBrokerRecord)
    broker = None if record is None else broker_image(record)
    draft.set_or_drop("brokers", keys.node_of(rest), broker)


def _controller(draft: _Draft, fact: Fact, _: list[str]) -> None:
    record = fact.value
    assert record is None or isinstance(record, RegisterControllerRecord)
    draft.changed["controller_id"] = NO_LEADER if record is None else NodeId(record.controller_id)
    draft.changed["controller_endpoints"] = () if record is None else _endpoints(record.end_points)
    draft.owner.controller_incarnation = b"" if record is None else record.incarnation_id


def _controller_epoch(draft: _Draft, fact: Fact, _: list[str]) -> None:
    assert fact.value is None or isinstance(fact.value, str)
    draft.changed["controller_epoch"] = -1 if fact.value is None else int(fact.value)


def _cluster_id(draft: _Draft, fact: Fact, _: list[str]) -> None:
    draft.changed["cluster_id"] = fact.value or ""


def _producer_ids(draft: _Draft, fact: Fact, _: list[str]) -> None:
    record = fact.value
    assert record is None or isinstance(record, ProducerIdsRecord)
    draft.changed["next_producer_id"] = 0 if record is None else record.next_producer_id


_KINDS = {
    keys.TOPICS: _topic,
    keys.PARTITIONS: _partition,
    keys.CONFIGS: _config,
    keys.QUOTAS: _quota,
    keys.FEATURES: _feature,
    keys.BROKERS: _broker,
    keys.REGISTRATIONS: _registration,
    keys.CONTROLLER[1:]: _controller,
    keys.CONTROLLER_EPOCH[1:]: _controller_epoch,
    keys.CLUSTER_ID[1:]: _cluster_id,
    keys.PRODUCER_IDS[1:]: _producer_ids,
}
"""Other keys are left alone: they are of rooms that do not follow through the image."""


def difference(before: MetadataImage, after: MetadataImage) -> MetadataDelta:
    """The delta between any two images, whatever lies between them."""
    resources = before.configs.keys() | after.configs.keys()
    return MetadataDelta(
        before,
        after,
        topics_created=frozenset(
            t.name for t in after.topics.values() if t.topic_id not in before.topic_names
        ),
        topics_deleted={
            t.topic_id: t.name
            for t in before.topics.values()
            if t.topic_id not in after.topic_names
        },
        topics_changed=frozenset(
            t.name
            for t in after.topics.values()
            if t.topic_id in before.topic_names and before.topics[t.name].partitions != t.partitions
        ),
        configs_changed=frozenset(
            r for r in resources if before.configs.get(r) != after.configs.get(r)
        ),
        quotas_changed=before.quotas != after.quotas,
        brokers_changed=before.brokers != after.brokers,
        features_changed=before.features != after.features,
    )


def partition_image(record: PartitionRecord) -> PartitionImage:
    return PartitionImage(
        NodeId(record.leader),
        record.leader_epoch,
        record.partition_epoch,
        _nodes(record.replicas),
        _nodes(record.isr),
        _nodes(record.eligible_leader_replicas),
        _nodes(record.last_known_elr),
        _nodes(record.adding_replicas),
        _nodes(record.removing_replicas),
        record.leader_recovery_state == 1,
        tuple(record.directories),
    )


def partition_record(topic_id: TopicId, index: int, partition: PartitionImage) -> PartitionRecord:
    return PartitionRecord(
        partition_id=index,
        topic_id=topic_id,
        replicas=list(partition.replicas),
        isr=list(partition.isr),
        removing_replicas=list(partition.removing),
        adding_replicas=list(partition.adding),
        leader=partition.leader,
        leader_recovery_state=int(partition.recovering),
        leader_epoch=partition.leader_epoch,
        partition_epoch=partition.partition_epoch,
        directories=list(partition.directories),
        eligible_leader_replicas=list(partition.elr) or None,
        last_known_elr=list(partition.last_known_elr) or None,
    )


def _endpoints(said: Sequence[BrokerEndpoint | ControllerEndpoint]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(e.name, e.host, e.port, e.security_protocol) for e in said)


def broker_image(record: RegisterBrokerRecord) -> BrokerImage:
    return BrokerImage(
        NodeId(record.broker_id),
        record.broker_epoch,
        record.incarnation_id,
        _endpoints(record.end_points),
        record.rack,
        record.fenced,
        record.in_controlled_shutdown,
        tuple(record.log_dirs),
        {f.name: (f.min_supported_version, f.max_supported_version) for f in record.features},
    )


def _nodes(ids: list[int] | None) -> tuple[NodeId, ...]:
    return tuple(ids) if ids else ()  # type: ignore[arg-type]
