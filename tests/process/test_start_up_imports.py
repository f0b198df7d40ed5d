"""What a broker has imported when it gives its first answer: a start pays for every module."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_LIMIT = 115
"""Of ours. Each takes a sixth of a millisecond, and what is in it comes on top."""

NOT_NEEDED = (
    "cramjam",
    "fastcrc",
    "h11",
    "hashlib",
    "importlib.metadata",
    "javaproperties",
    "prometheus_client",
    "random",
    "shutil",
    "sqlite3",
    "pykbroker.edges.http",
    "pykbroker.runtime.coordinator",
    "pykbroker.runtime.partition",
    "pykbroker.runtime.storage.log",
    "pykbroker.runtime.storage.rewriting",
    "pykbroker.state.group",
    "pykbroker.state.quota_configs",
    "wire.messages.fetch",
    "wire.messages.produce",
    "wire.records.batch",
    "wire.records.record",
)
NEEDED = ("pykbroker.broker", "pykbroker.handlers.topic_metadata", "wire.messages.metadata")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all modules imported until the first answer to Metadata."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = tmp_path_factory.mktemp("start") / "imports"
    command = ["-X", "importtime", "-m", "pykbroker", "serve", "--memory", "--port", str(port)]
    with told.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command, "--log-level", "off"],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        try:
            with connect(port, process) as client:
                ask_for_metadata(client)
        finally:
            process.kill()
            process.wait(60)
    lines = told.read_text().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def connect(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)


def ask_for_metadata(client: socket.socket) -> None:
    """Of all topics, at version 1, without a client id."""
    body = struct.pack(">hhihi", 3, 1, 1, -1, -1)
    client.sendall(struct.pack(">i", len(body)) + body)
    (size,) = struct.unpack(">i", client.recv(4, socket.MSG_WAITALL))
    assert len(client.recv(size, socket.MSG_WAITALL)) == size


@pytest.mark.parametrize("name", NEEDED)
def test_what_the_first_answer_needs_is_there(imported: set[str], name: str) -> None:
    assert name in imported


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_a_start_does_without(imported: set[str], name: str) -> None:
    assert name not in imported
    assert not any(module.startswith(f"{name}.") for module in imported)


def test_a_start_imports_few_modules(imported: set[str]) -> None:
    ours = {name for name in imported if name.partition(".")[0] in ("pykbroker", "wire")}
    assert len(ours) <= MODULE_LIMIT, sorted(ours)
