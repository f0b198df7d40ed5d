"""What only brokers ask, and what clients asked of brokers that are not the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pykbroker.handlers import inter_broker as _registered  # noqa: F401
from pykbroker.runtime.controller_batch import NotController
from pykbroker.runtime.forwarding import address_bytes, is_repeatable, principal_bytes
from pykbroker.state.errors import KafkaError
from tests.support.cluster_broker import ClusterBroker
from tests.support.cluster_images import Cluster, partition
from wire.apis import API_BY_KEY
from wire.client import request_data, response_body, response_head
from wire.codec import decode
from wire.errors import ErrorCode
from wire.messages.allocate_producer_ids import AllocateProducerIdsRequest
from wire.messages.alter_configs import AlterConfigsRequest
from wire.messages.alter_partition import AlterPartitionRequest
from wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from wire.messages.envelope import EnvelopeRequest, EnvelopeResponse
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.messages.metadata import MetadataRequest
from wire.messages.unregister_broker import UnregisterBrokerRequest

if TYPE_CHECKING:
    from wire.schema import Request

pytestmark = pytest.mark.anyio
E = ErrorCode
PRINCIPAL = principal_bytes("User:alice")


def creation(name: str = "t", partitions: int = 1) -> CreateTopicsRequest:
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=1)
    return CreateTopicsRequest(topics=[topic])


def envelope(request: Request, version: int = 7, **changes: Any) -> EnvelopeRequest:
    data = b"".join(request_data(request, version, 42, "a-client"))
    fields = {
        "request_data": data,
        "request_principal": PRINCIPAL,
        "client_host_address": address_bytes("10.1.2.3"),
    }
    return EnvelopeRequest(**(fields | changes))


def opened(response: EnvelopeResponse, key: int, version: int = 7) -> Any:
    assert response.error_code == E.NONE
    data = response.response_data
    assert data is not None
    assert response_head(data) == 42
    found, end = decode(API_BY_KEY[key].response, version, data, response_body(data, key, version))
    assert end == len(data)
    return found


def office_lost(broker: ClusterBroker) -> None:
    async def serve(*_: object) -> Any:
        raise NotController

    broker.serve = serve  # type: ignore[method-assign]


@pytest.mark.parametrize("version", [2, 4, 5, 7])
async def test_the_request_inside_is_decided_and_its_answer_comes_back_inside(version: int) -> None:
    broker = ClusterBroker(Cluster(1))
    answer = await broker.ask(envelope(creation(), version))
    [topic] = opened(answer, 19, version).topics
    assert (topic.name, topic.error_code) == ("t", E.NONE)
    assert "t" in broker.images.current.topics


async def test_what_the_controller_refuses_is_refused_inside() -> None:
    broker = ClusterBroker(Cluster(1))
    broker.fails_with = KafkaError(E.POLICY_VIOLATION, "no")
    [topic] = opened(await broker.ask(envelope(creation())), 19).topics
    assert (topic.error_code, topic.error_message) == (E.POLICY_VIOLATION, "no")
    asked = envelope(UnregisterBrokerRequest(broker_id=9), 0)
    assert opened(await broker.ask(asked), 64, 0).error_code == E.POLICY_VIOLATION


async def test_the_clients_quota_is_charged_and_the_client_told_to_wait() -> None:
    broker = ClusterBroker(Cluster(1))
    broker.permits = 3
    answer = opened(await broker.ask(envelope(creation(partitions=5))), 19)
    assert answer.topics[0].error_code == E.THROTTLING_QUOTA_EXCEEDED
    assert answer.throttle_time_ms == 777
    assert broker.strict_since == [6]


async def test_a_controller_of_yesterday_says_so() -> None:
    broker = ClusterBroker(Cluster(1))
    office_lost(broker)
    answer = await broker.ask(envelope(creation()))
    assert (answer.error_code, answer.response_data) == (E.NOT_CONTROLLER, None)
    for request in (
        AlterPartitionRequest(),
        BrokerHeartbeatRequest(),
        AllocateProducerIdsRequest(),
    ):
        version = API_BY_KEY[request.api_key].max_version
        assert (await broker.ask(request, version=version)).error_code == E.NOT_CONTROLLER


CREATION = b"".join(request_data(creation(), 7, 42, "a-client"))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (envelope(creation(), request_principal=None), E.PRINCIPAL_DESERIALIZATION_FAILURE),
        (envelope(creation(), request_principal=b""), E.PRINCIPAL_DESERIALIZATION_FAILURE),
        (envelope(creation(), request_principal=b"\0\5x"), E.PRINCIPAL_DESERIALIZATION_FAILURE),
        (envelope(creation(), request_principal=b"\0\0\5x"), E.PRINCIPAL_DESERIALIZATION_FAILURE),
        (envelope(creation(), client_host_address=b"12345"), E.INVALID_REQUEST),
        (envelope(creation(), client_host_address=b""), E.INVALID_REQUEST),
        (envelope(MetadataRequest(), 12), E.INVALID_REQUEST),
        (envelope(BrokerHeartbeatRequest(), 1), E.INVALID_REQUEST),
        (envelope(AllocateProducerIdsRequest(), 0), E.INVALID_REQUEST),
        (envelope(envelope(creation()), 0), E.INVALID_REQUEST),
        (envelope(creation(), request_data=b"\x7f\xff" + CREATION[2:]), E.INVALID_REQUEST),
        (envelope(creation(), request_data=b""), E.UNSUPPORTED_VERSION),
        (envelope(creation(), request_data=CREATION[:-9]), E.UNSUPPORTED_VERSION),
        (
            envelope(creation(), request_data=CREATION[:2] + b"\x00\x63" + CREATION[4:]),
            E.UNSUPPORTED_VERSION,
        ),
    ],
)
async def test_an_envelope_that_is_not_right_is_refused(
    asked: EnvelopeRequest, code: ErrorCode
) -> None:
    broker = ClusterBroker(Cluster(1))
    answer = await broker.ask(asked)
    assert (answer.error_code, answer.response_data) == (code, None)
    assert not broker.asked


async def test_brokers_are_fenced_by_their_epoch() -> None:
    cluster = Cluster(1, 2)
    cluster.topic("t", partition([1, 2]))
    broker = ClusterBroker(cluster)
    for request in (
        AlterPartitionRequest(broker_id=2, broker_epoch=101),
        BrokerHeartbeatRequest(broker_id=2, broker_epoch=101),
        AllocateProducerIdsRequest(broker_id=2, broker_epoch=101),
    ):
        version = API_BY_KEY[request.api_key].max_version
        assert (await broker.ask(request, version=version)).error_code == E.STALE_BROKER_EPOCH


def incremental(*operations: int) -> IncrementalAlterConfigsRequest:
    configs = [AlterableConfig(name="n", config_operation=o, value="v") for o in operations]
    return IncrementalAlterConfigsRequest(resources=[AlterConfigsResource(configs=configs)])


@pytest.mark.parametrize(
    ("request_", "repeatable"),
    [
        (creation(), False),
        (CreateTopicsRequest(validate_only=True), True),
        (UnregisterBrokerRequest(), False),
        (AlterConfigsRequest(), True),
        (incremental(0, 1), True),
        (incremental(0, 2), False),
        (incremental(3), False),
        (AlterPartitionRequest(), True),
    ],
)
async def test_what_may_be_done_twice(request_: Request, repeatable: bool) -> None:
    assert is_repeatable(request_) == repeatable


async def test_addresses_and_principals_as_kafka_writes_them() -> None:
    assert address_bytes("127.0.0.1") == b"\x7f\x00\x00\x01"
    assert address_bytes("::1") == bytes(15) + b"\x01"
    assert address_bytes("somewhere") == address_bytes("") == bytes(4)
    assert principal_bytes("User:a:b") == b"\x00\x00\x05User\x04a:b\x00\x00"
