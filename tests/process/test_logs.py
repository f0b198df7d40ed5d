"""The log as operators and collectors meet it: levels, JSON, and nothing for each request."""

from __future__ import annotations

import io
import json
import re
import socket
import struct
import subprocess
import sys
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from pykbroker.edges.log_sink import StreamSink
from pykbroker.log import CURRENT, DEBUG, INFO, Log, Trouble, get_logger
from tests.support.process import ROOT, BrokerProcess, run_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PARTITIONS = 3


def parsed(text: str) -> list[dict[str, Any]]:
    """Every line, or the test fails."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert ISO_TIME.fullmatch(line["time"]), line
        assert line["level"] in ("DEBUG", "INFO", "WARN", "ERROR"), line
        assert line["logger"], line
        assert line["event"], line
    return lines


def make_topic(broker: BrokerProcess, partitions: int) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap)) as admin:
        admin.create_topics([NewTopic("orders", partitions, 1)])


def work(bootstrap: str, group: str, messages: int) -> None:
    """A producer and a group of two that commit, each message a request of its own."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0, acks="all")
    for number in range(messages):
        producer.send("orders", b"x", partition=number % PARTITIONS).get(60)
    producer.close()
    consumers = [
        KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=10,
        )
        for _ in range(2)
    ]
    for consumer in consumers:
        consumer.subscribe(["orders"])
    seen = 0
    while seen < messages:
        for consumer in consumers:
            got = sum(map(len, consumer.poll(timeout_ms=200).values()))
            if got:
                consumer.commit()
            seen += got
    for consumer in consumers:
        consumer.close()


def hang_up(port: int) -> None:
    """Closed, reset, and in the middle of a request: what clients do that are killed."""
    for payload in (b"", b"\x00\x00\x00\x20half"):
        for reset in (False, True):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(payload)
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_nothing_is_logged_for_a_request_a_group_or_a_connection(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--memory")
    make_topic(broker, PARTITIONS)
    work(broker.bootstrap, "first", 10)  # makes the topic of the offsets
    before = broker.stderr
    work(broker.bootstrap, "second", 1000)
    work(broker.bootstrap, "third", 300)
    for _ in range(20):
        hang_up(broker.port)
    work(broker.bootstrap, "fourth", 10)
    assert broker.stderr == before
    assert " WARN " not in before
    assert " ERROR " not in before


def test_every_line_is_json(start_broker: Callable[..., BrokerProcess]) -> None:
    options = ("--log-format", "json", "--log-level", "debug", "-o", "no.such.thing=1")
    broker = start_broker("--memory", *options)
    make_topic(broker, 1)
    assert broker.terminate() == 0
    lines = parsed(broker.stderr)
    levels = {line["event"]: line["level"] for line in lines}
    assert levels["unknown property no.such.thing (-o) (ignored)"] == "WARN"
    assert levels["topic created"] == levels["stopping"] == levels["stopped"] == "INFO"
    (created,) = [line for line in lines if line["event"] == "topic created"]
    assert (created["topic"], created["partitions"]) == ("orders", 1)


def test_a_cluster_says_in_json_which_broker_speaks(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--memory", "--brokers", "2", "--log-format", "json")
    assert broker.terminate() == 0
    lines = parsed(broker.stderr)
    stopped = [line["node_id"] for line in lines if line["event"] == "stopped"]
    assert sorted(stopped) == [1, 2]
    counts = Counter(line["level"] for line in lines)
    assert set(counts) == {"INFO"}, broker.stderr


def test_why_it_does_not_serve_is_json_too(tmp_path: Path) -> None:
    for code, arguments in (
        (1, ("--data-dir", "/dev/null")),
        (1, ("--brokers", "2", "--data-dir", "/dev/null")),
        (2, ("-o", "num.partitions=none")),
    ):
        done, _, err = run_command(
            "serve", "--port", "0", "--log-format", "json", *arguments, cwd=tmp_path
        )
        assert done == code
        assert "reason" in parsed(err)[-1]
        assert parsed(err)[-1]["level"] == "ERROR"


FOREIGN = """
import argparse, asyncio, gc, logging, threading, warnings
from pykbroker.running import run_loop, start_logging

start_logging(argparse.Namespace(log_format={format!r}, log_level="info"), 7)

class Broken:
    def __del__(self):
        raise RuntimeError("never seen")

async def main():
    from pykbroker.running import log_loop_errors
    log_loop_errors()
    warnings.warn("two\\nlines", DeprecationWarning)
    logging.getLogger("httpx").info("for each request")
    logging.getLogger("asyncio").warning("slow %d", 1)
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("anyio").exception("failed")
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    Broken()
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    raise RuntimeError("the end")

warnings.simplefilter("always")
run_loop(main)
"""


def foreign(log_format: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN.format(format=log_format)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def test_what_libraries_and_python_say_is_json() -> None:
    lines = parsed(foreign("json"))
    events = {line["event"]: line for line in lines}
    assert events["two\nlines"]["category"] == "DeprecationWarning"
    assert (events["slow 1"]["logger"], events["slow 1"]["level"]) == ("asyncio", "WARN")
    assert "ZeroDivisionError" in events["failed"]["traceback"]
    assert "for each request" not in events
    for event in ("uncaught exception in a thread", "uncaught exception"):
        assert events[event]["level"] == "ERROR"
        assert "Traceback" in events[event]["traceback"]
    assert any("never seen" in str(line.get("error")) for line in lines)
    assert sum("ZeroDivisionError" in str(line.get("error")) for line in lines) == 3
    assert {line["node_id"] for line in lines} == {7}


def test_as_text_an_event_is_one_line_and_a_traceback_follows_it() -> None:
    lines = foreign("text").splitlines()
    assert any(r"WARN two\nlines category=DeprecationWarning" in line for line in lines)
    (at,) = [i for i, line in enumerate(lines) if " ERROR failed error=" in line]
    assert lines[at + 1].startswith("Traceback")


def test_a_field_does_not_take_the_place_of_what_every_line_has() -> None:
    out = io.StringIO()
    fields = {"level": "low", "event": "other", "node_id": 7, "plain": 1}
    StreamSink(out, json=True, node_id=7).emit(INFO, "pykbroker", "said", fields)
    (line,) = parsed(out.getvalue())
    assert (line["level"], line["event"], line["node_id"]) == ("INFO", "said", 7)
    assert (line["level_"], line["event_"], line["plain"]) == ("low", "other", 1)


def test_a_value_cannot_begin_a_line_or_move_the_cursor() -> None:
    out = io.StringIO()
    StreamSink(out).emit(INFO, "pykbroker", "said", {"client_id": "a\r\nb\x1b[2J"})
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().rstrip("\n").isprintable()


def test_a_failed_log_directory_is_an_error(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    """One of two: the broker serves on with the other."""
    (tmp_path / "file").write_text("no directory")
    broker = start_broker("-o", f"log.dirs={tmp_path}/good,{tmp_path}/file/bad")
    (line,) = [line for line in broker.stderr.splitlines() if "file/bad" in line]
    assert " ERROR " in line


def test_consumers_without_a_group_are_quiet_too(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--memory", "-o", "num.partitions=1")
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    producer.send("fresh", b"x").get(60)
    producer.close()
    before = broker.stderr
    for _ in range(20):
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
        consumer.assign([TopicPartition("fresh", 0)])
        consumer.seek_to_beginning()
        assert next(consumer).value == b"x"
        consumer.close()
    assert broker.stderr == before


def test_trouble_that_goes_on_is_told_once_and_when_it_is_over() -> None:
    out = io.StringIO()
    token = CURRENT.set(Log(StreamSink(out, json=True), DEBUG))
    try:
        trouble = Trouble(get_logger("pykbroker.test"), "away", "back")
        trouble.passed()
        for _ in range(150):
            trouble.failed(reason="gone")
        trouble.passed()
        trouble.failed()
    finally:
        CURRENT.reset(token)
    said = [(line["level"], line["event"]) for line in parsed(out.getvalue())]
    assert [one for one in said if one[0] != "DEBUG"] == [
        ("WARN", "away"),
        ("WARN", "away"),
        ("INFO", "back"),
        ("WARN", "away"),
    ]
    assert len(said) == 152
