"""Waits end exactly once, and leave nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pykbroker.runtime.purgatory import DELETE_RECORDS, FETCH, PRODUCE, AckWait, FetchWait, Wakeups
from pykbroker.state.fetch_session import FetchEntry
from pykbroker.state.types import NodeId
from tests.support.data_path import DataPath, batch, broker_image, partition_image
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.runtime.partition import Partition


# Wakeups


def test_actions_run_when_the_change_is_whole_and_in_order() -> None:
    wakeups, ran = Wakeups(), []
    wakeups.add(lambda: ran.append(1))
    wakeups.add(lambda: ran.append(2))
    assert ran == []
    wakeups.run()
    wakeups.run()
    assert ran == [1, 2]


def test_what_an_action_wakes_runs_after_it_and_the_stack_does_not_grow() -> None:
    wakeups, ran = Wakeups(), []

    def wake_another(left: int) -> None:
        if left:
            wakeups.add(lambda: wake_another(left - 1))
            wakeups.run()
        ran.append(left)

    wakeups.add(lambda: wake_another(5_000))
    wakeups.run()
    assert ran == list(range(5_000, -1, -1))


def test_one_that_fails_does_not_stop_the_others() -> None:
    wakeups, ran = Wakeups(), []
    wakeups.add(lambda: 1 / 0)
    wakeups.add(lambda: ran.append(1))
    wakeups.run()
    assert ran == [1]
    wakeups.add(lambda: ran.append(2))
    wakeups.run()
    assert ran == [1, 2]


def test_nothing_runs_while_it_is_held_by_anybody() -> None:
    wakeups, ran = Wakeups(), []
    wakeups.hold()
    wakeups.hold()
    wakeups.add(lambda: ran.append(1))
    wakeups.run()
    wakeups.release()
    assert ran == []
    wakeups.release()
    assert ran == [1]


# acks=all, over three replicas


@pytest.fixture
def three() -> DataPath:
    path = DataPath(brokers=[broker_image(node) for node in (1, 2, 3)])
    path.create("t", [partition_image(replicas=(1, 2, 3)) for _ in range(3)])
    return path


def follow(path: DataPath, node: int, offset: int, index: int = 0) -> None:
    partition = path.partition(index=index)
    request = FetchPartition(partition=index, fetch_offset=offset, log_start_offset=0)
    partition.follower_fetched(node, 10 + node, request, partition.log_end_offset)  # type: ignore[arg-type]
    path.replicas.wakeups.run()


class Produced:
    def __init__(self, path: DataPath, *waits: tuple[int, int], timeout_ms: int = 1000) -> None:
        """``waits``: (partition, offset)."""
        self.codes: dict[int, ErrorCode] = {}
        self.answers: list[str] = []
        self.wait: AckWait[int, str] = AckWait(
            path.clock,  # type: ignore[arg-type]
            path.replicas.counts,
            PRODUCE,
            timeout_ms,
            [(index, self._arm(path.partition(index=index), at)) for index, at in waits],
            self._settle,
            lambda: "answer",
        )
        self.wait.deferral.when_done(self.answers.append)

    @staticmethod
    def _arm(partition: Partition, offset: int) -> Callable[[Any], Callable[[], None]]:
        return lambda outcome: partition.when_replicated(offset, outcome)

    def _settle(self, part: int, code: ErrorCode) -> None:
        assert part not in self.codes, "settled twice"
        self.codes[part] = code


def test_a_produce_waits_for_all_its_partitions(three: DataPath) -> None:
    three.append(b"a", b"b")
    three.append(b"c", index=1)
    produced = Produced(three, (0, 2), (1, 1))
    for node in (2, 3):
        follow(three, node, 2)
    assert produced.codes == {0: ErrorCode.NONE}
    assert produced.answers == []
    for node in (2, 3):
        follow(three, node, 1, index=1)
    assert produced.answers == ["answer"]
    assert three.replicas.counts.waiting[PRODUCE] == 0
    three.clock.advance(10_000)
    assert produced.answers == ["answer"]


def test_nothing_to_wait_for_is_answered_at_once(three: DataPath) -> None:
    three.append(b"a")
    for node in (2, 3):
        follow(three, node, 1)
    assert Produced(three, (0, 1)).answers == ["answer"]


def test_time_runs_out_for_what_is_still_missing(three: DataPath) -> None:
    three.append(b"a")
    three.append(b"b", index=1)
    produced = Produced(three, (0, 1), (1, 1), timeout_ms=500)
    for node in (2, 3):
        follow(three, node, 1)
    three.clock.advance(499)
    assert produced.answers == []
    three.clock.advance(1)
    assert produced.answers == ["answer"]
    assert produced.codes == {0: ErrorCode.NONE, 1: ErrorCode.REQUEST_TIMED_OUT}
    assert three.replicas.counts.expired[PRODUCE] == 1
    for node in (2, 3):
        follow(three, node, 1, index=1)
    assert produced.codes[1] is ErrorCode.REQUEST_TIMED_OUT


def test_a_lost_leadership_is_told(three: DataPath) -> None:
    three.append(b"a")
    produced = Produced(three, (0, 1))
    other = partition_image(leader=2, epoch=1, version=1, replicas=(1, 2, 3))
    three.elect("t", other, *three.images.current.topics["t"].partitions[1:])
    assert produced.codes == {0: ErrorCode.NOT_LEADER_OR_FOLLOWER}
    assert produced.answers == ["answer"]


def test_a_deleted_topic_is_told(three: DataPath) -> None:
    three.append(b"a")
    produced = Produced(three, (0, 1))
    three.delete("t")
    assert produced.codes == {0: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}


def test_a_wait_lasts_while_the_isr_is_below_the_minimum(three: DataPath) -> None:
    three.configure("t", min_insync_replicas=2)
    three.append(b"a")
    produced = Produced(three, (0, 1), timeout_ms=100_000)
    small = partition_image(version=1, replicas=(1, 2, 3), isr=(1,))
    three.elect("t", small, *three.images.current.topics["t"].partitions[1:])
    follow(three, 2, 1)
    follow(three, 3, 1)
    assert produced.codes == {}
    grown = partition_image(version=2, replicas=(1, 2, 3), isr=(1, 2))
    three.elect("t", grown, *three.images.current.topics["t"].partitions[1:])
    assert produced.codes == {0: ErrorCode.NONE}


def test_too_few_in_sync_by_then_is_told_after_the_append(three: DataPath) -> None:
    three.append(b"a")
    follow(three, 2, 1)
    follow(three, 3, 1)
    small = partition_image(version=1, replicas=(1, 2, 3), isr=(1, 2))
    three.elect("t", small, *three.images.current.topics["t"].partitions[1:])
    three.configure("t", min_insync_replicas=3)
    assert Produced(three, (0, 1)).codes == {0: ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND}
    # A coordinator asks only whether it is committed.
    codes: list[ErrorCode] = []
    three.partition().when_committed(1, codes.append)
    assert codes == [ErrorCode.NONE]


def test_an_abandoned_wait_holds_nothing(three: DataPath) -> None:
    three.append(b"a")
    produced = Produced(three, (0, 1), (1, 1))
    produced.wait.deferral.abandon()
    assert len(three.partition()._commits) == 0
    assert len(three.partition(index=1)._commits) == 0
    assert three.replicas.counts.waiting[PRODUCE] == 0
    for node in (2, 3):
        follow(three, node, 1)
    three.clock.advance(10_000)
    assert produced.codes == {}
    assert produced.answers == []


# Waiting fetches


class Fetched:
    def __init__(
        self,
        path: DataPath,
        *places: tuple[int, int],
        min_bytes: int = 1,
        max_wait_ms: int = 500,
        isolation: int = 0,
        follower: bool = False,
        partition_max_bytes: int = 1 << 20,
    ) -> None:
        """``places``: (partition, offset)."""
        self.path = path
        self.answers: list[str] = []
        self.read = 0
        watched = []
        for index, offset in places:
            request = FetchPartition(
                partition=index, fetch_offset=offset, partition_max_bytes=partition_max_bytes
            )
            watched.append((path.partition(index=index), FetchEntry("t", "t", request)))
        self.wait: FetchWait[str] = FetchWait(
            path.clock,  # type: ignore[arg-type]
            path.replicas.wakeups,
            path.replicas.counts,
            max_wait_ms=max_wait_ms,
            min_bytes=min_bytes,
            replica_id=NodeId(2 if follower else -1),
            isolation=isolation,
            watched=watched,
            found={},
            answer=self._answer,
        )
        self.wait.deferral.when_done(self.answers.append)

    def _answer(self) -> str:
        self.read += 1
        return "answer"

    @property
    def is_answered(self) -> bool:
        assert len(self.answers) == self.read <= 1
        return bool(self.answers)


@pytest.fixture
def alone() -> DataPath:
    path = DataPath()
    path.create("t", 3)
    return path


def test_a_fetch_is_woken_by_the_append(alone: DataPath) -> None:
    fetched = Fetched(alone, (0, 0), (1, 0))
    alone.append(b"elsewhere", index=2)
    assert not fetched.is_answered
    alone.append(b"here", index=1)
    assert fetched.is_answered
    for index in range(3):
        assert alone.partition(index=index)._fetches == {}
    assert alone.replicas.counts.waiting[FETCH] == 0


def test_time_runs_out_once(alone: DataPath) -> None:
    fetched = Fetched(alone, (0, 0))
    alone.clock.advance(499)
    assert not fetched.is_answered
    alone.clock.advance(1)
    assert fetched.is_answered
    assert alone.replicas.counts.expired[FETCH] == 1
    alone.append(b"late")
    assert fetched.is_answered


def test_bytes_come_together_over_partitions(alone: DataPath) -> None:
    size = len(batch(b"x" * 100))
    fetched = Fetched(alone, (0, 0), (1, 0), min_bytes=3 * size)
    alone.append(b"x" * 100)
    alone.append(b"x" * 100, index=1)
    assert not fetched.is_answered
    alone.append(b"x" * 100)
    assert fetched.is_answered


def test_one_byte_too_few_is_too_few(alone: DataPath) -> None:
    size = len(batch(b"x" * 100))
    fetched = Fetched(alone, (0, 0), min_bytes=2 * size + 1)
    alone.append(b"x" * 100)
    alone.append(b"x" * 100)
    assert not fetched.is_answered
    alone.append(b"x")
    assert fetched.is_answered


def test_what_lies_there_already_counts_too(alone: DataPath) -> None:
    alone.append(b"a" * 100)
    alone.append(b"b" * 100)
    size = len(batch(b"x" * 100))
    fetched = Fetched(alone, (0, 1), min_bytes=2 * size)
    alone.append(b"c" * 100)
    assert fetched.is_answered


def test_no_partition_counts_for_more_than_may_be_read_of_it(alone: DataPath) -> None:
    size = len(batch(b"x" * 100))
    fetched = Fetched(alone, (0, 0), (1, 0), min_bytes=2 * size, partition_max_bytes=size)
    for _ in range(5):
        alone.append(b"x" * 100)
    assert not fetched.is_answered
    alone.append(b"x" * 100, index=1)
    assert fetched.is_answered


def test_a_roll_of_the_segment_ends_the_wait(alone: DataPath) -> None:
    alone.append(b"a")
    fetched = Fetched(alone, (0, 1), min_bytes=100_000)
    alone.append(b"b")
    alone.partition().log.roll()
    assert not fetched.is_answered
    alone.append(b"c")
    assert fetched.is_answered


@pytest.mark.parametrize("what", ["election", "lost", "deleted", "failed directory"])
def test_what_happens_to_a_partition_ends_the_wait(alone: DataPath, what: str) -> None:
    fetched = Fetched(alone, (0, 0), (1, 0), min_bytes=100)
    alone.append(b"a")
    others = alone.images.current.topics["t"].partitions[1:]
    if what == "election":
        alone.elect("t", partition_image(epoch=1, version=1), *others)
    elif what == "lost":
        alone.elect("t", partition_image(leader=-1, epoch=1, version=1), *others)
    elif what == "deleted":
        alone.delete("t")
    else:
        alone.partition().log.fail(OSError(5, "I/O error"))
        alone.clock.advance(0)
    assert fetched.is_answered


def test_an_isr_change_does_not_disturb(three: DataPath) -> None:
    fetched = Fetched(three, (0, 0))
    smaller = partition_image(version=1, replicas=(1, 2, 3), isr=(1, 2))
    three.elect("t", smaller, *three.images.current.topics["t"].partitions[1:])
    assert not fetched.is_answered


def test_consumers_wait_for_the_high_watermark_and_followers_for_the_end(three: DataPath) -> None:
    consumer, follower = Fetched(three, (0, 0)), Fetched(three, (0, 0), isolation=2, follower=True)
    three.append(b"a")
    assert follower.is_answered
    assert not consumer.is_answered
    follow(three, 2, 1)
    assert not consumer.is_answered
    follow(three, 3, 1)
    assert consumer.is_answered


def test_an_abandoned_fetch_holds_nothing(alone: DataPath) -> None:
    fetched = Fetched(alone, (0, 0), (1, 0))
    fetched.wait.deferral.abandon()
    assert alone.partition()._fetches == {}
    assert alone.replicas.counts.waiting[FETCH] == 0
    alone.append(b"a")
    alone.clock.advance(1000)
    assert not fetched.is_answered


def test_a_fetch_abandoned_after_it_was_woken_is_not_answered(alone: DataPath) -> None:
    fetched = Fetched(alone, (0, 0))
    alone.partition().append_as_leader(batch(b"a"))
    fetched.wait.deferral.abandon()
    alone.replicas.wakeups.run()
    assert not fetched.is_answered
    assert fetched.read == 0


class RandomWaits(RuleBasedStateMachine):
    """Any order of appends, fetches by followers, elections, deletions, time, disconnects: each
    wait ends once, rightly, and nothing is held for it afterwards."""

    @initialize()
    def start(self) -> None:
        self.path = DataPath(brokers=[broker_image(node) for node in (1, 2)])
        self.path.create("t", [partition_image(replicas=(1, 2)) for _ in range(2)])
        self.versions = [0, 0]
        self.epochs = [0, 0]
        self.produces: list[tuple[Produced, int]] = []
        self.fetches: list[Fetched] = []
        self.gone: list[Any] = []

    @rule(index=st.integers(0, 1), acks=st.booleans(), timeout_ms=st.sampled_from([10, 1000]))
    def produce(self, index: int, acks: bool, timeout_ms: int) -> None:
        partition = self.path.partition(index=index)
        if not partition.is_leader:
            return
        info = partition.append_as_leader(batch(b"x" * 50))
        if acks:
            wait = Produced(self.path, (index, info.last_offset + 1), timeout_ms=timeout_ms)
            self.produces.append((wait, index))
        self.path.replicas.wakeups.run()

    @rule(
        min_bytes=st.sampled_from([1, 200, 10_000]),
        max_wait_ms=st.sampled_from([5, 500]),
        isolation=st.sampled_from([0, 2]),
    )
    def fetch(self, min_bytes: int, max_wait_ms: int, isolation: int) -> None:
        places = [
            (index, self.path.partition(index=index).visible_end(isolation)) for index in (0, 1)
        ]
        self.fetches.append(
            Fetched(
                self.path,
                *places,
                min_bytes=min_bytes,
                max_wait_ms=max_wait_ms,
                isolation=isolation,
                follower=isolation == 2,
            )
        )

    @rule(index=st.integers(0, 1))
    def follower_catches_up(self, index: int) -> None:
        partition = self.path.partition(index=index)
        if partition.is_leader:
            follow(self.path, 2, partition.log_end_offset, index)

    @rule(index=st.integers(0, 1), leader=st.sampled_from([1, 1, 2, -1]))
    def elect(self, index: int, leader: int) -> None:
        self.versions[index] += 1
        self.epochs[index] += 1
        partitions = list(self.path.images.current.topics["t"].partitions)
        partitions[index] = partition_image(
            leader=leader,
            epoch=self.epochs[index],
            version=self.versions[index],
            replicas=(1, 2),
        )
        self.path.elect("t", *partitions)

    @rule(by=st.sampled_from([1, 7, 600]))
    def time_passes(self, by: int) -> None:
        self.path.clock.advance(by)

    @rule(data=st.data())
    def a_client_leaves(self, data: Any) -> None:
        waits = [p for p, _ in self.produces] + self.fetches
        if waits:
            wait = data.draw(st.sampled_from(waits))
            self.gone.append((wait, len(wait.answers)))
            wait.wait.deferral.abandon()

    @invariant()
    def each_is_answered_once_at_most_and_then_forgotten(self) -> None:
        if not hasattr(self, "path"):
            return
        partitions = [self.path.partition(index=index) for index in (0, 1)]
        counts = self.path.replicas.counts
        open_produces = 0
        for wait, index in self.produces:
            assert len(wait.answers) <= 1
            if not wait.wait.deferral.done:
                open_produces += 1
            if wait.answers:
                assert set(wait.codes) == {index}
        open_fetches = [f for f in self.fetches if not f.wait.deferral.done]
        for fetched in self.fetches:
            assert len(fetched.answers) <= 1
        assert counts.waiting[PRODUCE] == open_produces
        assert counts.waiting[FETCH] == len(open_fetches)
        assert sum(len(p._commits) for p in partitions) == open_produces
        for partition in partitions:
            assert set(partition._fetches) == {f.wait for f in open_fetches}
        for wait, answers in self.gone:
            assert len(wait.answers) == answers

    @invariant()
    def who_could_be_answered_was(self) -> None:
        if not hasattr(self, "path"):
            return
        for wait, index in self.produces:
            partition = self.path.partition(index=index)
            if not wait.wait.deferral.done:
                assert partition.is_leader
                assert partition.high_watermark < partition.log_end_offset
        for fetched in self.fetches:
            if fetched.wait.deferral.done or fetched.wait.min_bytes > 1:
                continue
            for partition, entry in fetched.wait._partitions:
                bound = partition.visible_end(fetched.wait.isolation)
                assert bound <= entry.request.fetch_offset

    def teardown(self) -> None:
        if not hasattr(self, "path"):
            return
        self.path.clock.advance(10_000)
        counts = self.path.replicas.counts
        assert counts.waiting == {PRODUCE: 0, FETCH: 0, DELETE_RECORDS: 0}


TestRandomWaits = RandomWaits.TestCase
TestRandomWaits.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(offsets=st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_commits_are_told_as_far_as_the_high_watermark_and_no_further(offsets: list[int]) -> None:
    path = DataPath(brokers=[broker_image(node) for node in (1, 2)])
    path.create("t", [partition_image(replicas=(1, 2))])
    for _ in range(6):
        path.append(b"x")
    told: list[int] = []
    partition = path.partition()
    for at, offset in enumerate(offsets):

        def committed(code: ErrorCode, at: int = at) -> None:
            assert code is ErrorCode.NONE
            told.append(at)

        partition.when_committed(offset, committed)
    for reached in range(1, 7):
        follow(path, 2, reached)
        assert sorted(told) == [at for at, offset in enumerate(offsets) if offset <= reached]
