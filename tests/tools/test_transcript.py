"""The tools say what Kafka's own say, command after command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.transcript import FILE, play

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.process import BrokerProcess


def ours(tool: str, arguments: list[str], stdin: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pykbroker.tools", tool, *arguments],
        input=stdin.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def test_ours(start_broker: Callable[..., BrokerProcess]) -> None:
    expected = FILE.read_text()
    server = f"localhost:{start_broker('--memory').port}"
    assert play(ours, server, expected) == expected


needs_kafka = pytest.mark.skipif("COMPAT_KAFKA_LIBS" not in os.environ, reason="needs its jars")


@pytest.mark.kafka
@needs_kafka
def test_ours_with_kafka(tmp_path: Path) -> None:
    from compat.kafka.cluster import KafkaCluster

    expected = FILE.read_text()
    with KafkaCluster(tmp_path, brokers=1) as kafka:
        assert play(ours, kafka.bootstrap, expected) == expected


@pytest.mark.kafka
@needs_kafka
def test_kafkas(start_broker: Callable[..., BrokerProcess], tmp_path: Path) -> None:
    from compat.tools.runner import LocalTools

    tools = LocalTools(Path(os.environ["COMPAT_KAFKA_LIBS"]), tmp_path)
    expected = FILE.read_text()
    server = f"localhost:{start_broker('--memory').port}"

    def kafkas(tool: str, arguments: list[str], stdin: str) -> tuple[int, str]:
        return tools.attempt(tool, *arguments, stdin=stdin)

    assert play(kafkas, server, expected) == expected
