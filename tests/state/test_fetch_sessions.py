"""Fetch sessions (KIP-227): epochs, changes only, rotation, a bounded cache."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pykbroker.state.fetch_session import (
    EVICTION_MS,
    MAX_EPOCH,
    NO_SESSION,
    Answer,
    FetchContext,
    FetchEntry,
    FetchSessionCache,
    next_epoch,
)
from wire.errors import ErrorCode
from wire.messages.fetch import EpochEndOffset, FetchPartition, PartitionData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.state.fetch_session import TopicKey

ID_A, ID_B = b"A" * 16, b"B" * 16


def entry(topic: str | bytes = "t", partition: int = 0, offset: int = 0, **more: Any) -> FetchEntry:
    name = topic if isinstance(topic, str) else more.pop("name", "a topic")
    request = FetchPartition(partition=partition, fetch_offset=offset, **more)
    return FetchEntry(topic, name, request)


def data(hw: int = 0, start: int = 0, error: int = 0, **more: Any) -> PartitionData:
    return PartitionData(
        high_watermark=hw, log_start_offset=start, error_code=error, records=b"", **more
    )


class Server:
    """A cache and a clock."""

    def __init__(self, slots: int = 10) -> None:
        self.slots = slots
        self.cache = FetchSessionCache(Random(1), lambda: self.slots, self.count)
        self.counted: dict[str | None, int] = {}
        self.now_ms = 0

    def count(self, topic: str | None, partitions: int) -> None:
        self.counted[topic] = self.counted.get(topic, 0) + partitions

    def context(
        self,
        session_id: int = 0,
        epoch: int = 0,
        wanted: Iterable[FetchEntry] = (),
        forgotten: Iterable[tuple[TopicKey, int]] = (),
        *,
        ids: bool = False,
        follower: bool = False,
        names: dict[bytes, str] | None = None,
    ) -> FetchContext:
        return self.cache.context(
            session_id,
            epoch,
            list(wanted),
            forgotten,
            uses_topic_ids=ids,
            is_follower=follower,
            now_ms=self.now_ms,
            names=(names or {}).get,
        )

    def open(self, *entries: FetchEntry, follower: bool = False, ids: bool = False) -> int:
        """A new session with these partitions, all of them empty; its id."""
        context = self.context(wanted=entries, follower=follower, ids=ids)
        answers = [Answer(e, data(), 0) for e in context.entries()]
        error, session_id, _ = context.finish(answers, self.now_ms)
        assert error is ErrorCode.NONE
        return session_id

    def fetch(
        self,
        session_id: int,
        epoch: int,
        found: dict[tuple[TopicKey, int], tuple[PartitionData, int]] | None = None,
        **options: Any,
    ) -> tuple[ErrorCode, int, list[tuple[TopicKey, int]]]:
        """What an incremental fetch is answered; ``found`` is what differs from empty."""
        context = self.context(session_id, epoch, **options)
        if context.error is not ErrorCode.NONE:
            return context.error, NO_SESSION, []
        answers = [
            Answer(e, *(found or {}).get((e.key, e.partition), (data(), 0)))
            for e in context.entries()
        ]
        error, answered_id, told = context.finish(answers, self.now_ms)
        return error, answered_id, [(a.entry.key, a.entry.partition) for a in told]


def test_epochs_count_up_and_wrap_to_one() -> None:
    assert [next_epoch(e) for e in (0, 1, MAX_EPOCH, -1)] == [1, 2, 1, -1]


def test_a_full_fetch_makes_a_session_and_answers_everything() -> None:
    server = Server()
    context = server.context(wanted=[entry(partition=0), entry(partition=1)])
    answers = [Answer(e, data(), 0) for e in context.entries()]
    error, session_id, told = context.finish(answers, 0)
    assert error is ErrorCode.NONE
    assert session_id > 0
    assert told == answers
    assert len(server.cache) == 1
    assert server.cache.partitions == 2


def test_the_second_fetch_of_a_thousand_idle_partitions_answers_none() -> None:
    server = Server()
    session_id = server.open(*(entry(partition=index) for index in range(1000)))
    assert server.fetch(session_id, 1) == (ErrorCode.NONE, session_id, [])
    assert server.fetch(session_id, 2) == (ErrorCode.NONE, session_id, [])
    assert server.cache.partitions == 1000


@pytest.mark.parametrize(
    ("changed", "size"),
    [
        (data(), 5),
        (data(hw=1), 0),
        (data(start=1), 0),
        (data(error=6), 0),
        (data(diverging_epoch=EpochEndOffset(epoch=0, end_offset=0)), 0),
        (data(preferred_read_replica=2), 0),
    ],
    ids=["records", "high watermark", "log start", "error", "divergence", "nearer replica"],
)
def test_what_changed_is_answered(changed: PartitionData, size: int) -> None:
    server = Server()
    session_id = server.open(entry(partition=0), entry(partition=1))
    _, _, told = server.fetch(session_id, 1, {("t", 1): (changed, size)})
    assert told == [("t", 1)]


def test_what_was_told_is_no_news_and_what_was_wrong_is() -> None:
    server = Server()
    session_id = server.open(entry())
    there = {("t", 0): (data(hw=4, start=1), 0)}
    assert server.fetch(session_id, 1, there)[2] == [("t", 0)]
    assert server.fetch(session_id, 2, there)[2] == []
    wrong = {("t", 0): (data(hw=4, start=1, error=6), 0)}
    assert server.fetch(session_id, 3, wrong)[2] == [("t", 0)]
    assert server.fetch(session_id, 4, there)[2] == [("t", 0)]
    assert server.fetch(session_id, 5, there)[2] == []


def test_partitions_with_records_are_read_last_next_time() -> None:
    server = Server()
    session_id = server.open(*(entry(partition=index) for index in range(4)))
    server.fetch(session_id, 1, {("t", 0): (data(), 10), ("t", 2): (data(), 10)})
    session = server.cache.get(session_id)
    assert session is not None
    assert [partition for _, partition in session.entries] == [1, 3, 0, 2]
    # News without records does not cost a place.
    server.fetch(session_id, 2, {("t", 1): (data(hw=9), 0)})
    assert [partition for _, partition in session.entries] == [1, 3, 0, 2]


def test_partitions_are_added_changed_and_forgotten() -> None:
    server = Server()
    session_id = server.open(entry(partition=0), entry(partition=1))
    _, _, told = server.fetch(
        session_id, 1, wanted=[entry(partition=2), entry(partition=1, offset=7)]
    )
    assert told == [("t", 2)]
    session = server.cache.get(session_id)
    assert session is not None
    assert session.entries["t", 1].request.fetch_offset == 7
    server.fetch(session_id, 2, forgotten=[("t", 0), ("t", 99)])
    assert [partition for _, partition in session.entries] == [1, 2]
    assert server.cache.partitions == 2


def test_a_session_without_partitions_is_closed() -> None:
    server = Server()
    session_id = server.open(entry())
    error, answered_id, told = server.fetch(session_id, 1, forgotten=[("t", 0)])
    assert (error, answered_id, told) == (ErrorCode.NONE, NO_SESSION, [])
    assert len(server.cache) == 0
    assert server.cache.partitions == 0


def test_wrong_epochs_and_ids_are_refused() -> None:
    server = Server()
    session_id = server.open(entry())
    assert server.fetch(session_id, 2)[0] is ErrorCode.INVALID_FETCH_SESSION_EPOCH
    assert server.fetch(session_id + 1, 1)[0] is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    assert server.fetch(session_id, 1)[0] is ErrorCode.NONE
    assert server.fetch(session_id, 1)[0] is ErrorCode.INVALID_FETCH_SESSION_EPOCH
    assert server.fetch(session_id, 2)[0] is ErrorCode.NONE


def test_a_fetch_that_another_overtook_is_refused_when_it_is_answered() -> None:
    server = Server()
    session_id = server.open(entry())
    waiting = server.context(session_id, 1)
    assert server.fetch(session_id, 2)[0] is ErrorCode.NONE
    entries = list(waiting.entries())
    error, answered_id, told = waiting.finish([Answer(entries[0], data(hw=3), 0)], 0)
    assert error is ErrorCode.INVALID_FETCH_SESSION_EPOCH
    assert (answered_id, told) == (session_id, [])
    assert waiting.finish_throttled() == (ErrorCode.INVALID_FETCH_SESSION_EPOCH, session_id)


def test_a_full_fetch_closes_the_session_it_names() -> None:
    server = Server()
    first = server.open(entry())
    context = server.context(first, -1, [entry()])
    assert len(server.cache) == 0
    answers = [Answer(e, data(), 0) for e in context.entries()]
    assert context.finish(answers, 0) == (ErrorCode.NONE, NO_SESSION, answers)
    assert context.finish_throttled() == (ErrorCode.NONE, NO_SESSION)
    second = server.open(entry())
    server.context(second, 0, [entry()])
    assert server.cache.get(second) is None


def test_names_and_ids_do_not_mix_in_a_session() -> None:
    server = Server()
    by_name, by_id = server.open(entry()), server.open(entry(ID_A), ids=True)
    assert server.fetch(by_name, 1, ids=True)[0] is ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    assert server.fetch(by_id, 1)[0] is ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    assert server.fetch(by_id, 1, ids=True)[0] is ErrorCode.NONE


def test_an_unknown_id_stays_until_its_name_is_known() -> None:
    server = Server()
    session_id = server.open(FetchEntry(ID_A, None, FetchPartition()), ids=True)
    session = server.cache.get(session_id)
    assert session is not None
    server.fetch(session_id, 1, ids=True)
    assert session.entries[ID_A, 0].topic is None
    server.fetch(session_id, 2, ids=True, names={ID_A: "now known", ID_B: "other"})
    assert session.entries[ID_A, 0].topic == "now known"
    # The topic may be deleted since: the session knows what it was.
    server.fetch(session_id, 3, ids=True)
    assert session.entries[ID_A, 0].topic == "now known"


def test_a_throttled_answer_teaches_the_session_nothing() -> None:
    server = Server()
    session_id = server.open(entry())
    context = server.context(session_id, 1)
    assert context.finish_throttled() == (ErrorCode.NONE, session_id)
    assert server.fetch(session_id, 2, {("t", 0): (data(hw=3), 0)})[2] == [("t", 0)]


def test_of_a_partition_named_twice_the_last_counts() -> None:
    server = Server()
    context = server.context(wanted=[entry(offset=1), entry(partition=1), entry(offset=5)])
    assert [(e.partition, e.request.fetch_offset) for e in context.entries()] == [(0, 5), (1, 0)]


# Eviction


def test_without_a_slot_there_is_no_session() -> None:
    server = Server(slots=0)
    assert server.open(entry()) == NO_SESSION
    assert len(server.cache) == 0


def test_a_full_cache_of_young_sessions_takes_no_more() -> None:
    server = Server(slots=2)
    first, second = server.open(entry()), server.open(entry())
    assert server.open(*(entry(partition=i) for i in range(9))) == NO_SESSION
    assert server.fetch(first, 1)[0] is server.fetch(second, 1)[0] is ErrorCode.NONE
    assert server.cache.evictions == 0


def test_a_stale_session_goes_for_any_other_the_oldest_first() -> None:
    server = Server(slots=2)
    first, second = server.open(entry()), server.open(entry())
    server.now_ms = 10
    server.fetch(first, 1)
    server.now_ms = EVICTION_MS + 1
    third = server.open(entry())
    assert third != NO_SESSION
    assert server.cache.get(second) is None
    assert server.cache.get(first) is not None
    assert server.cache.evictions == 1
    assert server.open(entry()) == NO_SESSION  # The first was used less long ago.


def aged(server: Server, *sessions: int) -> None:
    """Long in use, each of them used just now."""
    for epoch, now_ms in ((1, EVICTION_MS // 2), (2, EVICTION_MS), (3, EVICTION_MS + 1)):
        server.now_ms = now_ms
        for session_id in sessions:
            assert server.fetch(session_id, epoch)[0] is ErrorCode.NONE


def test_a_larger_one_drives_out_the_smallest_of_the_old() -> None:
    server = Server(slots=2)
    small, large = server.open(entry()), server.open(*(entry(partition=i) for i in range(5)))
    aged(server, small, large)
    assert server.open(entry()) == NO_SESSION  # Worth no more than the smallest.
    newcomer = server.open(entry(partition=0), entry(partition=1))
    assert newcomer != NO_SESSION
    assert server.cache.get(small) is None
    assert server.cache.get(large) is not None
    # What is new stays, whatever its size.
    assert server.open(*(entry(partition=i) for i in range(3))) == NO_SESSION


def test_a_follower_drives_out_consumers_but_no_consumer_a_follower() -> None:
    server = Server(slots=2)
    consumer = server.open(*(entry(partition=i) for i in range(50)))
    follower = server.open(entry(), follower=True)
    second = server.open(entry(), follower=True)
    assert second != NO_SESSION
    assert server.cache.get(consumer) is None
    aged(server, follower, second)
    assert server.open(*(entry(partition=i) for i in range(50))) == NO_SESSION
    third = server.open(entry(partition=0), entry(partition=1), follower=True)
    assert third != NO_SESSION
    assert len(server.cache) == 2


def test_a_lower_limit_holds_for_the_next_session() -> None:
    server = Server(slots=3)
    for _ in range(3):
        server.open(entry())
    server.slots = 1
    assert server.open(entry()) == NO_SESSION
    assert len(server.cache) == 3


PLACES = [("t", 0), ("t", 1), ("u", 0), ("u", 1)]


class ClientAndServer(RuleBasedStateMachine):
    """A client that keeps its session as KIP-227 says, against partitions that change.

    What the client believes of each partition must be what the server has, after every answer,
    though most answers leave most partitions out.
    """

    @initialize(slots=st.integers(0, 2))
    def start(self, slots: int) -> None:
        self.server = Server(slots)
        self.truth = {place: (0, 0, 0) for place in PLACES}
        self.session_id = self.epoch = 0
        self.believed: dict[Any, tuple[int, int]] = {}
        self.wanted: set[Any] = set()
        self.others = 0

    @rule(place=st.sampled_from(PLACES), hw=st.integers(0, 3), start=st.integers(0, 1))
    def partition_changes(self, place: Any, hw: int, start: int) -> None:
        self.truth[place] = (hw, start, self.truth[place][2])

    @rule(place=st.sampled_from(PLACES), error=st.sampled_from([0, 0, 6]))
    def partition_fails_or_heals(self, place: Any, error: int) -> None:
        self.truth[place] = (*self.truth[place][:2], error)

    @rule(add=st.sets(st.sampled_from(PLACES)), remove=st.sets(st.sampled_from(PLACES)))
    def fetch(self, add: set[Any], remove: set[Any]) -> None:
        remove -= add
        is_full = self.epoch == 0
        after = (self.wanted | add) - remove
        listed = after if is_full else add - self.wanted
        forgotten = [] if is_full else sorted(self.wanted & remove)
        if not after:
            return
        context = self.server.context(
            self.session_id, self.epoch, [entry(*place) for place in sorted(listed)], forgotten
        )
        if context.error is not ErrorCode.NONE:
            assert self.session_id != NO_SESSION
            assert self.server.cache.get(self.session_id) is None
            self.session_id = self.epoch = 0
            return
        answers = []
        for e in context.entries():
            hw, start, error = self.truth[e.key, e.partition]
            answers.append(Answer(e, data(hw=-1 if error else hw, start=start, error=error), 0))
        assert {(a.entry.key, a.entry.partition) for a in answers} == after
        error, session_id, told = context.finish(answers, self.server.now_ms)
        assert error is ErrorCode.NONE
        self.wanted = after
        self.believed = {place: b for place, b in self.believed.items() if place in after}
        for answer in told:
            place = (answer.entry.key, answer.entry.partition)
            assert place in after
            if answer.data.error_code:
                self.believed.pop(place, None)
            else:
                self.believed[place] = (answer.data.high_watermark, answer.data.log_start_offset)
        self.check(told, is_full)
        self.epoch = next_epoch(self.epoch) if session_id else 0
        self.session_id = session_id

    def check(self, told: list[Answer], is_full: bool) -> None:
        for place in self.wanted:
            hw, start, error = self.truth[place]
            assert self.believed.get(place) == (None if error else (hw, start))
        if is_full:
            assert len(told) == len(self.wanted)

    @rule(by=st.sampled_from([1, EVICTION_MS // 2, EVICTION_MS + 1]))
    def time_passes(self, by: int) -> None:
        self.server.now_ms += by

    @rule(size=st.integers(1, 5), follower=st.booleans())
    def another_client_comes(self, size: int, follower: bool) -> None:
        self.server.open(*(entry(partition=i) for i in range(size)), follower=follower)

    @invariant()
    def the_cache_keeps_its_limit_and_its_count(self) -> None:
        if hasattr(self, "server"):
            sessions = list(self.server.cache._sessions.values())
            assert len(sessions) <= self.server.slots
            assert self.server.cache.partitions == sum(len(s.entries) for s in sessions)


TestClientAndServer = ClientAndServer.TestCase
TestClientAndServer.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_a_session_reads_is_counted_by_topic() -> None:
    server = Server()
    session_id = server.open(entry("t", 0), entry("t", 1), entry("u", 0))
    for epoch in (1, 2):
        server.context(session_id, epoch).count_fetch()
    assert server.counted == {}
    for session in server.cache.sessions():
        session.settle()
    assert server.counted == {"t": 4, "u": 2}
    # Each read counts for what was in the session then.
    server.context(session_id, 3, forgotten=[("t", 0)]).count_fetch()
    server.context(session_id, 4, wanted=[entry("u", 7)]).count_fetch()
    server.cache.remove(session_id)
    assert server.counted == {"t": 4 + 1 + 1, "u": 2 + 1 + 2}
