"""``pykbroker exec``: other languages' test runs with a broker of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.process import PATIENCE_SECONDS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

EXEC = [sys.executable, "-m", "pykbroker", "exec"]
ROUND_TRIP = """
import os
from confluent_kafka import Consumer, Producer
where = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
producer = Producer(where)
producer.produce("t", b"value")
assert producer.flush(60) == 0
consumer = Consumer({**where, "group.id": "g", "auto.offset.reset": "earliest"})
consumer.subscribe(["t"])
print(consumer.consume(1, 60)[0].value().decode())
consumer.close()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EXEC, *arguments],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("brokers", ["1", "3"])
def test_a_command_has_a_broker_while_it_runs(brokers: str) -> None:
    done = run("--brokers", brokers, "--", sys.executable, "-c", ROUND_TRIP)
    assert (done.returncode, done.stdout) == (0, "value\n"), done.stderr


def test_the_exit_code_is_the_commands() -> None:
    assert run("--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    killed = run("--", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    assert killed.returncode == 128 + 9


def test_what_cannot_be_run_is_said(tmp_path: Path) -> None:
    absent = run("--", "no-such-command-at-all")
    assert absent.returncode == 127
    assert "no-such-command-at-all: command not found" in absent.stderr
    plain = tmp_path / "plain"
    plain.write_text("text")
    refused = run("--", str(plain))
    assert refused.returncode == 126
    wrong = run("-o", "num.partitions=many", "--", "true")
    assert wrong.returncode == 2
    assert "num.partitions" in wrong.stderr
    assert run().returncode == 2


def test_settings_count() -> None:
    program = ROUND_TRIP.replace('"t"', '"absent"').replace("flush(60) == 0", "flush(3) == 1")
    program = program.partition("consumer =")[0]
    done = run("-o", "auto.create.topics.enable=false", "--", sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr


def test_a_signal_reaches_the_command() -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    process = subprocess.Popen(
        [*EXEC, "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 5
    process.stdout.close()
