"""Client telemetry: who is subscribed to what, and when a client may ask and push."""

from __future__ import annotations

import pytest

from pykbroker.config.definitions import ConfigError
from pykbroker.state.client_metrics import parse_match, parse_subscription
from pykbroker.state.errors import KafkaError
from pykbroker.state.telemetry import (
    MAX_INSTANCES,
    Instance,
    Push,
    TelemetryState,
    subscription_id,
)
from wire.errors import ErrorCode

ID = bytes(range(16))
CLIENT = {"client_id": "app-1", "client_software_name": "librdkafka", "client_source_port": "99"}
MAX_BYTES = 1000


def state(**subscriptions: dict[str, str]) -> TelemetryState:
    made = TelemetryState()
    for name, configs in subscriptions.items():
        made.set_subscription(name, configs)
    return made


def get(
    telemetry: TelemetryState, now_ms: int = 0, instance_id: bytes = ID, **attributes: str
) -> Instance:
    return telemetry.get_subscription(instance_id, {**CLIENT, **attributes}, now_ms)


def push(
    telemetry: TelemetryState,
    now_ms: int,
    subscription: int,
    *,
    size: int = 10,
    terminating: bool = False,
    compression: int = 0,
    instance_id: bytes = ID,
) -> ErrorCode:
    pushed = Push(subscription, terminating, compression, size)
    try:
        telemetry.push(instance_id, CLIENT, pushed, MAX_BYTES, now_ms)
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


METRICS = {
    "metrics": "org.apache.kafka.producer.,org.apache.kafka.consumer.",
    "interval.ms": "1000",
}


def test_without_a_subscription_a_client_pushes_nothing_and_asks_again_later() -> None:
    telemetry = state()
    instance = get(telemetry)
    assert not telemetry.has_subscriptions
    assert (instance.metrics, instance.interval_ms) == ((), 300_000)


def test_a_client_gets_the_union_of_its_subscriptions_and_the_shortest_interval() -> None:
    telemetry = state(
        a={"metrics": "x,y", "interval.ms": "5000"},
        b={"metrics": "y,z", "interval.ms": "3000", "match": "client_id=app.*"},
        c={"metrics": "other", "interval.ms": "100", "match": "client_id=web.*"},
    )
    instance = get(telemetry)
    assert (instance.metrics, instance.interval_ms) == (("x", "y", "z"), 3000)


def test_a_star_stands_for_everything() -> None:
    telemetry = state(a={"metrics": "x"}, b={"metrics": "*"})
    assert get(telemetry).metrics == ("*",)


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ("client_id=app-1", True),
        ("client_id=app", False),
        ("client_id=app.*,client_software_name=librdkafka", True),
        ("client_id=app.*,client_software_name=java", False),
        ("client_software_version=.*", False),
        ("client_source_port=9+", True),
        ("", True),
    ],
)
def test_all_patterns_must_match_the_whole_attribute(match: str, matches: bool) -> None:
    subscription = parse_subscription("s", {"match": match})
    assert subscription.matches(CLIENT) is matches


@pytest.mark.parametrize("entry", ["foo=1", "client_id", "client_id=a=b", "client_id=[", "=x", ""])
def test_bad_patterns_are_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="Illegal client matching pattern"):
        parse_match([entry])


def test_the_subscription_id_stands_for_metrics_and_interval_of_one_instance() -> None:
    base = subscription_id(ID, ("a", "b"), 1000)
    assert subscription_id(ID, ("a", "b"), 1000) == base
    assert subscription_id(ID, ("a",), 1000) != base
    assert subscription_id(ID, ("a", "b"), 2000) != base
    assert subscription_id(ID[:-1] + b"x", ("a", "b"), 1000) != base
    for number in range(50):
        assert -(1 << 31) <= subscription_id(bytes([number]) * 16, (), number) < 1 << 31


def test_asking_again_too_soon_is_throttled() -> None:
    telemetry = state(a=METRICS)
    get(telemetry, 0)
    with pytest.raises(KafkaError, match="THROTTLING_QUOTA_EXCEEDED"):
        get(telemetry, 999)
    get(telemetry, 1000)


def test_the_first_push_may_come_early_and_the_next_only_after_the_interval() -> None:
    telemetry = state(a=METRICS)
    instance = get(telemetry, 0)
    assert push(telemetry, 300, instance.subscription_id) == ErrorCode.NONE
    assert push(telemetry, 1299, instance.subscription_id) == ErrorCode.THROTTLING_QUOTA_EXCEEDED
    assert push(telemetry, 1300, instance.subscription_id) == ErrorCode.NONE
    assert (telemetry.pushes, telemetry.bytes_received) == (2, 20)


def test_a_terminating_push_may_come_at_any_time_and_is_the_last() -> None:
    telemetry = state(a=METRICS)
    known = get(telemetry, 0).subscription_id
    assert push(telemetry, 300, known) == ErrorCode.NONE
    assert push(telemetry, 301, known, terminating=True) == ErrorCode.NONE
    assert push(telemetry, 5000, known) == ErrorCode.INVALID_REQUEST


def test_a_changed_subscription_is_found_out_at_the_next_push() -> None:
    telemetry = state(a=METRICS)
    known = get(telemetry, 0).subscription_id
    telemetry.set_subscription("a", {**METRICS, "metrics": "x"})
    assert push(telemetry, 1000, known) == ErrorCode.UNKNOWN_SUBSCRIPTION_ID
    fresh = get(telemetry, 1001)
    assert fresh.subscription_id != known
    assert push(telemetry, 2000, fresh.subscription_id) == ErrorCode.NONE


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"size": MAX_BYTES + 1}, ErrorCode.TELEMETRY_TOO_LARGE),
        ({"size": MAX_BYTES}, ErrorCode.NONE),
        ({"compression": 5}, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
        ({"compression": 4}, ErrorCode.NONE),
        ({"instance_id": bytes(16)}, ErrorCode.INVALID_REQUEST),
        ({"instance_id": bytes(15) + b"\x01"}, ErrorCode.INVALID_REQUEST),
    ],
)
def test_pushes_are_checked(options: dict[str, int], code: ErrorCode) -> None:
    telemetry = state(a=METRICS)
    known = get(telemetry, 0).subscription_id
    assert push(telemetry, 10, known, **options) == code  # type: ignore[arg-type]


def test_after_an_unsupported_codec_a_client_may_ask_at_once() -> None:
    telemetry = state(a=METRICS)
    known = get(telemetry, 0).subscription_id
    assert push(telemetry, 10, known, compression=9) == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert get(telemetry, 11).subscription_id == known


def test_a_push_to_a_broker_that_does_not_know_the_instance_is_judged_the_same() -> None:
    """A client may change brokers: the id says what it was subscribed to."""
    known = get(state(a=METRICS)).subscription_id
    elsewhere = state(a=METRICS)
    assert push(elsewhere, 0, known) == ErrorCode.NONE


def test_an_instance_is_forgotten_when_it_is_not_heard_of() -> None:
    telemetry = state(a=METRICS)
    get(telemetry, 0)
    get(telemetry, 60_000, instance_id=ID[::-1])
    get(telemetry, 60_001, instance_id=bytes([7] * 16))
    assert len(telemetry) == 2
    telemetry.forget(ID[::-1])
    assert len(telemetry) == 1


def test_a_subscription_without_settings_is_gone() -> None:
    telemetry = state(a=METRICS)
    telemetry.set_subscription("a", {})
    assert not telemetry.has_subscriptions
    assert get(telemetry).metrics == ()


def test_a_bad_subscription_counts_as_gone() -> None:
    telemetry = state(a=METRICS)
    known = get(telemetry).subscription_id
    with pytest.raises(ConfigError):
        telemetry.set_subscription("a", {"match": "nonsense"})
    assert not telemetry.has_subscriptions
    assert push(telemetry, 2000, known) == ErrorCode.UNKNOWN_SUBSCRIPTION_ID


def test_the_number_of_instances_is_bounded() -> None:
    telemetry = state(a=METRICS)
    for number in range(MAX_INSTANCES + 50):
        get(telemetry, 0, instance_id=(number + 2).to_bytes(16, "big"))
    assert len(telemetry) == MAX_INSTANCES
