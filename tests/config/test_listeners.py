"""Listener names, addresses and protocols, and Kafka's rules for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.config.definitions import ConfigError
from pykbroker.config.listeners import Listener, Listeners, format_address
from pykbroker.config.load import load_settings

MAP = "listener.security.protocol.map="


def parsed(*options: str) -> Listeners:
    return load_settings(options=options).listeners


def test_a_compose_file_of_the_apache_image() -> None:
    environment = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@broker:29093",
        "KAFKA_LISTENERS": "CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
        "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT"
        ),
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    }
    listeners = load_settings(environment=environment).listeners
    assert [b.name for b in listeners.bound] == ["CONTROLLER", "PLAINTEXT_HOST", "PLAINTEXT"]
    assert listeners.bound[0].host == ""
    assert [a.address for a in listeners.advertised] == ["localhost:9092", "broker:19092"]
    assert listeners.inter_broker == "PLAINTEXT"
    assert listeners.is_controller("CONTROLLER")
    assert not listeners.is_controller("PLAINTEXT")


def test_a_testcontainers_start() -> None:
    """Every listener on 0.0.0.0, the controller's own among them and not advertised."""
    environment = {
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094",
        "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:32768,BROKER://abc123:9093",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
            "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_NODE_ID": "1",
        "KAFKA_BROKER_ID": "1",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9094",
    }
    listeners = load_settings(environment=environment).listeners
    assert [a.address for a in listeners.advertised] == ["localhost:32768", "abc123:9093"]
    assert listeners.inter_broker == "BROKER"


def test_names_are_free_and_case_does_not_matter() -> None:
    listeners = parsed(
        "listeners=my-name://h:1,Inside.2://h:2",
        MAP + "my-name:plaintext,inside.2:PLAINTEXT",
        "inter.broker.listener.name=MY-name",
    )
    assert listeners.bound == (
        Listener("MY-NAME", "h", 1, "PLAINTEXT"),
        Listener("INSIDE.2", "h", 2, "PLAINTEXT"),
    )
    assert listeners.inter_broker == "MY-NAME"


def test_ipv6_stands_in_brackets_outside_and_bare_inside() -> None:
    listener = parsed("listeners=PLAINTEXT://[::1]:9092").bound[0]
    assert (listener.host, listener.port, listener.address) == ("::1", 9092, "[::1]:9092")
    assert format_address("::1", 5) == "[::1]:5"
    assert format_address("localhost", 5) == "localhost:5"


def test_listeners_are_advertised_where_nothing_else_is_said() -> None:
    listeners = parsed("listeners=PLAINTEXT://:9092,CONTROLLER://:9093")
    assert [a.name for a in listeners.advertised] == ["PLAINTEXT"]
    ready = listeners.with_ports({"PLAINTEXT": 9092}, "this.machine")
    assert ready.advertised[0].address == "this.machine:9092"
    assert ready.bound[0].host == ""


def test_port_zero_becomes_the_bound_port() -> None:
    listeners = load_settings(host="0.0.0.0", port=0).listeners
    ready = listeners.with_ports({"PLAINTEXT": 4711}, "ignored")
    assert ready.bound[0].port == 4711
    assert ready.advertised[0].address == "localhost:4711"


def test_controller_listeners_are_mapped_by_themselves_without_secure_ones() -> None:
    listeners = parsed("listeners=PLAINTEXT://:1,CTRL://:2", "controller.listener.names=CTRL")
    assert listeners.bound[1].security_protocol == "PLAINTEXT"
    with pytest.raises(ConfigError, match=r"no security protocol is defined for listener CTRL"):
        parsed("listeners=SSL://:1,CTRL://:2", "controller.listener.names=CTRL")


def test_one_port_serves_an_ipv4_and_an_ipv6_address() -> None:
    options = ("inter.broker.listener.name=A", MAP + "A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT")
    assert len(parsed("listeners=A://127.0.0.1:1,B://[::1]:1", *options).bound) == 2
    assert len(parsed("listeners=A://:0,B://:0", *options).bound) == 2
    for listeners in ("A://:1,B://:1", "A://127.0.0.1:1,B://127.0.0.2:1", "A://h:1,B://[::1]:1"):
        with pytest.raises(ConfigError, match="each listener must have a different port"):
            parsed(f"listeners={listeners}", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["listeners=PLAINTEXT:9092"], "must be NAME://host:port"),
        (["listeners=PLAINTEXT://h"], "must be NAME://host:port"),
        (["listeners=PLAINTEXT://h:99999"], "the port must be 0 to 65535"),
        (["listeners=PLAINTEXT://h:-1"], "the port must be 0 to 65535"),
        (["listeners=X://h:1"], "no security protocol is defined for listener X"),
        (["listeners=PLAINTEXT://h:1,plaintext://h:2"], "must have a different name"),
        (["listeners=PLAINTEXT://h:1,PLAINTEXT://h:1"], "must not be duplicated"),
        (["listeners="], "'listeners' must not be empty"),
        ([MAP + "A"], "must be name:protocol"),
        ([MAP + "A:TELNET"], "the security protocols are PLAINTEXT, SSL"),
        (["advertised.listeners=PLAINTEXT://0.0.0.0:1"], "nonroutable meta-address 0.0.0.0"),
        (["listeners=PLAINTEXT://0.0.0.0:1"], "nonroutable meta-address 0.0.0.0"),
        (["advertised.listeners=SSL://h:1"], "must be among those in listeners (PLAINTEXT)"),
        (
            ["listeners=A://h:1", MAP + "A:PLAINTEXT"],
            "must be a listener name in advertised.listeners (A)",
        ),
        (["inter.broker.listener.name=B"], "not found in listener.security.protocol.map"),
        (
            ["inter.broker.listener.name=PLAINTEXT", "security.inter.broker.protocol=PLAINTEXT"],
            "Only one of inter.broker.listener.name and",
        ),
        (["controller.listener.names=CTRL"], "when running the controller role"),
        (
            ["listeners=CONTROLLER://h:1"],
            "There must be at least one broker advertised listener",
        ),
        (
            ["process.roles=broker", "listeners=PLAINTEXT://h:1,CONTROLLER://h:2"],
            "when running just the broker role",
        ),
    ],
)
def test_kafkas_rules_are_kept(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(*options)
    assert message in str(caught.value)


def test_a_pure_controller_needs_no_broker_listener() -> None:
    listeners = parsed(
        "process.roles=controller",
        "listeners=CONTROLLER://h:1",
        "controller.quorum.voters=1@h:1",
    )
    assert listeners.advertised == ()
    assert [b.name for b in listeners.bound] == ["CONTROLLER"]


HOSTS = st.sampled_from(["", "localhost", "127.0.0.1", "::1", "a-b.example.org", "fe80::1%eth0"])


@given(HOSTS, st.integers(0, 65535), st.from_regex(r"\A[A-Z][A-Z0-9_.-]{0,8}\Z"))
def test_any_listener_reads_back(host: str, port: int, name: str) -> None:
    address = format_address(host, port)
    listeners = parsed(
        f"listeners={name}://{address}",
        f"{MAP}{name}:PLAINTEXT",
        f"inter.broker.listener.name={name}",
    )
    if name != "CONTROLLER":
        assert listeners.bound == (Listener(name, host, port, "PLAINTEXT"),)
