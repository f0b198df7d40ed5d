"""Finalized feature levels, as they are stored, and what a level asks of the settings.

With eligible leader replicas every broker and the controller must mean the same by a topic's
minimum ISR: there is one for the cluster, which is always set, and none for single brokers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.image import ConfigResource
from pykbroker.state.controller.keys import config_key, feature_key
from pykbroker.state.features import NEW_CLUSTER_LEVELS, has_elr
from wire.messages.metadata_records import ConfigRecord, FeatureLevelRecord

if TYPE_CHECKING:
    from pykbroker.config.settings import Settings
    from pykbroker.state.controller.image import MetadataImage

BROKER_RESOURCE = 4
MIN_ISR = "min.insync.replicas"


def first_levels(image: MetadataImage, settings: Settings) -> list[Change]:
    """What a cluster that has no levels yet starts with."""
    if image.features:
        return []
    changes = [level_change(name, level) for name, level in NEW_CLUSTER_LEVELS.items()]
    if has_elr(NEW_CLUSTER_LEVELS):
        changes += one_min_isr(image, settings)
    return changes


def one_min_isr(image: MetadataImage, settings: Settings) -> list[Change]:
    """The cluster's own, as the controller's file has it where it is not set; no broker's."""
    changes = []
    cluster = ConfigResource(BROKER_RESOURCE, "")
    if MIN_ISR not in image.config_of(*cluster):
        value = settings.with_dynamic({}, {}).int(MIN_ISR)
        record = ConfigRecord(
            resource_type=BROKER_RESOURCE, resource_name="", name=MIN_ISR, value=str(value)
        )
        changes.append(Change(config_key(cluster, MIN_ISR), record))
    for resource, configs in image.configs.items():
        if resource.type == BROKER_RESOURCE and resource.name and MIN_ISR in configs:
            changes.append(Change(config_key(resource, MIN_ISR), None))
    return changes


def level_change(name: str, level: int) -> Change:
    if level == 0:
        return Change(feature_key(name), None)
    return Change(feature_key(name), FeatureLevelRecord(name=name, feature_level=level))
