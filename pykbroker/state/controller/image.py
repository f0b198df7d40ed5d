"""The metadata image: everything a broker knows of the cluster at one revision. Immutable.

Handlers take ``images.current`` once per request and read nothing newer half-way.
Invariants: every topic in ``topics`` has its partitions 0..n-1; ``topic_names`` is the inverse of
the ids in ``topics``; a partition's leader is -1 or one of its replicas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pykbroker.state.types import NO_LEADER, NodeId, TopicId

if TYPE_CHECKING:
    from collections.abc import Mapping


class Endpoint(NamedTuple):
    listener: str
    host: str
    port: int
    security_protocol: int


@dataclass(frozen=True, slots=True)
class BrokerImage:
    node_id: NodeId
    epoch: int
    incarnation_id: bytes
    endpoints: tuple[Endpoint, ...]
    rack: str | None = None
    fenced: bool = False
    in_controlled_shutdown: bool = False
    log_dirs: tuple[bytes, ...] = ()
    features: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartitionImage:
    leader: NodeId
    leader_epoch: int
    partition_epoch: int
    replicas: tuple[NodeId, ...]
    isr: tuple[NodeId, ...]
    elr: tuple[NodeId, ...] = ()
    last_known_elr: tuple[NodeId, ...] = ()
    adding: tuple[NodeId, ...] = ()
    removing: tuple[NodeId, ...] = ()
    recovering: bool = False
    directories: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicImage:
    name: str
    topic_id: TopicId
    partitions: tuple[PartitionImage, ...]


class ConfigResource(NamedTuple):
    """``type``: 2 topic, 4 broker (name "" is the cluster-wide default), 16 client metrics,
    32 group. 8 (broker logger) is never stored."""

    type: int
    name: str


class QuotaEntity(NamedTuple):
    """(type, name) pairs sorted by type: user, client-id, ip; a name of None is the default."""

    parts: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class MetadataImage:
    revision: int = 0
    cluster_id: str = ""
    controller_id: NodeId = NO_LEADER
    controller_epoch: int = -1
    brokers: Mapping[NodeId, BrokerImage] = field(default_factory=dict)
    topics: Mapping[str, TopicImage] = field(default_factory=dict)
    topic_names: Mapping[TopicId, str] = field(default_factory=dict)
    configs: Mapping[ConfigResource, Mapping[str, str]] = field(default_factory=dict)
    quotas: Mapping[QuotaEntity, Mapping[str, float]] = field(default_factory=dict)
    features: Mapping[str, int] = field(default_factory=dict)
    next_producer_id: int = 0

    def topic_by_id(self, topic_id: TopicId) -> TopicImage | None:
        name = self.topic_names.get(topic_id)
        return None if name is None else self.topics[name]

    def config_of(self, type_: int, name: str) -> Mapping[str, str]:
        return self.configs.get(ConfigResource(type_, name), _NO_CONFIG)


_NO_CONFIG: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class MetadataDelta:
    """What changed between two images. Names of topics, resources and so on, not their values."""

    before: MetadataImage
    after: MetadataImage
    topics_created: frozenset[str] = frozenset()
    topics_deleted: Mapping[TopicId, str] = field(default_factory=dict)
    topics_changed: frozenset[str] = frozenset()
    """Topics that exist before and after, some of whose partitions changed or were added."""
    configs_changed: frozenset[ConfigResource] = frozenset()
    quotas_changed: bool = False
    brokers_changed: bool = False
    features_changed: bool = False
