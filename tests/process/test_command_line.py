"""The command as a person or a container meets it: lines, exit codes, signals."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
import sys
from platform import libc_ver
from typing import TYPE_CHECKING

import pytest

from pykbroker import __version__
from tests.support.clients import Confluent, Message
from tests.support.process import (
    PATIENCE_SECONDS,
    ROOT,
    BrokerProcess,
    eventually,
    run_command,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Start = "Callable[..., BrokerProcess]"

KAFKA_LAYOUT = re.compile(
    r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] INFO \[.+\] .+ \(kafka\..+\)$"
)


def one_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line]
    assert len(lines) == 1, text
    return lines[0]


def test_version_is_printed(tmp_path: Path) -> None:
    assert run_command("--version", cwd=tmp_path) == (0, f"pykbroker {__version__}\n", "")


def test_without_arguments_it_says_what_to_do(tmp_path: Path) -> None:
    code, out, _ = run_command(cwd=tmp_path)
    assert code == 2
    assert "pykbroker serve" in out


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_ready_lines_are_on_standard_output_and_logs_are_not(
    start_broker: Callable[..., BrokerProcess], log_format: str
) -> None:
    broker = start_broker("--memory", "--log-format", log_format)
    lines = broker.lines
    assert sum(line.startswith("pykbroker ready") for line in lines) == 1
    kafkas = ("Transitioning from RECOVERY to RUNNING", "[KafkaServer id=1] started")
    for wanted in (*kafkas, "Kafka Server started"):
        (line,) = [line for line in lines if wanted in line]
        assert KAFKA_LAYOUT.match(line), line
    assert len(lines) == 4
    assert __version__ in broker.stderr
    assert broker.terminate() == 0


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="another C library")
def test_the_allocator_is_told_to_keep_freed_memory_once_the_broker_serves(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--memory", "--log-level", "debug")
    eventually(lambda: "allocator keeps_freed_memory=True" in broker.stderr)


def test_http_is_off_unless_asked_for(start_broker: Callable[..., BrokerProcess]) -> None:
    assert start_broker("--memory").http is None
    assert start_broker("--memory", "--http-port", "0").http is not None


def test_an_http_port_in_use_changes_nothing(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    other = start_broker("--memory", "--http-port", "0")
    port = str(other.http).rpartition(":")[2]
    serve = ("serve", "--port", "0", "--http-port", port, "--log-level", "error")
    code, out, err = run_command(*serve, "--data-dir", "data", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert f":{port}: the port is in use" in one_line(err)
    with sqlite3.connect(tmp_path / "data" / "metadata.sqlite") as store:
        assert store.execute("SELECT count(*) FROM items").fetchone() == (0,)


def test_http_serves_health_and_version(start_broker: Callable[..., BrokerProcess]) -> None:
    from urllib.request import urlopen

    broker = start_broker("--memory", "--http-port", "0")
    with urlopen(f"http://{broker.http}/health/live", timeout=60) as answer:
        assert answer.status == 200
    with urlopen(f"http://{broker.http}/health/ready", timeout=60) as answer:
        assert answer.status == 200
    with urlopen(f"http://{broker.http}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    assert f'pykbroker_build_info{{version="{__version__}"}} 1.0' in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_with_clients_connected(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, number: int
) -> None:
    broker = start_broker("--data-dir", str(tmp_path / "data"))
    with socket.create_connection(("127.0.0.1", broker.port)):
        broker.process.send_signal(number)
        assert broker.process.wait(60) == 0
    assert list((tmp_path / "data").rglob(".kafka_cleanshutdown"))
    assert "stopped" in broker.stderr.splitlines()[-1]


def test_localhost_is_reached_over_ipv4_and_ipv6(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--memory")
    socket.create_connection(("127.0.0.1", broker.port)).close()
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    socket.create_connection(("::1", broker.port)).close()


def test_a_port_in_use_is_one_clear_line(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    broker = start_broker("--memory")
    code, _, err = run_command("serve", "--memory", "--port", str(broker.port), cwd=tmp_path)
    assert code == 1
    assert "in use" in one_line(err)


def test_a_data_directory_in_use_is_refused(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    data = str(tmp_path / "data")
    broker = start_broker("--data-dir", data)
    code, _, err = run_command("serve", "--port", "0", "--data-dir", data, cwd=tmp_path)
    assert code == 1
    assert data in one_line(err)
    assert broker.terminate() == 0


@pytest.mark.parametrize("lost", [True, False])
def test_partitions_without_their_metadata_are_refused_untouched(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, lost: bool
) -> None:
    data = tmp_path / "data"
    broker = start_broker("--data-dir", str(data))
    Confluent().produce(broker.bootstrap, "t", [Message(b"precious")])
    assert broker.terminate() == 0
    if lost:
        for path in data.glob("metadata.sqlite*"):
            path.rename(tmp_path / path.name)
        arguments: tuple[str, ...] = ("--data-dir", str(data))
    else:
        arguments = ("-o", f"log.dirs={data / 'broker-1'}")
    before = sorted(path.name for path in (data / "broker-1").iterdir())
    serve = ("serve", "--port", "0", "--log-level", "error")
    code, _, err = run_command(*serve, *arguments, cwd=tmp_path)
    assert code == 1
    assert f"{data / 'broker-1'} holds partitions of cluster " in one_line(err)
    after = {path.name for path in (data / "broker-1").iterdir()}
    assert after - {"metadata.sqlite", "metadata.sqlite-shm", "metadata.sqlite-wal"} == set(before)
    if lost:
        for path in tmp_path.glob("metadata.sqlite*"):
            path.rename(data / path.name)
    again = start_broker("--data-dir", str(data))
    (message,) = Confluent().consume(again.bootstrap, "t", 1)
    assert message.value == b"precious"


def test_a_foreign_directory_is_refused_untouched(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "precious.txt").write_text("mine")
    code, _, err = run_command("serve", "--port", "0", "--data-dir", str(foreign), cwd=tmp_path)
    assert code == 1
    assert str(foreign) in one_line(err)
    assert [p.name for p in foreign.iterdir()] == ["precious.txt"]


def test_a_directory_of_apache_kafka_is_refused_untouched(tmp_path: Path) -> None:
    kafka = tmp_path / "kafka"
    kafka.mkdir()
    properties = "version=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\nnode.id=1\n"
    (kafka / "meta.properties").write_text(properties)
    code, _, err = run_command("serve", "--port", "0", "--data-dir", str(kafka), cwd=tmp_path)
    assert code == 1
    assert "pykbroker import" in one_line(err)
    assert (kafka / "meta.properties").read_text() == properties


@pytest.mark.parametrize(
    ("option", "mentions"),
    [
        ("num.partitions=0", "num.partitions"),
        ("log.retention.ms=soon", "log.retention.ms"),
        ("listeners=PLAINTEXT://:9092,PLAINTEXT://:9093", "listeners"),
        ("no-equals-sign", "no-equals-sign"),
    ],
)
def test_a_bad_property_is_one_clear_line(tmp_path: Path, option: str, mentions: str) -> None:
    code, _, err = run_command("serve", "--memory", "--port", "0", "-o", option, cwd=tmp_path)
    assert code == 2
    assert mentions in one_line(err)


def test_an_unknown_property_is_a_warning(start_broker: Callable[..., BrokerProcess]) -> None:
    broker = start_broker("--memory", "-o", "no.such.property=1")
    assert "no.such.property" in broker.stderr


def test_a_properties_file_is_read_and_options_win(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    config = tmp_path / "server.properties"
    config.write_text("num.partitions=3\nlog.retention.hours=5\n")
    broker = start_broker("--memory", "--config", str(config), "-o", "num.partitions=4")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    resource = ConfigResource(ResourceType.BROKER, "1")
    values = admin.describe_configs([resource])[resource].result(60)
    assert values["num.partitions"].value == "4"
    assert values["log.retention.hours"].value == "5"


def test_data_goes_to_the_current_directory_and_that_is_said(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    broker = start_broker()
    assert (tmp_path / "pykbroker-data").is_dir()
    assert "pykbroker-data" in broker.stderr


@pytest.mark.parametrize(
    "argument", [("--port", "99999"), ("--bogus",), ("--data-dir", "/dev/null/x")]
)
def test_a_wrong_argument_is_one_clear_line(tmp_path: Path, argument: tuple[str, ...]) -> None:
    code, _, err = run_command("serve", *argument, cwd=tmp_path)
    assert code in (1, 2)
    assert argument[-1] in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sevre",), "there is no command 'sevre', only serve, import, exec"),
        (("serve", "--prot", "1"), "did you mean --port?"),
        (("serve", "extra"), "unknown argument extra; see 'pykbroker serve --help'"),
        (("serve", "--data-dir", ""), "--data-dir: the name of a directory is empty"),
        (("serve", "--log-level", "trace"), "only debug, info, warn, error, off"),
        (("serve", "--config", "/nope"), "cannot read /nope: No such file or directory"),
        (("exec", "-o", "num.partition=1", "--", "true"), "did you mean num.partitions?"),
        (("import",), "required: DIR"),
        (("serve", "--metadata", "etcd://"), "--metadata: etcd://: not etcd://HOST:PORT"),
        (("serve", "--metadata", "tcp://h:x"), "--metadata: tcp://h:x: not unix:/path or tcp://"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, _, err = run_command(*arguments, cwd=tmp_path)
    assert code == 2
    assert says in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("serve", "--port", "0", "--data-dir", "/proc/none"), "cannot use log directory /proc/n"),
        (
            ("serve", "-o", "log.dirs=here", "-o", "metadata.log.dir=/proc/none", "--port", "0"),
            "cannot use /proc/none: No such file or directory",
        ),
        (("serve", "--memory", "--host", "none.invalid"), "cannot listen on none.invalid:9092: "),
        (("serve", "--memory", "-o", "process.roles=broker"), "there is no controller: name it by"),
        (("import", "/nope"), "cannot import /nope: there is no such directory"),
    ],
)
def test_what_cannot_be_used_is_one_line_without_an_errno(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, _, err = run_command(*arguments, cwd=tmp_path)
    assert code == 1
    assert says in one_line(err)
    assert "Errno" not in err


@pytest.mark.parametrize("arguments", [(), ("--help",), ("serve", "--help"), ("--version",)])
def test_what_nobody_reads_ends_quietly(arguments: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pykbroker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_SECONDS) in (0, 2)


@pytest.mark.parametrize("command", ["", "serve", "import", "exec"])
def test_help_is_for_a_terminal_of_80_columns(tmp_path: Path, command: str) -> None:
    code, out, err = run_command(*command.split(), "--help", cwd=tmp_path, env={"COLUMNS": "80"})
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80


def test_a_second_signal_does_not_wait(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    broker = start_broker("--memory")
    broker.pause()
    broker.process.send_signal(signal.SIGTERM)
    broker.process.send_signal(signal.SIGINT)
    broker.resume()
    assert broker.process.wait(60) in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)
