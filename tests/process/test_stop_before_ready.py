"""A signal ends a broker that still waits for its metadata store."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.process import BrokerProcess, eventually

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("scheme", ["tcp", "etcd"])
def test_while_the_store_does_not_answer(
    tmp_path: Path, scheme: str, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(60)
        address = f"{scheme}://127.0.0.1:{mute.getsockname()[1]}"
        broker = BrokerProcess(
            "--metadata", address, "--data-dir", str(tmp_path / "data"), log_dir=tmp_path
        )
        with mute.accept()[0]:
            broker.process.send_signal(number)
            broker.process.wait(60)
    assert broker.terminate() == 0, broker.stderr
    assert "stopped before it was ready" in broker.stderr
    assert broker.lines == []


def test_while_there_is_no_store(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/nobody"
    broker = BrokerProcess(
        "--metadata", address, "--data-dir", str(tmp_path / "data"), log_dir=tmp_path
    )
    eventually(lambda: "no link to the metadata store" in broker.stderr, what="the wait")
    assert broker.terminate() == 0, broker.stderr
    assert "stopped before it was ready" in broker.stderr
