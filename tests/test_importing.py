"""``pykbroker import``: what it refuses, and that it changes nothing then."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pykbroker.importing import import_directory
from pykbroker.state.log.checkpoints import encode_partition_metadata
from tests.support.clients import KafkaPython, Message
from wire.messages.metadata_records import PartitionRecord, TopicRecord
from wire.persisted import encode_metadata_record
from wire.records.legacy import convert_down
from wire.records.record import Record, build_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.process import BrokerProcess

TOPIC_ID = b"\x01" * 16
META = """#
node.id={node}
directory.id=h_ks2q7QQma3tHe7_ZV4GQ
version=1
cluster.id=01DpqgQfS7eKYLbFloobFQ
"""


def metadata_log(*records: bytes) -> bytes:
    return bytes(
        build_batch([Record(offset, 0, None, value) for offset, value in enumerate(records)])
    )


@pytest.fixture
def kafka_directory(tmp_path: Path) -> Path:
    """As Kafka leaves it after a clean stop: topic ``t`` with ten records in one partition."""
    path = tmp_path / "kafka"
    (path / "__cluster_metadata-0").mkdir(parents=True)
    (path / "meta.properties").write_text(META.format(node=1))
    (path / ".kafka_cleanshutdown").write_text('{"version":0,"brokerEpoch":14}')
    (path / ".lock").touch()
    partition = PartitionRecord(
        partition_id=0, topic_id=TOPIC_ID, replicas=[1], isr=[1], leader=-1, leader_epoch=2
    )
    (path / "__cluster_metadata-0" / f"{0:020}.log").write_bytes(
        metadata_log(
            bytes((1, 0, 99)) + b"a registration that a newer Kafka wrote",
            encode_metadata_record(TopicRecord(name="t", topic_id=TOPIC_ID), 0),
            encode_metadata_record(partition, 2),
        )
    )
    folder = path / "t-0"
    folder.mkdir()
    (folder / "partition.metadata").write_bytes(encode_partition_metadata(TOPIC_ID))
    records = [Record(i, 1_790_000_000_000 + i, b"k", b"%d" % i) for i in range(10)]
    (folder / f"{0:020}.log").write_bytes(build_batch(records))
    (folder / f"{0:020}.log.deleted").write_bytes(b"old")
    (path / "log-start-offset-checkpoint").write_text("0\n1\nt 0 4\n")
    return path


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def refusal(capsys: pytest.CaptureFixture[str], source: Path, target: Path) -> str:
    """One line on standard error, exit code 1, nothing changed anywhere."""
    before = contents(source), contents(target) if target.is_dir() else None
    assert import_directory(str(source), str(target)) == 1
    after = contents(source), contents(target) if target.is_dir() else None
    assert after == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_what_was_taken_is_served(
    kafka_directory: Path, tmp_path: Path, start_broker: Callable[..., BrokerProcess]
) -> None:
    before = contents(kafka_directory)
    assert import_directory(str(kafka_directory), str(tmp_path / "new")) == 0
    assert contents(kafka_directory) == before
    assert not (tmp_path / "new/broker-1/t-0" / f"{0:020}.log.deleted").exists()
    broker = start_broker("--data-dir", str(tmp_path / "new"))
    assert "clean=True" in broker.stderr
    got = KafkaPython().consume(broker.bootstrap, "t", 6)
    assert [(m.offset, m.value) for m in got] == [(i, b"%d" % i) for i in range(4, 10)]
    [more] = KafkaPython().produce(broker.bootstrap, "t", [Message(b"more")])
    assert more.offset == 10


def test_without_the_marker_of_a_clean_stop_the_logs_are_judged(
    kafka_directory: Path,
    tmp_path: Path,
    start_broker: Callable[..., BrokerProcess],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (kafka_directory / ".kafka_cleanshutdown").unlink()
    segment = kafka_directory / "t-0" / f"{0:020}.log"
    segment.write_bytes(segment.read_bytes() + b"torn")
    assert import_directory(str(kafka_directory), str(tmp_path / "new")) == 0
    assert "not stopped cleanly" in capsys.readouterr().out
    broker = start_broker("--data-dir", str(tmp_path / "new"))
    assert len(KafkaPython().consume(broker.bootstrap, "t", 6)) == 6
    assert "cut_bytes=4" in broker.stderr


def test_another_node_id_is_kept_and_named(
    kafka_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kafka_directory / "meta.properties").write_text(META.format(node=5))
    assert "no replica on node 5" in refusal(capsys, kafka_directory, tmp_path / "new")
    log = kafka_directory / "__cluster_metadata-0" / f"{0:020}.log"
    log.write_bytes(b"")
    assert import_directory(str(kafka_directory), str(tmp_path / "new")) == 0
    assert "-o node.id=5" in capsys.readouterr().out
    assert (tmp_path / "new" / "broker-5" / "meta.properties").exists()


def test_targets_that_are_refused(
    kafka_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "something").touch()
    file.touch()
    assert "is not empty" in refusal(capsys, kafka_directory, full)
    assert "is a file" in refusal(capsys, kafka_directory, file)
    assert "must lie apart" in refusal(capsys, kafka_directory, kafka_directory / "new")
    assert "must lie apart" in refusal(capsys, kafka_directory, tmp_path)


def test_sources_that_are_refused(
    kafka_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = tmp_path / "new"
    assert "no such directory" in refusal(capsys, tmp_path / "nowhere", new)

    def closed(_: object, path: str) -> list[str]:  # root may look anywhere
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patch:
        patch.setattr("pykbroker.edges.disk.RealDisk.listdir", closed)
        patch.setattr("pykbroker.edges.disk.RealDisk.exists", lambda disk, path: False)
        assert "Permission denied" in refusal(capsys, kafka_directory, new)
    (tmp_path / "strange").mkdir()
    assert "has no meta.properties" in refusal(capsys, tmp_path / "strange", new)
    (tmp_path / "strange" / "meta.properties").write_text(META.format(node=1))
    assert "has no __cluster_metadata-0" in refusal(capsys, tmp_path / "strange", new)
    (kafka_directory / "t-0").rename(tmp_path / "elsewhere")
    assert "t-0 is not in it" in refusal(capsys, kafka_directory, new)
    assert not new.exists()


def test_a_damaged_metadata_log_is_refused(
    kafka_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = kafka_directory / "__cluster_metadata-0" / f"{0:020}.log"
    whole = log.read_bytes()
    log.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
    assert "checksum" in refusal(capsys, kafka_directory, tmp_path / "new")
    newer = encode_metadata_record(TopicRecord(name="t", topic_id=TOPIC_ID), 0)
    log.write_bytes(metadata_log(bytes((1, 2, 99)) + newer[3:]))
    assert "TopicRecord has no version 99" in refusal(capsys, kafka_directory, tmp_path / "new")


@pytest.mark.parametrize("magic", [0, 1])
def test_messages_of_old_formats_are_refused_behind_newer_ones_too(
    kafka_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], magic: int
) -> None:
    batch = build_batch([Record(i, 1_790_000_000_000, b"k", b"v") for i in range(3)])
    log = kafka_directory / "t-0" / f"{0:020}.log"
    log.write_bytes(log.read_bytes() + convert_down(batch, magic))
    said = refusal(capsys, kafka_directory, tmp_path / "new")
    assert f"t-0 holds messages of format {magic}" in said


def test_a_running_brokers_directory_is_refused(
    kafka_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import subprocess
    import sys

    held = "import fcntl, sys\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\n"
    held += "print('held', flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", held, str(kafka_directory / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert "is running" in refusal(capsys, kafka_directory, tmp_path / "new")
        holder.communicate(b"")


def test_a_copy_that_fails_leaves_nothing(
    kafka_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import shutil

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", target)

    monkeypatch.setattr(shutil, "copy2", full)
    new = tmp_path / "new"
    assert "No space left on device" in refusal(capsys, kafka_directory, new)
    assert not new.exists()
    os.mkdir(new)
    assert "No space left" in refusal(capsys, kafka_directory, new)
    assert os.listdir(new) == []
