"""AlterConfigs and IncrementalAlterConfigs: what is stored, what is refused, in Kafka's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.config.settings import Settings
from pykbroker.state.configs import (
    APPEND,
    DELETE,
    SET,
    SUBTRACT,
    ConfigChange,
    decide_alter_configs,
    decide_incremental_alter,
    preprocess,
)
from pykbroker.state.controller.image import ConfigResource
from pykbroker.state.types import NodeId
from tests.support.images import image_with
from wire.errors import ErrorCode
from wire.messages import alter_configs as legacy
from wire.messages import incremental_alter_configs as incremental

if TYPE_CHECKING:
    from pykbroker.state.controller.image import MetadataImage

TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
IMAGE = image_with(
    topics=["t"],
    configs={
        (TOPIC, "t"): {"retention.ms": "5", "cleanup.policy": "delete"},
        (BROKER, "1"): {"message.max.bytes": "9"},
    },
    features={},
)
NONE, INVALID_CONFIG, INVALID_REQUEST = (
    ErrorCode.NONE,
    ErrorCode.INVALID_CONFIG,
    ErrorCode.INVALID_REQUEST,
)


def resource(
    type_: int, name: str, *operations: tuple[str, int, str | None]
) -> incremental.AlterConfigsResource:
    return incremental.AlterConfigsResource(
        resource_type=type_,
        resource_name=name,
        configs=[
            incremental.AlterableConfig(name=n, config_operation=o, value=v)
            for n, o, v in operations
        ],
    )


def decide(
    *resources: incremental.AlterConfigsResource,
    image: MetadataImage = IMAGE,
    validate_only: bool = False,
) -> tuple[list[ConfigChange], list[tuple[ErrorCode, str | None]]]:
    request = incremental.IncrementalAlterConfigsRequest(
        resources=list(resources), validate_only=validate_only
    )
    changes, response = decide_incremental_alter(image, request, Settings({}))
    return changes, [(ErrorCode(r.error_code), r.error_message) for r in response.responses]


def change(type_: int, name: str, key: str, value: str | None) -> ConfigChange:
    return ConfigChange(ConfigResource(type_, name), key, value)


def test_set_and_delete() -> None:
    changes, answers = decide(
        resource(TOPIC, "t", ("retention.bytes", SET, "7"), ("retention.ms", DELETE, None))
    )
    assert answers == [(NONE, None)]
    assert changes == [
        change(TOPIC, "t", "retention.bytes", "7"),
        change(TOPIC, "t", "retention.ms", None),
    ]


def test_what_changes_nothing_is_not_stored() -> None:
    changes, answers = decide(
        resource(TOPIC, "t", ("retention.ms", SET, "5"), ("segment.ms", DELETE, None))
    )
    assert (changes, answers) == ([], [(NONE, None)])


def test_validate_only_stores_nothing_and_still_checks() -> None:
    changes, answers = decide(
        resource(TOPIC, "t", ("retention.ms", SET, "6")),
        resource(GROUP, "g", ("nope", SET, "6")),
        validate_only=True,
    )
    assert changes == []
    assert answers == [(NONE, None), (INVALID_CONFIG, "Unknown group config name: nope")]


@pytest.mark.parametrize(
    ("operation", "value", "result"),
    [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "delete", None),
        (APPEND, "compact,delete", "delete,compact"),
        (SUBTRACT, "delete", ""),
        (SUBTRACT, "compact", None),
    ],
)
def test_lists_grow_and_shrink(operation: int, value: str, result: str | None) -> None:
    changes, answers = decide(resource(TOPIC, "t", ("cleanup.policy", operation, value)))
    assert answers == [(NONE, None)]
    expected = [] if result is None else [change(TOPIC, "t", "cleanup.policy", result)]
    assert changes == expected


def test_a_list_that_is_not_set_grows_from_kafkas_default() -> None:
    image = image_with(topics=["t"])
    changes, _ = decide(resource(TOPIC, "t", ("cleanup.policy", APPEND, "compact")), image=image)
    assert changes == [change(TOPIC, "t", "cleanup.policy", "delete,compact")]


@pytest.mark.parametrize(
    ("resource_", "code", "message"),
    [
        (
            resource(TOPIC, "t", ("retention.ms", APPEND, "5")),
            INVALID_CONFIG,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            resource(CLIENT_METRICS, "cm", ("metrics", SUBTRACT, "a")),
            INVALID_CONFIG,
            "Can't SUBTRACT to key metrics because its type is not LIST.",
        ),
        (
            resource(TOPIC, "t", ("bogus", SET, "1")),
            INVALID_CONFIG,
            "Unknown topic config name: bogus",
        ),
        (
            resource(TOPIC, "t", ("retention.ms", SET, "x")),
            INVALID_CONFIG,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            resource(TOPIC, "t", ("retention.ms", SET, None)),
            INVALID_REQUEST,
            "Null value not supported for : retention.ms",
        ),
        (
            resource(TOPIC, "t", ("retention.ms", SET, "5"), ("retention.ms", SET, "6")),
            INVALID_REQUEST,
            "Error due to duplicate config keys",
        ),
        (
            resource(TOPIC, "t", ("retention.ms", 9, "5")),
            INVALID_REQUEST,
            "Unknown operations type 9",
        ),
        (
            resource(TOPIC, "t", ("follower.replication.throttled.replicas", SET, "0:1," * 9000)),
            INVALID_CONFIG,
            "The configuration value cannot be added because it exceeds the maximum value "
            "size of 32767 bytes.",
        ),
        (
            resource(TOPIC, "nope", ("retention.ms", SET, "5")),
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            "The topic 'nope' does not exist.",
        ),
        (
            resource(TOPIC, "nope", ("retention.ms", SET, "x")),
            INVALID_CONFIG,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            resource(TOPIC, "", ("retention.ms", SET, "5")),
            INVALID_REQUEST,
            "Default topic resources are not allowed.",
        ),
        (
            resource(TOPIC, "a b", ("retention.ms", SET, "5")),
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII "
            "alphanumerics, '.', '_' and '-'",
        ),
        (
            resource(GROUP, "", ("consumer.session.timeout.ms", SET, "50000")),
            INVALID_REQUEST,
            "Default group resources are not allowed.",
        ),
        (
            resource(GROUP, "g", ("consumer.session.timeout.ms", SET, "1000")),
            INVALID_CONFIG,
            "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.",
        ),
        (
            resource(CLIENT_METRICS, "", ("interval.ms", SET, "500")),
            INVALID_REQUEST,
            "Subscription name can't be empty",
        ),
        (
            resource(CLIENT_METRICS, "cm", ("bogus", SET, "1")),
            INVALID_REQUEST,
            "Unknown client metrics configuration: bogus",
        ),
        (
            resource(CLIENT_METRICS, "cm", ("interval.ms", SET, "5")),
            INVALID_REQUEST,
            "Invalid value 5 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (
            resource(CLIENT_METRICS, "cm", ("interval.ms", SET, "x")),
            INVALID_CONFIG,
            "Invalid value x for configuration interval.ms: Not a number of type INT",
        ),
        (
            resource(CLIENT_METRICS, "cm", ("match", SET, "foo=1")),
            INVALID_CONFIG,
            "Illegal client matching pattern: foo=1",
        ),
        (
            resource(CLIENT_METRICS, "cm", ("match", SET, "client_id=[")),
            INVALID_CONFIG,
            "Illegal client matching pattern: client_id=[",
        ),
        (
            resource(BROKER, "x", ("message.max.bytes", SET, "5")),
            INVALID_REQUEST,
            "Unable to parse broker name as a base 10 number.",
        ),
        (
            resource(BROKER, "-1", ("message.max.bytes", SET, "5")),
            INVALID_REQUEST,
            "Invalid negative broker ID.",
        ),
        (
            resource(BROKER, "7", ("message.max.bytes", SET, "5")),
            ErrorCode.BROKER_ID_NOT_REGISTERED,
            "No node with id 7 found.",
        ),
        (
            resource(99, "x", ("a", SET, "5")),
            INVALID_REQUEST,
            "Unknown resource type 99",
        ),
        (
            resource(LOGGER, "1", ("root", SET, "INFO")),
            INVALID_REQUEST,
            "Unknown resource type 8",
        ),
    ],
)
def test_a_refusal_changes_nothing_and_says_what_kafka_says(
    resource_: incremental.AlterConfigsResource, code: ErrorCode, message: str
) -> None:
    assert decide(resource_) == ([], [(code, message)])


def test_one_bad_setting_keeps_its_whole_resource_as_it_was_and_no_other() -> None:
    changes, answers = decide(
        resource(TOPIC, "t", ("retention.bytes", SET, "7"), ("segment.ms", SET, "x")),
        resource(BROKER, "", ("message.max.bytes", SET, "8")),
    )
    assert [code for code, _ in answers] == [INVALID_CONFIG, NONE]
    assert changes == [change(BROKER, "", "message.max.bytes", "8")]


def test_a_resource_named_twice_is_refused_both_times() -> None:
    twice = resource(TOPIC, "t", ("retention.ms", SET, "7"))
    changes, answers = decide(twice, twice)
    assert changes == []
    assert answers == [(INVALID_REQUEST, "Duplicate resource.")] * 2


def test_unknown_names_can_be_deleted_and_set_ones_must_stay_valid_together() -> None:
    assert decide(resource(GROUP, "g", ("nope", DELETE, None)))[1] == [(NONE, None)]
    image = image_with(topics=["t"], configs={(TOPIC, "t"): {"min.compaction.lag.ms": "10"}})
    _, answers = decide(resource(TOPIC, "t", ("max.compaction.lag.ms", SET, "5")), image=image)
    assert answers[0][0] == INVALID_CONFIG


def test_with_eligible_leader_replicas_the_minimum_isr_is_the_clusters() -> None:
    image = image_with(features={"eligible.leader.replicas.version": 1})
    own = resource(BROKER, "1", ("min.insync.replicas", SET, "2"))
    removed = resource(BROKER, "", ("min.insync.replicas", DELETE, None))
    raised = resource(BROKER, "", ("min.insync.replicas", SET, "2"))
    assert decide(own, image=image)[1] == [
        (
            INVALID_CONFIG,
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        )
    ]
    assert decide(removed, image=image)[1] == [
        (
            INVALID_CONFIG,
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        )
    ]
    assert decide(raised, image=image)[0] == [change(BROKER, "", "min.insync.replicas", "2")]
    assert decide(own)[1] == [(NONE, None)]


def legacy_request(
    type_: int, name: str, validate_only: bool = False, **configs: str | None
) -> legacy.AlterConfigsRequest:
    return legacy.AlterConfigsRequest(
        resources=[
            legacy.AlterConfigsResource(
                resource_type=type_,
                resource_name=name,
                configs=[
                    legacy.AlterableConfig(name=key.replace("_", "."), value=value)
                    for key, value in configs.items()
                ],
            )
        ],
        validate_only=validate_only,
    )


def test_the_old_request_deletes_what_it_does_not_name() -> None:
    request = legacy_request(TOPIC, "t", retention_bytes="7")
    changes, response = decide_alter_configs(IMAGE, request, Settings({}))
    assert response.responses[0].error_code == NONE
    assert changes == [
        change(TOPIC, "t", "retention.bytes", "7"),
        change(TOPIC, "t", "retention.ms", None),
        change(TOPIC, "t", "cleanup.policy", None),
    ]
    only = legacy_request(TOPIC, "t", True, retention_bytes="7")
    assert decide_alter_configs(IMAGE, only, Settings({}))[0] == []


def test_the_old_request_knows_no_nulls() -> None:
    changes, response = decide_alter_configs(
        IMAGE, legacy_request(TOPIC, "t", retention_ms=None), Settings({})
    )
    assert changes == []
    assert response.responses[0].error_message == "Null value not supported for : retention.ms"


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["retention.ms", "segment.bytes", "cleanup.policy", "bogus"]),
        st.sampled_from([SET, DELETE, APPEND, SUBTRACT, 5]),
        st.sampled_from(["1048576", "compact", "delete", "", None, "x"]),
    ),
    max_size=4,
)


@given(OPERATIONS)
def test_any_request_is_taken_whole_or_not_at_all(
    operations: list[tuple[str, int, str | None]],
) -> None:
    changes, answers = decide(resource(TOPIC, "t", *operations))
    if answers[0][0] != NONE:
        assert changes == []
        return
    result = dict(IMAGE.config_of(TOPIC, "t"))
    for made in changes:
        assert result.get(made.name) != made.value
        if made.value is None:
            del result[made.name]
        else:
            result[made.name] = made.value
    again = legacy_request(TOPIC, "t", True)
    again.resources[0].configs = [
        legacy.AlterableConfig(name=name, value=value) for name, value in result.items()
    ]
    _, response = decide_alter_configs(IMAGE, again, Settings({}))
    assert response.responses[0].error_code == NONE


OWN = Settings({"process.roles": "broker", "node.id": "1"})


def refused_here(
    *resources: incremental.AlterConfigsResource, settings: Settings | None = None
) -> dict[int, tuple[ErrorCode, str | None]]:
    outcomes = preprocess(IMAGE, list(resources), settings or OWN, NodeId(1))
    return {index: (outcome.code, outcome.message) for index, outcome in outcomes.items()}


def test_the_receiving_broker_lets_good_requests_pass() -> None:
    assert (
        refused_here(
            resource(TOPIC, "t", ("retention.ms", SET, "x")),
            resource(BROKER, "1", ("log.retention.ms", SET, "5")),
            resource(BROKER, "", ("log.retention.ms", SET, "5"), ("my.own", SET, "x")),
            resource(LOGGER, "1", ("root", SET, "INFO")),
        )
        == {}
    )


@pytest.mark.parametrize(
    ("resource_", "code", "message"),
    [
        (
            resource(BROKER, "2", ("log.retention.ms", SET, "5")),
            INVALID_REQUEST,
            "Unexpected broker id, expected 1, but received 2",
        ),
        (
            resource(BROKER, "x", ("log.retention.ms", SET, "5")),
            INVALID_REQUEST,
            "Node id must be an integer, but it is: x",
        ),
        (
            resource(BROKER, "1", ("num.partitions", SET, "3")),
            INVALID_REQUEST,
            "Cannot update these configs dynamically: [num.partitions]",
        ),
        (
            resource(BROKER, "", ("listeners", SET, "A://:1")),
            INVALID_REQUEST,
            "Cannot update these configs at default cluster level, broker id must be "
            "specified: [listeners]",
        ),
        (
            resource(BROKER, "1", ("ssl.keystore.location", SET, "x")),
            INVALID_REQUEST,
            "These security configs can be dynamically updated only per-listener using the "
            "listener prefix: [ssl.keystore.location]",
        ),
        (
            resource(BROKER, "1", ("num.io.threads", SET, "abc")),
            INVALID_REQUEST,
            "Invalid value abc for configuration num.io.threads: Not a number of type INT",
        ),
        (
            resource(BROKER, "1", ("num.io.threads", SET, "100")),
            INVALID_REQUEST,
            "Dynamic thread count update validation failed for num.io.threads=100, value should "
            "not be greater than double the current value 8",
        ),
        (
            resource(BROKER, "1", ("num.io.threads", SET, "3")),
            INVALID_REQUEST,
            "Dynamic thread count update validation failed for num.io.threads=3, value should "
            "be at least half the current value 8",
        ),
        (
            resource(BROKER, "1", ("log.retention.ms", SET, "0")),
            INVALID_REQUEST,
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        ),
        (
            resource(BROKER, "1", ("num.io.threads", APPEND, "5")),
            INVALID_CONFIG,
            "Config value append is not allowed for config key: num.io.threads",
        ),
        (
            resource(BROKER, "1", ("foo", APPEND, "5")),
            INVALID_CONFIG,
            "Unknown config name: foo",
        ),
        (
            resource(99, "1", ("foo", SET, "5")),
            INVALID_REQUEST,
            "Unknown resource type 99",
        ),
        (
            resource(TOPIC, "t", ("retention.ms", SET, None)),
            INVALID_REQUEST,
            "Null value not supported for : retention.ms",
        ),
    ],
)
def test_the_receiving_broker_refuses_what_it_cannot_do(
    resource_: incremental.AlterConfigsResource, code: ErrorCode, message: str
) -> None:
    assert refused_here(resource_) == {0: (code, message)}


def test_a_resource_named_twice_never_reaches_the_controller() -> None:
    twice = resource(BROKER, "1", ("log.retention.ms", SET, "5"))
    message = (INVALID_REQUEST, "Each resource must appear at most once.")
    assert refused_here(twice, twice) == {0: message, 1: message}


def test_listener_settings_may_change_with_their_prefix() -> None:
    good = resource(
        BROKER,
        "1",
        ("listener.name.plaintext.max.connections", SET, "5"),
        ("listener.name.plaintext.ssl.keystore.location", SET, "/x"),
    )
    assert refused_here(good) == {}
    bad = resource(BROKER, "1", ("listener.name.plaintext.max.connections", SET, "x"))
    assert refused_here(bad)[0][0] == INVALID_REQUEST


@pytest.mark.parametrize(
    ("listeners", "message"),
    [
        ("PLAINTEXT://:1,B://:3", None),
        ("PLAINTEXT://:1,B://:2,SSL://:3", None),
        ("B://:2", "Advertised listeners 'PLAINTEXT' must be a subset"),
        ("PLAINTEXT://:1,B://:1", "different port"),
        ("PLAINTEXT://:1,C://:2", "no security protocol"),
    ],
)
def test_listeners_may_be_added_but_not_taken_from_under_clients(
    listeners: str, message: str | None
) -> None:
    settings = Settings(
        {
            "process.roles": "broker",
            "node.id": "1",
            "controller.listener.names": "CONTROLLER",
            "listeners": "PLAINTEXT://:1,B://:2",
            "inter.broker.listener.name": "B",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,B:PLAINTEXT,SSL:SSL",
        }
    )
    found = refused_here(resource(BROKER, "1", ("listeners", SET, listeners)), settings=settings)
    if message is None:
        assert found == {}
    else:
        assert message in (found[0][1] or "")


def test_the_old_request_is_checked_by_the_receiving_broker_too() -> None:
    request = legacy_request(LOGGER, "1", root="INFO")
    outcomes = preprocess(IMAGE, request.resources, OWN, NodeId(1))
    assert outcomes[0].message == "Unknown resource type 8"
    fixed = legacy_request(BROKER, "1", num_partitions="5")
    outcomes = preprocess(IMAGE, fixed.resources, OWN, NodeId(1))
    assert outcomes[0].message == "Cannot update these configs dynamically: [num.partitions]"
