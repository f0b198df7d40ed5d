"""The image that ``docker build`` makes, and what a Docker Engine does with it."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.container.round_trip import ROUND_TRIP
from tests.image.docker import BASE, PACKAGES, PATIENCE_SECONDS, wheels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.image.docker import Docker

pytestmark = pytest.mark.image


@pytest.fixture
def start(docker: Docker) -> Iterator[Callable[..., str]]:
    started: list[str] = []

    def run(*options: str) -> str:
        name = f"broker-{uuid.uuid4().hex[:8]}"
        docker.docker("run", "-d", "--name", name, *options)
        started.append(name)
        return name

    yield run
    for name in started:
        docker.docker("rm", "-f", "-v", name)


def inspect(docker: Docker, what: str) -> Any:
    return json.loads(docker.docker("inspect", what).stdout)[0]


def await_health(docker: Docker, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (state := inspect(docker, name)["State"])["Health"]["Status"] != "healthy":
        assert time.monotonic() < deadline, state
        time.sleep(0.1)


def test_the_image_is_small_and_nobodys_root(docker: Docker) -> None:
    image, base = inspect(docker, "pykbroker"), inspect(docker, BASE)
    print(f"{image['Size'] / 1e6:.0f} MB, {(image['Size'] - base['Size']) / 1e6:.0f} of them ours")
    assert image["Size"] - base["Size"] < 50e6
    config = image["Config"]
    assert config["User"] == "appuser"
    assert config["Cmd"] == ["/etc/kafka/docker/run"]
    assert not config["Entrypoint"]
    assert list(config["ExposedPorts"]) == ["9092/tcp"]
    assert "/var/lib/kafka/data" in config["Volumes"]


def test_a_broker_gets_healthy_and_ends_as_asked(docker: Docker, start: Callable[..., str]) -> None:
    began = time.monotonic()
    broker = start("-p", "9092:9092", "pykbroker")
    await_health(docker, broker)
    print(f"healthy {time.monotonic() - began:.1f} s after docker run")
    assert docker.docker("exec", broker, "id", "-u").stdout == "1000\n"
    for tool in ("kafka-topics", "/usr/bin/kafka-topics", "/opt/kafka/bin/kafka-topics.sh"):
        docker.docker("exec", broker, tool, "--bootstrap-server", "localhost:9092", "--list")
    found = docker.run(sys.executable, "-c", ROUND_TRIP, "localhost:9092", "1").stdout
    assert found.strip() == "5L6g3nShT-eMCtK--X86sw"
    docker.docker("stop", "-t", "60", broker)
    assert inspect(docker, broker)["State"]["ExitCode"] == 0


def test_a_broker_that_does_not_serve_is_not_healthy(
    docker: Docker, start: Callable[..., str]
) -> None:
    idle = start("pykbroker", "sleep", "infinity")
    assert docker.docker("exec", idle, "pykbroker-health", check=False).returncode != 0


def test_data_outlives_the_container(docker: Docker, start: Callable[..., str]) -> None:
    volume = docker.docker("volume", "create").stdout.strip()
    options = ("-v", f"{volume}:/var/lib/kafka/data", "-p", "9092:9092", "pykbroker")
    first = start(*options)
    await_health(docker, first)
    docker.run(sys.executable, "-c", ROUND_TRIP, "localhost:9092", "1")
    docker.docker("rm", "-f", first)
    second = start(*options)
    await_health(docker, second)
    again = docker.run(sys.executable, "-c", READ, "localhost:9092").stdout
    assert again == "here and back\n"


READ = """
import sys
from confluent_kafka import Consumer
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "another",
                     "auto.offset.reset": "earliest"})
consumer.subscribe(["round-trip"])
while (message := consumer.poll(60)) is None:
    pass
assert message.error() is None, message.error()
print(message.value().decode())
consumer.close()
"""


@pytest.mark.parametrize("user", ["0", "4711:0"])
def test_another_user_will_do(docker: Docker, start: Callable[..., str], user: str) -> None:
    await_health(docker, start("--user", user, "pykbroker"))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_architecture_has_the_packages(machine: str) -> None:
    wanted = len(re.findall(r"^[\w.-]+==", PACKAGES.read_text(), re.MULTILINE))
    found = [path.name for path in wheels(machine).glob("*.whl")]
    assert len(found) == wanted, found
