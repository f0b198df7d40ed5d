"""Every command in the documentation is run, as far as it can be without a network or root.

A block is known by its page and its whole text: whoever changes one, or adds one, must say here how
it is run. Ports are free ones, long-running servers are stopped.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from tests.documentation.pages import ROOT, Block, all_blocks, blocks_of
from tests.support.process import PATIENCE_SECONDS, BrokerProcess, eventually, run_command
from tests.test_importing import kafka_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run: TypeAlias = Callable[["Shell"], None]

__all__ = ["kafka_directory"]

KNOWN: dict[Block, Run] = {}
CODE = {
    ("README.md", "def test_orders(kafka_broker, kafka_topic):"): "test_the_pytest_example_holds",
    ("docs/testing.md", None): "tests/testing/test_documentation.py, its commands too",
    ("docs/architecture.md", None): "layouts and signatures",
    (
        "docs/operations.md",
        "metadata.sqlite      topics, partitions, settings, quotas",
    ): ("a layout; test_the_data_directory_is_as_it_says"),
}
"""Blocks without commands, by page and first line, or whole pages; and where they are tested."""
COMMANDS = re.compile(
    r"^(pykbroker|make|pip|python3?|docker|curl|cp|kill|ulimit|npm|go|npx|uv|git|cd|export|sh|bash|kafka-)"
    r"\b"
)


class Shell:
    """Runs the commands of one block, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[BrokerProcess] = []

    def serve(self, line: str, *more: str, port: int | None = 0) -> BrokerProcess:
        broker = self.begin(line, *more, port=port)
        return broker.wait_ready()

    def begin(self, line: str, *more: str, port: int | None = 0) -> BrokerProcess:
        program, command, *arguments = shlex.split(line.replace("\\\n", " "))
        assert (program, command) == ("pykbroker", "serve")
        broker = BrokerProcess(*arguments, *more, log_dir=self.directory, port=port)
        self.running.append(broker)
        return broker

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def end(self) -> None:
        for broker in self.running:
            broker.kill()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.end()


def known(page: str, text: str) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        KNOWN[Block(page, text)] = run
        return run

    return register


def produce(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("orders", value)
    assert producer.flush(PATIENCE_SECONDS) == 0


def consume(bootstrap: str, topic: str) -> bytes:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    message: Any = eventually(lambda: consumer.poll(0.2))
    consumer.close()
    assert message.error() is None
    value: bytes = message.value()
    return value


def works(broker: BrokerProcess) -> None:
    produce(broker.bootstrap, b"x")
    assert consume(broker.bootstrap, "orders") == b"x"


def make_knows(*lines: str) -> None:
    """They run for minutes, or fetch from registries: what make would do is all that is asked."""
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "make"
        subprocess.run(
            ["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=60
        )


def installed(shell: Shell) -> Path:
    """``pip install .`` of what git has, without its dependencies, which are here already."""
    source = shell.directory / "checkout"
    for name in ("pykbroker", "wire", "pyproject.toml", "README.md"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            source.mkdir(exist_ok=True)
            shutil.copy(path, source / name)
    target = shell.directory / "installed"
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    shell.run(
        sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)
    )
    return target


@known("README.md", "pip install .\npykbroker serve --memory")
def _(shell: Shell) -> None:
    """The command that was installed; its own code, not that of the checkout."""
    target = installed(shell)
    program = target / "bin" / "pykbroker"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    process = subprocess.Popen(
        [sys.executable, str(program), "serve", "--memory", "--port", "0"],
        cwd=shell.directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("pykbroker ready bootstrap.servers=localhost:")
        produce(line.strip().partition("=")[2], b"x")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.stdout.close()


@known("README.md", "pykbroker serve --brokers 3\npykbroker serve --node-id 2")
def _(shell: Shell) -> None:
    cluster = shell.serve("pykbroker serve --brokers 3")
    lose_one_and_start_it(shell, cluster, "pykbroker serve --node-id 2")


@known(
    "docs/operations.md",
    "pykbroker serve --brokers 3 --data-dir data\npykbroker serve --node-id 2 --data-dir data",
)
def _(shell: Shell) -> None:
    cluster = shell.serve("pykbroker serve --brokers 3 --data-dir data")
    lose_one_and_start_it(shell, cluster, "pykbroker serve --node-id 2 --data-dir data")


def lose_one_and_start_it(shell: Shell, cluster: BrokerProcess, line: str) -> None:
    produce(cluster.bootstrap, b"x")
    found = re.search(r"broker node_id=2 pid=(\d+)", cluster.stderr)
    assert found is not None
    os.kill(int(found[1]), signal.SIGTERM)
    eventually(lambda: "broker has stopped" in cluster.stderr)
    again = shell.serve(line, port=None)
    assert again.bootstrap == cluster.bootstrap.split(",")[1]
    assert consume(again.bootstrap, "orders") == b"x"
    assert again.terminate() == 0
    assert cluster.terminate() == 0


@known("docs/operations.md", "pykbroker serve --node-id 4 --port 9095 --data-dir data")
def _(shell: Shell) -> None:
    cluster = shell.serve("pykbroker serve --brokers 3 --data-dir data")
    line = "pykbroker serve --node-id 4 --port 9095 --data-dir data"
    fourth = shell.serve(line.replace("9095", "0"), port=None)
    admin = AdminClient({"bootstrap.servers": fourth.bootstrap})
    described = admin.describe_cluster().result(PATIENCE_SECONDS)
    assert sorted(node.id for node in described.nodes) == [1, 2, 3, 4]
    assert fourth.terminate() == 0
    assert cluster.terminate() == 0


@known("README.md", "pykbroker exec -- npm test")
def _(shell: Shell) -> None:
    """With a command that every machine has."""
    show = "import os; print(os.environ['KAFKA_BOOTSTRAP_SERVERS'])"
    code, out, err = run_command("exec", "--", sys.executable, "-c", show, cwd=shell.directory)
    assert code == 0, err
    assert out.startswith("localhost:")


@known("README.md", "docker build -t pykbroker .\ndocker run -p 9092:9092 pykbroker")
@known("docs/container.md", "docker build -t pykbroker .\ndocker run -p 9092:9092 pykbroker")
def _(shell: Shell) -> None:
    """``make image-test`` builds and runs it, ``tests/container`` runs its files without Docker;
    here: the Dockerfile is where it is looked for, and offers that port."""
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^EXPOSE .*\b9092\b", text, re.M)


@known(
    "docs/operations.md",
    "pykbroker serve --data-dir data\ncp -r data copy\npykbroker serve --data-dir copy",
)
def _(shell: Shell) -> None:
    broker = shell.serve("pykbroker serve --data-dir data")
    produce(broker.bootstrap, b"x")
    assert broker.terminate() == 0
    shell.run("cp", "-r", "data", "copy")
    copy = shell.serve("pykbroker serve --data-dir copy")
    assert consume(copy.bootstrap, "orders") == b"x"


@known(
    "docs/operations.md",
    "pykbroker import /var/lib/kafka/data --data-dir data\npykbroker serve --data-dir data",
)
def _(shell: Shell) -> None:
    """From a directory as Kafka leaves it."""
    source = str(shell.directory / "kafka")
    code, _, err = run_command("import", source, "--data-dir", "data", cwd=shell.directory)
    assert code == 0, err
    broker = shell.serve("pykbroker serve --data-dir data")
    assert consume(broker.bootstrap, "t") == b"4"


ETCD = "pykbroker serve --node-id 1 --host 10.0.0.1 --metadata etcd://10.0.0.9:2379 --data-dir data"
ETCD_TLS = (
    f"{ETCD} \\\n  -o pykbroker.etcd.ca.location=ca.pem \\\n"
    "  -o pykbroker.etcd.username=kafka -o pykbroker.etcd.password=secret"
)


def waits_for_etcd(shell: Shell, line: str) -> None:
    """No etcd is needed for that; with one, ``tests/runtime`` and ``tests/cluster`` run."""
    local = line.replace("10.0.0.1", "127.0.0.1").replace("10.0.0.9:2379", "127.0.0.1:1")
    broker = shell.begin(local)
    eventually(lambda: "no etcd yet, still trying" in broker.stderr)
    assert broker.terminate() == 0
    assert "stopped before it was ready" in broker.stderr


@known("docs/operations.md", f"pip install '.[etcd]'\n{ETCD}")
def _(shell: Shell) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["etcd"]
    waits_for_etcd(shell, ETCD)


@known("docs/operations.md", ETCD_TLS)
def _(shell: Shell) -> None:
    import certifi

    shutil.copy(certifi.where(), shell.directory / "ca.pem")
    waits_for_etcd(shell, ETCD_TLS)


@known(
    "docs/operations.md",
    "pykbroker serve --memory --http-port 8080\ncurl -f http://localhost:8080/health/live\n"
    "curl -f http://localhost:8080/health/ready",
)
def _(shell: Shell) -> None:
    from urllib.request import urlopen

    broker = shell.serve("pykbroker serve --memory --http-port 0")
    for page in ("live", "ready"):
        with urlopen(f"http://{broker.http}/health/{page}", timeout=PATIENCE_SECONDS) as answer:
            assert answer.read() == f"{page}\n".encode()


@known("docs/operations.md", "ulimit -Hn")
def _(shell: Shell) -> None:
    assert re.fullmatch(r"\d+|unlimited", shell.run("sh", "-c", "ulimit -Hn").strip())


@known("docs/contributing.md", "make help\nmake check\nmake test")
def _(shell: Shell) -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("check", "test", "bench", "compat"):
        assert re.search(rf"^make {target} ", told.stdout, re.M)
    make_knows("make check", "make test")


@known("docs/performance.md", "make bench")
@known("docs/performance.md", "make bench-start\nmake bench-failover")
def _(shell: Shell) -> None:
    make_knows("make bench", "make bench-start", "make bench-failover")


@known(
    "docs/compatibility.md",
    """\
make compat                 # pykbroker, one broker and three, every client that can be built here
make compat-reference       # the same against Apache Kafka, and both compared answer by answer
python -m compat run --bootstrap localhost:9092 --report DIR          # any broker
python -m compat run --bootstrap HOST:PORT --control 'my-script'      # that may be struck too""",
)
def _(shell: Shell) -> None:
    """One behaviour with one client; a control that does nothing is one too."""
    make_knows("make compat", "make compat-reference")
    broker = shell.serve("pykbroker serve --memory")
    few = ("--only", "ordering*", "--client", "kafka-python")
    for more in (("--report", str(shell.directory / "DIR")), ("--control", "true")):
        command = [sys.executable, "-m", "compat", "run", "--bootstrap", broker.bootstrap]
        done = subprocess.run(
            [*command, *more, *few],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (shell.directory / "DIR" / "results.json").exists()


@known(
    "docs/compatibility.md",
    """\
python -m compat differential                                   # starts both, needs make kafka-libs
python -m compat differential --bootstrap A --reference B""",
)
@known(
    "docs/compatibility.md",
    """\
make bench                                                      # pykbroker, Apache Kafka, Tansu
python -m compat bench --target NAME=HOST:PORT --target ...""",
)
def _(shell: Shell) -> None:
    """They need Apache Kafka's jars and minutes: ``tests/compat`` runs them. Here: they know these
    arguments."""
    for name, arguments in (
        ("differential", ("--bootstrap", "--reference")),
        ("bench", ("--target",)),
    ):
        told = subprocess.run(
            [sys.executable, "-m", "compat", name, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert all(argument in told.stdout for argument in arguments)


# None is left out


def is_code(block: Block) -> bool:
    return any(
        page == block.page and (first is None or block.first.startswith(first))
        for page, first in CODE
    )


def test_every_block_is_known() -> None:
    unknown = [block for block in all_blocks() if block not in KNOWN and not is_code(block)]
    assert unknown == [], "say in tests/documentation/test_commands.py how these are run"


def test_nothing_is_known_that_is_not_there() -> None:
    assert KNOWN.keys() - set(all_blocks()) == set()


def test_blocks_of_code_hold_no_commands() -> None:
    """Those of docs/testing.md are run beside their examples."""
    for block in all_blocks():
        if block not in KNOWN and block.page != "docs/testing.md":
            assert not [line for line in block.lines if COMMANDS.match(line)], block


def test_blocks_are_found_however_they_are_written() -> None:
    text = (
        "Say:\n\n    pykbroker one\n    two\n\nThen\n\n```sh\npykbroker three\n```\n\n    four\n\n"
    )
    assert [block.text for block in blocks_of("x.md", text)] == [
        "pykbroker three\n",
        "pykbroker one\ntwo",
        "four",
    ]


def title(block: Block) -> str:
    return f"{block.page}: {block.first[:60]}"


@pytest.mark.parametrize("block", KNOWN, ids=title)
def test_it_runs(shell: Shell, kafka_directory: Path, block: Block) -> None:
    KNOWN[block](shell)


# What is no command


def test_the_pytest_example_holds(pytester: pytest.Pytester) -> None:
    (block,) = [b for b in all_blocks() if b.first.startswith("def test_orders(")]
    pytester.makepyfile(
        "from kafka import KafkaProducer\n\n"
        "def publish(value, servers, topic):\n"
        "    producer = KafkaProducer(bootstrap_servers=servers)\n"
        "    producer.send(topic, value.encode())\n"
        "    producer.close()\n\n" + block.text
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=240)
    result.assert_outcomes(passed=1)


def test_the_data_directory_is_as_it_says(shell: Shell) -> None:
    """Every name of the layout is a file of a broker that served, or is made when it is needed."""
    later = {"cleaner-offset-checkpoint", "log-start-offset-checkpoint", "cluster.json"}
    (block,) = [b for b in all_blocks() if b.first.startswith("metadata.sqlite ")]
    told = {line.split()[0].rstrip("/") for line in block.lines}
    broker = shell.serve("pykbroker serve --data-dir data")
    eventually(lambda: (shell.directory / "data" / "store.sock").exists())
    produce(broker.bootstrap, b"x")
    sock = {path.name for path in (shell.directory / "data").iterdir()}
    assert broker.terminate() == 0
    there = {path.name for path in (shell.directory / "data").rglob("*")} | sock
    plain = {name for name in told if not re.match(r"\d{20}", name)}
    assert plain - there - later == set()
    assert {p.suffix for p in (shell.directory / "data").rglob("0*")} >= {".log", ".index"}
    assert {name for name in there if not re.match(r"\d{20}|__consumer", name)} - told <= {
        "metadata.sqlite-wal",
        "metadata.sqlite-shm",
    }


pytest_plugins = ["pytester"]
