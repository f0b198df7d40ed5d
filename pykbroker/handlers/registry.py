"""Which APIs are served, and the module that serves each.

A module is imported by the first request for one of its APIs: a broker that is asked for metadata
alone does not pay for everything else. The table is all that ApiVersions needs; a test holds it
against what the modules register.
"""

from __future__ import annotations

from importlib import import_module

from pykbroker.handlers.api import HANDLERS, Handler
from wire.apis import ApiKey

MODULES: dict[str, tuple[int, ...]] = {
    "api_versions": (ApiKey.API_VERSIONS,),
    "cluster": (
        ApiKey.DESCRIBE_QUORUM,
        ApiKey.UPDATE_FEATURES,
        ApiKey.DESCRIBE_CLUSTER,
        ApiKey.UNREGISTER_BROKER,
    ),
    "configs": (
        ApiKey.DESCRIBE_CONFIGS,
        ApiKey.ALTER_CONFIGS,
        ApiKey.INCREMENTAL_ALTER_CONFIGS,
        ApiKey.LIST_CONFIG_RESOURCES,
    ),
    "coordinators": (ApiKey.FIND_COORDINATOR,),
    "fetch": (ApiKey.FETCH,),
    "groups": (
        ApiKey.JOIN_GROUP,
        ApiKey.HEARTBEAT,
        ApiKey.LEAVE_GROUP,
        ApiKey.SYNC_GROUP,
        ApiKey.DESCRIBE_GROUPS,
        ApiKey.LIST_GROUPS,
        ApiKey.DELETE_GROUPS,
    ),
    "inter_broker": (
        ApiKey.ALTER_PARTITION,
        ApiKey.ENVELOPE,
        ApiKey.BROKER_HEARTBEAT,
        ApiKey.ALLOCATE_PRODUCER_IDS,
    ),
    "list_offsets": (ApiKey.LIST_OFFSETS, ApiKey.OFFSET_FOR_LEADER_EPOCH),
    "log_dirs": (ApiKey.ALTER_REPLICA_LOG_DIRS, ApiKey.DESCRIBE_LOG_DIRS),
    "metadata": (ApiKey.METADATA, ApiKey.DESCRIBE_TOPIC_PARTITIONS),
    "offsets": (ApiKey.OFFSET_COMMIT, ApiKey.OFFSET_FETCH, ApiKey.OFFSET_DELETE),
    "produce": (ApiKey.PRODUCE,),
    "producer_ids": (ApiKey.INIT_PRODUCER_ID,),
    "quotas": (ApiKey.DESCRIBE_CLIENT_QUOTAS, ApiKey.ALTER_CLIENT_QUOTAS),
    "records": (ApiKey.DELETE_RECORDS, ApiKey.DESCRIBE_PRODUCERS),
    "telemetry": (ApiKey.GET_TELEMETRY_SUBSCRIPTIONS, ApiKey.PUSH_TELEMETRY),
    "topics": (
        ApiKey.CREATE_TOPICS,
        ApiKey.DELETE_TOPICS,
        ApiKey.CREATE_PARTITIONS,
        ApiKey.ELECT_LEADERS,
        ApiKey.ALTER_PARTITION_REASSIGNMENTS,
        ApiKey.LIST_PARTITION_REASSIGNMENTS,
    ),
}
MODULE_OF = {key: module for module, keys in MODULES.items() for key in keys}
SERVED = frozenset(MODULE_OF)


def handler(key: int) -> Handler:
    """The handler of an API that is in ``SERVED``."""
    found = HANDLERS.get(key)
    if found is None:
        import_module(f"pykbroker.handlers.{MODULE_OF[key]}")
        found = HANDLERS[key]
    return found


def load_all() -> None:
    for module in MODULES:
        import_module(f"pykbroker.handlers.{module}")
