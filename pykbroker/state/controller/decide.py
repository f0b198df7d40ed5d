"""Every request that the controller decides, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.state.controller.brokers import broker_heartbeat, unregister_broker
from pykbroker.state.controller.decision import Decision, View
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.feature_updates import update_features
from pykbroker.state.controller.keys import config_key, quota_key
from pykbroker.state.controller.leadership import elect_leaders
from pykbroker.state.controller.partitions import create_partitions
from pykbroker.state.controller.producer_ids import allocate_producer_ids
from pykbroker.state.controller.topics import create_topics, delete_topics
from pykbroker.state.errors import KafkaError
from wire.apis import ApiKey
from wire.errors import ErrorCode
from wire.messages.metadata_records import ClientQuotaRecord, ConfigRecord, EntityData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pykbroker.state.configs import ConfigChange
    from pykbroker.state.quota_configs import QuotaChange
    from wire.messages.alter_client_quotas import (
        AlterClientQuotasRequest,
        AlterClientQuotasResponse,
    )
    from wire.messages.alter_configs import AlterConfigsRequest, AlterConfigsResponse
    from wire.messages.alter_partition_reassignments import (
        AlterPartitionReassignmentsRequest,
        AlterPartitionReassignmentsResponse,
    )
    from wire.messages.incremental_alter_configs import (
        IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
    )
    from wire.messages.list_partition_reassignments import (
        ListPartitionReassignmentsRequest,
        ListPartitionReassignmentsResponse,
    )
    from wire.schema import Request


def decide(request: Request, view: View) -> Decision[Any]:
    """Raises KafkaError for what is refused as a whole."""
    function = _DECISIONS.get(request.api_key)
    if function is None:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_VERSION, f"The controller does not serve API {request.api_key}."
        )
    return function(request, view)


# What follows is imported when it is first asked for: a broker starts without it.


def alter_configs(request: AlterConfigsRequest, view: View) -> Decision[AlterConfigsResponse]:
    from pykbroker.state.configs import decide_alter_configs

    changes, response = decide_alter_configs(view.image, request, view.settings)
    return Decision(response, _config_changes(changes))


def incremental_alter_configs(
    request: IncrementalAlterConfigsRequest, view: View
) -> Decision[IncrementalAlterConfigsResponse]:
    from pykbroker.state.configs import decide_incremental_alter

    changes, response = decide_incremental_alter(view.image, request, view.settings)
    return Decision(response, _config_changes(changes))


def alter_client_quotas(
    request: AlterClientQuotasRequest, view: View
) -> Decision[AlterClientQuotasResponse]:
    from pykbroker.state.quota_configs import decide_alter_client_quotas

    changes, response = decide_alter_client_quotas(view.image, request)
    return Decision(response, [_quota_change(change) for change in changes])


def alter_partition_reassignments(
    request: AlterPartitionReassignmentsRequest, view: View
) -> Decision[AlterPartitionReassignmentsResponse]:
    from pykbroker.state.controller import reassignments

    return reassignments.alter_partition_reassignments(request, view)


def list_partition_reassignments(
    request: ListPartitionReassignmentsRequest, view: View
) -> Decision[ListPartitionReassignmentsResponse]:
    from pykbroker.state.controller import reassignments

    return reassignments.list_partition_reassignments(request, view)


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


_DECISIONS: dict[int, Callable[[Any, View], Decision[Any]]] = {
    ApiKey.CREATE_TOPICS: create_topics,
    ApiKey.DELETE_TOPICS: delete_topics,
    ApiKey.CREATE_PARTITIONS: create_partitions,
    ApiKey.ELECT_LEADERS: elect_leaders,
    ApiKey.BROKER_HEARTBEAT: broker_heartbeat,
    ApiKey.UNREGISTER_BROKER: unregister_broker,
    ApiKey.ALLOCATE_PRODUCER_IDS: allocate_producer_ids,
    ApiKey.UPDATE_FEATURES: update_features,
    ApiKey.ALTER_CONFIGS: alter_configs,
    ApiKey.INCREMENTAL_ALTER_CONFIGS: incremental_alter_configs,
    ApiKey.ALTER_CLIENT_QUOTAS: alter_client_quotas,
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: alter_partition_reassignments,
    ApiKey.LIST_PARTITION_REASSIGNMENTS: list_partition_reassignments,
}
