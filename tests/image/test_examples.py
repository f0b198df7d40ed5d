"""``examples`` as they stand: compose files, and Testcontainers' own modules in four languages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.container.round_trip import BROKERS, ROUND_TRIP
from tests.image.docker import CACHE, PATIENCE_SECONDS, ROOT, once

if TYPE_CHECKING:
    from tests.image.docker import Docker

pytestmark = pytest.mark.image
EXAMPLES = ROOT / "examples"
HERE = Path(__file__).parent
PYTHON = ("testcontainers==4.15.0", "confluent-kafka==2.16.1", "pytest==8.4.2")
NODE = ("testcontainers@11.14.0", "@testcontainers/kafka@11.14.0")
GO = "github.com/testcontainers/testcontainers-go/modules/kafka@v0.40.0"
JAVA = {
    "org.testcontainers:kafka": "1.21.4",
    "org.apache.kafka:kafka-clients": "4.1.0",
    "org.slf4j:slf4j-simple": "1.7.36",
}

MADE = """
import sys
from confluent_kafka.admin import AdminClient
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
while "orders" not in (found := admin.list_topics(timeout=60).topics):
    pass
assert len(found["orders"].partitions) == 3
"""


def needs(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


@pytest.mark.parametrize(
    ("name", "ports"), [("compose.yaml", [9092]), ("compose-cluster.yaml", [29093, 29094, 29095])]
)
def test_compose(docker: Docker, name: str, ports: list[int]) -> None:
    needs("docker-compose")
    compose = ("docker-compose", "-f", str(EXAMPLES / name))
    client = (sys.executable, "-c")
    expected = {str(node): f"localhost:{port}" for node, port in enumerate(ports, 1)}
    found: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        docker.run(*compose, "up", "--no-build", "-d")
        while found != expected:
            assert time.monotonic() < deadline, found
            found = json.loads(docker.run(*client, BROKERS, f"localhost:{ports[-1]}").stdout)
        if "topics" in yaml.safe_load((EXAMPLES / name).read_text())["services"]:
            docker.run(*client, MADE, f"localhost:{ports[0]}")
        first, replicas = f"localhost:{ports[0]}", str(len(ports))
        cluster = docker.run(*client, ROUND_TRIP, first, replicas).stdout.strip()
        assert cluster == "4L6g3nShT-eMCtK--X86sw"
    finally:
        docker.run(*compose, "down", "-v", "-t", "60")


def test_python_testcontainers(docker: Docker, tmp_path: Path) -> None:
    target = CACHE / "python"
    python = str(target / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON]
    once(target, [sys.executable, "-m", "venv", "."], pip)
    for path in (EXAMPLES / "testcontainers" / "test_orders.py", HERE / "test_shapes.py.txt"):
        shutil.copy(path, tmp_path / path.name.removesuffix(".txt"))
    docker.run(python, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path), cwd=tmp_path)


def test_node_testcontainers(docker: Docker) -> None:
    needs("npm")
    target = CACHE / "node"
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    once(target, ["npm", "init", "--yes", "--silent"], [*install, *NODE])
    shutil.copy(EXAMPLES / "testcontainers" / "orders.test.mjs", target)
    docker.run("node", "--test", "orders.test.mjs", cwd=target)


def test_go_testcontainers(docker: Docker) -> None:
    needs("go")
    target = CACHE / "go"
    example = EXAMPLES / "testcontainers" / "orders_test.go"
    copy = ["cp", str(example), str(target)]
    once(target, ["go", "mod", "init", "orders"], copy, ["go", "get", GO], ["go", "mod", "tidy"])
    subprocess.run(copy, check=True)
    subprocess.run(["go", "test", "-c", "-o", "orders.test"], cwd=target, check=True)
    docker.run(str(target / "orders.test"), "-test.v", cwd=target)


def test_java_testcontainers(docker: Docker, tmp_path: Path) -> None:
    needs("mvn")
    target = CACHE / "java"
    pom = tmp_path / "pom.xml"
    pom.write_text(project())
    libraries = f"-DoutputDirectory={target}"
    maven = ["mvn", "--quiet", "--batch-mode", "-f", str(pom), "dependency:copy-dependencies"]
    once(target, [*maven, libraries])
    sources = [EXAMPLES / "testcontainers" / "OrdersTest.java", HERE / "Shapes.java"]
    classpath = f"{tmp_path}:{target}/*"
    compile_it = ["javac", "-cp", classpath, "-d", str(tmp_path), *map(str, sources)]
    subprocess.run(compile_it, check=True)
    said = docker.run("java", "-cp", classpath, "OrdersTest").stdout
    assert said.strip() == "4L6g3nShT-eMCtK--X86sw"
    shapes = docker.run("java", "-cp", classpath, "Shapes").stdout.split()
    assert shapes == ["apache", "confluent", "kraft", "zookeeper"]


def project() -> str:
    wanted = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>"
        "</dependency>".format(*name.split(":"), version)
        for name, version in JAVA.items()
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId>"
        "<artifactId>orders</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{wanted}</dependencies></project>"
    )
