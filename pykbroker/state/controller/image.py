"""The metadata image: everything a broker knows of the cluster at one revision. Immutable.

Handlers take ``images.current`` once per request and read nothing newer half-way.
Invariants: every topic in ``topics`` has its partitions 0..n-1; ``topic_names`` is the inverse of
the ids in ``topics``; a partition's leader is -1 or one of its replicas.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from pykbroker.state.types import NO_LEADER, NodeId, TopicId
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


_NONE: Mapping[Any, Any] = MappingProxyType({})

T = TypeVar("T")


def replace(image: T, **changes: Any) -> T:
    """The same with some parts changed. Named tuples, because they load in no time."""
    changed: T = image._replace(**changes)  # type: ignore[attr-defined]
    return changed


class Endpoint(NamedTuple):
    listener: str
    host: str
    port: int
    security_protocol: int


class BrokerImage(NamedTuple):
    node_id: NodeId
    epoch: int
    incarnation_id: bytes
    endpoints: tuple[Endpoint, ...]
    rack: str | None = None
    fenced: bool = False
    in_controlled_shutdown: bool = False
    log_dirs: tuple[bytes, ...] = ()
    features: Mapping[str, tuple[int, int]] = _NONE


class PartitionImage(NamedTuple):
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


class TopicImage(NamedTuple):
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


class MetadataImage(NamedTuple):
    revision: int = 0
    cluster_id: str = ""
    controller_id: NodeId = NO_LEADER
    controller_epoch: int = -1
    controller_endpoints: tuple[Endpoint, ...] = ()
    """Where other brokers reach the active controller."""
    brokers: Mapping[NodeId, BrokerImage] = _NONE
    topics: Mapping[str, TopicImage] = _NONE
    topic_names: Mapping[TopicId, str] = _NONE
    configs: Mapping[ConfigResource, Mapping[str, str]] = _NONE
    quotas: Mapping[QuotaEntity, Mapping[str, float]] = _NONE
    features: Mapping[str, int] = _NONE
    next_producer_id: int = 0

    def topic_by_id(self, topic_id: TopicId) -> TopicImage | None:
        name = self.topic_names.get(topic_id)
        return None if name is None else self.topics[name]

    def config_of(self, type_: int, name: str) -> Mapping[str, str]:
        return self.configs.get(ConfigResource(type_, name), _NONE)


class MetadataDelta(NamedTuple):
    """What changed between two images. Names of topics, resources and so on, not their values."""

    before: MetadataImage
    after: MetadataImage
    topics_created: frozenset[str] = frozenset()
    topics_deleted: Mapping[TopicId, str] = _NONE
    topics_changed: frozenset[str] = frozenset()
    """Topics that exist before and after, some of whose partitions changed or were added."""
    configs_changed: frozenset[ConfigResource] = frozenset()
    quotas_changed: bool = False
    brokers_changed: bool = False
    features_changed: bool = False
