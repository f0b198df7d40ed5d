"""What requests count of their topics, as a scraper reads it."""

from __future__ import annotations

from typing import Any

import pytest

import pykbroker.handlers.fetch
import pykbroker.handlers.produce  # noqa: F401
from pykbroker.runtime.figures.partitions import traffic_samples
from pykbroker.state.controller.image import replace
from pykbroker.state.types import NodeId
from tests.support.data_path import DataPath, batch, broker_image, partition_image
from tests.support.scraped import scrape, value
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.records.legacy import encode_message_set
from wire.records.record import Record, build_batch

NAME = "kafka_server_brokertopicmetrics_"
SIZE = len(batch(b"a"))


class Counted(DataPath):
    """``told`` is what a scrape says of a topic, and checks that it is the sum as well."""

    def told(self, kind: str, topic: str | None = "t") -> float | None:
        found = scrape(traffic_samples(self.services))
        name = f"{NAME}{kind}_total"
        if topic is not None:
            assert value(found, name) == value(found, name, topic=topic)
        return value(found, name)

    def produce(self, records: Any, *, index: int = 0, version: int = 9) -> ErrorCode:
        data = PartitionProduceData(index=index, records=records)
        request = ProduceRequest(
            acks=1, timeout_ms=0, topic_data=[TopicProduceData(name="t", partition_data=[data])]
        )
        [topic] = self.answer(request, version).responses
        return ErrorCode(topic.partition_responses[0].error_code)

    def fetch(
        self, *partitions: int, version: int = 12, replica: int = -1, **options: Any
    ) -> FetchRequest:
        wanted = [
            FetchPartition(partition=index, partition_max_bytes=1 << 20) for index in partitions
        ]
        return FetchRequest(
            replica_id=replica,
            topics=[FetchTopic(topic="t", partitions=wanted)] if wanted else [],
            **{"max_wait_ms": 0, **options},
        )


@pytest.fixture
def path() -> Counted:
    made = Counted()
    made.create("t", 3)
    return made


def test_appends_count_by_partition(path: Counted) -> None:
    assert path.produce(batch(b"a", b"b")) is ErrorCode.NONE
    assert path.produce(batch(b"c"), index=1) is ErrorCode.NONE
    assert path.told("totalproducerequests") == 2
    assert path.told("messagesin") == 3
    assert path.told("bytesin") == len(batch(b"a", b"b")) + SIZE
    assert path.told("failedproducerequests") == 0
    assert path.told("producemessageconversions") == 0


def test_what_is_refused_counts_with_its_reason(path: Counted) -> None:
    broken = batch(b"a")
    broken[-1] ^= 1
    assert path.produce(broken) is ErrorCode.CORRUPT_MESSAGE
    miscounted = batch(b"a", b"b")
    miscounted[23:27] = (5).to_bytes(4, "big")
    assert path.produce(with_checksum(miscounted)) is ErrorCode.INVALID_RECORD
    path.configure("t", cleanup_policy="compact")
    keyless = build_batch([Record(0, 0, None, b"v"), Record(1, 0, None, b"v")])
    assert path.produce(keyless) is ErrorCode.INVALID_RECORD
    path.configure("t", max_message_bytes=10)
    assert path.produce(batch(b"a")) is ErrorCode.MESSAGE_TOO_LARGE
    told = {
        kind: path.told(kind, None)
        for kind in (
            "invalidmessagecrcrecords",
            "invalidoffsetorsequencerecords",
            "invalidmagicnumberrecords",
            "nokeycompactedtopicrecords",
        )
    }
    assert list(told.values()) == [1, 1, 0, 2]
    assert path.told("bytesrejected") == SIZE
    # What the bytes or their size are to blame for is no failure to Kafka.
    assert path.told("failedproducerequests") == 2
    assert path.told("totalproducerequests") == 4
    assert path.told("messagesin") == 0


def with_checksum(records: bytearray) -> bytearray:
    from wire.records.crc import crc32c

    records[17:21] = crc32c(memoryview(records)[21:]).to_bytes(4, "big")
    return records


def test_other_partitions_are_another_matter(path: Counted) -> None:
    path.elect("t", partition_image(leader=2, replicas=(2, 1), epoch=1, version=1))
    assert path.produce(batch(b"a")) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert path.produce(batch(b"a"), index=9) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert path.told("totalproducerequests") == 1
    assert path.told("failedproducerequests") == 0


def test_lack_of_replicas_is_a_failure() -> None:
    path = Counted()
    path.create("t", [partition_image(replicas=(1, 2), isr=(1,))], min_insync_replicas=2)
    data = PartitionProduceData(index=0, records=batch(b"a"))
    topic = TopicProduceData(name="t", partition_data=[data])
    path.answer(ProduceRequest(acks=-1, topic_data=[topic]), 9)
    assert path.told("failedproducerequests") == 1


def test_old_formats_are_converted_in_and_out(path: Counted) -> None:
    records = [Record(i, 1000 + i, b"k", b"v") for i in range(3)]
    assert path.produce(encode_message_set(records, 1), version=2) is ErrorCode.NONE
    path.answer(path.fetch(0, version=3), 3)
    assert path.told("producemessageconversions") == 3
    assert path.told("fetchmessageconversions") == 3
    path.answer(path.fetch(0), 12)
    assert path.told("fetchmessageconversions") == 3


def test_fetches_count_by_partition_and_what_they_are_sent(path: Counted) -> None:
    path.append(b"a")
    path.append(b"b", index=1)
    path.answer(path.fetch(0, 1, 2), 12)
    assert path.told("totalfetchrequests") == 3
    assert path.told("bytesout") == 2 * SIZE
    assert path.told("replicationbytesout", None) == 0


def test_idle_partitions_of_a_session_count_as_well(path: Counted) -> None:
    session = path.answer(path.fetch(0, 1, 2, session_epoch=0), 12).session_id
    for epoch in range(1, 11):
        path.answer(path.fetch(session_id=session, session_epoch=epoch), 12)
    assert path.told("totalfetchrequests") == 3 + 10 * 3
    assert path.told("bytesout") == 0


def test_a_fetch_that_waits_is_sent_its_bytes_once(path: Counted) -> None:
    path.append(b"a")
    waiting = path.wait(path.fetch(0, max_wait_ms=1000, min_bytes=SIZE + 1), 12)
    assert path.told("bytesout") == 0
    path.append(b"b")
    assert not waiting.answer.responses[0].partitions[0].error_code
    assert path.told("bytesout") == 2 * SIZE
    assert path.told("totalfetchrequests") == 2


def test_followers_are_told_apart() -> None:
    path = Counted()
    path.brokers(broker_image(1), broker_image(2), broker_image(3))
    moving = partition_image(replicas=(1, 2, 3), isr=(1, 2))
    path.create("t", [replace(moving, adding=(NodeId(3),))])
    path.append(b"a")
    for replica in (2, 3, 3):
        path.answer(path.fetch(0, replica=replica), 12)
    assert path.told("replicationbytesout", None) == 3 * SIZE
    assert path.told("reassignmentbytesout", None) == 2 * SIZE
    assert path.told("bytesout") == 0


def test_what_cannot_be_read_for_no_known_reason_is_a_failure(
    path: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.append(b"a")
    log = path.partition().log
    monkeypatch.setattr(type(log), "read", lambda *_, **__: 1 / 0)
    answer = path.answer(path.fetch(0), 12)
    assert answer.responses[0].partitions[0].error_code == ErrorCode.UNKNOWN_SERVER_ERROR
    assert path.told("failedfetchrequests") == 1


def test_a_topic_that_goes_leaves_its_counts_to_the_sums(path: Counted) -> None:
    path.create("u")
    path.append(b"a")
    path.answer(path.fetch(0), 12)
    path.delete("t")
    found = scrape(traffic_samples(path.services))
    for kind in ("messagesin", "totalproducerequests", "totalfetchrequests"):
        assert value(found, f"{NAME}{kind}_total") == 1
        assert value(found, f"{NAME}{kind}_total", topic="t") is None
        assert value(found, f"{NAME}{kind}_total", topic="u") == 0
