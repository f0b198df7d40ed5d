"""Kafka's own reader of log files finds nothing to complain of in ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.apache_kafka import dump_log, java
from tests.support.clients import CODECS, KafkaPython, Message
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compat.kafka.libraries import Java
    from tests.support.process import BrokerProcess

pytestmark = pytest.mark.kafka
OFFSET = re.compile(r"^\| offset: (\d+) ", re.MULTILINE)
BATCH = re.compile(r"^baseOffset: .* isvalid: (\w+)", re.MULTILINE)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Java:
    return java(tmp_path_factory.mktemp("kafka"))


def create(broker: BrokerProcess, topic: str, **config: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    config = {name.replace("_", "."): value for name, value in config.items()}
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(60)


def files(data: Path, topic: str, suffix: str) -> list[Path]:
    return sorted((data / "broker-1" / f"{topic}-0").glob(f"*{suffix}"))


def offsets_read(kafka: Java, data: Path, topic: str) -> list[int]:
    """What Kafka reads in the segments; every batch must be valid."""
    output = dump_log(kafka, *files(data, topic, ".log"), options=("--print-data-log",))
    validity = BATCH.findall(output)
    assert validity
    assert set(validity) == {"true"}
    assert complaints(output) == []
    return [int(offset) for offset in OFFSET.findall(output)]


def complaints(output: str) -> list[str]:
    """Gaps are for those to judge who know whether there may be any: the tool reports the
    beginning of every segment after the first as one."""
    words = ("mismatch", "invalid", "exception", "error", "out of order", "corrupt")
    return [
        line
        for line in output.splitlines()
        if any(word in line.lower() for word in words)
        and not line.startswith(("| offset", "baseOffset"))
    ]


def check_indexes(kafka: Java, data: Path, topic: str) -> None:
    """Against the segments beside them, which the tool reads for this."""
    indexes = files(data, topic, ".index") + files(data, topic, ".timeindex")
    assert indexes
    output = dump_log(kafka, *indexes)
    assert complaints(output) == []


def test_segments_indexes_and_snapshots_of_every_codec(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, kafka: Java
) -> None:
    data = tmp_path / "data"
    broker = start_broker("--data-dir", str(data))
    wanted: dict[str, int] = {}
    for codec in CODECS:
        for acks in ("all", 1):  # with and without idempotence
            topic = f"{codec}-{acks}"
            create(broker, topic, segment_bytes="1048576", index_interval_bytes="512")
            sent = [Message(b"%d" % i * 200, b"key-%d" % i, (("h", b"1"),)) for i in range(2000)]
            KafkaPython().produce(broker.bootstrap, topic, sent, codec=codec, acks=acks)
            wanted[topic] = len(sent)
    assert broker.terminate() == 0, broker.stderr
    assert len(files(data, "none-all", ".log")) > 1
    for topic, count in wanted.items():
        assert offsets_read(kafka, data, topic) == list(range(count))
    for topic in ("none-all", "lz4-1"):
        check_indexes(kafka, data, topic)
    snapshots = files(data, "none-all", ".snapshot")
    output = dump_log(kafka, *snapshots)
    assert re.search(r"producerId: \d+ producerEpoch: 0", output), output
    assert complaints(output) == []


def test_committed_offsets_are_decoded(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, kafka: Java
) -> None:
    from kafka import KafkaConsumer

    data = tmp_path / "data"
    broker = start_broker("--data-dir", str(data), "-o", "offsets.topic.num.partitions=1")
    KafkaPython().produce(broker.bootstrap, "read", [Message(b"%d" % i) for i in range(9)])
    consumer: Any = KafkaConsumer(
        "read",
        bootstrap_servers=broker.bootstrap,
        group_id="readers",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    eventually(lambda: consumer.poll(timeout_ms=200))
    consumer.commit()
    consumer.close()
    assert broker.terminate() == 0, broker.stderr
    [segment] = files(data, "__consumer_offsets", ".log")
    output = dump_log(kafka, segment, options=("--offsets-decoder",))
    assert complaints(output) == []
    assert re.search(r'"group":"readers","topic":"read","partition":0', output), output
    assert re.search(r'"offset":9,', output), output
    assert re.search(r'"type":"2".*"group":"readers"', output), output
    assert '"protocolType":"consumer"' in output


def test_a_compacted_log_is_read_with_its_gaps(
    start_broker: Callable[..., BrokerProcess], tmp_path: Path, kafka: Java
) -> None:
    data = tmp_path / "data"
    broker = start_broker("--data-dir", str(data), "-o", "log.cleaner.backoff.ms=100")
    create(
        broker,
        "compacted",
        cleanup_policy="compact",
        segment_bytes="1048576",
        min_cleanable_dirty_ratio="0.01",
    )
    for codec in ("none", "zstd"):
        sent = [Message(b"%d" % i * 500, b"key-%d" % (i % 50)) for i in range(3000)]
        KafkaPython().produce(broker.bootstrap, "compacted", sent, codec=codec)
    checkpoint = data / "broker-1" / "cleaner-offset-checkpoint"
    eventually(
        lambda: checkpoint.exists() and "compacted 0 " in checkpoint.read_text(),
        what="a cleaning",
    )
    assert broker.terminate() == 0, broker.stderr
    got = offsets_read(kafka, data, "compacted")
    assert len(got) < 6000
    assert got == sorted(set(got))
    assert got[-1] == 5999
    check_indexes(kafka, data, "compacted")
