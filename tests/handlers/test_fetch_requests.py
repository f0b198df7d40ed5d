"""Fetch: sessions, waiting, limits and errors as clients of every version see them."""

from __future__ import annotations

from typing import Any

import pytest

import pykbroker.handlers.fetch  # noqa: F401
from pykbroker.runtime.purgatory import FETCH
from pykbroker.state.controller.image import QuotaEntity
from tests.support.data_path import DataPath, batch, broker_image, partition_image
from wire.errors import ErrorCode
from wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    ForgottenTopic,
    ReplicaState,
)
from wire.records.batch import iter_headers
from wire.records.compression import Compression
from wire.records.legacy import decode_message_set

NEWEST = 18
SIZE = len(batch(b"x" * 100))


def wanted(index: int = 0, offset: int = 0, **more: Any) -> FetchPartition:
    more.setdefault("partition_max_bytes", 1 << 20)
    return FetchPartition(partition=index, fetch_offset=offset, **more)


def fetch(
    *partitions: FetchPartition,
    topic: str = "t",
    topic_id: bytes = bytes(16),
    wait_ms: int = 0,
    min_bytes: int = 1,
    session: tuple[int, int] = (0, -1),
    **more: Any,
) -> FetchRequest:
    """Without a session, unless one is named."""
    topics = [FetchTopic(topic=topic, topic_id=topic_id, partitions=list(partitions))]
    return FetchRequest(
        max_wait_ms=wait_ms,
        min_bytes=min_bytes,
        session_id=session[0],
        session_epoch=session[1],
        topics=topics if partitions else [],
        **more,
    )


def parts(response: Any) -> dict[int, Any]:
    return {p.partition_index: p for topic in response.responses for p in topic.partitions}


def code(response: Any, index: int = 0) -> ErrorCode:
    return ErrorCode(parts(response)[index].error_code)


def offsets(part: Any) -> list[int]:
    return [h.base_offset for _, h in iter_headers(part.records)]


@pytest.fixture
def path() -> DataPath:
    made = DataPath()
    made.create("t", 4)
    return made


def topic_id(path: DataPath, name: str = "t") -> bytes:
    return path.images.current.topics[name].topic_id


# Versions


@pytest.mark.parametrize("version", range(4, 13))
def test_records_are_answered_as_stored(path: DataPath, version: int) -> None:
    path.append(b"a", b"b")
    path.append(b"c", index=2)
    answer = path.answer(fetch(wanted(0), wanted(1), wanted(2)), version)
    assert [topic.topic for topic in answer.responses] == ["t"]
    found = parts(answer)
    stored = path.partition().log.read(0, 1 << 20).records
    assert bytes(found[0].records) == bytes(stored)
    assert (found[0].high_watermark, found[0].last_stable_offset) == (2, 2)
    assert found[0].log_start_offset == (0 if version >= 5 else -1)
    assert found[0].aborted_transactions is None
    assert bytes(found[1].records) == b""
    assert offsets(found[2]) == [0]


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("session", [(0, -1), (0, 0)])
def test_a_partition_named_twice_is_answered_once(
    path: DataPath, session: tuple[int, int], is_split: bool
) -> None:
    """In one topic's list, or in two of the same topic."""
    path.append(b"a")
    request = fetch(wanted(0, 7), wanted(1), session=session)
    again = wanted(0, 0)
    if is_split:
        request.topics.append(FetchTopic(topic="t", partitions=[again]))
    else:
        request.topics[0].partitions.append(again)
    answered = [p for topic in path.answer(request, 12).responses for p in topic.partitions]
    assert [(p.partition_index, p.error_code) for p in answered] == [(0, 0), (1, 0)]
    assert offsets(answered[0]) == [0]


@pytest.mark.parametrize("version", range(13, NEWEST + 1))
def test_newer_versions_name_topics_by_id(path: DataPath, version: int) -> None:
    path.append(b"a")
    made = topic_id(path)
    answer = path.answer(fetch(wanted(), topic_id=made), version)
    assert answer.responses[0].topic_id == made
    assert offsets(parts(answer)[0]) == [0]
    unknown = path.answer(fetch(wanted(), topic_id=b"?" * 16), version)
    assert code(unknown) is ErrorCode.UNKNOWN_TOPIC_ID
    assert unknown.responses[0].topic_id == b"?" * 16


@pytest.mark.parametrize(("version", "magic"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_old_clients_get_old_formats(path: DataPath, version: int, magic: int) -> None:
    path.append(b"a", b"b", b"c")
    path.append(b"d", compression=Compression.GZIP)
    answer = path.answer(fetch(wanted(offset=1)), version)
    found = parts(answer)[0]
    records = decode_message_set(found.records)
    assert [(r.offset, r.value) for r in records] == [(1, b"b"), (2, b"c"), (3, b"d")]
    assert found.records[16] == magic
    assert found.high_watermark == 4


def test_zstd_is_for_clients_that_know_it(path: DataPath) -> None:
    path.append(b"plain")
    path.append(b"packed", compression=Compression.ZSTD)
    for version in (3, 4, 9):
        at_zstd = path.answer(fetch(wanted(offset=1)), version)
        assert code(at_zstd) is ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
        assert bytes(parts(at_zstd)[0].records) == b""
    for version in (4, 9):
        before = path.answer(fetch(wanted()), version)
        assert offsets(parts(before)[0]) == [0]
    assert offsets(parts(path.answer(fetch(wanted()), 10))[0]) == [0, 1]


def test_the_oldest_versions_give_a_batch_of_each_partition(path: DataPath) -> None:
    for index in (0, 1):
        path.append(b"x" * 100, index=index)
    small = [wanted(index, partition_max_bytes=1) for index in (0, 1)]
    both = parts(path.answer(fetch(*small), 2))
    assert [len(both[index].records) > 0 for index in (0, 1)] == [True, True]
    first = parts(path.answer(fetch(*small), 4))
    assert [len(first[index].records) > 0 for index in (0, 1)] == [True, False]


# Limits


def test_the_brokers_own_limit_counts_too() -> None:
    path = DataPath(fetch_max_bytes=1024)
    path.create("t")
    for _ in range(20):
        path.append(b"x" * 100)
    found = parts(path.answer(fetch(wanted(), max_bytes=1 << 20), 12))[0]
    assert 0 < len(found.records) <= 1024


def test_more_bytes_than_can_be_sent_are_not_waited_for(path: DataPath) -> None:
    path.append(b"x" * 100)
    request = fetch(wanted(), wait_ms=500, min_bytes=10_000, max_bytes=SIZE)
    assert len(parts(path.answer(request, 12))[0].records) == SIZE


# Waiting


def test_a_fetch_waits_for_the_next_append(path: DataPath) -> None:
    waiting = path.wait(fetch(wanted(0), wanted(1), wait_ms=500), 12)
    path.append(b"a", index=3)
    assert waiting.answers == []
    path.append(b"b", index=1)
    assert offsets(parts(waiting.answer)[1]) == [0]
    assert bytes(parts(waiting.answer)[0].records) == b""


def test_a_fetch_is_answered_empty_when_its_time_is_over(path: DataPath) -> None:
    waiting = path.wait(fetch(wanted(), wait_ms=500), 12)
    path.clock.advance(499)
    assert waiting.answers == []
    path.clock.advance(1)
    found = parts(waiting.answer)[0]
    assert (found.error_code, bytes(found.records)) == (0, b"")


def test_a_fetch_waits_for_enough(path: DataPath) -> None:
    waiting = path.wait(fetch(wanted(0), wanted(1), wait_ms=500, min_bytes=2 * SIZE), 12)
    path.append(b"x" * 100)
    assert waiting.answers == []
    path.append(b"x" * 100, index=1)
    found = parts(waiting.answer)
    assert len(found[0].records) == len(found[1].records) == SIZE


def test_what_does_not_fit_is_not_waited_for(path: DataPath) -> None:
    """Enough is there, though no whole number of batches is as much as may be read."""
    for _ in range(3):
        path.append(b"x" * 100)
    limit = 2 * SIZE + 1
    request = fetch(wanted(0, partition_max_bytes=limit), wait_ms=500, min_bytes=limit)
    assert len(parts(path.answer(request, 12))[0].records) == 2 * SIZE


def test_what_one_partition_has_counts_when_another_gets_more(path: DataPath) -> None:
    path.append(b"x" * 100)
    waiting = path.wait(fetch(wanted(0), wanted(1), wait_ms=500, min_bytes=2 * SIZE), 12)
    path.append(b"x" * 100, index=1)
    assert [len(part.records) for part in parts(waiting.answer).values()] == [SIZE, SIZE]


@pytest.mark.parametrize("request_", [fetch(wanted(), min_bytes=0, wait_ms=500), fetch(wanted())])
def test_who_wants_nothing_or_has_no_time_is_answered(
    path: DataPath, request_: FetchRequest
) -> None:
    assert bytes(parts(path.answer(request_, 12))[0].records) == b""


def test_an_error_is_told_at_once(path: DataPath) -> None:
    answer = path.answer(fetch(wanted(0), wanted(1, offset=9), wait_ms=500), 12)
    assert code(answer, 1) is ErrorCode.OFFSET_OUT_OF_RANGE
    found = parts(answer)[1]
    assert (found.high_watermark, found.last_stable_offset, found.log_start_offset) == (-1, -1, -1)


def test_an_unknown_partition_alone_is_told_at_once(path: DataPath) -> None:
    answer = path.answer(fetch(wanted(7), wait_ms=500), 12)
    assert code(answer, 7) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    waiting = path.wait(fetch(wanted(7), wanted(0), wait_ms=500), 12)
    path.append(b"a")
    assert code(waiting.answer, 7) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_a_partition_lost_while_waiting_is_told(path: DataPath) -> None:
    path.append(b"a", index=1)
    waiting = path.wait(fetch(wanted(0), wanted(1, offset=1), wait_ms=500), 12)
    path.delete("t")
    assert code(waiting.answer, 0) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_a_client_that_leaves_is_not_read_for(path: DataPath) -> None:
    waiting = path.wait(fetch(wanted(), wait_ms=500), 12)
    waiting.deferral.abandon()
    path.append(b"a")
    path.clock.advance(1000)
    assert waiting.answers == []
    assert path.replicas.counts.waiting[FETCH] == 0


def test_one_partition_that_cannot_be_read_leaves_the_others(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in (0, 1):
        path.append(b"a", index=index)
    broken = path.partition().log

    def read(*args: Any, **options: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(broken, "read", read, raising=False)
    answer = path.answer(fetch(wanted(0), wanted(1)), 12)
    assert code(answer, 0) is ErrorCode.UNKNOWN_SERVER_ERROR
    assert offsets(parts(answer)[1]) == [0]


def test_a_waiting_fetch_is_answered_whatever_goes_wrong(
    path: DataPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pykbroker.handlers import fetch as module

    waiting = path.wait(fetch(wanted(), wait_ms=500), 12)

    def respond(*args: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "_respond", respond)
    path.append(b"a")
    assert waiting.answer.error_code == ErrorCode.UNKNOWN_SERVER_ERROR


# Leaders


@pytest.fixture
def three() -> DataPath:
    made = DataPath(brokers=[broker_image(node, rack=f"r{node}") for node in (1, 2, 3)])
    made.create("t", [partition_image(replicas=(1, 2, 3))])
    return made


def test_another_leader_is_named(three: DataPath) -> None:
    made = topic_id(three)
    three.elect("t", partition_image(leader=2, epoch=4, version=1, replicas=(1, 2, 3)))
    stale = fetch(wanted(current_leader_epoch=3), topic_id=made)
    answer = three.answer(stale, NEWEST)
    assert code(answer) is ErrorCode.FENCED_LEADER_EPOCH
    leader = parts(answer)[0].current_leader
    assert (leader.leader_id, leader.leader_epoch) == (2, 4)
    [endpoint] = answer.node_endpoints
    assert (endpoint.node_id, endpoint.host, endpoint.port, endpoint.rack) == (
        2,
        "host2",
        9002,
        "r2",
    )
    old = three.answer(fetch(wanted()), 10)
    assert code(old) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    # From version 11 on consumers may read from followers.
    assert code(three.answer(fetch(wanted()), 11)) is ErrorCode.NONE


@pytest.mark.parametrize("version", [12, 13, 15])
def test_who_cannot_be_told_where_the_leader_is_is_not_told_who(
    three: DataPath, version: int
) -> None:
    """As Kafka: a client that follows the name alone may know no such broker."""
    made = topic_id(three)
    three.elect("t", partition_image(leader=2, epoch=4, version=1, replicas=(1, 2, 3)))
    stale = fetch(wanted(current_leader_epoch=3), topic_id=made)
    answer = three.answer(stale, version)
    assert code(answer) is ErrorCode.FENCED_LEADER_EPOCH
    leader = parts(answer)[0].current_leader
    assert (leader.leader_id, leader.leader_epoch) == (-1, -1)


def test_a_diverging_consumer_is_told_where(path: DataPath) -> None:
    path.append(b"a", b"b")
    others = path.images.current.topics["t"].partitions[1:]
    path.elect("t", partition_image(epoch=2, version=1), *others)
    path.append(b"c")
    request = fetch(wanted(offset=3, last_fetched_epoch=0), wait_ms=500)
    found = parts(path.answer(request, 12))[0]
    assert (found.diverging_epoch.epoch, found.diverging_epoch.end_offset) == (0, 2)
    assert bytes(found.records) == b""


def test_the_nearest_replica_is_named_if_the_broker_may_choose(three: DataPath) -> None:
    three.append(b"a")
    for node in (2, 3):
        request = FetchPartition(fetch_offset=1, log_start_offset=0)
        three.partition().follower_fetched(node, 10 + node, request, 1)  # type: ignore[arg-type]
    near = fetch(wanted(), rack_id="r3", wait_ms=500, min_bytes=1)
    assert parts(three.answer(near, 12))[0].preferred_read_replica == -1
    static = {"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"}
    three.settings.current = type(three.settings.current)(static)
    found = parts(three.answer(near, 12))[0]
    assert (found.preferred_read_replica, bytes(found.records)) == (3, b"")


@pytest.mark.parametrize("version", [11, NEWEST])
def test_a_follower_reads_to_the_end_and_moves_the_high_watermark(
    three: DataPath, version: int
) -> None:
    three.append(b"a")
    consumer = three.wait(fetch(wanted(), wait_ms=500), 12)
    made = topic_id(three)
    for node, offset in ((2, 0), (2, 1), (3, 1)):
        asked = wanted(offset=offset, current_leader_epoch=0, log_start_offset=0)
        # Version 14 and older say so in a field of its own.
        replica: dict[str, Any] = {"replica_id": node} if version < 15 else {}
        state = ReplicaState(replica_id=node, replica_epoch=10 + node)
        replica |= {"replica_state": state} if version >= 15 else {}
        if version < 15:
            three.brokers(*(broker_image(n) for n in (1, 2, 3)))
        answer = three.answer(fetch(asked, topic_id=made, **replica), version)
        assert code(answer) is ErrorCode.NONE
        assert len(parts(answer)[0].records) == (0 if offset else len(batch(b"a")))
    assert three.partition().high_watermark == 1
    assert offsets(parts(consumer.answer)[0]) == [0]


def test_an_isolation_that_nobody_knows_is_refused(path: DataPath) -> None:
    from pykbroker.state.errors import KafkaError

    with pytest.raises(KafkaError) as refusal:
        path.call(fetch(wanted(), session=(0, 0), isolation_level=2), 12)
    assert refusal.value.code is ErrorCode.UNKNOWN_SERVER_ERROR
    assert len(path.sessions) == 0


# Sessions


def open_session(path: DataPath, *partitions: FetchPartition, version: int = 12) -> int:
    request = fetch(*partitions, session=(0, 0), topic_id=topic_id(path))
    answer = path.answer(request, version)
    assert answer.error_code == 0
    assert answer.session_id > 0
    return answer.session_id  # type: ignore[no-any-return]


def test_the_second_fetch_of_a_thousand_idle_partitions_answers_none() -> None:
    path = DataPath()
    path.create("t", 1000)
    session = open_session(path, *(wanted(index) for index in range(1000)))
    answer = path.answer(fetch(session=(session, 1)), 12)
    assert (answer.session_id, answer.responses) == (session, [])
    waiting = path.wait(fetch(session=(session, 2), wait_ms=500), 12)
    path.append(b"a", index=777)
    assert list(parts(waiting.answer)) == [777]
    waiting = path.wait(fetch(wanted(777, 1), session=(session, 3), wait_ms=500), 12)
    path.clock.advance(500)
    assert (waiting.answer.session_id, waiting.answer.responses) == (session, [])


def test_partitions_come_and_go_in_a_session(path: DataPath) -> None:
    session = open_session(path, wanted(0), wanted(1))
    path.append(b"a")
    path.append(b"b", index=2)
    request = fetch(wanted(2), session=(session, 1))
    request.forgotten_topics_data = [ForgottenTopic(topic="t", partitions=[0])]
    assert list(parts(path.answer(request, 12))) == [2]


def test_a_session_goes_on_by_id(path: DataPath) -> None:
    session = open_session(path, wanted(0), version=NEWEST)
    path.append(b"a")
    answer = path.answer(fetch(session=(session, 1)), NEWEST)
    assert answer.responses[0].topic_id == topic_id(path)
    mixed = path.answer(fetch(session=(session, 2)), 12)
    assert mixed.error_code == ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    assert (mixed.session_id, mixed.responses) == (0, [])


def test_wrong_sessions_and_epochs_are_refused(path: DataPath) -> None:
    session = open_session(path, wanted())
    wrong_epoch = path.answer(fetch(session=(session, 5)), 12)
    assert wrong_epoch.error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH
    assert wrong_epoch.session_id == 0
    unknown = path.answer(fetch(session=(session + 1, 1)), 12)
    assert unknown.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_a_waiting_fetch_that_another_overtook_is_refused(path: DataPath) -> None:
    session = open_session(path, wanted())
    first = path.wait(fetch(session=(session, 1), wait_ms=500), 12)
    second = path.wait(fetch(session=(session, 2), wait_ms=500), 12)
    path.append(b"a")
    assert first.answer.error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH
    assert offsets(parts(second.answer)[0]) == [0]


def test_without_a_free_slot_fetches_have_no_session(path: DataPath) -> None:
    path.settings.current = type(path.settings.current)(
        {"max.incremental.fetch.session.cache.slots": "1"}
    )
    open_session(path, wanted())
    answer = path.answer(fetch(wanted(0), wanted(1), session=(0, 0)), 12)
    assert answer.session_id == 0
    assert sorted(parts(answer)) == [0, 1]


def test_a_topic_made_anew_is_not_that_of_the_session(path: DataPath) -> None:
    session = open_session(path, wanted(0), version=NEWEST)
    path.delete("t")
    gone = path.answer(fetch(session=(session, 1)), NEWEST)
    assert code(gone) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    path.create("t")
    other = path.answer(fetch(session=(session, 2)), NEWEST)
    assert code(other) is ErrorCode.INCONSISTENT_TOPIC_ID


def test_an_id_that_becomes_known_is_served_in_its_session(path: DataPath) -> None:
    future = (2).to_bytes(16, "big")
    request = fetch(wanted(0), session=(0, 0), topic_id=future)
    answer = path.answer(request, NEWEST)
    assert code(answer) is ErrorCode.UNKNOWN_TOPIC_ID
    session = answer.session_id
    assert code(path.answer(fetch(session=(session, 1)), NEWEST)) is ErrorCode.UNKNOWN_TOPIC_ID
    assert path.create("later") == future
    path.append(b"a", name="later")
    assert offsets(parts(path.answer(fetch(session=(session, 2)), NEWEST))[0]) == [0]


def test_partitions_take_turns_when_the_response_is_full(path: DataPath) -> None:
    for index in range(3):
        for _ in range(3):
            path.append(b"x" * 100, index=index)
    session = open_session(path, *(wanted(index) for index in range(3)), version=12)
    served = []
    for epoch in range(1, 7):
        answer = path.answer(fetch(session=(session, epoch), max_bytes=SIZE), 12)
        served.append([i for i, part in parts(answer).items() if len(part.records)])
    assert served == [[0], [1], [2]] * 2


def test_a_storage_error_has_an_older_name(path: DataPath) -> None:
    path.append(b"a")
    path.partition().log.fail(OSError(5, "I/O error"))
    assert code(path.answer(fetch(wanted()), 5)) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert code(path.answer(fetch(wanted()), 6)) is ErrorCode.KAFKA_STORAGE_ERROR


# Quotas


def quota(path: DataPath, rate: float) -> None:
    from pykbroker.state.controller.image import replace

    entity = QuotaEntity((("client-id", None),))
    path.change(
        after=replace(path.images.current, quotas={entity: {"consumer_byte_rate": rate}}),
        quotas_changed=True,
    )
    path.services.quotas.update(path.images.current.quotas)


def test_a_throttled_fetch_is_answered_empty_and_teaches_its_session_nothing(
    path: DataPath,
) -> None:
    for _ in range(40):
        path.append(b"x" * 100)
    session = open_session(path, wanted(0, 40), wanted(1))
    quota(path, rate=100)
    # 100 bytes a second over eleven windows of one second: some batches pass, then no more.
    epoch, throttled = 1, None
    for _ in range(10):
        answer = path.answer(fetch(wanted(0, 0), session=(session, epoch)), 12)
        epoch += 1
        assert answer.error_code == 0
        assert answer.session_id == session
        if answer.throttle_time_ms:
            throttled = answer
            break
    assert throttled is not None
    assert throttled.responses == []
    path.clock.advance(60_000)
    answer = path.answer(fetch(session=(session, epoch)), 12)
    assert answer.throttle_time_ms == 0
    assert 0 < len(parts(answer)[0].records) <= 1100


def test_every_negative_epoch_means_none(path: DataPath) -> None:
    path.append(b"x" * 100)
    for epoch in (-1, -2, -(2**31)):
        asked = wanted(current_leader_epoch=epoch, last_fetched_epoch=epoch)
        answer = path.answer(fetch(asked), 12)
        assert code(answer) is ErrorCode.NONE
        assert parts(answer)[0].diverging_epoch.epoch == -1
        assert len(parts(answer)[0].records) == SIZE
