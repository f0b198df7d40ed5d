"""The coordinator runtime: what is answered when, and what happens when the log fails or leaves.

The shard here keeps one number for each name. It is set by a record, doubled by a deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pykbroker.runtime.coordinator import (
    LOAD_DELAY_MS,
    CoordinatorRuntime,
    Waiter,
    error_for_clients,
)
from pykbroker.runtime.coordinator_log import LoggedMarker, LoggedRecord
from pykbroker.state.coordinator import CoordinatorRecord, Decision, Instant
from pykbroker.state.deadlines import Deadlines
from pykbroker.state.errors import KafkaError
from tests.support.manual_clock import ManualClock
from wire.errors import ErrorCode
from wire.messages.group_records import OffsetCommitKey, OffsetCommitValue

if TYPE_CHECKING:
    from collections.abc import Callable

COMMIT_TIMEOUT_MS = 5_000


def record(name: str, number: int) -> CoordinatorRecord:
    return CoordinatorRecord(OffsetCommitKey(group=name), OffsetCommitValue(offset=number), 4)


class Numbers:
    def __init__(self) -> None:
        self.hard: dict[str, int] = {}
        self.soft: dict[str, int] = {}
        self.parked: list[Waiter] = []
        self.deadlines: Deadlines[str] = Deadlines()
        self.markers: list[tuple[int, bool]] = []
        self.producers: list[int] = []
        self.loaded_at: Instant | None = None

    # What requests decide.

    def put(self, name: str, number: int, waiter: Waiter) -> Decision:
        if number < 0:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        self.soft[name] = number
        decision = Decision([record(name, number)], assumed_by=name)
        decision.reply(waiter, number)
        return decision

    def get(self, name: str, waiter: Waiter) -> Decision:
        decision = Decision()
        decision.reply(waiter, self.hard.get(name))
        return decision

    def park(self, waiter: Waiter) -> Decision:
        self.parked.append(waiter)
        return Decision()

    def double_at(self, name: str, when_ms: int, waiter: Waiter) -> Decision:
        self.deadlines.set(name, when_ms)
        return self.get(name, waiter)

    # As every shard.

    def replay(self, record: CoordinatorRecord, offset: int, producer_id: int) -> None:
        assert isinstance(record.key, OffsetCommitKey)
        assert isinstance(record.value, OffsetCommitValue)
        self.hard[record.key.group] = self.soft[record.key.group] = record.value.offset
        self.producers.append(producer_id)

    def replay_end_of_transaction(self, producer_id: int, committed: bool) -> None:
        self.markers.append((producer_id, committed))

    def loaded(self, now: Instant) -> Decision:
        self.loaded_at = now
        return Decision()

    def revert(self, assumed_by: str, now: Instant) -> list[Waiter]:
        self.soft[assumed_by] = self.hard.get(assumed_by, 0)
        parked, self.parked = self.parked, []
        return parked

    def next_deadline(self) -> int | None:
        return self.deadlines.next()

    def tick(self, now: Instant) -> Decision:
        name = self.deadlines.pop_due(now.monotonic_ms)
        return Decision() if name is None else Decision([record(name, 2 * self.hard[name])])


class FakeLog:
    """A partition with other replicas: its high watermark moves when the test says so."""

    def __init__(self, records: list[Any] | None = None, *, replicated: bool = False) -> None:
        self.start_offset = 0
        self.records: list[Any] = list(records or ())
        self.high_watermark = len(self.records)
        self.replicated = replicated
        self.refusal: ErrorCode | None = None
        self.reads = 0
        self.per_read = 100
        self.waiting: dict[object, tuple[int, Callable[[ErrorCode], None]]] = {}

    @property
    def end_offset(self) -> int:
        return len(self.records)

    def read(self, offset: int) -> tuple[list[Any], int]:
        self.reads += 1
        chunk = self.records[offset : offset + self.per_read]
        if any(entry == "broken" for entry in chunk):
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE)
        return chunk, offset + len(chunk)

    def append(self, records: list[CoordinatorRecord]) -> int:
        if self.refusal is not None:
            raise KafkaError(self.refusal)
        offset = len(self.records)
        self.records += [LoggedRecord(offset + i, -1, r) for i, r in enumerate(records)]
        if not self.replicated:
            self.commit(len(self.records))
        return offset

    def when_committed(
        self, offset: int, callback: Callable[[ErrorCode], None]
    ) -> Callable[[], None]:
        token = object()
        self.waiting[token] = (offset, callback)
        return lambda: self.waiting.pop(token, None) and None

    def commit(self, offset: int) -> None:
        self.high_watermark = offset
        for token, (wanted, callback) in list(self.waiting.items()):
            if wanted <= offset:
                del self.waiting[token]
                callback(ErrorCode.NONE)

    def lose(self) -> None:
        for token, (_, callback) in list(self.waiting.items()):
            del self.waiting[token]
            callback(ErrorCode.NOT_LEADER_OR_FOLLOWER)


class Coordinator:
    """One runtime with its clock; requests to shard 0 unless said."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.shards: list[Numbers] = []
        self.runtime = CoordinatorRuntime("numbers", self.clock, self.make, lambda: 5_000)

    def make(self) -> Numbers:
        self.shards.append(Numbers())
        return self.shards[-1]

    def elect(self, log: FakeLog, index: int = 0) -> FakeLog:
        self.runtime.elected(index, lambda: log)
        return log

    def ask(self, operation: Callable[[Numbers, Waiter], Decision], index: int = 0) -> list[Any]:
        """Where the answer will be."""
        answers: list[Any] = []
        waiter = Waiter(lambda code: code)
        waiter.when_done(answers.append)
        self.runtime.submit(index, waiter, lambda shard, now: operation(shard, waiter))
        return answers

    def put(self, name: str, number: int) -> list[Any]:
        return self.ask(lambda shard, waiter: shard.put(name, number, waiter))

    def get(self, name: str) -> list[Any]:
        return self.ask(lambda shard, waiter: shard.get(name, waiter))

    def park(self) -> list[Any]:
        return self.ask(lambda shard, waiter: shard.park(waiter))


@pytest.fixture
def c() -> Coordinator:
    return Coordinator()


def logged(*numbers: int) -> list[LoggedRecord]:
    return [LoggedRecord(i, -1, record(f"n{i}", n)) for i, n in enumerate(numbers)]


# Answers and the high watermark.


def test_alone_the_answer_comes_at_once(c: Coordinator) -> None:
    c.elect(FakeLog())
    assert c.put("a", 7) == [7]
    assert c.get("a") == [7]


def test_no_answer_before_the_high_watermark_has_passed_the_records(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    answer = c.put("a", 7)
    assert answer == []
    assert c.shards[0].hard == {"a": 7}, "it counts at once, it is only not told"
    log.commit(1)
    assert answer == [7]


def test_reads_wait_for_what_they_have_seen_to_be_committed(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    write, read = c.put("a", 7), c.get("a")
    assert (write, read) == ([], [])
    log.commit(1)
    assert (write, read) == ([7], [7])


def test_after_loading_reads_wait_for_the_end_of_the_log(c: Coordinator) -> None:
    log = FakeLog(logged(5), replicated=True)
    log.high_watermark = 0
    c.elect(log)
    read = c.get("n0")
    assert read == []
    log.commit(1)
    assert read == [5]


def test_answers_come_in_the_order_of_decisions(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    order: list[int] = []
    for number in range(5):
        waiter = Waiter(lambda code: code)
        waiter.when_done(order.append)
        c.runtime.submit(0, waiter, lambda s, _, n=number, w=waiter: s.put("a", n, w))
    log.commit(3)
    assert order == [0, 1, 2]
    log.commit(5)
    assert order == [0, 1, 2, 3, 4]


def test_a_commit_that_takes_too_long_is_coordinator_not_available(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    answer = c.put("a", 7)
    c.clock.advance(COMMIT_TIMEOUT_MS - 1)
    assert answer == []
    c.clock.advance(1)
    assert answer == [ErrorCode.COORDINATOR_NOT_AVAILABLE]
    assert log.waiting == {}
    log.commit(1)
    assert c.get("a") == [7], "the record is in the log all the same"


def test_an_error_changes_nothing_and_is_told_at_once(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    c.put("a", 7)
    assert c.put("a", -1) == [ErrorCode.INVALID_REQUEST]
    assert len(log.records) == 1


# Appends that fail.


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR),
        (ErrorCode.INVALID_REQUIRED_ACKS, ErrorCode.INVALID_REQUIRED_ACKS),
    ],
)
def test_a_failed_append_leaves_hard_state_and_puts_soft_state_back(
    c: Coordinator, code: ErrorCode, told: ErrorCode
) -> None:
    log = c.elect(FakeLog())
    c.put("a", 1)
    parked = c.park()
    log.refusal = code
    assert error_for_clients(code) is told
    assert c.put("a", 2) == [told]
    assert parked == [told]
    assert c.shards[0].hard == c.shards[0].soft == {"a": 1}
    log.refusal = None
    assert c.put("a", 3) == [3]


# Loading and leaving.


def test_elsewhere_is_not_coordinator(c: Coordinator) -> None:
    assert c.get("a") == [ErrorCode.NOT_COORDINATOR]
    c.elect(FakeLog(), index=1)
    assert c.get("a") == [ErrorCode.NOT_COORDINATOR]
    assert c.runtime.indexes() == [1]


def test_the_first_who_asks_has_a_small_log_loaded(c: Coordinator) -> None:
    log = c.elect(FakeLog(logged(5, 6)))
    assert log.reads == 0
    assert c.get("n1") == [6]
    assert c.shards[0].loaded_at == Instant(c.clock.monotonic_ms(), c.clock.wall_ms())


def test_unasked_it_is_loaded_in_a_moment(c: Coordinator) -> None:
    c.elect(FakeLog(logged(5)))
    assert list(c.runtime.active()) == []
    c.clock.advance(LOAD_DELAY_MS)
    assert list(c.runtime.active()) == c.shards


def test_a_large_log_is_loaded_turn_by_turn(c: Coordinator) -> None:
    log = FakeLog(logged(*range(10)))
    log.per_read = 4
    c.elect(log)
    assert c.get("n9") == [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]
    assert c.get("n9") == [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]
    assert log.reads == 1, "asking again does not take more turns"
    c.clock.advance(0)
    assert c.get("n9") == [9]
    assert log.reads == 3


def test_transactions_are_replayed_with_their_markers(c: Coordinator) -> None:
    c.elect(FakeLog([LoggedRecord(0, 77, record("a", 1)), LoggedMarker(77, True)]))
    c.get("a")
    assert c.shards[0].producers == [77]
    assert c.shards[0].markers == [(77, True)]


def test_a_log_that_cannot_be_read_is_nobodys(c: Coordinator) -> None:
    c.elect(FakeLog(["broken"]))
    assert c.get("a") == [ErrorCode.NOT_COORDINATOR]
    assert c.get("a") == [ErrorCode.NOT_COORDINATOR]
    c.elect(FakeLog(logged(1)))
    assert c.get("n0") == [1]


def test_a_log_that_makes_no_progress_ends_the_loading(c: Coordinator) -> None:
    log = FakeLog(logged(1))
    log.per_read = 0
    c.elect(log)
    assert c.get("a") == [ErrorCode.NOT_COORDINATOR]


def test_on_resignation_everybody_who_waits_is_told(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    answers = [c.put("a", 1), c.get("a"), c.park()]
    c.runtime.resigned(0)
    assert answers == [[ErrorCode.NOT_COORDINATOR]] * 3
    assert log.waiting == {}
    assert c.get("a") == [ErrorCode.NOT_COORDINATOR]
    c.clock.advance(60_000)


def test_leadership_that_ends_while_waiting_is_not_coordinator(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    answer = c.put("a", 1)
    log.lose()
    assert answer == [ErrorCode.NOT_COORDINATOR]


def test_a_new_election_reads_the_log_again(c: Coordinator) -> None:
    log = c.elect(FakeLog())
    c.put("a", 1)
    parked = c.park()
    c.elect(FakeLog(log.records))
    assert parked == [ErrorCode.NOT_COORDINATOR]
    assert c.get("a") == [1]
    assert len(c.shards) == 2


def test_stopping_ends_everything(c: Coordinator) -> None:
    c.elect(FakeLog())
    parked = c.park()
    c.elect(FakeLog(), index=3)
    c.runtime.stop()
    assert parked == [ErrorCode.NOT_COORDINATOR]
    c.clock.advance(60_000)
    assert list(c.runtime.active()) == []


def test_who_has_gone_is_forgotten(c: Coordinator) -> None:
    log = c.elect(FakeLog(replicated=True))
    waiter = Waiter(lambda code: code)
    c.runtime.submit(0, waiter, lambda shard, _: shard.put("a", 1, waiter))
    waiter.abandon()
    assert not c.runtime._led[0].waiting
    log.commit(1)
    c.runtime.resigned(0)


# Time.


def test_deadlines_are_kept_and_what_they_decide_is_written(c: Coordinator) -> None:
    log = c.elect(FakeLog())
    c.put("a", 1)
    at_ms = c.clock.monotonic_ms() + 500
    c.ask(lambda shard, waiter: shard.double_at("a", at_ms, waiter))
    c.clock.advance(499)
    assert len(log.records) == 1
    c.clock.advance(1)
    assert c.get("a") == [2]
    assert len(log.records) == 2


def test_an_earlier_deadline_takes_over_the_timer(c: Coordinator) -> None:
    c.elect(FakeLog())
    c.put("a", 1)
    c.put("b", 1)
    now_ms = c.clock.monotonic_ms()
    c.ask(lambda shard, waiter: shard.double_at("a", now_ms + 500, waiter))
    c.ask(lambda shard, waiter: shard.double_at("b", now_ms + 100, waiter))
    c.clock.advance(100)
    assert (c.get("a"), c.get("b")) == ([1], [2])
    c.clock.advance(400)
    assert c.get("a") == [2]


def test_many_deadlines_at_once_are_all_met(c: Coordinator) -> None:
    c.elect(FakeLog())
    now_ms = c.clock.monotonic_ms()
    for i in range(600):
        c.put(f"x{i}", 1)
        c.shards[0].deadlines.set(f"x{i}", now_ms + 10)
    c.get("x0")
    c.clock.advance(10)
    assert set(c.shards[0].hard.values()) == {2}


def test_a_deadline_whose_record_cannot_be_written_is_over(c: Coordinator) -> None:
    log = c.elect(FakeLog())
    c.put("a", 1)
    at_ms = c.clock.monotonic_ms() + 500
    c.ask(lambda shard, waiter: shard.double_at("a", at_ms, waiter))
    log.refusal = ErrorCode.NOT_ENOUGH_REPLICAS
    c.clock.advance(500)
    assert c.get("a") == [1]


# All shards.


def test_an_operation_on_all_shards_reaches_those_that_load_later(c: Coordinator) -> None:
    first, second = c.elect(FakeLog()), c.elect(FakeLog(logged(1)), index=1)
    c.get("a")
    c.runtime.submit_all(lambda shard, now: Decision([record("all", 9)]))
    assert len(first.records) == 1
    assert len(second.records) == 1
    c.clock.advance(LOAD_DELAY_MS)
    assert [r.record.value.offset for r in second.records] == [1, 9]
    assert c.shards[1].hard == {"n0": 1, "all": 9}
