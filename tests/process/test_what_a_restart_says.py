"""After an unclean stop of a broker alone: a warning where something is missing, and only there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.clients import Confluent, Message
from tests.support.process import BrokerProcess, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORDS = 5


def warnings(broker: BrokerProcess) -> list[str]:
    return [line for line in broker.stderr.splitlines() if " WARN " in line]


@pytest.fixture
def killed(start_broker: Callable[..., BrokerProcess], tmp_path: Path) -> Path:
    """The data of a broker with records in topic ``t``, their high watermark written down."""
    data = tmp_path / "data"
    often = "replica.high.watermark.checkpoint.interval.ms=50"
    broker = start_broker("--data-dir", str(data), "-o", often)
    Confluent().produce(broker.bootstrap, "t", [Message(b"%d" % n) for n in range(RECORDS)])
    [home] = {path.parent.parent for path in data.rglob("t-0/*.log")}
    checkpoint = home / "replication-offset-checkpoint"
    eventually(
        lambda: checkpoint.exists() and f"t 0 {RECORDS}" in checkpoint.read_text(),
        what="the checkpoint",
    )
    broker.kill()
    return data


def test_nothing_is_said_where_nothing_is_missing(
    start_broker: Callable[..., BrokerProcess], killed: Path
) -> None:
    broker = start_broker("--data-dir", str(killed))
    assert "recovered" in broker.stderr
    assert warnings(broker) == []
    assert len(Confluent().consume(broker.bootstrap, "t", RECORDS)) == RECORDS
    assert broker.terminate() == 0


def test_the_partition_that_lost_committed_records_is_named(
    start_broker: Callable[..., BrokerProcess], killed: Path
) -> None:
    [segment] = killed.rglob("t-0/*.log")
    os.truncate(segment, 0)
    broker = start_broker("--data-dir", str(killed))
    [warning] = warnings(broker)
    assert "committed records are not in it" in warning
    assert "partition=t-0" in warning
    assert f"high_watermark={RECORDS} log_end_offset=0" in warning
    assert broker.terminate() == 0
