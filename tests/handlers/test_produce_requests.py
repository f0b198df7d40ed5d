"""Produce: what is appended, what is refused and how, when it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import pykbroker.handlers.produce  # noqa: F401
from pykbroker.handlers.api import CloseConnection
from pykbroker.runtime.purgatory import PRODUCE
from pykbroker.runtime.storage.flush import FlushJob
from tests.support.data_path import ME, DataPath, batch, broker_image, partition_image
from tests.support.manual_clock import START_WALL_MS
from wire.errors import ErrorCode
from wire.messages.produce import (
    BatchIndexAndErrorMessage,
    NodeEndpoint,
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from wire.records.batch import iter_headers
from wire.records.compression import Compression
from wire.records.legacy import encode_message_set
from wire.records.record import Record, control_batch

if TYPE_CHECKING:
    from wire.messages.produce import PartitionProduceResponse

NEWEST = 13


def produce(
    records: Any,
    *,
    acks: int = -1,
    index: int = 0,
    topic: str = "t",
    topic_id: bytes = bytes(16),
    timeout_ms: int = 1000,
    transactional_id: str | None = None,
) -> ProduceRequest:
    data = PartitionProduceData(index=index, records=records)
    return ProduceRequest(
        acks=acks,
        timeout_ms=timeout_ms,
        transactional_id=transactional_id,
        topic_data=[TopicProduceData(name=topic, topic_id=topic_id, partition_data=[data])],
    )


def part(response: Any) -> PartitionProduceResponse:
    [topic] = response.responses
    [found] = topic.partition_responses
    return found  # type: ignore[no-any-return]


def code(response: Any) -> ErrorCode:
    return ErrorCode(part(response).error_code)


@pytest.fixture
def path() -> DataPath:
    made = DataPath()
    made.create("t", 3)
    return made


@pytest.mark.parametrize("version", range(3, 13))
@pytest.mark.parametrize("acks", [1, -1])
def test_a_batch_is_appended_and_its_offset_told(path: DataPath, version: int, acks: int) -> None:
    path.append(b"before")
    answer = path.answer(produce(batch(b"a", b"b"), acks=acks), version)
    assert answer.responses[0].name == "t"
    found = part(answer)
    assert (found.index, found.error_code, found.base_offset) == (0, 0, 1)
    assert found.log_append_time_ms == -1
    assert found.log_start_offset == (0 if version >= 5 else -1)
    assert path.partition().log_end_offset == 3


def test_the_newest_version_names_topics_by_id(path: DataPath) -> None:
    made = path.partition().topic_id
    answer = path.answer(produce(batch(b"a"), topic_id=made), NEWEST)
    assert answer.responses[0].topic_id == made
    assert code(answer) is ErrorCode.NONE
    assert code(path.answer(produce(batch(b"a"), topic_id=b"?" * 16), NEWEST)) is (
        ErrorCode.UNKNOWN_TOPIC_ID
    )
    missing = path.answer(produce(batch(b"a"), topic_id=made, index=3), NEWEST)
    assert code(missing) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize(("version", "magic"), [(0, 0), (1, 0), (2, 0), (2, 1)])
def test_old_message_formats_are_converted(path: DataPath, version: int, magic: int) -> None:
    records = [Record(i, 1000 + i, b"k%d" % i, b"v") for i in range(3)]
    answer = path.answer(produce(encode_message_set(records, magic)), version)
    assert (code(answer), part(answer).base_offset) == (ErrorCode.NONE, 0)
    found = path.partition().log.read(0, 10_000).records
    assert [header.magic for _, header in iter_headers(found)] == [2]
    assert path.partition().log_end_offset == 3


def test_each_partition_has_its_own_outcome(path: DataPath) -> None:
    request = ProduceRequest(
        acks=-1,
        topic_data=[
            TopicProduceData(
                name="t",
                partition_data=[
                    PartitionProduceData(index=2, records=batch(b"a")),
                    PartitionProduceData(index=7, records=batch(b"b")),
                    PartitionProduceData(index=0, records=batch(b"c", b"d")),
                ],
            ),
            TopicProduceData(
                name="u", partition_data=[PartitionProduceData(index=0, records=batch(b"e"))]
            ),
        ],
    )
    answer = path.answer(request, 9)
    found = {
        (topic.name, p.index): (ErrorCode(p.error_code), p.base_offset)
        for topic in answer.responses
        for p in topic.partition_responses
    }
    unknown = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)
    assert found == {
        ("t", 2): (ErrorCode.NONE, 0),
        ("t", 7): unknown,
        ("t", 0): (ErrorCode.NONE, 0),
        ("u", 0): unknown,
    }


def test_log_append_time_is_told(path: DataPath) -> None:
    path.configure("t", message_timestamp_type="LogAppendTime")
    answer = path.answer(produce(batch(b"a", timestamp=5)), 9)
    assert part(answer).log_append_time_ms == path.clock.wall_ms()


# acks


@pytest.mark.parametrize("acks", [2, -2, 7])
def test_other_acks_are_refused(path: DataPath, acks: int) -> None:
    answer = path.answer(produce(batch(b"a"), acks=acks), 9)
    assert code(answer) is ErrorCode.INVALID_REQUIRED_ACKS
    assert (part(answer).base_offset, part(answer).log_start_offset) == (-1, -1)
    assert path.partition().log_end_offset == 0
    # Not having the topic at all comes first.
    unknown = path.answer(produce(batch(b"a"), acks=acks, topic="u"), 9)
    assert code(unknown) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_acks_0_has_no_answer(path: DataPath) -> None:
    assert path.call(produce(batch(b"a"), acks=0), 9) is None
    assert path.partition().log_end_offset == 1


@pytest.mark.parametrize(
    "request_", [produce(batch(b"a"), acks=0, topic="u"), produce(b"nonsense", acks=0)]
)
def test_an_error_with_acks_0_closes_the_connection(
    path: DataPath, request_: ProduceRequest
) -> None:
    with pytest.raises(CloseConnection):
        path.call(request_, 9)


def test_acks_all_waits_for_the_sync() -> None:
    path = DataPath()
    path.create("t", flush_messages=1)
    waiting = path.wait(produce(batch(b"a")), 9)
    assert waiting.answers == []
    assert part(path.answer(produce(batch(b"b"), acks=1), 9)).base_offset == 1
    job = FlushJob(path.partition().log)
    job.run()
    job.finish()
    assert (code(waiting.answer), part(waiting.answer).base_offset) == (ErrorCode.NONE, 0)


@pytest.fixture
def two() -> DataPath:
    made = DataPath(brokers=[broker_image(1), broker_image(2, rack="r")])
    made.create("t", [partition_image(replicas=(1, 2))])
    return made


def follow(path: DataPath, offset: int) -> None:
    from wire.messages.fetch import FetchPartition

    partition = path.partition()
    request = FetchPartition(fetch_offset=offset, log_start_offset=0)
    partition.follower_fetched(2, 12, request, partition.log_end_offset)  # type: ignore[arg-type]
    path.replicas.wakeups.run()


def test_acks_all_waits_for_the_replicas(two: DataPath) -> None:
    waiting = two.wait(produce(batch(b"a", b"b")), 9)
    follow(two, 1)
    assert waiting.answers == []
    follow(two, 2)
    assert code(waiting.answer) is ErrorCode.NONE
    assert part(waiting.answer).base_offset == 0


def test_acks_all_does_not_wait_for_ever(two: DataPath) -> None:
    waiting = two.wait(produce(batch(b"a"), timeout_ms=300), 9)
    two.clock.advance(300)
    assert code(waiting.answer) is ErrorCode.REQUEST_TIMED_OUT
    assert part(waiting.answer).base_offset == 0


def test_a_leader_lost_while_waiting_is_told_with_the_new_one(two: DataPath) -> None:
    waiting = two.wait(produce(batch(b"a")), 12)
    two.elect("t", partition_image(leader=2, epoch=5, version=1, replicas=(1, 2)))
    assert code(waiting.answer) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    leader = part(waiting.answer).current_leader
    assert (leader.leader_id, leader.leader_epoch) == (2, 5)
    assert waiting.answer.node_endpoints == [
        NodeEndpoint(node_id=2, host="host2", port=9002, rack="r")
    ]


def test_a_duplicate_waits_for_the_replicas_as_well(two: DataPath) -> None:
    records = {"producer_id": 4, "producer_epoch": 0, "base_sequence": 0}
    first = two.wait(produce(batch(b"a", **records)), 9)
    second = two.wait(produce(batch(b"a", **records)), 9)
    follow(two, 1)
    assert part(first.answer).base_offset == part(second.answer).base_offset == 0
    again = two.answer(produce(batch(b"a", **records)), 9)
    assert (code(again), part(again).base_offset) == (ErrorCode.NONE, 0)
    assert two.partition().log_end_offset == 1


def test_too_few_replicas_refuse_acks_all(two: DataPath) -> None:
    two.configure("t", min_insync_replicas=2)
    two.elect("t", partition_image(version=1, replicas=(1, 2), isr=(1,)))
    answer = two.answer(produce(batch(b"a")), 9)
    assert code(answer) is ErrorCode.NOT_ENOUGH_REPLICAS
    assert part(answer).log_start_offset == 0
    assert two.partition().log_end_offset == 0
    assert code(two.answer(produce(batch(b"a"), acks=1), 9)) is ErrorCode.NONE


def test_a_client_that_leaves_is_waited_for_no_longer(two: DataPath) -> None:
    waiting = two.wait(produce(batch(b"a")), 9)
    waiting.deferral.abandon()
    assert two.replicas.counts.waiting[PRODUCE] == 0
    follow(two, 1)
    assert waiting.answers == []


# Refusals


@pytest.mark.parametrize("version", [10, NEWEST])
def test_another_leader_is_named(version: int) -> None:
    path = DataPath(brokers=[broker_image(1), broker_image(2, rack="r")])
    made = path.create("t", [partition_image(leader=2, epoch=3, replicas=(1, 2))])
    answer = path.answer(produce(batch(b"a"), topic_id=made), version)
    assert code(answer) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    leader = part(answer).current_leader
    assert (leader.leader_id, leader.leader_epoch) == (2, 3)
    [endpoint] = answer.node_endpoints
    assert (endpoint.node_id, endpoint.host, endpoint.port) == (2, "host2", 9002)
    elsewhere = path.answer(produce(batch(b"a"), topic_id=made), version, listener="INTERNAL")
    assert elsewhere.node_endpoints == []
    assert part(elsewhere).current_leader == leader


def test_internal_topics_are_for_coordinators(path: DataPath) -> None:
    path.create("__consumer_offsets")
    request = produce(batch(b"a"), topic="__consumer_offsets")
    assert code(path.answer(request, 9)) is ErrorCode.INVALID_TOPIC_EXCEPTION
    assert code(path.answer(request, 9, client_id="__admin_client")) is ErrorCode.NONE
    missing = produce(batch(b"a"), topic="__transaction_state")
    assert code(path.answer(missing, 9)) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_transactions_are_refused_for_good(path: DataPath) -> None:
    final = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    named = path.answer(produce(batch(b"a"), transactional_id="x"), 9)
    assert code(named) is final
    assert part(named).error_message
    records = batch(b"a", producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)
    assert code(path.answer(produce(records), 9)) is final
    assert path.partition().log_end_offset == 0


def test_records_are_refused_one_by_one(path: DataPath) -> None:
    path.configure("t", cleanup_policy="compact")
    records = [Record(0, START_WALL_MS, b"k", b"v"), Record(1, START_WALL_MS, None, b"v")]
    from wire.records.record import build_batch

    answer = path.answer(produce(build_batch(records)), 9)
    assert code(answer) is ErrorCode.INVALID_RECORD
    [wrong] = part(answer).record_errors
    assert isinstance(wrong, BatchIndexAndErrorMessage)
    assert wrong.batch_index == 1
    assert part(answer).error_message
    assert part(answer).log_start_offset == 0


def with_byte(records: bytearray, at: int, value: int) -> bytearray:
    records[at] = value
    return records


def corrupt(records: bytearray) -> bytearray:
    records[-1] ^= 0xFF
    return records


@pytest.mark.parametrize(
    ("version", "records", "expected"),
    [
        (3, None, ErrorCode.INVALID_RECORD),
        (9, b"", ErrorCode.INVALID_RECORD),
        (9, b"\0" * 16, ErrorCode.CORRUPT_MESSAGE),
        (9, b"\0" * 11, ErrorCode.INVALID_RECORD),
        (9, b"\0" * 40, ErrorCode.CORRUPT_MESSAGE),
        (9, encode_message_set([Record(0, 5, None, b"v")], 1), ErrorCode.INVALID_RECORD),
        (9, encode_message_set([Record(0, 5, None, b"v" * 99)], 0), ErrorCode.INVALID_RECORD),
        (9, batch(b"a") + batch(b"b"), ErrorCode.INVALID_RECORD),
        (9, batch(b"a") + bytes(30), ErrorCode.CORRUPT_MESSAGE),
        (9, with_byte(batch(b"a"), 16, 3), ErrorCode.CORRUPT_MESSAGE),
        (9, corrupt(batch(b"a")), ErrorCode.CORRUPT_MESSAGE),
        (9, batch(b"a")[:-1], ErrorCode.INVALID_RECORD),
        (9, batch(b"x" * 2_000_000), ErrorCode.MESSAGE_TOO_LARGE),
        (9, batch(b"a", timestamp=START_WALL_MS + 10**8), ErrorCode.INVALID_TIMESTAMP),
        (
            9,
            control_batch(0, timestamp=START_WALL_MS),
            ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ),
        (9, control_batch(2, timestamp=START_WALL_MS, value=b""), ErrorCode.INVALID_RECORD),
        (6, batch(b"a", compression=Compression.ZSTD), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
    ],
)
def test_bad_records_get_their_error_and_are_not_written(
    path: DataPath, version: int, records: Any, expected: ErrorCode
) -> None:
    answer = path.answer(produce(records), version)
    assert code(answer) is expected
    assert part(answer).base_offset == -1
    assert path.partition().log_end_offset == 0


@pytest.mark.parametrize("rest", [bytes(5), batch(b"b")[:-1]])
def test_what_is_cut_off_at_the_end_is_left_out(path: DataPath, rest: bytes) -> None:
    answer = path.answer(produce(batch(b"a") + rest), 9)
    assert (code(answer), part(answer).base_offset) == (ErrorCode.NONE, 0)
    assert path.partition().log.size_in_bytes == len(batch(b"a"))
    assert path.partition().log_end_offset == 1


@pytest.mark.parametrize("version", [7, 9])
def test_zstd_is_welcome_from_version_7(path: DataPath, version: int) -> None:
    records = batch(b"a", compression=Compression.ZSTD)
    assert code(path.answer(produce(records), version)) is ErrorCode.NONE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"base_sequence": 5}, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
        ({"producer_epoch": 0, "base_sequence": 1}, ErrorCode.INVALID_PRODUCER_EPOCH),
        ({"producer_epoch": 2, "base_sequence": 1}, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
    ],
)
def test_idempotent_producers_keep_their_order(
    path: DataPath, change: dict[str, int], expected: ErrorCode
) -> None:
    producer = {"producer_id": 9, "producer_epoch": 1, "base_sequence": 0}
    assert code(path.answer(produce(batch(b"a", **producer)), 9)) is ErrorCode.NONE
    answer = path.answer(produce(batch(b"b", **{**producer, **change})), 9)
    assert code(answer) is expected
    assert part(answer).log_start_offset == 0
    assert path.partition().log_end_offset == 1


@pytest.mark.parametrize(
    ("version", "expected"),
    [(3, ErrorCode.NOT_LEADER_OR_FOLLOWER), (4, ErrorCode.KAFKA_STORAGE_ERROR)],
)
def test_a_failed_directory_is_told(path: DataPath, version: int, expected: ErrorCode) -> None:
    path.append(b"a")
    path.partition().log.fail(OSError(5, "I/O error"))
    assert code(path.answer(produce(batch(b"a")), version)) is expected


def test_a_write_that_fails_takes_the_directory_out_of_service(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.append(b"a")
    segment = path.partition().log.segments[-1]

    def append_one(*args: Any, **options: Any) -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(type(segment), "append_one", append_one)
    assert code(path.answer(produce(batch(b"b")), 9)) is ErrorCode.KAFKA_STORAGE_ERROR
    assert path.replicas.offline_count == 3
    assert path.replicas.node_id == ME


def test_a_produce_wakes_waiting_fetches_with_all_its_partitions(path: DataPath) -> None:
    import pykbroker.handlers.fetch  # noqa: F401
    from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic

    partitions = [
        FetchPartition(partition=index, partition_max_bytes=1 << 20) for index in range(3)
    ]
    fetch = FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        topics=[FetchTopic(topic="t", partitions=partitions)],
    )
    waiting = path.wait(fetch, 11)
    data = [PartitionProduceData(index=index, records=batch(b"a")) for index in (0, 2)]
    path.answer(
        ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t", partition_data=data)]), 9
    )
    [topic] = waiting.answer.responses
    filled = [p.partition_index for p in topic.partitions if p.records]
    assert filled == [0, 2]


def test_a_topic_without_partitions_is_not_answered(path: DataPath) -> None:
    request = produce(batch(b"a"))
    request.topic_data.insert(0, TopicProduceData(name="t", partition_data=[]))
    assert code(path.answer(request, 12)) is ErrorCode.NONE


def test_the_empty_name_is_an_unknown_topic_until_topics_have_ids(path: DataPath) -> None:
    for version, expected in (
        (12, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (13, ErrorCode.UNKNOWN_TOPIC_ID),
    ):
        assert code(path.answer(produce(batch(b"a"), topic=""), version)) is expected
