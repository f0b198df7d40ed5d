"""DescribeConfigs, AlterConfigs and their kin as a client meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import pykbroker.handlers.configs
import pykbroker.handlers.quotas
import pykbroker.handlers.telemetry  # noqa: F401
from pykbroker import log
from pykbroker.config.topic import log_config
from tests.support.admin import AdminBroker
from tests.support.images import image_with
from wire.apis import API_BY_KEY
from wire.codec import decode_request, encode_response
from wire.errors import ErrorCode
from wire.messages import alter_configs as legacy
from wire.messages import incremental_alter_configs as incremental
from wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from wire.messages.list_config_resources import ListConfigResourcesRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND = 0, 1, 2


@pytest.fixture
def broker_log() -> Iterator[log.Log]:
    """A log of this test's own, with one logger that has spoken."""
    log.get_logger("pykbroker.handlers.log_levels")
    own = log.Log()
    token = log.CURRENT.set(own)
    yield own
    log.CURRENT.reset(token)


async def describe(broker: AdminBroker, type_: int, name: str, *keys: str, **options: bool) -> Any:
    resource = DescribeConfigsResource(
        resource_type=type_, resource_name=name, configuration_keys=list(keys) or None
    )
    request = DescribeConfigsRequest(resources=[resource], **options)
    response = await broker.ask(request)
    for version in (4, 3, 2, 1, 0):  # the oldest last: it changes the response
        encode_response(response, version)
    return response.results[0]


async def values(broker: AdminBroker, type_: int, name: str, *keys: str) -> dict[str, Any]:
    result = await describe(broker, type_, name, *keys)
    assert result.error_code == ErrorCode.NONE, result.error_message
    return {config.name: config.value for config in result.configs}


async def alter(
    broker: AdminBroker,
    type_: int,
    name: str,
    *operations: tuple[str, int, str | None],
    validate_only: bool = False,
) -> tuple[ErrorCode, str | None]:
    resource = incremental.AlterConfigsResource(
        resource_type=type_,
        resource_name=name,
        configs=[
            incremental.AlterableConfig(name=n, config_operation=o, value=v)
            for n, o, v in operations
        ],
    )
    request = incremental.IncrementalAlterConfigsRequest(
        resources=[resource], validate_only=validate_only
    )
    response = await broker.ask(request)
    answer = response.responses[0]
    assert (answer.resource_type, answer.resource_name) == (type_, name)
    return ErrorCode(answer.error_code), answer.error_message


OK = (ErrorCode.NONE, None)


async def test_a_topics_setting_is_changed_and_described() -> None:
    broker = AdminBroker()
    assert await alter(broker, TOPIC, "t", ("retention.ms", SET, "5")) == OK
    assert await values(broker, TOPIC, "t", "retention.ms") == {"retention.ms": "5"}
    overrides = broker.images.current.config_of(TOPIC, "t")
    assert log_config(broker.settings.current, overrides).retention_ms == 5
    assert await alter(broker, TOPIC, "t", ("retention.ms", DELETE, None)) == OK
    assert await values(broker, TOPIC, "t", "retention.ms") == {"retention.ms": "604800000"}


async def test_a_brokers_setting_takes_effect_while_it_runs() -> None:
    broker = AdminBroker()
    told: list[frozenset[str]] = []
    broker.settings.on_change(told.append)
    assert await alter(broker, BROKER, "", ("message.max.bytes", SET, "500")) == OK
    assert broker.settings.current.int("message.max.bytes") == 500
    assert await alter(broker, BROKER, "1", ("message.max.bytes", SET, "400")) == OK
    assert broker.settings.current.int("message.max.bytes") == 400
    assert await values(broker, BROKER, "", "message.max.bytes") == {"message.max.bytes": "500"}
    assert await values(broker, TOPIC, "t", "max.message.bytes") == {"max.message.bytes": "400"}
    assert await alter(broker, BROKER, "1", ("message.max.bytes", DELETE, None)) == OK
    assert broker.settings.current.int("message.max.bytes") == 500
    assert told == [{"message.max.bytes"}] * 3


async def test_validate_only_changes_nothing() -> None:
    broker = AdminBroker()
    operation = ("message.max.bytes", SET, "500")
    assert await alter(broker, BROKER, "", operation, validate_only=True) == OK
    assert broker.settings.current.int("message.max.bytes") == 1048588
    assert broker.images.current.configs == {}


@pytest.mark.parametrize(
    ("type_", "name", "code", "message"),
    [
        (TOPIC, "nope", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ""),
        (
            TOPIC,
            "",
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            BROKER,
            "2",
            ErrorCode.INVALID_REQUEST,
            "Unexpected broker id, expected 1 or empty string, but received 2",
        ),
        (BROKER, "x", ErrorCode.INVALID_REQUEST, "Broker id must be an integer, but it is: x"),
        (LOGGER, "", ErrorCode.INVALID_REQUEST, "Broker id must not be empty"),
        (
            LOGGER,
            "2",
            ErrorCode.INVALID_REQUEST,
            "Unexpected broker id, expected 1 but received 2",
        ),
        (LOGGER, "x", ErrorCode.INVALID_REQUEST, "Broker id must be an integer, but it is: x"),
        (GROUP, "", ErrorCode.INVALID_REQUEST, "Group name must not be empty"),
        (
            CLIENT_METRICS,
            "",
            ErrorCode.INVALID_REQUEST,
            "Client metrics subscription name must not be empty",
        ),
        (99, "x", ErrorCode.INVALID_REQUEST, "Unexpected resource type 99 for resource x"),
    ],
)
async def test_what_cannot_be_described(
    type_: int, name: str, code: ErrorCode, message: str
) -> None:
    result = await describe(AdminBroker(), type_, name)
    assert (result.error_code, result.error_message) == (code, message)
    assert result.configs == []


async def test_documentation_and_synonyms_come_when_asked_for() -> None:
    broker = AdminBroker()
    plain = await describe(broker, BROKER, "1", "num.partitions")
    assert plain.configs[0].documentation is None
    assert plain.configs[0].synonyms == []
    full = await describe(
        broker,
        BROKER,
        "1",
        "num.partitions",
        include_synonyms=True,
        include_documentation=True,
    )
    assert full.configs[0].documentation
    assert [s.value for s in full.configs[0].synonyms] == ["1"]


async def test_requests_for_the_broker_itself_do_not_reach_the_controller() -> None:
    broker = AdminBroker()
    code, message = await alter(broker, BROKER, "1", ("num.partitions", SET, "3"))
    assert code == ErrorCode.INVALID_REQUEST
    assert message == "Cannot update these configs dynamically: [num.partitions]"
    assert broker.forwarded == []


async def test_answers_keep_the_order_of_the_request() -> None:
    broker = AdminBroker()
    names = [("2", BROKER), ("t", TOPIC), ("nope", TOPIC), ("", BROKER)]
    request = incremental.IncrementalAlterConfigsRequest(
        resources=[
            incremental.AlterConfigsResource(resource_type=type_, resource_name=name)
            for name, type_ in names
        ]
    )
    response = await broker.ask(request)
    assert [(r.resource_name, r.resource_type) for r in response.responses] == names
    assert [r.error_code for r in response.responses] == [
        ErrorCode.INVALID_REQUEST,
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.NONE,
    ]
    assert len(broker.forwarded) == 1


async def test_the_old_request_replaces_everything() -> None:
    broker = AdminBroker(image_with(topics=["t"], configs={(TOPIC, "t"): {"segment.ms": "7"}}))
    request = legacy.AlterConfigsRequest(
        resources=[
            legacy.AlterConfigsResource(
                resource_type=TOPIC,
                resource_name="t",
                configs=[legacy.AlterableConfig(name="retention.ms", value="5")],
            ),
            legacy.AlterConfigsResource(resource_type=LOGGER, resource_name="1"),
        ]
    )
    response = await broker.ask(request)
    assert [r.error_code for r in response.responses] == [0, ErrorCode.INVALID_REQUEST]
    assert broker.images.current.config_of(TOPIC, "t") == {"retention.ms": "5"}


async def test_log_levels_change_while_the_broker_runs(broker_log: log.Log) -> None:
    broker = AdminBroker()
    name = "pykbroker.handlers.log_levels"
    logger = log.get_logger(name)
    emitted: list[str] = []

    class Sink:
        def emit(self, level: int, name: str, event: str, fields: dict[str, Any]) -> None:
            emitted.append(event)

    broker_log.sink = Sink()
    assert (await values(broker, LOGGER, "1", name))[name] == "INFO"
    logger.debug("before")
    assert await alter(broker, LOGGER, "1", (name, SET, "DEBUG")) == OK
    assert (await values(broker, LOGGER, "1", name))[name] == "DEBUG"
    logger.debug("while")
    assert await alter(broker, LOGGER, "1", ("root", SET, "ERROR")) == OK
    assert await alter(broker, LOGGER, "1", (name, DELETE, None)) == OK
    assert (await values(broker, LOGGER, "1", name, "root")) == {name: "ERROR", "root": "ERROR"}
    logger.warning("after")
    assert [event for event in emitted if event != "log level changed"] == ["while"]
    assert broker.forwarded == []


@pytest.mark.parametrize(
    ("node", "operation", "code", "message"),
    [
        ("1", ("nope", SET, "DEBUG"), ErrorCode.INVALID_CONFIG, "Logger nope does not exist!"),
        (
            "1",
            ("root", SET, "debug"),
            ErrorCode.INVALID_CONFIG,
            "Cannot set the log level of root to debug as it is not a supported log level. "
            "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
        ),
        (
            "1",
            ("root", DELETE, None),
            ErrorCode.INVALID_REQUEST,
            "Removing the log level of the root logger is not allowed",
        ),
        (
            "1",
            ("root", APPEND, "DEBUG"),
            ErrorCode.INVALID_REQUEST,
            "APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "1",
            ("root", 9, "DEBUG"),
            ErrorCode.INVALID_REQUEST,
            "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "1",
            ("root", SET, None),
            ErrorCode.INVALID_REQUEST,
            "Null value not supported for : root",
        ),
        (
            "2",
            ("root", SET, "DEBUG"),
            ErrorCode.INVALID_REQUEST,
            "Unexpected node id. Expected 1, but received 2",
        ),
        (
            "",
            ("root", SET, "DEBUG"),
            ErrorCode.INVALID_REQUEST,
            "Node id must be an integer, but it is: ",
        ),
    ],
)
async def test_bad_log_levels(
    broker_log: log.Log,
    node: str,
    operation: tuple[str, int, str | None],
    code: ErrorCode,
    message: str,
) -> None:
    before = broker_log.levels()
    assert await alter(AdminBroker(), LOGGER, node, operation) == (code, message)
    assert broker_log.levels() == before


async def test_validating_a_log_level_does_not_set_it(broker_log: log.Log) -> None:
    operation = ("root", SET, "ERROR")
    assert await alter(AdminBroker(), LOGGER, "1", operation, validate_only=True) == OK
    assert broker_log.root == log.INFO


async def listed(broker: AdminBroker, *types: int) -> Any:
    request = ListConfigResourcesRequest(resource_types=list(types))
    response = await broker.ask(request, version=1)
    encode_response(response, 1)
    return response


async def test_resources_are_listed_by_type() -> None:
    configs = {
        (GROUP, "g"): {"consumer.session.timeout.ms": "50000"},
        (CLIENT_METRICS, "cm"): {"metrics": "a"},
        (TOPIC, "t"): {"retention.ms": "5"},
    }
    broker = AdminBroker(image_with(topics=["t", "u"], configs=configs))
    everything = {("g", 32), ("cm", 16), ("1", 8), ("1", 4), ("t", 2), ("u", 2)}

    async def names(*types: int) -> set[tuple[str, int]]:
        response = await listed(broker, *types)
        return {(r.resource_name, r.resource_type) for r in response.config_resources}

    assert await names() == everything
    assert await names(TOPIC) == {("t", 2), ("u", 2)}
    assert await names(GROUP, CLIENT_METRICS) == {("g", 32), ("cm", 16)}
    refused = await listed(broker, 99)
    assert refused.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert refused.config_resources == []


async def test_the_oldest_listing_is_of_client_metrics() -> None:
    """Its request has no types, its answer no place for them."""
    configs = {(CLIENT_METRICS, "cm"): {"metrics": "a"}}
    broker = AdminBroker(image_with(topics=["t"], configs=configs))
    api = API_BY_KEY[ListConfigResourcesRequest.api_key]
    request = decode_request(api, 0, memoryview(b"\x00"), 0)
    response = await broker.ask(request, version=0)
    encode_response(response, 0)
    assert [r.resource_name for r in response.config_resources] == ["cm"]
