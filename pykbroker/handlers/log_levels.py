"""BROKER_LOGGER resources: the levels of this broker's loggers, changed while it runs (KIP-412)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker import log
from pykbroker.config.settings import Source
from pykbroker.state.configs import DELETE, OPERATION_NAMES, SET
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.messages.describe_configs import DescribeConfigsResourceResult

if TYPE_CHECKING:
    from collections.abc import Collection

    from pykbroker.state.types import NodeId
    from wire.messages.incremental_alter_configs import AlterableConfig, AlterConfigsResource

logger = log.get_logger("pykbroker.handlers.log_levels")

ROOT = "root"
LEVELS = {
    "TRACE": log.DEBUG,
    "DEBUG": log.DEBUG,
    "INFO": log.INFO,
    "WARN": log.WARNING,
    "ERROR": log.ERROR,
    "FATAL": log.ERROR,
}


def describe_log_levels(keys: Collection[str] | None) -> list[DescribeConfigsResourceResult]:
    """Every logger there is, the root logger included; ``keys`` as in DescribeConfigs."""
    return [
        DescribeConfigsResourceResult(
            name=name,
            value=log.LEVEL_NAMES.get(level, "OFF"),
            config_source=Source.DYNAMIC_BROKER_LOGGER,
            documentation="",
        )
        for name, level in log.CURRENT.get().levels().items()
        if not keys or name in keys
    ]


def alter_log_levels(resource: AlterConfigsResource, node_id: NodeId, *, apply: bool) -> None:
    """All changes, or KafkaError and none of them."""
    _check_node(resource.resource_name, node_id)
    for config in resource.configs:
        _check(config)
    for config in resource.configs if apply else ():
        level = LEVELS[config.value or ""] if config.config_operation == SET else None
        log.CURRENT.get().set_level(config.name, level)
        logger.info("log level changed", of=config.name, to=config.value or "inherited")


def _check_node(name: str, node_id: NodeId) -> None:
    if not name.removeprefix("-").isdecimal():
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}"
        )
    if int(name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected node id. Expected {node_id}, but received {name}",
        )


def _check(config: AlterableConfig) -> None:
    operation = config.config_operation
    if operation not in (SET, DELETE):
        known = OPERATION_NAMES.get(operation)
        shown = f"{known} operation" if known else f"Unknown operation type {operation}"
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"{shown} is not allowed for the BROKER_LOGGER resource"
        )
    if config.name not in log.CURRENT.get().levels():
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Logger {config.name} does not exist!")
    if operation == SET and config.value not in LEVELS:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"Cannot set the log level of {config.name} to {config.value} as it is not a "
            f"supported log level. Valid log levels are {', '.join(sorted(LEVELS))}",
        )
    if operation == DELETE and config.name == ROOT:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "Removing the log level of the root logger is not allowed"
        )
