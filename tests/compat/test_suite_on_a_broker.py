"""The suite against this broker, with the clients that the test environment has: Python's and kcat.

All clients, several brokers and what strikes them: ``make compat``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.process import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.process import BrokerProcess

SETTINGS = ("log.retention.check.interval.ms=1000", "log.cleaner.backoff.ms=200")
CLIENTS = ("kafka-python", "confluent-kafka", "aiokafka")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict:
    from tests.support.process import BrokerProcess

    work: Path = tmp_path_factory.mktemp("suite")
    options = [part for setting in SETTINGS for part in ("-o", setting)]
    broker: BrokerProcess = BrokerProcess("--memory", *options, log_dir=work)
    clients = [*CLIENTS, *(["kcat"] if shutil.which("kcat") else [])]
    command = [sys.executable, "-m", "compat", "run", "--bootstrap"]
    try:
        command.append(broker.wait_ready().bootstrap)
        command += [part for client in clients for part in ("--client", client)]
        command += ["--report", str(work / "report")]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False
        )
    finally:
        broker.kill()
    assert done.returncode in (0, 1), done.stderr[-4000:]
    told: dict = json.loads((work / "report/results.json").read_text())
    return told


@pytest.mark.timeout(1600)
def test_nothing_fails(results: dict) -> None:
    failed = [r for r in results["results"] if r["outcome"] == "failed"]
    assert [(r["client"], r["behaviour"], r["detail"]) for r in failed] == []


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_showed_most_of_it(results: dict, client: str) -> None:
    """So that a driver that offers nothing does not pass for one that holds everything."""
    passed = [r for r in results["results"] if r["client"] == client and r["outcome"] == "passed"]
    assert len(passed) >= 45


def test_what_is_not_there_yet_is_said(results: dict) -> None:
    later = {r["behaviour"] for r in results["results"] if r["outcome"] == "not yet supported"}
    assert later <= {
        "later/transactions",
        "later/consumer group protocol",
        "later/share groups",
        "later/streams groups",
        "later/acls",
        "later/sasl",
        "tools/kafka acls",
        "tools/kafka transactions",
    }
