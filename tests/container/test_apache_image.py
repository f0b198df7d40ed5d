"""As apache/kafka is used: plain, in compose files and CI services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.container.round_trip import live_brokers, round_trip

if TYPE_CHECKING:
    from tests.container.engine import Container, Engine

TRIO = ("broker-1", "broker-2", "broker-3")
RUN = "/etc/kafka/docker/run"
SHOW = ["bash", "-c", "pykbroker-properties apache /tmp/p && sort /tmp/p; echo end"]


def ready(container: Container) -> None:
    container.wait_for_log("Kafka Server started")


def properties(engine: Engine, environment: dict[str, str], mounted: str = "") -> dict[str, str]:
    """What the server would be given."""
    prepare = f"printf %s '{mounted}' >/mnt/shared/config/server.properties; " if mounted else ""
    container = engine.run(environment, [*SHOW[:2], prepare + SHOW[2]], user=0)
    container.wait_for_log("^end$")
    lines = (line.partition("=") for line in container.lines if "=" in line and line[0] != "#")
    return {name: value for name, _, value in lines}


def test_with_nothing_said_it_serves_on_localhost_9092(engine: Engine) -> None:
    broker = engine.run({})
    engine.map_port(broker, 9092, 9092)
    ready(broker)
    assert round_trip(engine, "localhost:9092") == "5L6g3nShT-eMCtK--X86sw"
    assert broker.execute("id", "-u").stdout == "1000\n"
    assert broker.execute("pykbroker-health").returncode == 0
    assert "round-trip-0" in broker.execute("ls", "/var/lib/kafka/data").stdout.split()
    assert broker.stop() == 0, broker.text


def test_variables_become_properties_by_kafkas_rule(engine: Engine) -> None:
    found = properties(
        engine,
        {
            "KAFKA_NODE_ID": "7",
            "KAFKA_LISTENER_NAME_A__B_C___D": "x=y\\z",
            "KAFKA_HEAP_OPTS": "-Xmx1g",
            "KAFKA_ADVERTISED_LISTENERS": "A://[::1]:1,B://b.example:22",
        },
    )
    assert found == {
        "node.id": "7",
        "listener.name.a_b.c-d": "x=y\\\\z",
        "advertised.listeners": "A://[::1]:1,B://b.example:22",
        "listeners": "A://0.0.0.0:1,B://0.0.0.0:22",
        "log.dirs": "/tmp/kafka-logs",
    }


def test_a_mounted_file_is_kept_and_the_environment_wins(engine: Engine) -> None:
    found = properties(engine, {"KAFKA_NODE_ID": "7"}, "node.id=1\nlog.dirs=/d\nnum.partitions=4\n")
    assert found == {"node.id": "7", "log.dirs": "/d", "num.partitions": "4"}


def test_what_the_start_script_refuses(engine: Engine) -> None:
    controller = {"KAFKA_PROCESS_ROLES": "controller", "KAFKA_ADVERTISED_LISTENERS": "A://a:1"}
    refused = engine.run(controller)
    assert refused.process.wait(60) == 1
    assert "not supported on a KRaft controller" in refused.text
    strange = engine.run({}, [RUN, "strange"])
    assert strange.process.wait(60) == 2
    assert "strange is not NAME=value" in strange.text


@pytest.mark.parametrize(
    ("environment", "code", "says"),
    [
        ({"KAFKA_NUM_PARTITIONS": "x"}, 2, "pykbroker: Invalid value x for configuration num.part"),
        ({"KAFKA_LISTENERS": "PLAINTEXT://:x"}, 2, "pykbroker: Invalid value PLAINTEXT://:x for "),
        ({"KAFKA_PROCESS_ROLES": "broker"}, 1, "pykbroker: process.roles is broker alone, and "),
        ({"KAFKA_LOG_DIRS": ""}, 1, "kafka-storage: log.dirs is empty in /opt/kafka/config/serve"),
        ({"KAFKA_LOG_DIRS": "/root/x"}, 1, "kafka-storage: cannot make log directory /root/x: Per"),
        (
            {"KAFKA_LOG_DIRS": "/etc"},
            1,
            "kafka-storage: user 1000 cannot write to log directory /e",
        ),
        ({"PYKBROKER_ARGS": "--http-port x"}, 2, "pykbroker: --http-port: 'x' is not a port"),
        ({"PYKBROKER_ARGS": "--http-port 9092"}, 1, "pykbroker: cannot listen on *:9092: the por"),
    ],
)
def test_what_is_wrong_is_the_last_line(
    engine: Engine, environment: dict[str, str], code: int, says: str
) -> None:
    refused = engine.run(environment)
    assert refused.process.wait(60) == code
    # Standard error: what others said there before it stands above.
    assert refused.log.read_text().splitlines()[-1].startswith(says)
    assert "Traceback" not in refused.text


def test_arguments_of_the_start_script_are_environment(engine: Engine) -> None:
    said = ("CLUSTER_ID=mine", "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:19092")
    broker = engine.run({}, [RUN, *said])
    engine.map_port(broker, 19092, 19092)
    ready(broker)
    assert round_trip(engine, "localhost:19092") == "mine"
    assert broker.execute("pykbroker-health").returncode == 0


def test_the_commands_of_health_checks_and_of_those_who_make_topics(engine: Engine) -> None:
    broker = engine.run({})
    ready(broker)
    where = ("--bootstrap-server", "localhost:9092")
    for command in (
        ("kafka-topics", *where, "--create", "--topic", "orders", "--partitions", "2"),
        ("/opt/kafka/bin/kafka-broker-api-versions.sh", *where),
        ("kafka-configs.sh", *where, "--entity-type", "topics", "--describe"),
        ("kafka-consumer-groups", *where, "--list"),
        ("cub", "kafka-ready", "-b", "localhost:9092", "1", "20"),
        ("nc", "-z", "localhost", "9092"),
        ("bash", "-c", "echo one | kafka-console-producer --topic orders " + " ".join(where)),
    ):
        done = broker.execute(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert broker.execute("/opt/kafka/bin/kafka-topics.sh", *where, "--list").stdout == "orders\n"
    read = ("--topic", "orders", "--from-beginning", "--max-messages", "1")
    assert broker.execute("kafka-console-consumer.sh", *where, *read).stdout == "one\n"
    assert broker.execute("nc", "-z", "-w", "2", "localhost", "9").returncode != 0
    assert broker.execute("nc", "localhost", "9092").returncode == 2


def test_three_services_of_a_compose_file_are_one_cluster(engine: Engine) -> None:
    voters = ",".join(f"{i}@{name}:29093" for i, name in enumerate(TRIO, 1))
    for node, name in enumerate(TRIO, 1):
        environment = {
            "KAFKA_NODE_ID": str(node),
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": voters,
            "KAFKA_LISTENERS": "CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT_HOST://localhost:{29092 + node},"
            f"PLAINTEXT://{name}:19092",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "PLAINTEXT_HOST:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw",
        }
        broker = engine.run(environment, name=name, peers=TRIO)
        engine.map_port(broker, 9092, 29092 + node)
    for broker in engine.containers:
        ready(broker)
    expected = {node: f"localhost:{29092 + node}" for node in (1, 2, 3)}
    assert live_brokers(engine, "localhost:29094") == expected
    assert round_trip(engine, "localhost:29093", replicas=3) == "4L6g3nShT-eMCtK--X86sw"
    for broker in reversed(engine.containers):
        assert broker.execute("pykbroker-health").returncode == 0
        assert broker.stop() == 0, broker.text
