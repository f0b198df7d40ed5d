"""Every request that the controller decides, in one table.

The module that decides is imported when it is first needed: a broker starts without most of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pykbroker.state.errors import KafkaError
from wire.apis import ApiKey
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pykbroker.state.controller.decision import Decision, View
    from wire.schema import Request

_DECISIONS: Mapping[int, tuple[str, str]] = {
    ApiKey.CREATE_TOPICS: ("topics", "create_topics"),
    ApiKey.DELETE_TOPICS: ("topics", "delete_topics"),
    ApiKey.CREATE_PARTITIONS: ("partitions", "create_partitions"),
    ApiKey.ELECT_LEADERS: ("election_requests", "elect_leaders"),
    ApiKey.ALTER_PARTITION: ("alter_partition", "alter_partition"),
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: ("reassignments", "alter_partition_reassignments"),
    ApiKey.LIST_PARTITION_REASSIGNMENTS: ("reassignments", "list_partition_reassignments"),
    ApiKey.BROKER_HEARTBEAT: ("brokers", "broker_heartbeat"),
    ApiKey.UNREGISTER_BROKER: ("brokers", "unregister_broker"),
    ApiKey.ALLOCATE_PRODUCER_IDS: ("producer_ids", "allocate_producer_ids"),
    ApiKey.UPDATE_FEATURES: ("feature_updates", "update_features"),
    ApiKey.ALTER_CONFIGS: ("stored_settings", "alter_configs"),
    ApiKey.INCREMENTAL_ALTER_CONFIGS: ("stored_settings", "incremental_alter_configs"),
    ApiKey.ALTER_CLIENT_QUOTAS: ("stored_settings", "alter_client_quotas"),
}


def decide(request: Request, view: View) -> Decision[Any]:
    """Raises KafkaError for what is refused as a whole."""
    place = _DECISIONS.get(request.api_key)
    if place is None:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_VERSION, f"The controller does not serve API {request.api_key}."
        )
    module, name = place
    function: Callable[[Request, View], Decision[Any]] = getattr(
        import_module(f"pykbroker.state.controller.{module}"), name
    )
    return function(request, view)
