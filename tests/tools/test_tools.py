"""What a transcript with one broker and one command at a time cannot show."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pykbroker.tools.client import Client
from pykbroker.tools.membership import committed
from pykbroker.tools.partitioner import murmur2
from tests.support.process import BrokerProcess, eventually
from tests.tools.test_transcript import ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def server(memory_broker: BrokerProcess) -> str:
    return f"localhost:{memory_broker.port}"


@pytest.fixture
def start(server: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, server: str = server) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pykbroker.tools", *arguments]
        child = subprocess.Popen(
            [*command, "--bootstrap-server", server],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield run
    for child in started:
        child.kill()
        child.communicate()


def committed_by(server: str, group: str) -> dict[tuple[str, int], int]:
    with closing(Client(server)) as client:
        return committed(client, group)


def call(server: str, tool: str, *arguments: str, stdin: str = "") -> str:
    code, output = ours(tool, [*arguments, "--bootstrap-server", server], stdin)
    assert code == 0, output
    return output


def test_the_hash_is_that_of_kafkas_clients() -> None:
    """Values of Apache Kafka's own test (UtilsTest), as signed numbers."""
    expected = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    assert {
        data: murmur2(data) - (1 << 32) * (murmur2(data) >> 31) for data in expected
    } == expected


def test_api_versions_name_every_broker_and_api(server: str) -> None:
    output = call(server, "kafka-broker-api-versions")
    first, *lines, last = output.splitlines()
    assert first == f"{server} (id: 1 rack: null isFenced: false) -> ("
    assert last == ")"
    assert "\tProduce(0): 0 to 13 [usable: 13]," in lines
    assert "\tSaslHandshake(17): UNSUPPORTED," in lines


def test_two_members_share_and_what_they_read_is_committed(
    server: str, start: Callable[..., subprocess.Popen[str]]
) -> None:
    call(server, "kafka-topics", "--create", "--topic", "shared", "--partitions", "2")
    options = ("--topic", "shared", "--group", "pair", "--from-beginning")
    members = [start("kafka-console-consumer", *options) for _ in range(2)]

    def both() -> bool:
        said = call(server, "kafka-consumer-groups", "--describe", "--members", "--group", "pair")
        rows = [line.split() for line in said.splitlines() if line.startswith("pair ")]
        return [row[-1] for row in rows] == ["1", "1"]

    eventually(both, what="one partition for each member")
    call(
        server,
        *("kafka-console-producer", "--topic", "shared"),
        *("--reader-property", "parse.key=true", "--reader-property", "key.separator=:"),
        stdin="".join(f"{n}:value-{n}\n" for n in range(20)),
    )
    lines: list[str] = []
    readers = [
        threading.Thread(target=lambda m=m: lines.extend(m.stdout or ()), daemon=True)
        for m in members
    ]
    for reader in readers:
        reader.start()
    eventually(lambda: len(lines) == 20, what="every record")
    assert sorted(lines) == sorted(f"value-{n}\n" for n in range(20))
    for member in members:
        member.send_signal(signal.SIGTERM)
        assert member.wait(60) == 128 + signal.SIGTERM
    assert sum(committed_by(server, "pair").values()) == 20
    said = call(server, "kafka-consumer-groups", "--list", "--state")
    assert "Empty" in next(line for line in said.splitlines() if line.startswith("pair "))


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_lines_come_back(server: str, codec: str) -> None:
    topic = f"packed-{codec}"
    call(server, "kafka-console-producer", "--topic", topic, "--compression-codec", codec,
         stdin="the same\n" * 100)  # fmt: skip
    read = call(server, "kafka-console-consumer", "--topic", topic, "--from-beginning",
                "--max-messages", "100")  # fmt: skip
    assert read == "the same\n" * 100 + "Processed a total of 100 messages\n"


def test_offsets_are_moved_in_every_way(server: str) -> None:
    call(server, "kafka-console-producer", "--topic", "moved", stdin="a\nb\nc\nd\n")
    moves = {
        ("--to-offset", "3"): 3,
        ("--shift-by", "-2"): 1,
        ("--to-latest",): 4,
        ("--shift-by", "-99"): 0,
        ("--to-datetime", "2999-01-01T00:00:00.000"): 4,
        ("--to-datetime", "1999-01-01T00:00:00.000"): 0,
        ("--to-current",): 0,
    }
    for way, expected in moves.items():
        call(server, "kafka-consumer-groups", "--reset-offsets", "--group", "mover", *way,
             "--topic", "moved:0", "--execute")  # fmt: skip
        assert committed_by(server, "mover") == {("moved", 0): expected}, way


def test_every_topic_that_a_pattern_includes_is_read(server: str) -> None:
    for name in ("in-a", "in-b", "out"):
        call(server, "kafka-console-producer", "--topic", name, stdin=f"{name}\n")
    read = call(server, "kafka-console-consumer", "--include", "in-.*", "--from-beginning",
                "--max-messages", "2")  # fmt: skip
    assert sorted(read.splitlines()[:-1]) == ["in-a", "in-b"]


@pytest.mark.parametrize("group", [(), ("--group", "patient")], ids=["alone", "in-a-group"])
def test_a_reader_outlives_the_broker(
    start_broker: Callable[..., BrokerProcess],
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    group: tuple[str, ...],
) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    broker = start_broker(*data)
    server = f"localhost:{broker.port}"
    call(server, "kafka-console-producer", "--topic", "lasting", stdin="before\n")
    options = ("--topic", "lasting", "--from-beginning", "--max-messages", "2", *group)
    reader = start("kafka-console-consumer", *options, server=server)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "before\n"
    assert broker.terminate() == 0
    start_broker(*data, port=broker.port)
    call(server, "kafka-console-producer", "--topic", "lasting", stdin="after\n")
    assert reader.stdout.readline() == "after\n"
    assert reader.wait(60) == 0


def test_a_tool_waits_for_the_broker(start_broker: Callable[..., BrokerProcess]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    command = [sys.executable, "-m", "pykbroker.tools", "cub", "kafka-ready", "1", "60"]
    waiting = subprocess.Popen([*command, "-b", f"localhost:{port}"])
    try:
        start_broker("--memory", port=port)
        assert waiting.wait(60) == 0
    finally:
        waiting.kill()
        waiting.wait()


def test_nobody_there_is_an_error_after_the_time_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        gone = f"localhost:{held.getsockname()[1]}"
    code, output = ours("cub", ["kafka-ready", "1", "0.3", "-b", gone], "")
    assert code == 1
    assert "Timed out" in output or "found only 0" in output


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kafka-topics --list", 'Missing required argument "[bootstrap-server]"'),
        ("kafka-topics --list --bootstrap-server nowhere", "Invalid url in bootstrap.servers"),
        ("kafka-topics --create --bootstrap-server a:1", 'Missing required argument "[topic]"'),
        ("kafka-configs --describe --bootstrap-server a:1", "At least one entity type"),
        ("kafka-console-consumer --bootstrap-server a:1", "Exactly one of --include/--topic"),
        (
            "kafka-console-producer --topic t --bootstrap-server a:1 "
            "--producer-property security.protocol=SSL",
            "security.protocol=SSL is not supported",
        ),
        (
            "kafka-console-consumer --topic t --bootstrap-server a:1 "
            "--value-deserializer org.apache.kafka.common.serialization.LongDeserializer",
            "is not supported",
        ),
        ("kafka-mirror", "no tool"),
    ],
)
def test_what_cannot_be_is_said_at_once(line: str, words: str) -> None:
    tool, *arguments = line.split()
    code, output = ours(tool, arguments, "")
    assert code == 1
    assert words in output
    assert "Traceback" not in output
