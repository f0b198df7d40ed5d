"""Metadata images for tests, from the few facts that matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.image import (
    BrokerImage,
    ConfigResource,
    MetadataDelta,
    MetadataImage,
    PartitionImage,
    QuotaEntity,
    TopicImage,
)
from pykbroker.state.types import NodeId, TopicId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ONE = NodeId(1)


def entity(**parts: str | None) -> QuotaEntity:
    """``entity(user="u", client_id=None)``: None is the default entity."""
    named = {type_.replace("_", "-"): name for type_, name in parts.items()}
    return QuotaEntity(tuple(sorted(named.items())))


def image_with(
    *,
    topics: Iterable[str] = (),
    configs: Mapping[tuple[int, str], Mapping[str, str]] | None = None,
    quotas: Mapping[QuotaEntity, Mapping[str, float]] | None = None,
    features: Mapping[str, int] | None = None,
    brokers: Iterable[int] = (1,),
) -> MetadataImage:
    partition = PartitionImage(ONE, 0, 0, (ONE,), (ONE,))
    images = {
        name: TopicImage(name, TopicId(name.encode().ljust(16, b"-")[:16]), (partition,))
        for name in topics
    }
    return MetadataImage(
        brokers={NodeId(n): BrokerImage(NodeId(n), 1, bytes(16), ()) for n in brokers},
        topics=images,
        topic_names={topic.topic_id: name for name, topic in images.items()},
        configs={ConfigResource(*key): values for key, values in (configs or {}).items()},
        quotas=quotas or {},
        features=features or {},
    )


def delta_between(before: MetadataImage, after: MetadataImage) -> MetadataDelta:
    """What configs and quotas need of it."""
    keys = before.configs.keys() | after.configs.keys()
    changed = (k for k in keys if before.config_of(*k) != after.config_of(*k))
    return MetadataDelta(
        before,
        after,
        configs_changed=frozenset(changed),
        quotas_changed=before.quotas != after.quotas,
    )
