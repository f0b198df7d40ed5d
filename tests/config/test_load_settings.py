"""Settings at start: their sources, the local profile, and what is said about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.config.broker_table import BROKER
from pykbroker.config.definitions import ConfigError
from pykbroker.config.effective import EFFECTIVE
from pykbroker.config.load import (
    from_environment,
    is_known,
    load_settings,
    local_profile,
    property_name,
)
from pykbroker.config.settings import Source

if TYPE_CHECKING:
    from pathlib import Path


def variable_of(name: str) -> str:
    """The container's rule, backwards."""
    return "KAFKA_" + name.replace("-", "___").replace("_", "__").replace(".", "_").upper()


def test_nothing_at_all_is_a_broker_on_this_machine() -> None:
    loaded = load_settings()
    settings = loaded.settings
    assert settings.int("node.id") == 1
    assert settings.int("broker.id") == 1
    assert settings.list("process.roles") == ("broker", "controller")
    assert settings.int("offsets.topic.replication.factor") == 1
    assert settings.int("transaction.state.log.min.isr") == 1
    assert settings.int("group.initial.rebalance.delay.ms") == 0
    assert [tuple(a) for a in loaded.listeners.advertised] == [
        ("PLAINTEXT", "localhost", 9092, "PLAINTEXT")
    ]
    assert loaded.warnings == []
    assert loaded.without_effect == []
    assert settings.source("offsets.topic.replication.factor") == Source.DEFAULT


@pytest.mark.parametrize(
    ("brokers", "factor", "min_isr"), [(1, "1", "1"), (2, "2", "2"), (3, "3", "2"), (9, "3", "2")]
)
def test_factors_of_internal_topics_follow_the_brokers(
    brokers: int, factor: str, min_isr: str
) -> None:
    profile = local_profile({}, brokers=brokers)
    assert profile["offsets.topic.replication.factor"] == factor
    assert profile["transaction.state.log.replication.factor"] == factor
    assert profile["transaction.state.log.min.isr"] == min_isr
    assert profile["share.coordinator.state.topic.min.isr"] == min_isr


def test_the_min_isr_follows_an_explicit_factor() -> None:
    settings = load_settings(
        options=["transaction.state.log.replication.factor=1"], brokers=3
    ).settings
    assert settings.int("transaction.state.log.min.isr") == 1
    assert settings.int("offsets.topic.replication.factor") == 3


@pytest.mark.parametrize(("voters", "factor"), [("1@a:1", 1), ("1@a:1,2@b:1,3@c:1", 3)])
def test_factors_of_internal_topics_follow_the_quorum_voters(voters: str, factor: int) -> None:
    settings = load_settings(environment={"KAFKA_CONTROLLER_QUORUM_VOTERS": voters}).settings
    assert settings.int("offsets.topic.replication.factor") == factor
    assert settings.int("transaction.state.log.min.isr") == min(2, factor)


def test_any_explicit_setting_overrides_the_profile() -> None:
    options = ["group.initial.rebalance.delay.ms=3000", "offsets.topic.replication.factor=3"]
    settings = load_settings(options=options).settings
    assert settings.int("group.initial.rebalance.delay.ms") == 3000
    assert settings.int("offsets.topic.replication.factor") == 3


@given(st.sampled_from([name for name in BROKER.names() if not BROKER[name].dynamic_only]))
def test_every_setting_can_come_from_the_environment(name: str) -> None:
    assert property_name(variable_of(name)) == name
    assert from_environment({variable_of(name): "x"}) == {name: "x"}


def test_the_containers_name_rule() -> None:
    assert property_name("KAFKA_A_B__C___D") == "a.b_c-d"
    assert property_name("KAFKAESQUE") is None
    assert property_name("CLUSTER_ID") is None


def test_variables_for_others_are_passed_over_silently() -> None:
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": "x:1",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "KAFKA_VERSION": "4",
        "KAFKA_JMX_PORT": "9999",
        "KAFKA_LEADER_REPLICATION_THROTTLED_RATE": "5",
        "PATH": "/bin",
        "KAFKA_NUM_PARTITIONS": "4",
    }
    loaded = load_settings(environment=environment)
    assert loaded.settings.static == {"num.partitions": "4"}
    assert loaded.warnings == []


def test_listener_settings_come_from_the_environment_too() -> None:
    found = from_environment({"KAFKA_LISTENER_NAME_INTERNAL_MAX_CONNECTIONS": "5"})
    assert found == {"listener.name.internal.max.connections": "5"}


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("KAFKA_NUM_PARTITONS", "num.partitions"),
        ("KAFKA_ADVERTISED_LISTENER", "advertised.listeners"),
        ("KAFKA_BOOTSTRAP_SERVERS", None),
        ("KAFKA_HEAP_OPTS", None),
        ("KAFKA_SASL_MECHANISM", None),
        ("KAFKA_CLUSTER_ID", None),
    ],
)
def test_a_variable_that_is_all_but_one_of_ours_is_told_of(
    variable: str, meant: str | None, tmp_path: Path
) -> None:
    warnings = load_settings(environment={variable: "3"}).warnings
    name = variable.removeprefix("KAFKA_").lower().replace("_", ".")
    said = f"unknown property {name} ({variable}), did you mean {meant}? (ignored)"
    assert warnings == ([said] if meant else [])
    # What the container wrote into its file is not told of twice.
    (tmp_path / "file").write_text(f"{name}=3\n")
    file = str(tmp_path / "file")
    assert len(load_settings(config_file=file, environment={variable: "3"}).warnings) == 1


def test_node_id_wins_over_broker_id_in_the_environment() -> None:
    both = {"KAFKA_NODE_ID": "4", "KAFKA_BROKER_ID": "3"}
    assert load_settings(environment=both).settings.int("broker.id") == 4
    assert load_settings(environment={"KAFKA_BROKER_ID": "3"}).settings.int("node.id") == 3


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("num.partitions=2\nnum.network.threads = 4\n# a comment\nlog.roll.hours: 1\n")
    loaded = load_settings(
        config_file=str(file),
        environment={"KAFKA_NUM_PARTITIONS": "3", "KAFKA_LOG_ROLL_HOURS": "2"},
        options=["num.partitions=5", "num.partitions=6"],
    )
    assert loaded.settings.int("num.partitions") == 6
    assert loaded.settings.int("log.roll.ms") == 7_200_000
    assert loaded.settings.int("num.network.threads") == 4
    assert loaded.without_effect == ["num.network.threads"]


def test_a_name_nobody_knows_is_a_warning_where_it_was_meant_for_us(tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("no.such.thing=1\n")
    loaded = load_settings(config_file=str(file), options=["neither.this=2"])
    assert loaded.warnings == [
        f"unknown property no.such.thing ({file}) (ignored)",
        "unknown property neither.this (-o) (ignored)",
    ]
    assert loaded.settings.static == {}


def test_what_is_known_and_changes_nothing_is_named() -> None:
    loaded = load_settings(options=["num.io.threads=9", "num.partitions=2"])
    assert loaded.without_effect == ["num.io.threads"]
    assert "num.partitions" in EFFECTIVE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["num.partitions"], "-o num.partitions: must be name=value"),
        (["=1"], "-o =1: must be name=value"),
        (
            ["num.partitions=0"],
            "Invalid value 0 for configuration num.partitions: Value must be at least 1",
        ),
        (
            ["node.id=one"],
            "Invalid value one for configuration node.id: Not a number of type INT",
        ),
        (["node.id=1", "broker.id=2"], "You must set `node.id` to the same value as `broker.id`."),
        (["log.retention.ms=0"], "log.retention.ms must be unlimited (-1) or"),
        (["log.roll.ms=0"], "log.roll.ms must be greater than or equal to 1"),
        (["log.roll.jitter.ms=-1"], "log.roll.jitter.ms must be greater than or equal to 0"),
        (
            ["log.cleaner.dedupe.buffer.size=1000"],
            "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
        ),
        (
            ["log.cleaner.min.compaction.lag.ms=10", "log.cleaner.max.compaction.lag.ms=5"],
            "conflict topic config setting",
        ),
        (["replica.fetch.wait.max.ms=40000"], "replica.socket.timeout.ms should always be"),
        (
            ["replica.fetch.wait.max.ms=600", "replica.lag.time.max.ms=500"],
            "replica.fetch.wait.max.ms should always be less",
        ),
        (["queued.max.request.bytes=5"], "queued.max.request.bytes must be larger"),
        (["max.connections.per.ip=0"], "max.connections.per.ip can be set to zero only if"),
        (["max.connections.per.ip.overrides=a:b"], "must be hostname:limit"),
        (["connections.max.idle.ms=50"], "connection.failed.authentication.delay.ms=100 should"),
        (["process.roles="], "Configuration 'process.roles' must not be empty"),
        (["process.roles=broker,king"], "String must be one of: broker, controller"),
        (["controller.quorum.voters=2@h:1"], "the node id 1 must be included"),
        (
            ["process.roles=broker", "controller.quorum.voters=1@h:1"],
            "the node id 1 must not be included",
        ),
        (["listener.name.a.max.connections=x"], "Not a number of type INT"),
    ],
)
def test_a_bad_value_is_one_clear_line(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(options=options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nothing: No such file"):
        load_settings(config_file=str(tmp_path / "nothing"))
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\xff\xfe\x00num=1")
    with pytest.raises(ConfigError, match="is not a properties file"):
        load_settings(config_file=str(garbage))


def test_each_broker_has_a_log_directory_of_its_own_in_the_data_directory() -> None:
    loaded = load_settings(data_dir="/data", options=["log.dirs=/other", "node.id=7"])
    assert loaded.settings.list("log.dirs") == ("/data/broker-7",)
    assert loaded.warnings == ["--data-dir replaces log.dirs"]
    assert load_settings().settings.list("log.dirs") == ("pykbroker-data/broker-1",)
    assert load_settings(options=["log.dirs=/x"]).settings.list("log.dirs") == ("/x",)


def test_host_and_port_make_one_listener() -> None:
    loaded = load_settings(host="127.0.0.1", port=0)
    assert [tuple(b) for b in loaded.listeners.bound] == [
        ("PLAINTEXT", "127.0.0.1", 0, "PLAINTEXT")
    ]
    assert load_settings(port=7).listeners.bound[0].address == "localhost:7"
    assert load_settings(host="[::1]", port=7).listeners.bound[0].address == "[::1]:7"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "*", ""])
def test_listening_everywhere_advertises_localhost_and_says_so(host: str) -> None:
    loaded = load_settings(host=host, port=9000)
    assert loaded.listeners.advertised[0].address == "localhost:9000"
    assert len(loaded.warnings) == 1
    assert "advertising localhost:9000" in loaded.warnings[0]


def test_an_advertised_address_stays_with_a_host_option() -> None:
    options = ["advertised.listeners=PLAINTEXT://broker.example:1"]
    loaded = load_settings(host="0.0.0.0", port=9000, options=options)
    assert loaded.listeners.advertised[0].address == "broker.example:1"
    assert loaded.warnings == []


def test_host_and_port_beat_listeners_of_the_environment_only() -> None:
    environment = {
        "KAFKA_LISTENERS": "A://:1",
        "KAFKA_ADVERTISED_LISTENERS": "A://h:1",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "A:PLAINTEXT",
    }
    loaded = load_settings(port=5, environment=environment)
    assert loaded.listeners.advertised[0].address == "localhost:5"
    assert "KAFKA" not in loaded.warnings[0]
    assert "listeners" in loaded.warnings[0]
    with pytest.raises(ConfigError, match="cannot be combined"):
        load_settings(port=5, options=["listeners=PLAINTEXT://:1"])


def test_known_names_do_not_include_dynamic_only_ones() -> None:
    assert is_known("num.partitions")
    assert not is_known("leader.replication.throttled.rate")
    assert not is_known("no.such")


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_a_listener_that_would_be_served_in_the_open_is_refused(protocol: str) -> None:
    names = [
        f"listeners=INSIDE://:1,{protocol}://:2,CTRL://:3",
        "inter.broker.listener.name=INSIDE",
    ]
    mapping = f"listener.security.protocol.map=INSIDE:PLAINTEXT,{protocol}:{protocol}"
    controller = "controller.listener.names=CTRL"
    with pytest.raises(ConfigError, match=f"listener {protocol}: {protocol} is not supported yet"):
        load_settings(options=[*names, f"{mapping},CTRL:PLAINTEXT", controller])
