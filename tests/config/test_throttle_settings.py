"""The settings of replication throttles: what they take, on topics and on brokers, and mean."""

from __future__ import annotations

import pytest

from pykbroker.config.definitions import ConfigError
from pykbroker.config.settings import Settings
from pykbroker.config.topic import ThrottledReplicas, log_config, validate_topic_configs
from pykbroker.state.configs import APPEND, SET, SUBTRACT, decide_incremental_alter, preprocess
from pykbroker.state.types import NodeId
from tests.support.images import image_with
from wire.errors import ErrorCode
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)

TOPIC, BROKER = 2, 4
REPLICAS = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"]
RATES = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"]


@pytest.mark.parametrize("name", REPLICAS)
@pytest.mark.parametrize("value", ["", "*", " * ", "0:1", "0:1,12:101", " 0:1 , 1:2 ", "0:1,,1:2,"])
def test_lists_of_replicas_are_taken(name: str, value: str) -> None:
    validate_topic_configs({name: value})
    log_config(Settings({}), {name: value})


@pytest.mark.parametrize("name", REPLICAS)
@pytest.mark.parametrize(
    "value", ["x", "0", "0:", ":1", "0:1:2", "0-1", "-1:1", "*,0:1", "0:1,*", "**", "0:1;1:2"]
)
def test_anything_else_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validate_topic_configs({name: value})
    assert f"{name} must be the literal '*' or a list of replicas" in str(refused.value)


def test_a_list_names_partitions_of_brokers() -> None:
    replicas = ThrottledReplicas(("0:1", "", "007:012", "9" * 5_000 + ":1", "1:" + "9" * 5_000))
    assert [(p, n) for p in range(9) for n in range(14) if replicas.covers(p, n)] == [
        (0, 1),
        (7, 12),
    ]
    assert replicas


@pytest.mark.parametrize("value", [(), ("",), ("", "")])
def test_an_empty_list_names_none(value: tuple[str, ...]) -> None:
    assert not ThrottledReplicas(value)
    assert not ThrottledReplicas(value).covers(0, 1)


def test_a_star_names_all() -> None:
    everything = ThrottledReplicas(("*",))
    assert everything
    assert everything.covers(5, 3)


def alter(
    kind: int, resource: str, name: str, operation: int, value: str
) -> tuple[int, str | None, str | None]:
    """(error, its message, what is stored afterwards)"""
    image = image_with(topics=["t"], configs={(TOPIC, "t"): {REPLICAS[0]: "0:1"}}, features={})
    config = AlterableConfig(name=name, config_operation=operation, value=value)
    request = IncrementalAlterConfigsRequest(
        resources=[
            AlterConfigsResource(resource_type=kind, resource_name=resource, configs=[config])
        ]
    )
    changes, response = decide_incremental_alter(image, request, Settings({}))
    [result] = response.responses
    stored = changes[0].value if changes else None
    return result.error_code, result.error_message, stored


@pytest.mark.parametrize(
    ("operation", "value", "stored"),
    [
        (SET, "*", "*"),
        (APPEND, "1:2", "0:1,1:2"),
        (SUBTRACT, "0:1", ""),
    ],
)
def test_topics_are_altered_item_by_item(operation: int, value: str, stored: str) -> None:
    assert alter(TOPIC, "t", REPLICAS[0], operation, value) == (ErrorCode.NONE, None, stored)


@pytest.mark.parametrize(("operation", "value"), [(SET, "0:x"), (APPEND, "*"), (APPEND, "1")])
def test_a_request_that_would_leave_another_list_changes_nothing(
    operation: int, value: str
) -> None:
    code, message, stored = alter(TOPIC, "t", REPLICAS[0], operation, value)
    assert (code, stored) == (ErrorCode.INVALID_CONFIG, None)
    assert message is not None
    assert "must be the literal '*'" in message


@pytest.mark.parametrize("name", [*RATES, "replica.alter.log.dirs.io.max.bytes.per.second"])
@pytest.mark.parametrize("broker", ["", "1"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("0", None),
        ("1000000", None),
        (str(2**63 - 1), None),
        ("-1", "Value must be at least 0"),
        ("fast", "Not a number of type LONG"),
        (str(2**63), "Not a number of type LONG"),
    ],
)
def test_rates_are_bytes_from_none_to_any_number(
    name: str, broker: str, value: str, problem: str | None
) -> None:
    """The broker that is asked looks at the values of brokers."""
    config = AlterableConfig(name=name, config_operation=SET, value=value)
    asked = AlterConfigsResource(resource_type=BROKER, resource_name=broker, configs=[config])
    image = image_with(topics=["t"], configs={}, features={})
    settings = Settings({"process.roles": "broker", "node.id": "1"})
    refused = preprocess(image, [asked], settings, NodeId(1))
    if problem is None:
        assert not refused
    else:
        [outcome] = refused.values()
        assert outcome.code == ErrorCode.INVALID_REQUEST
        assert problem in (outcome.message or "")
