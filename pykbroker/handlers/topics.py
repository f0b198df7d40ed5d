"""Topics, partitions and their leaders, as the controller decides.

CreateTopics: v1 validate only - v4 defaults by -1 (KIP-464) - v5 configs in the answer (KIP-525) -
v6 THROTTLING_QUOTA_EXCEEDED (KIP-599) - v7 topic ids
DeleteTopics: v3 TOPIC_DELETION_DISABLED - v5 error messages, THROTTLING_QUOTA_EXCEEDED - v6 by id
CreatePartitions: v3 THROTTLING_QUOTA_EXCEEDED
ElectLeaders: v1 election type, a top-level error (KIP-460)
AlterPartitionReassignments: v1 whether the replication factor may change (KIP-860)
ListPartitionReassignments
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.handlers.api import forward, handles
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.messages.alter_partition_reassignments import AlterPartitionReassignmentsRequest
from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsResponse
from wire.messages.create_topics import (
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from wire.messages.elect_leaders import ElectLeadersRequest
from wire.messages.list_partition_reassignments import ListPartitionReassignmentsRequest

if TYPE_CHECKING:
    from pykbroker.handlers.api import Context

handles(ElectLeadersRequest)(forward)
handles(AlterPartitionReassignmentsRequest)(forward)
handles(ListPartitionReassignmentsRequest)(forward)


@handles(CreateTopicsRequest)
async def create_topics(request: CreateTopicsRequest, ctx: Context) -> CreateTopicsResponse:
    try:
        response: CreateTopicsResponse = await _mutate(request, ctx, strict_since=6)
    except KafkaError as error:
        return CreateTopicsResponse(
            topics=[
                CreatableTopicResult(
                    name=topic.name, error_code=error.code, error_message=error.message
                )
                for topic in request.topics
            ]
        )
    if ctx.api_version >= 5:
        _add_configs(request, response, ctx)
    return response


def _add_configs(
    request: CreateTopicsRequest, response: CreateTopicsResponse, ctx: Context
) -> None:
    """Everything that counts for the new topic, its own settings and what it has from others."""
    from pykbroker.state.described_configs import Describer

    describer = Describer(
        ctx.broker.settings.current, include_synonyms=False, include_documentation=False
    )
    asked = {topic.name: topic.configs for topic in request.topics}
    for result in response.topics:
        if result.error_code == ErrorCode.NONE and not result.configs:
            overrides = {c.name: c.value for c in asked[result.name] if c.value is not None}
            result.configs = [
                CreatableTopicConfigs(
                    name=entry.name,
                    value=entry.value,
                    read_only=entry.read_only,
                    config_source=entry.config_source,
                    is_sensitive=entry.is_sensitive,
                )
                for entry in sorted(describer.topic(overrides, None), key=lambda e: e.name)
            ]


@handles(DeleteTopicsRequest)
async def delete_topics(request: DeleteTopicsRequest, ctx: Context) -> DeleteTopicsResponse:
    if ctx.api_version < 3 and not ctx.broker.settings.current.bool("delete.topic.enable"):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "This version does not support topic deletion.")
    response: DeleteTopicsResponse = await _mutate(request, ctx, strict_since=5)
    return response


@handles(CreatePartitionsRequest)
async def create_partitions(
    request: CreatePartitionsRequest, ctx: Context
) -> CreatePartitionsResponse:
    response: CreatePartitionsResponse = await _mutate(request, ctx, strict_since=3)
    return response


async def _mutate(
    request: CreateTopicsRequest | DeleteTopicsRequest | CreatePartitionsRequest,
    ctx: Context,
    *,
    strict_since: int,
) -> Any:
    """The controller's answer, with the client's quota of changes to partitions charged."""
    mutation = ctx.broker.quotas.controller_mutation(ctx, strict_since=strict_since)
    response = await ctx.broker.controller.call(
        request, charge=mutation.record, origin=ctx.origin()
    )
    response.throttle_time_ms = max(response.throttle_time_ms, mutation.throttle_ms)
    return response
