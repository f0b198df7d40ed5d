"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources.

DescribeConfigs: v1 synonyms - v3 types and documentation (KIP-226, KIP-569)
IncrementalAlterConfigs: KIP-339
ListConfigResources: v0 client-metrics resources only (KIP-714) - v1 every type (KIP-1142)

A broker answers for its own settings and loggers; clients ask the broker they mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from pykbroker.config.definitions import ConfigError
from pykbroker.handlers.api import handles
from pykbroker.handlers.log_levels import alter_log_levels, describe_log_levels
from pykbroker.state.configs import (
    BROKER_TYPE,
    CLIENT_METRICS_TYPE,
    DONE,
    GROUP_TYPE,
    LOGGER_TYPE,
    STORED_TYPES,
    TOPIC_TYPE,
    Outcome,
    preprocess,
    refused,
)
from pykbroker.state.described_configs import Describer
from pykbroker.state.errors import KafkaError
from pykbroker.state.topic_names import check_topic_name
from wire.errors import ErrorCode
from wire.messages import alter_configs as legacy
from wire.messages import incremental_alter_configs as incremental
from wire.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from wire.messages.list_config_resources import ConfigResource as ListedResource
from wire.messages.list_config_resources import (
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykbroker.handlers.api import Context
    from pykbroker.state.controller.image import MetadataImage

Resource = TypeVar("Resource", legacy.AlterConfigsResource, incremental.AlterConfigsResource)
Result = TypeVar(
    "Result", legacy.AlterConfigsResourceResponse, incremental.AlterConfigsResourceResponse
)


@handles(DescribeConfigsRequest)
def describe_configs(request: DescribeConfigsRequest, ctx: Context) -> DescribeConfigsResponse:
    image = ctx.broker.images.current
    describer = Describer(
        ctx.broker.settings.current,
        include_synonyms=request.include_synonyms,
        include_documentation=request.include_documentation,
    )
    response = DescribeConfigsResponse()
    for resource in request.resources:
        result = DescribeConfigsResult(
            error_message="",
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        try:
            result.configs = _describe(resource, describer, image, ctx)
        except (KafkaError, ConfigError) as error:
            outcome = refused(error)
            result.error_code, result.error_message = outcome.code, outcome.message
        response.results.append(result)
    return response


def _describe(
    resource: DescribeConfigsResource, describer: Describer, image: MetadataImage, ctx: Context
) -> list[DescribeConfigsResourceResult]:
    name, keys = resource.resource_name, resource.configuration_keys
    if resource.resource_type == TOPIC_TYPE:
        check_topic_name(name)
        if name not in image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
        return describer.topic(image.config_of(TOPIC_TYPE, name), keys)
    if resource.resource_type == BROKER_TYPE:
        if not name:
            return describer.cluster_default(keys)
        _check_broker_id(name, ctx.broker.node_id, "or empty string, ")
        return describer.broker(keys)
    if resource.resource_type == LOGGER_TYPE:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Broker id must not be empty")
        _check_broker_id(name, ctx.broker.node_id, "")
        return describe_log_levels(keys)
    if resource.resource_type == CLIENT_METRICS_TYPE:
        if not name:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST, "Client metrics subscription name must not be empty"
            )
        return describer.client_metrics(image.config_of(CLIENT_METRICS_TYPE, name), keys)
    if resource.resource_type == GROUP_TYPE:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Group name must not be empty")
        return describer.group(image.config_of(GROUP_TYPE, name), keys)
    raise KafkaError(
        ErrorCode.INVALID_REQUEST,
        f"Unexpected resource type {resource.resource_type} for resource {name}",
    )


def _check_broker_id(name: str, node_id: int, alternative: str) -> None:
    if not name.removeprefix("-").isdecimal():
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}"
        )
    if int(name) != node_id:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {node_id} {alternative}but received {name}",
        )


@handles(incremental.IncrementalAlterConfigsRequest)
async def incremental_alter_configs(
    request: incremental.IncrementalAlterConfigsRequest, ctx: Context
) -> incremental.IncrementalAlterConfigsResponse:
    outcomes = _preprocess(request.resources, ctx)
    for index, resource in enumerate(request.resources):
        if resource.resource_type == LOGGER_TYPE and index not in outcomes:
            try:
                alter_log_levels(resource, ctx.broker.node_id, apply=not request.validate_only)
                outcomes[index] = DONE
            except KafkaError as error:
                outcomes[index] = refused(error)
    rest = [r for index, r in enumerate(request.resources) if index not in outcomes]
    response = incremental.IncrementalAlterConfigsResponse()
    if rest:
        forwarded = incremental.IncrementalAlterConfigsRequest(
            resources=rest, validate_only=request.validate_only
        )
        response = cast(
            "incremental.IncrementalAlterConfigsResponse",
            await ctx.broker.controller.call(forwarded, origin=ctx.origin()),
        )
    response.responses = _in_order(
        request.resources, outcomes, response.responses, incremental.AlterConfigsResourceResponse
    )
    return response


@handles(legacy.AlterConfigsRequest)
async def alter_configs(
    request: legacy.AlterConfigsRequest, ctx: Context
) -> legacy.AlterConfigsResponse:
    outcomes = _preprocess(request.resources, ctx)
    rest = [r for index, r in enumerate(request.resources) if index not in outcomes]
    response = legacy.AlterConfigsResponse()
    if rest:
        forwarded = legacy.AlterConfigsRequest(resources=rest, validate_only=request.validate_only)
        response = cast(
            "legacy.AlterConfigsResponse",
            await ctx.broker.controller.call(forwarded, origin=ctx.origin()),
        )
    response.responses = _in_order(
        request.resources, outcomes, response.responses, legacy.AlterConfigsResourceResponse
    )
    return response


def _in_order(
    resources: Sequence[Resource],
    outcomes: dict[int, Outcome],
    decided: Sequence[Result],
    result: type[Result],
) -> list[Result]:
    """A result for each resource: its outcome here, by index, or what the controller decided."""
    stored = {(r.resource_type, r.resource_name): r for r in decided}
    return [
        result(
            error_code=outcomes[index].code,
            error_message=outcomes[index].message,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )
        if index in outcomes
        else stored[resource.resource_type, resource.resource_name]
        for index, resource in enumerate(resources)
    ]


def _preprocess(resources: Sequence[Resource], ctx: Context) -> dict[int, Outcome]:
    broker = ctx.broker
    return preprocess(broker.images.current, resources, broker.settings.current, broker.node_id)


@handles(ListConfigResourcesRequest)
def list_config_resources(
    request: ListConfigResourcesRequest, ctx: Context
) -> ListConfigResourcesResponse:
    """Every type that was asked for, all of them if none was."""
    image = ctx.broker.images.current
    wanted = set(request.resource_types) or {*STORED_TYPES, LOGGER_TYPE}
    if wanted - {*STORED_TYPES, LOGGER_TYPE}:
        return ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    found: list[tuple[str, int]] = []
    for type_ in (GROUP_TYPE, CLIENT_METRICS_TYPE):
        if type_ in wanted:
            found += [(key.name, type_) for key in image.configs if key.type == type_]
    for type_ in (LOGGER_TYPE, BROKER_TYPE):
        if type_ in wanted:
            found += [(str(node_id), type_) for node_id in image.brokers]
    if TOPIC_TYPE in wanted:
        found += [(name, TOPIC_TYPE) for name in image.topics]
    return ListConfigResourcesResponse(
        config_resources=[
            ListedResource(resource_name=name, resource_type=type_) for name, type_ in found
        ]
    )
