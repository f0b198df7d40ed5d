"""GetTelemetrySubscriptions, PushTelemetry: clients' own metrics (KIP-714). v0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import handles
from pykbroker.state.errors import KafkaError
from pykbroker.state.telemetry import ACCEPTED_COMPRESSION_TYPES, Push
from wire.messages.get_telemetry_subscriptions import (
    GetTelemetrySubscriptionsRequest,
    GetTelemetrySubscriptionsResponse,
)
from wire.messages.push_telemetry import PushTelemetryRequest, PushTelemetryResponse

if TYPE_CHECKING:
    from pykbroker.handlers.api import Context

UNKNOWN = "unknown"
"""Client software that did not say its name, as Kafka calls it."""


@handles(GetTelemetrySubscriptionsRequest)
def get_telemetry_subscriptions(
    request: GetTelemetrySubscriptionsRequest, ctx: Context
) -> GetTelemetrySubscriptionsResponse:
    try:
        instance_id, instance = ctx.broker.telemetry.get_subscription(
            bytes(request.client_instance_id), _attributes(ctx), ctx.connection.number
        )
    except KafkaError as error:
        return GetTelemetrySubscriptionsResponse(error_code=error.code)
    return GetTelemetrySubscriptionsResponse(
        client_instance_id=instance_id,
        subscription_id=instance.subscription_id,
        accepted_compression_types=list(ACCEPTED_COMPRESSION_TYPES),
        push_interval_ms=instance.interval_ms,
        telemetry_max_bytes=ctx.broker.settings.current.int("telemetry.max.bytes"),
        delta_temporality=True,
        requested_metrics=list(instance.metrics),
    )


@handles(PushTelemetryRequest)
def push_telemetry(request: PushTelemetryRequest, ctx: Context) -> PushTelemetryResponse:
    push = Push(
        request.subscription_id,
        request.terminating,
        request.compression_type,
        len(request.metrics),
    )
    try:
        ctx.broker.telemetry.push(
            bytes(request.client_instance_id), _attributes(ctx), push, ctx.connection.number
        )
    except KafkaError as error:
        return PushTelemetryResponse(error_code=error.code)
    return PushTelemetryResponse()


def _attributes(ctx: Context) -> dict[str, str]:
    """What subscriptions match on, the instance id apart."""
    client = ctx.connection
    return {
        "client_id": ctx.client_id or "",
        "client_software_name": client.client_software_name or UNKNOWN,
        "client_software_version": client.client_software_version or UNKNOWN,
        "client_source_address": client.peer.host,
        "client_source_port": str(client.peer.port),
    }
