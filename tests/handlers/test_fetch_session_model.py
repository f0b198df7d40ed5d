"""A client with a fetch session against partitions that live: whatever a fetch without a session
would tell it, it is told by the next answer, and a waiting fetch ends when there is something.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import pykbroker.handlers.fetch  # noqa: F401
from pykbroker.runtime.waiters import Deferral
from pykbroker.state.fetch_session import EVICTION_MS, next_epoch
from tests.support.data_path import DataPath, Waiting, batch, broker_image, partition_image
from tests.support.manual_clock import START_WALL_MS
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic
from wire.records.batch import iter_headers
from wire.records.record import Record, build_batch

INDEXES = range(3)
SIZE = len(batch(b"x" * 50))
GONE = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
ALL_GONE = (GONE, ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.INCONSISTENT_TOPIC_ID)
UNHURRIED = (*ALL_GONE, ErrorCode.OFFSET_OUT_OF_RANGE)
"""Told when the wait is over, as by Kafka: no wait ends for records that are deleted."""
NAMES, IDS = 12, 18
EVENTS = (
    "replicas_agree",
    "lead",
    "move_away",
    "move_away_and_back",
    "lose_the_leader",
    "truncate",
    "delete_records",
    "make_topic_anew",
)
WISHES = (
    "assign",
    "learn_of_the_current_leader",
    "learn_of_the_current_leader",
    "learn_of_the_next_leader",
    "know_no_epoch",
    "seek_back",
)
index_of = st.sampled_from(INDEXES)


def standing(part: Any) -> tuple[int, int, int]:
    # Of a topic that is gone a session may know the name, and say more.
    code = GONE if part.error_code in ALL_GONE else part.error_code
    return code, part.high_watermark, part.log_start_offset


class SessionModel(RuleBasedStateMachine):
    """This broker is 1 of two that hold every partition; leaders come and go."""

    waiting: Waiting | None = None
    failure: Exception | None = None

    @initialize(version=st.sampled_from([NAMES, IDS]), slots=st.sampled_from([1, 1, 3]))
    def start(self, version: int, slots: int) -> None:
        self.version = version
        self.path = DataPath(
            brokers=[broker_image(node) for node in (1, 2)],
            max_incremental_fetch_session_cache_slots=slots,
        )
        self.epochs = [0 for _ in INDEXES]
        self.versions = [0 for _ in INDEXES]
        self.make_topic()
        self.topic_id = self.real_id()
        self.wanted: set[int] = {0, 1, 2}
        self.positions = dict.fromkeys(INDEXES, 0)
        self.known_epochs = dict.fromkeys(INDEXES, 0)
        self.session = (0, 0)
        self.sent: dict[int, FetchPartition] = {}
        self.believed: dict[int, tuple[int, int, int]] = {}
        self.starved = dict.fromkeys(INDEXES, 0)
        self.min_bytes = self.max_bytes = 0

    def make_topic(self) -> None:
        self.path.create("t", [self.image_of(i, leader=1) for i in INDEXES])

    def real_id(self) -> bytes:
        return bytes(self.path.images.current.topics["t"].topic_id)

    def image_of(self, index: int, leader: int) -> Any:
        return partition_image(
            leader=leader,
            epoch=self.epochs[index],
            version=self.versions[index],
            replicas=(1, 2),
        )

    # What happens to the partitions

    @rule(
        index=index_of, size=st.sampled_from([50, 300]), agree=st.sampled_from([True, True, False])
    )
    def append(self, index: int, size: int, agree: bool) -> None:
        partition = self.path.partition(index=index)
        record = Record(0, START_WALL_MS, None, b"x" * size)
        if partition.is_leader:
            partition.append_as_leader(build_batch([record]))
        else:
            data = build_batch([record], base_offset=partition.log_end_offset)
            partition.log.append_as_follower(data, partition.leader_epoch)
        self.path.replicas.wakeups.run()
        if agree:
            self.replicas_agree(index)

    @rule(index=index_of, what=st.sampled_from(EVENTS))
    def something_happens(self, index: int, what: str) -> None:
        getattr(self, what)(index)

    def replicas_agree(self, index: int) -> None:
        """Each has what the other has, and knows it."""
        partition = self.path.partition(index=index)
        end = partition.log_end_offset
        if partition.is_leader:
            request = FetchPartition(partition=index, fetch_offset=end, log_start_offset=0)
            partition.follower_fetched(2, 12, request, end)  # type: ignore[arg-type]
        elif end > partition.high_watermark:
            partition.log.update_high_watermark(end)
            partition.high_watermark_moved()
        self.path.replicas.wakeups.run()

    def elect(self, index: int, leader: int) -> None:
        self.epochs[index] += 1
        self.versions[index] += 1
        images = list(self.path.images.current.topics["t"].partitions)
        images[index] = self.image_of(index, leader)
        self.path.elect("t", *images)

    def lead(self, index: int) -> None:
        self.elect(index, 1)

    def move_away(self, index: int) -> None:
        self.elect(index, 2)

    def move_away_and_back(self, index: int) -> None:
        self.elect(index, 2)
        self.elect(index, 1)

    def lose_the_leader(self, index: int) -> None:
        self.elect(index, -1)

    def truncate(self, index: int) -> None:
        """As a follower does whose leader has less."""
        partition = self.path.partition(index=index)
        if not partition.is_leader:
            partition.log.truncate_to(partition.high_watermark)

    def delete_records(self, index: int) -> None:
        partition = self.path.partition(index=index)
        if partition.is_leader:
            partition.delete_records(-1)
            self.path.replicas.wakeups.run()

    def make_topic_anew(self, _: int) -> None:
        self.path.delete("t")
        self.make_topic()

    # Others

    @rule(by=st.sampled_from([100, 500, EVICTION_MS + 1]), others=st.integers(0, 1))
    def time_passes(self, by: int, others: int) -> None:
        """And other clients come."""
        self.path.clock.advance(by)
        now_ms = self.path.clock.monotonic_ms()
        for _ in range(others):
            context = self.path.sessions.context(
                0,
                0,
                [],
                (),
                uses_topic_ids=False,
                is_follower=False,
                now_ms=now_ms,
                names=lambda _: None,
            )
            context.finish([], now_ms)

    # The client

    @precondition(lambda self: self.waiting is None)
    @rule(what=st.sampled_from(WISHES), index=index_of)
    def the_client_changes(self, what: str, index: int) -> None:
        getattr(self, what)(index)

    def assign(self, index: int) -> None:
        self.wanted = (self.wanted ^ {index}) or {index}

    def learn_metadata(self, ahead: int = 0) -> None:
        for index in INDEXES:
            self.known_epochs[index] = self.path.partition(index=index).leader_epoch + ahead
        if self.topic_id != self.real_id():
            self.topic_id = self.real_id()
            # A session has no way to forget the partitions of another topic of that name.
            self.session = (self.session[0], 0)

    def learn_of_the_current_leader(self, _: int) -> None:
        self.learn_metadata()

    def learn_of_the_next_leader(self, _: int) -> None:
        """From a broker that knows more than this one."""
        self.learn_metadata(ahead=1)

    def know_no_epoch(self, index: int) -> None:
        self.known_epochs[index] = -1

    def seek_back(self, index: int) -> None:
        self.positions[index] = max(self.positions[index] - 1, 0)

    @precondition(lambda self: self.waiting is not None)
    @rule(how=st.sampled_from(["in time", "in time", "unnoticed", "abandoned"]))
    def the_wait_ends(self, how: str) -> None:
        assert self.waiting is not None
        if how == "in time":
            self.path.clock.advance(500)
            assert self.waiting is None
            return
        if how == "abandoned":
            self.waiting.deferral.abandon()
        self.waiting = None
        self.session = (self.session[0], 0)

    @precondition(lambda self: self.waiting is None)
    @rule()
    def fetch_at_once(self) -> None:
        self.fetch(0, 1, 1 << 20, 1 << 20)

    @precondition(lambda self: self.waiting is None)
    @rule()
    def fetch_and_wait(self) -> None:
        self.fetch(500, 1, 1 << 20, 1 << 20)

    @precondition(lambda self: self.waiting is None)
    @rule(
        wait_ms=st.sampled_from([0, 500, 500]),
        min_bytes=st.sampled_from([1, 2 * SIZE, 100 * SIZE]),
        max_bytes=st.sampled_from([1, 2 * SIZE, 1 << 20]),
        partition_max_bytes=st.sampled_from([SIZE, 1 << 20]),
    )
    def fetch(self, wait_ms: int, min_bytes: int, max_bytes: int, partition_max_bytes: int) -> None:
        self.min_bytes, self.max_bytes = min(min_bytes, max_bytes), max_bytes
        asked = {i: self.asks(i, partition_max_bytes) for i in sorted(self.wanted)}
        is_full = self.session[1] == 0
        before = {} if is_full else self.sent
        self.sent = asked
        request = self.request(
            [asked[i] for i in asked if asked[i] != before.get(i)],
            session=self.session,
            wait_ms=wait_ms,
            forgotten=[i for i in before if i not in asked],
        )
        if is_full:
            self.believed = {}
        self.believed = {i: b for i, b in self.believed.items() if i in asked}
        response = self.path.call(request, self.version)
        if not isinstance(response, Deferral):
            self.take(response)
            return
        self.waiting = waiting = Waiting(response, self.version)
        response.when_done(lambda answer: self.waited(waiting, answer))

    def asks(self, index: int, partition_max_bytes: int = 1 << 20) -> FetchPartition:
        return FetchPartition(
            partition=index,
            fetch_offset=self.positions[index],
            current_leader_epoch=self.known_epochs[index],
            partition_max_bytes=partition_max_bytes,
        )

    def request(
        self,
        partitions: list[FetchPartition],
        *,
        session: tuple[int, int],
        wait_ms: int,
        forgotten: list[int],
    ) -> FetchRequest:
        topic = FetchTopic(topic="t", topic_id=self.topic_id, partitions=partitions)
        gone = ForgottenTopic(topic="t", topic_id=self.topic_id, partitions=forgotten)
        return FetchRequest(
            max_wait_ms=wait_ms,
            min_bytes=self.min_bytes,
            max_bytes=self.max_bytes,
            session_id=session[0],
            session_epoch=session[1],
            topics=[topic] if partitions else [],
            forgotten_topics_data=[gone] if forgotten else [],
        )

    def waited(self, waiting: Waiting, response: Any) -> None:
        if self.waiting is waiting:
            self.waiting = None
            try:
                self.take(response)
            except Exception as error:  # whoever wakes a fetch must not hear of it
                self.failure = error

    @invariant()
    def what_was_waited_for_was_right(self) -> None:
        if self.failure is not None:
            raise self.failure

    def take(self, response: Any) -> None:
        """The client's side of KIP-227, and what it must know by now."""
        if response.error_code:
            assert response.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND
            assert self.path.sessions.get(self.session[0]) is None
            self.session = (0, 0)
            return
        told = {p.partition_index: p for topic in response.responses for p in topic.partitions}
        assert set(told) <= set(self.sent)
        if self.session[1] == 0:
            assert set(told) == set(self.sent)
        for index, part in told.items():
            self.believed[index] = standing(part)
        for index, asked in self.sent.items():
            alone = self.without_session(asked)
            assert self.believed.get(index) == standing(alone), index
            if alone.error_code:
                assert index in told
            got = index in told and len(told[index].records) > 0
            # Those before it take their turn once; without a session the client says whose it is.
            is_late = self.session[1] > 0 and len(alone.records) > 0 and not got
            self.starved[index] = self.starved[index] + 1 if is_late else 0
            assert self.starved[index] < len(INDEXES)
        if response.session_id:
            self.session = (response.session_id, next_epoch(self.session[1]))
        else:
            self.session = (0, 0)
        for index, part in told.items():
            self.advance(index, part)

    def advance(self, index: int, part: Any) -> None:
        if part.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
            self.positions[index] = self.path.partition(index=index).log_start_offset
        for _, header in iter_headers(part.records):
            assert header.base_offset <= self.positions[index] <= header.last_offset
            self.positions[index] = header.last_offset + 1

    def without_session(self, asked: FetchPartition) -> Any:
        request = self.request([asked], session=(0, -1), wait_ms=0, forgotten=[])
        [topic] = self.path.answer(request, self.version).responses
        return topic.partitions[0]

    @invariant()
    def who_waits_has_nothing_to_hear_of(self) -> None:
        if getattr(self, "waiting", None) is None:
            return
        request = self.request(list(self.sent.values()), session=(0, -1), wait_ms=0, forgotten=[])
        size = 0
        for topic in self.path.answer(request, self.version).responses:
            for part in topic.partitions:
                assert part.error_code == 0 or part.error_code in UNHURRIED
                # A batch larger than its partition's limit counts for no more than the limit.
                limit = self.sent[part.partition_index].partition_max_bytes
                size += min(len(part.records), limit)
        assert size < self.min_bytes

    def teardown(self) -> None:
        if not hasattr(self, "path"):
            return
        self.path.clock.advance(500)
        assert self.waiting is None
        assert all(not p._fetches for p in self.path.replicas.partitions())


TestSessionModel = SessionModel.TestCase
TestSessionModel.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
