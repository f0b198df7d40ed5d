"""Finalized feature levels, as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import feature_key
from pykbroker.state.features import NEW_CLUSTER_LEVELS
from wire.messages.metadata_records import FeatureLevelRecord

if TYPE_CHECKING:
    from pykbroker.state.controller.image import MetadataImage


def first_levels(image: MetadataImage) -> list[Change]:
    """What a cluster that has no levels yet starts with."""
    if image.features:
        return []
    return [level_change(name, level) for name, level in NEW_CLUSTER_LEVELS.items()]


def level_change(name: str, level: int) -> Change:
    if level == 0:
        return Change(feature_key(name), None)
    return Change(feature_key(name), FeatureLevelRecord(name=name, feature_level=level))
