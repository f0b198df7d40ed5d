"""Configs and quotas: decided by their own rules, stored here as records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.configs import decide_alter_configs, decide_incremental_alter
from pykbroker.state.controller.decision import Decision, View
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import config_key, quota_key
from pykbroker.state.quota_configs import decide_alter_client_quotas
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
    return Decision(response, _config_changes(changes))


def incremental_alter_configs(
    request: IncrementalAlterConfigsRequest, view: View
) -> Decision[IncrementalAlterConfigsResponse]:
    changes, response = decide_incremental_alter(view.image, request, view.settings)
    return Decision(response, _config_changes(changes))


def alter_client_quotas(
    request: AlterClientQuotasRequest, view: View
) -> Decision[AlterClientQuotasResponse]:
    changes, response = decide_alter_client_quotas(view.image, request)
    return Decision(response, [_quota_change(change) for change in changes])


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
