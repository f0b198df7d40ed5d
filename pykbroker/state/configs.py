"""AlterConfigs and IncrementalAlterConfigs: what a request changes, and what is refused.

Two steps, as in Kafka. The broker that got the request checks its own settings
(``preprocess``): whether they may change while it runs and would still fit together. The
controller (``decide_*``) checks topics, groups and subscriptions, and says what to store.
Nothing is half done: a resource's changes are all taken or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pykbroker.config.broker_table import BROKER
from pykbroker.config.definitions import ConfigError, Table
from pykbroker.config.groups import validate_group_configs
from pykbroker.config.resource_tables import TOPIC
from pykbroker.config.topic import validate_topic_configs
from pykbroker.state.broker_configs import check_broker_configs
from pykbroker.state.client_metrics import validate_client_metrics_configs
from pykbroker.state.controller.image import ConfigResource
from pykbroker.state.errors import KafkaError
from pykbroker.state.topic_names import check_topic_name
from wire.errors import ErrorCode
from wire.messages import alter_configs as legacy
from wire.messages import incremental_alter_configs as incremental
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pykbroker.config.settings import Settings
    from pykbroker.state.controller.image import MetadataImage
    from pykbroker.state.types import NodeId

TOPIC_TYPE, BROKER_TYPE, LOGGER_TYPE, CLIENT_METRICS_TYPE, GROUP_TYPE = 2, 4, 8, 16, 32
STORED_TYPES = (TOPIC_TYPE, BROKER_TYPE, CLIENT_METRICS_TYPE, GROUP_TYPE)
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
OPERATION_NAMES = {SET: "SET", DELETE: "DELETE", APPEND: "APPEND", SUBTRACT: "SUBTRACT"}
MAX_VALUE_LENGTH = 32767
_LISTS: Mapping[int, Table] = {TOPIC_TYPE: TOPIC, BROKER_TYPE: BROKER}

Resource = TypeVar("Resource", legacy.AlterConfigsResource, incremental.AlterConfigsResource)


class ConfigChange(NamedTuple):
    """One setting to store; a value of None deletes it."""

    resource: ConfigResource
    name: str
    value: str | None


class Outcome(NamedTuple):
    code: ErrorCode
    message: str | None


DONE = Outcome(ErrorCode.NONE, None)


def refused(error: KafkaError | ConfigError) -> Outcome:
    if isinstance(error, KafkaError):
        return Outcome(error.code, error.message)
    return Outcome(ErrorCode.INVALID_CONFIG, str(error))


def decide_incremental_alter(
    image: MetadataImage,
    request: incremental.IncrementalAlterConfigsRequest,
    settings: Settings,
) -> tuple[list[ConfigChange], incremental.IncrementalAlterConfigsResponse]:
    """The changes to store and the answer. ``settings`` are the controller's own.

    With ``validate_only`` there is nothing to store.
    """
    changes: list[ConfigChange] = []
    response = incremental.IncrementalAlterConfigsResponse()

    def decide(resource: incremental.AlterConfigsResource) -> list[ConfigChange]:
        key = ConfigResource(resource.resource_type, resource.resource_name)
        current = image.config_of(*key)
        return [
            ConfigChange(key, config.name, apply_operation(key.type, config, current))
            for config in resource.configs
        ]

    for resource, outcome in _decide_each(image, request.resources, settings, decide, changes):
        response.responses.append(
            incremental.AlterConfigsResourceResponse(
                error_code=outcome.code,
                error_message=outcome.message,
                resource_type=resource.resource_type,
                resource_name=resource.resource_name,
            )
        )
    return ([] if request.validate_only else changes), response


def decide_alter_configs(
    image: MetadataImage, request: legacy.AlterConfigsRequest, settings: Settings
) -> tuple[list[ConfigChange], legacy.AlterConfigsResponse]:
    """As ``decide_incremental_alter``; what the request does not name is deleted."""
    changes: list[ConfigChange] = []
    response = legacy.AlterConfigsResponse()

    def decide(resource: legacy.AlterConfigsResource) -> list[ConfigChange]:
        key = ConfigResource(resource.resource_type, resource.resource_name)
        wanted = {config.name: config.value for config in resource.configs}
        gone = [name for name in image.config_of(*key) if name not in wanted]
        return [
            *(ConfigChange(key, name, value) for name, value in wanted.items()),
            *(ConfigChange(key, name, None) for name in gone),
        ]

    for resource, outcome in _decide_each(image, request.resources, settings, decide, changes):
        response.responses.append(
            legacy.AlterConfigsResourceResponse(
                error_code=outcome.code,
                error_message=outcome.message,
                resource_type=resource.resource_type,
                resource_name=resource.resource_name,
            )
        )
    return ([] if request.validate_only else changes), response


def _decide_each(
    image: MetadataImage,
    resources: Sequence[Resource],
    settings: Settings,
    decide: Callable[[Resource], list[ConfigChange]],
    changes: list[ConfigChange],
) -> Iterable[tuple[Resource, Outcome]]:
    repeated = repeated_resources(resources)
    for resource in resources:
        key = ConfigResource(resource.resource_type, resource.resource_name)
        try:
            if key in repeated:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate resource.")
            check_request(resource)
            decided = decide(resource)
            changes.extend(_validated(image, key, decided, settings))
        except (KafkaError, ConfigError) as error:
            yield resource, refused(error)
        else:
            yield resource, DONE


def repeated_resources(
    resources: Iterable[legacy.AlterConfigsResource | incremental.AlterConfigsResource],
) -> set[ConfigResource]:
    seen: set[ConfigResource] = set()
    repeated: set[ConfigResource] = set()
    for resource in resources:
        key = ConfigResource(resource.resource_type, resource.resource_name)
        (repeated if key in seen else seen).add(key)
    return repeated


def check_request(resource: legacy.AlterConfigsResource | incremental.AlterConfigsResource) -> None:
    """What is wrong with a resource whatever the cluster holds."""
    names = [config.name for config in resource.configs]
    if len(set(names)) != len(names):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    absent = [
        config.name
        for config in resource.configs
        if config.value is None and getattr(config, "config_operation", SET) != DELETE
    ]
    if absent:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(absent)}"
        )
    is_logger = resource.resource_type == LOGGER_TYPE
    if is_logger and isinstance(resource, incremental.AlterConfigsResource):
        return
    if resource.resource_type not in STORED_TYPES:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unknown resource type {resource.resource_type}"
        )


def apply_operation(
    type_: int, config: incremental.AlterableConfig, current: Mapping[str, str]
) -> str | None:
    """The value after one operation; None when it is then not set."""
    operation, name = config.config_operation, config.name
    if operation == DELETE:
        return None
    value = config.value or ""
    if operation == SET:
        return value
    if operation not in (APPEND, SUBTRACT):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown operations type {operation}")
    definition = _LISTS[type_].get(name) if type_ in _LISTS else None
    if definition is None or definition.type != "list":
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"Can't {OPERATION_NAMES[operation]} to key {name} because its type is not LIST.",
        )
    text = current.get(name)
    text = definition.default or "" if text is None else text
    items = [item for item in text.split(",") if item]
    for item in value.split(","):
        if operation == APPEND and item not in items:
            items.append(item)
        elif operation == SUBTRACT and item in items:
            items.remove(item)
    return ",".join(items)


def _validated(
    image: MetadataImage,
    key: ConfigResource,
    decided: list[ConfigChange],
    settings: Settings,
) -> list[ConfigChange]:
    """The changes that change something, once everything together is valid."""
    current = image.config_of(*key)
    result = dict(current)
    for change in decided:
        _check_min_insync(image, change)
        if change.value is None:
            result.pop(change.name, None)
        elif len(change.value) > MAX_VALUE_LENGTH:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG,
                "The configuration value cannot be added because it exceeds the maximum value "
                f"size of {MAX_VALUE_LENGTH} bytes.",
            )
        else:
            result[change.name] = change.value
    _check_resource(image, key, result, settings)
    return [change for change in decided if current.get(change.name) != change.value]


def _check_min_insync(image: MetadataImage, change: ConfigChange) -> None:
    """With eligible leader replicas there is one minimum for the cluster, always set."""
    if change.name != "min.insync.replicas" or change.resource.type != BROKER_TYPE:
        return
    if image.features.get("eligible.leader.replicas.version", 0) < 1:
        return
    if change.resource.name:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        )
    if change.value is None:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        )


def _check_resource(
    image: MetadataImage, key: ConfigResource, configs: Mapping[str, str], settings: Settings
) -> None:
    if key.type == TOPIC_TYPE:
        if not key.name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
        check_topic_name(key.name)
        validate_topic_configs(configs, settings)
        if key.name not in image.topics:
            raise KafkaError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{key.name}' does not exist."
            )
    elif key.type == GROUP_TYPE:
        if not key.name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
        validate_group_configs(configs, settings)
    elif key.type == CLIENT_METRICS_TYPE:
        validate_client_metrics_configs(key.name, configs)
    elif key.type != BROKER_TYPE:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {key.type}")
    elif key.name:
        _check_broker_name(image, key.name)


def _check_broker_name(image: MetadataImage, name: str) -> None:
    try:
        node_id = int(name)
    except ValueError:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "Unable to parse broker name as a base 10 number."
        ) from None
    if node_id < 0:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Invalid negative broker ID.")
    if node_id not in image.brokers:
        raise KafkaError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"No node with id {node_id} found.")


def preprocess(
    image: MetadataImage,
    resources: Sequence[Resource],
    settings: Settings,
    node_id: NodeId,
) -> dict[int, Outcome]:
    """What this broker refuses before the controller is asked, by position in the request.

    Loggers are no settings: the caller looks after BROKER_LOGGER resources, which only
    IncrementalAlterConfigs may name.
    """
    outcomes: dict[int, Outcome] = {}
    repeated = repeated_resources(resources)
    for index, resource in enumerate(resources):
        key = ConfigResource(resource.resource_type, resource.resource_name)
        try:
            if key in repeated:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST, "Each resource must appear at most once."
                )
            check_request(resource)
            if key.type == BROKER_TYPE:
                _check_own_broker(key, node_id)
                wanted = _broker_result(resource, image.config_of(*key))
                check_broker_configs(settings, wanted, per_broker=bool(key.name))
        except (KafkaError, ConfigError) as error:
            outcomes[index] = refused(error)
    return outcomes


def _check_own_broker(key: ConfigResource, node_id: NodeId) -> None:
    if key.name and not key.name.removeprefix("-").isdecimal():
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {key.name}"
        )
    if key.name and int(key.name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id}, but received {key.name}",
        )


def _broker_result(
    resource: legacy.AlterConfigsResource | incremental.AlterConfigsResource,
    current: Mapping[str, str],
) -> dict[str, str]:
    """Everything the broker resource would hold afterwards."""
    if isinstance(resource, legacy.AlterConfigsResource):
        return {config.name: config.value or "" for config in resource.configs}
    result = dict(current)
    for config in resource.configs:
        if config.config_operation in (APPEND, SUBTRACT):
            _check_list(config)
        value = apply_operation(BROKER_TYPE, config, current)
        if value is None:
            result.pop(config.name, None)
        else:
            result[config.name] = value
    return result


def _check_list(config: incremental.AlterableConfig) -> None:
    definition = BROKER.get(config.name)
    if definition is None:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown config name: {config.name}")
    if definition.type != "list":
        operation = OPERATION_NAMES[config.config_operation].lower()
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"Config value {operation} is not allowed for config key: {config.name}",
        )
