"""Finalized features (KIP-584): what this version can do, and what a new cluster starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_VERSION = "metadata.version"
KRAFT_VERSION = "kraft.version"
ELIGIBLE_LEADER_REPLICAS = "eligible.leader.replicas.version"

SUPPORTED_FEATURES: Mapping[str, tuple[int, int]] = {
    METADATA_VERSION: (7, 30),
    KRAFT_VERSION: (0, 0),
    ELIGIBLE_LEADER_REPLICAS: (0, 1),
}
"""Name -> (lowest, highest level). A feature comes here on the day it works."""
KAFKA_FEATURES = frozenset(
    (
        *SUPPORTED_FEATURES,
        "group.version",
        "share.version",
        "streams.version",
        "transaction.version",
    )
)
"""What Kafka knows: switching one of them off succeeds where it cannot be on."""
NEW_CLUSTER_LEVELS: Mapping[str, int] = {METADATA_VERSION: 30, ELIGIBLE_LEADER_REPLICAS: 1}
"""A level of 0 is the same as none."""
NEEDED_METADATA_VERSION: Mapping[str, int] = {ELIGIBLE_LEADER_REPLICAS: 23}
"""For a level of 1 or more."""


def has_elr(levels: Mapping[str, int]) -> bool:
    """Whether replicas that left the ISR below its minimum stay eligible (KIP-966)."""
    return levels.get(ELIGIBLE_LEADER_REPLICAS, 0) >= 1
