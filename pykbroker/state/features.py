"""Finalized features (KIP-584): what this version can do, and what a new cluster starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_VERSION = "metadata.version"
KRAFT_VERSION = "kraft.version"

SUPPORTED_FEATURES: Mapping[str, tuple[int, int]] = {
    METADATA_VERSION: (7, 30),
    KRAFT_VERSION: (0, 0),
}
"""Name -> (lowest, highest level). A feature comes here on the day it works."""
KAFKA_FEATURES = frozenset(
    (
        *SUPPORTED_FEATURES,
        "eligible.leader.replicas.version",
        "group.version",
        "share.version",
        "streams.version",
        "transaction.version",
    )
)
"""What Kafka knows: switching one of them off succeeds where it cannot be on."""
NEW_CLUSTER_LEVELS: Mapping[str, int] = {METADATA_VERSION: 30}
"""A level of 0 is the same as none."""
