"""Quotas and telemetry as a client meets them."""

from __future__ import annotations

from typing import Any

import pytest

import pykbroker.handlers.configs
import pykbroker.handlers.quotas
import pykbroker.handlers.telemetry  # noqa: F401
from pykbroker.handlers.api import Connection
from pykbroker.ports import Peer
from pykbroker.runtime.telemetry import TELEMETRY_APIS
from tests.support.admin import AdminBroker
from tests.support.images import image_with
from wire.codec import encode_response
from wire.errors import ErrorCode
from wire.messages import alter_client_quotas as alter
from wire.messages import describe_client_quotas as describe
from wire.messages.get_telemetry_subscriptions import GetTelemetrySubscriptionsRequest
from wire.messages.push_telemetry import PushTelemetryRequest

pytestmark = pytest.mark.anyio

PRODUCER = "producer_byte_rate"


def setting(user: str | None, key: str, value: float | None) -> alter.AlterClientQuotasRequest:
    return alter.AlterClientQuotasRequest(
        entries=[
            alter.EntryData(
                entity=[alter.EntityData(entity_type="user", entity_name=user)],
                ops=[alter.OpData(key=key, value=value or 0.0, remove=value is None)],
            )
        ]
    )


async def test_a_quota_that_is_set_is_in_force_and_described() -> None:
    broker = AdminBroker()
    assert not broker.quotas.active
    response = await broker.ask(setting("ANONYMOUS", PRODUCER, 100.0))
    assert response.entries[0].error_code == ErrorCode.NONE
    assert broker.quotas.active
    found = await broker.ask(describe.DescribeClientQuotasRequest())
    for version in (0, 1):
        encode_response(found, version)
        encode_response(response, version)
    assert [(v.key, v.value) for v in found.entries[0].values] == [(PRODUCER, 100.0)]
    await broker.ask(setting("ANONYMOUS", PRODUCER, None))
    assert not broker.quotas.active
    assert (await broker.ask(describe.DescribeClientQuotasRequest())).entries == []


async def test_a_bad_filter_is_answered_without_entries() -> None:
    component = describe.ComponentData(entity_type="foo", match_type=2, match=None)
    request = describe.DescribeClientQuotasRequest(components=[component])
    response = await AdminBroker().ask(request)
    assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert response.entries is None
    encode_response(response, 1)


SUBSCRIPTION = {(16, "s"): {"metrics": "org.apache.", "interval.ms": "1000"}}


async def subscribed(broker: AdminBroker, instance_id: bytes = bytes(16), **options: Any) -> Any:
    request = GetTelemetrySubscriptionsRequest(client_instance_id=instance_id)
    response = await broker.ask(request, version=0, **options)
    encode_response(response, 0)
    return response


async def pushed(broker: AdminBroker, of: Any, metrics: bytes = b"figures", **options: Any) -> int:
    request = PushTelemetryRequest(
        client_instance_id=of.client_instance_id,
        subscription_id=options.pop("subscription_id", of.subscription_id),
        metrics=metrics,
    )
    response = await broker.ask(request, version=0)
    encode_response(response, 0)
    code: int = response.error_code
    return code


async def test_a_client_is_given_an_id_and_its_subscription() -> None:
    broker = AdminBroker(image_with(configs=SUBSCRIPTION), telemetry_max_bytes="100")
    response = await subscribed(broker)
    assert response.error_code == ErrorCode.NONE
    assert response.client_instance_id != bytes(16)
    assert response.requested_metrics == ["org.apache."]
    assert response.accepted_compression_types == [4, 3, 1, 2]
    assert (response.push_interval_ms, response.telemetry_max_bytes) == (1000, 100)
    assert response.delta_temporality
    assert await pushed(broker, response) == ErrorCode.NONE
    assert (broker.telemetry.pushes, broker.telemetry.bytes_received) == (1, 7)


async def test_refusals_are_the_protocols() -> None:
    broker = AdminBroker(image_with(configs=SUBSCRIPTION), telemetry_max_bytes="100")
    response = await subscribed(broker)
    again = await subscribed(broker, response.client_instance_id)
    assert again.error_code == ErrorCode.THROTTLING_QUOTA_EXCEEDED
    assert await pushed(broker, response, bytes(101)) == ErrorCode.TELEMETRY_TOO_LARGE
    broker.clock.advance(1000)
    wrong = response.subscription_id ^ 1
    assert (
        await pushed(broker, response, subscription_id=wrong) == ErrorCode.UNKNOWN_SUBSCRIPTION_ID
    )


async def test_the_limit_of_a_push_is_read_when_it_comes() -> None:
    broker = AdminBroker(image_with(configs=SUBSCRIPTION))
    response = await subscribed(broker)
    assert await pushed(broker, response, bytes(1 << 20)) == ErrorCode.NONE


async def test_a_subscription_can_ask_for_certain_clients() -> None:
    configs = {
        (16, "s"): {
            "metrics": "x",
            "match": "client_software_name=apache-kafka-java,client_source_address=10.*",
        }
    }
    broker = AdminBroker(image_with(configs=configs))
    java = Connection(Peer("PLAINTEXT", "PLAINTEXT", "10.0.0.1", 5000), 1)
    java.client_software_name = "apache-kafka-java"
    assert (await subscribed(broker, connection=java)).requested_metrics == ["x"]
    assert (await subscribed(broker)).requested_metrics == []


async def test_the_apis_are_advertised_while_there_is_a_subscription() -> None:
    broker = AdminBroker()
    assert broker.telemetry.hidden_apis == TELEMETRY_APIS
    subscribed_ = AdminBroker(image_with(configs=SUBSCRIPTION))
    assert subscribed_.telemetry.hidden_apis == frozenset()


async def test_an_instance_goes_with_its_connection() -> None:
    broker = AdminBroker(image_with(configs=SUBSCRIPTION))
    response = await subscribed(broker)
    assert broker.telemetry.instances == 1
    broker.telemetry.connection_closed(99)
    assert broker.telemetry.instances == 1
    broker.telemetry.connection_closed(1)
    assert broker.telemetry.instances == 0
    again = await subscribed(broker, response.client_instance_id)
    assert again.error_code == ErrorCode.NONE
