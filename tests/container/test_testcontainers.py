"""The Kafka modules of Testcontainers: what each sets, runs, copies in and waits for.

None of the modules can run without Docker; their part of the contract is done here by hand, step
for step: the environment, the command that waits for a script, the script, the wait strategy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.container.round_trip import live_brokers, round_trip

if TYPE_CHECKING:
    from tests.container.engine import Container, Engine

MAPPED = 32768
CLUSTER = "4L6g3nShT-eMCtK--X86sw"
COMMON = {
    "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
}
KRAFT = COMMON | {
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
    "CONTROLLER:PLAINTEXT",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_NODE_ID": "1",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9094",
}
CONFLUENT = KRAFT | {
    "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094",
    "KAFKA_BROKER_ID": "1",
    "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": "9223372036854775807",
}
TRANSACTIONS = {
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
}


def check(engine: Engine, container: Container, inside: str) -> str:
    """A client on the host is told of the mapped port, one in the network of the other listener."""
    assert live_brokers(engine, f"localhost:{MAPPED}") == {1: f"localhost:{MAPPED}"}
    port = inside.rpartition(":")[2]
    assert live_brokers(engine, f"{container.address}:{port}") == {1: inside}
    return round_trip(engine, f"localhost:{MAPPED}")


@pytest.mark.parametrize("extra", [False, True], ids=["", "another-listener"])
def test_java(engine: Engine, extra: bool) -> None:
    script = "/tmp/testcontainers_start.sh"
    environment = (
        KRAFT
        | TRANSACTIONS
        | {
            "CLUSTER_ID": CLUSTER,
            "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,"
            "CONTROLLER://0.0.0.0:9094",
            "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": "9223372036854775807",
        }
    )
    advertised = f"PLAINTEXT://localhost:{MAPPED},BROKER://kafka:9093"
    if extra:
        environment["KAFKA_LISTENERS"] += ",TC-0://0.0.0.0:19092"
        environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"] += ",TC-0:PLAINTEXT"
        advertised += ",TC-0://kafka:19092"
    waiting = f"while [ ! -f {script} ]; do sleep 0.1; done; {script}"
    container = engine.run(environment, ["sh", "-c", waiting], name="kafka")
    engine.map_port(container, 9092, MAPPED)
    container.copy_in(
        script,
        f"#!/bin/bash\nexport KAFKA_ADVERTISED_LISTENERS={advertised}\n\n/etc/kafka/docker/run \n",
        0o777,
    )
    container.wait_for_log(".*Transitioning from RECOVERY to RUNNING.*")
    assert check(engine, container, "kafka:9093") == CLUSTER
    if extra:
        assert live_brokers(engine, f"{container.address}:19092") == {1: "kafka:19092"}


def python_container(
    engine: Engine, environment: dict[str, str], boot: str, wait_for: str
) -> Container:
    script = "/tc-start.sh"
    waiting = f"while [ ! -f {script} ]; do sleep 0.1; done; sh {script}"
    container = engine.run(environment, ["sh", "-c", waiting], name="kafka")
    engine.map_port(container, 9093, MAPPED)
    listeners = f"PLAINTEXT://localhost:{MAPPED},BROKER://$(hostname -i):9092"
    container.copy_in(
        script,
        "#!/bin/bash\n"
        f"{boot}\n"
        f"export KAFKA_ADVERTISED_LISTENERS={listeners}\n"
        ". /etc/confluent/docker/bash-config\n"
        "/etc/confluent/docker/configure\n"
        "/etc/confluent/docker/launch",
        0o644,
    )
    container.wait_for_log(wait_for)
    return container


def test_python_with_kraft(engine: Engine) -> None:
    cluster = "p3hVzZ+sQ/y0eMlP0Yl5Gw=="
    boot = (
        "sed -i '/KAFKA_ZOOKEEPER_CONNECT/d' /etc/confluent/docker/configure\n"
        f"echo 'kafka-storage format --ignore-formatted -t {cluster} "
        "-c /etc/kafka/kafka.properties' >> /etc/confluent/docker/configure"
    )
    environment = CONFLUENT | {
        "CLUSTER_ID": cluster,
        "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": "10000000",
    }
    container = python_container(engine, environment, boot, ".*Kafka Server started.*")
    assert check(engine, container, f"{container.address}:9092") == cluster


def test_python_by_default_with_a_zookeeper_beside_it(engine: Engine) -> None:
    boot = (
        "echo 'clientPort=2181' > zookeeper.properties\n"
        "echo 'dataDir=/var/lib/zookeeper/data' >> zookeeper.properties\n"
        "echo 'dataLogDir=/var/lib/zookeeper/log' >> zookeeper.properties\n"
        "zookeeper-server-start zookeeper.properties &\n"
        "export KAFKA_ZOOKEEPER_CONNECT='localhost:2181'"
    )
    environment = COMMON | {
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_BROKER_ID": "1",
        "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": "10000000",
    }
    wait_for = r".*\[KafkaServer id=\d+\] started.*"
    container = python_container(engine, environment, boot, wait_for)
    check(engine, container, f"{container.address}:9092")


@pytest.mark.parametrize("cluster", [None, CLUSTER])
def test_go(engine: Engine, cluster: str | None) -> None:
    script = "/usr/sbin/testcontainers_start.sh"
    environment = (
        CONFLUENT
        | TRANSACTIONS
        | {"KAFKA_REST_BOOTSTRAP_SERVERS": CONFLUENT["KAFKA_LISTENERS"]}
        | ({"CLUSTER_ID": cluster} if cluster else {})
    )
    waiting = f"while [ ! -f {script} ]; do sleep 0.1; done; bash {script}"
    container = engine.run(environment, ["-c", waiting], entrypoint=["sh"], name="kafka")
    engine.map_port(container, 9093, MAPPED)
    container.copy_in(
        script,
        "#!/bin/bash\n"
        "source /etc/confluent/docker/bash-config\n"
        f'export KAFKA_ADVERTISED_LISTENERS="PLAINTEXT://localhost:{MAPPED},BROKER://kafka:9092'
        '${EXTRA_ADVERTISED_LISTENERS:+,${EXTRA_ADVERTISED_LISTENERS}}"\n'
        "echo Starting Kafka KRaft mode\n"
        "sed -i '/KAFKA_ZOOKEEPER_CONNECT/d' /etc/confluent/docker/configure\n"
        'echo \'kafka-storage format --ignore-formatted -t "$(kafka-storage random-uuid)" '
        "-c /etc/kafka/kafka.properties' >> /etc/confluent/docker/configure\n"
        "echo '' > /etc/confluent/docker/ensure\n"
        "/etc/confluent/docker/configure\n"
        "/etc/confluent/docker/launch",
    )
    container.wait_for_log(".*Transitioning from RECOVERY to RUNNING.*")
    found = check(engine, container, "kafka:9092")
    assert len(found) == 22


@pytest.mark.parametrize("script", ["/tmp/testcontainers_start.sh", "/testcontainers_start.sh"])
def test_node(engine: Engine, script: str) -> None:
    environment = CONFLUENT | {
        "CLUSTER_ID": CLUSTER,
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_CONFLUENT_SUPPORT_METRICS_ENABLE": "false",
        "KAFKA_ADVERTISED_LISTENERS": "BROKER://localhost:9092",
    }
    waiting = f"echo 'Waiting for script...'; while [ ! -f {script} ]; do sleep 0.1; done; {script}"
    container = engine.run(environment, ["-c", waiting], entrypoint=["sh"], name="kafka")
    container.wait_for_log("Waiting for script...")
    engine.map_port(container, 9093, MAPPED)
    container.copy_in(
        script,
        "#!/bin/bash\n"
        "export KAFKA_ADVERTISED_LISTENERS="
        f"BROKER://kafka:9092,PLAINTEXT://localhost:{MAPPED}\n"
        "/etc/confluent/docker/run \n",
        0o777,
    )
    # Its own way to ask for a port that listens, until it does.
    listening = "until (</dev/tcp/localhost/9093) 2>/dev/null; do sleep 0.1; done"
    assert container.execute("bash", "-c", listening).returncode == 0
    container.wait_for_log("Kafka Server started")
    # From version 12 on it goes by the image's health check.
    assert container.execute("pykbroker-health").returncode == 0
    assert check(engine, container, "kafka:9092") == CLUSTER
