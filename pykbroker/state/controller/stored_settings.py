"""Configs and quotas: decided by their own rules, stored here as records.

A topic's minimum ISR says who is eligible: under another one, replicas that left the ISR before may
lack what is committed from now on. So nobody is any more once it changes, and before it does.
Partitions without a leader commit nothing: theirs stay eligible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.configs import (
    BROKER_TYPE,
    TOPIC_TYPE,
    decide_alter_configs,
    decide_incremental_alter,
)
from pykbroker.state.controller.decision import Decision, View
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.feature_levels import MIN_ISR
from pykbroker.state.controller.image import replace
from pykbroker.state.controller.keys import config_key, partition_key, quota_key
from pykbroker.state.controller.replay import partition_record
from pykbroker.state.features import has_elr
from pykbroker.state.quota_configs import decide_alter_client_quotas
from pykbroker.state.types import NO_LEADER
from wire.messages.metadata_records import ClientQuotaRecord, ConfigRecord, EntityData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.state.configs import ConfigChange
    from pykbroker.state.quota_configs import QuotaChange
    from wire.messages.alter_client_quotas import (
        AlterClientQuotasRequest,
        AlterClientQuotasResponse,
    )
    from wire.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse
    from wire.messages.incremental_alter_configs import (
        IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
    )


def alter_configs(request: AlterConfigsRequest, view: View) -> Decision[AlterConfigsResponse]:
    changes, response = decide_alter_configs(view.image, request, view.settings)
    return Decision(response, [*_eligible_no_more(view, changes), *_config_changes(changes)])


def incremental_alter_configs(
    request: IncrementalAlterConfigsRequest, view: View
) -> Decision[IncrementalAlterConfigsResponse]:
    changes, response = decide_incremental_alter(view.image, request, view.settings)
    return Decision(response, [*_eligible_no_more(view, changes), *_config_changes(changes)])


def alter_client_quotas(
    request: AlterClientQuotasRequest, view: View
) -> Decision[AlterClientQuotasResponse]:
    changes, response = decide_alter_client_quotas(view.image, request)
    return Decision(response, [_quota_change(change) for change in changes])


def _eligible_no_more(view: View, changes: Iterable[ConfigChange]) -> list[Change]:
    image = view.image
    resources = [c.resource for c in changes if c.name == MIN_ISR]
    if not resources or not has_elr(image.features):
        return []
    named = {resource.name for resource in resources if resource.type == TOPIC_TYPE}
    everything = any(resource.type == BROKER_TYPE for resource in resources)
    cleared = []
    for topic in image.topics.values():
        if not everything and topic.name not in named:
            continue
        for index, partition in enumerate(topic.partitions):
            if partition.elr and partition.leader != NO_LEADER:
                after = replace(partition, elr=(), partition_epoch=partition.partition_epoch + 1)
                record = partition_record(topic.topic_id, index, after)
                cleared.append(Change(partition_key(topic.topic_id, index), record))
    return cleared


def _config_changes(changes: Iterable[ConfigChange]) -> list[Change]:
    return [
        Change(
            config_key(resource, name),
            None
            if value is None
            else ConfigRecord(
                resource_type=resource.type, resource_name=resource.name, name=name, value=value
            ),
        )
        for resource, name, value in changes
    ]


def _quota_change(change: QuotaChange) -> Change:
    key = quota_key(change.entity, change.key)
    if change.value is None:
        return Change(key, None)
    entity = [EntityData(entity_type=t, entity_name=n) for t, n in change.entity.parts]
    return Change(key, ClientQuotaRecord(entity=entity, key=change.key, value=change.value))
