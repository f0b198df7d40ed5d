"""A log directory that can no longer be used, under a broker as users run it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from tests.support.clients import Confluent, Message
from tests.support.cluster_process import ClusterProcess
from tests.support.process import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.process import BrokerProcess

ONE = [Message(b"%d" % number) for number in range(10)]


def take_away(directory: Path) -> Path:
    """What was opened goes on; nothing can be made there any more. Where it is now."""
    gone = directory.with_name(directory.name + "-gone")
    directory.rename(gone)
    directory.write_text("no directory")
    return gone


def provoke(bootstrap: str, topic: str) -> None:
    """Its files appear with the first record, which fails: nobody waits for that."""
    from confluent_kafka import Producer

    settings = {"bootstrap.servers": bootstrap, "message.timeout.ms": 2_000, "log_level": 0}
    producer = Producer(settings)
    producer.produce(topic, b"provoked")
    producer.flush(PATIENCE_SECONDS)


def test_a_broker_without_any_left_halts(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    broker = start_broker("--data-dir", str(data))
    Confluent().produce(broker.bootstrap, "t", ONE)
    directory = data / "broker-1"
    gone = take_away(directory)
    provoke(broker.bootstrap, "u")
    assert broker.process.wait(PATIENCE_SECONDS) == 1
    last = broker.stderr.splitlines()[-1]
    assert last == f"pykbroker: Shutdown broker because all log dirs in {directory} have failed"
    assert "Traceback" not in broker.stderr
    assert not (gone / ".kafka_cleanshutdown").exists()
    directory.unlink()
    gone.rename(directory)
    again = start_broker("--data-dir", str(data))
    assert len(Confluent().consume(again.bootstrap, "t", 10)) == 10


def test_a_broker_with_another_one_stays_up(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    kept, lost = tmp_path / "kept", tmp_path / "lost"
    both = f"log.dirs={kept},{lost}"
    broker = start_broker("-o", both, "-o", "num.partitions=1", "--http-port", "0")
    Confluent().produce(broker.bootstrap, "first", ONE)
    is_kept = (kept / "first-0").exists()
    directory = lost if is_kept else kept
    take_away(directory)
    # The emptier one is the other.
    provoke(broker.bootstrap, "second")
    eventually(lambda: "log directory failed" in broker.stderr, what="it is noticed")
    assert len(Confluent().consume(broker.bootstrap, "first", 10)) == 10
    # Whatever comes anew lies in the one that is left.
    Confluent().produce(broker.bootstrap, "third", ONE)
    assert ((kept if is_kept else lost) / "third-0").exists()
    assert broker.process.poll() is None


def test_in_a_cluster_the_others_lead_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    # A process that is gone is seen at once: nobody waits for its session.
    settings = ("-o", "broker.session.timeout.ms=600000", "-o", "default.replication.factor=3")
    cluster = ClusterProcess("--data-dir", str(data), *settings, log_dir=tmp_path)
    try:
        cluster.wait_ready()
        Confluent().produce(cluster.bootstrap, "t", ONE)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        leader = admin.list_topics("t", timeout=60).topics["t"].partitions[0].leader
        take_away(data / f"broker-{leader}")
        provoke(cluster.bootstrap, "u")
        others = {1, 2, 3} - {leader}

        def leads() -> int:
            return int(admin.list_topics("t", timeout=60).topics["t"].partitions[0].leader)

        eventually(lambda: leads() in others, what="another leader")
        said = re.compile(rf"broker has stopped exit_code=1 broker={leader} ")
        eventually(lambda: said.search(cluster.stderr), what="the supervisor has seen it end")
        more = Confluent().produce(cluster.bootstrap, "t", ONE)
        assert sorted(m.offset for m in more) == list(range(10, 20))
    finally:
        cluster.kill_all()


def test_what_lies_where_nobody_can_read_waits_for_it(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path
) -> None:
    from confluent_kafka import KafkaError, Producer

    disks = (tmp_path / "one", tmp_path / "two")
    where = f"log.dirs={','.join(str(disk / 'logs') for disk in disks)}"
    arguments = ("-o", where, "-o", f"metadata.log.dir={tmp_path / 'metadata'}")
    broker = start_broker(*arguments)
    for topic in ("first", "second"):
        Confluent().produce(broker.bootstrap, topic, ONE)
    assert broker.terminate() == 0
    (lost,) = [disk for disk in disks if (disk / "logs" / "second-0").exists()]
    assert not (lost / "logs" / "first-0").exists()
    gone = take_away(lost)
    broker = start_broker(*arguments)
    assert "log directory cannot be used" in broker.stderr
    assert len(Confluent().consume(broker.bootstrap, "first", 10)) == 10
    failures: list[KafkaError] = []
    settings = {"bootstrap.servers": broker.bootstrap, "message.timeout.ms": 1_000, "retries": 0}
    producer = Producer(settings)
    producer.produce("second", b"x", on_delivery=lambda error, _: failures.append(error))
    producer.flush(PATIENCE_SECONDS)
    assert [failure.code() for failure in failures] == [KafkaError.KAFKA_STORAGE_ERROR]
    assert broker.terminate() == 0
    lost.unlink()
    gone.rename(lost)
    broker = start_broker(*arguments)
    for topic in ("first", "second"):
        assert len(Confluent().consume(broker.bootstrap, topic, 10)) == 10
