"""KIP-73 as a leader: what replicas out of sync are not sent while the quota is exceeded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pykbroker.handlers.registry import load_all
from pykbroker.runtime.throttles import Throttles
from tests.support.data_path import ME, DataPath, Waiting, broker_image, partition_image
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ReplicaState

load_all()
IN_SYNC, LATE = 2, 3
VALUE = b"v" * 1_000
LIMIT = 1_500
"""Bytes per second: one batch of a VALUE does not exceed it, two do."""
RATE = "leader.replication.throttled.rate"


class Leader:
    """Of topic t, one of whose followers is late, and what they ask it."""

    def __init__(self, throttled: str = "*", partitions: int = 1, **settings: Any) -> None:
        self.path = DataPath(brokers=[broker_image(n) for n in (1, 2, 3)], **settings)
        self.throttles = Throttles(ME, cast("Any", self.path.clock), self.path.settings)
        images = [partition_image(replicas=(1, 2, 3), isr=(1, 2)) for _ in range(partitions)]
        self.id = self.path.create(
            "t", images, **{"leader.replication.throttled.replicas": throttled}
        )
        followers = SimpleNamespace(follow=lambda _: None, unfollow=lambda _: None)
        replication = SimpleNamespace(
            followers=followers, isr_updates=None, throttles=self.throttles
        )
        self.path.replicas.replicate(lambda: cast("Any", replication))
        self.limit(LIMIT)

    def limit(self, rate: int | None) -> None:
        own = {} if rate is None else {RATE: str(rate)}
        assert self.path.settings.update(own, {}) == []

    def request(self, node: int, offset: int, *indexes: int, **options: Any) -> FetchRequest:
        partitions = [
            FetchPartition(
                partition=index,
                current_leader_epoch=0,
                fetch_offset=offset,
                log_start_offset=0,
                partition_max_bytes=1 << 20,
            )
            for index in indexes or (0,)
        ]
        return FetchRequest(
            replica_state=ReplicaState(replica_id=node, replica_epoch=10 + node),
            min_bytes=1,
            topics=[FetchTopic(topic_id=self.id, partitions=partitions)],
            **options,
        )

    def fetch(self, node: int, offset: int, *indexes: int, **options: Any) -> list[int]:
        """The size of what each partition brings."""
        answer = self.path.answer(self.request(node, offset, *indexes, **options), 17)
        return [len(p.records or b"") for t in answer.responses for p in t.partitions]

    def wait(self, node: int, offset: int) -> Waiting:
        return self.path.wait(self.request(node, offset, max_wait_ms=500), 17)

    def exceed(self) -> None:
        """By what is sent to the replica in sync."""
        self.path.append(VALUE)
        self.path.append(VALUE)
        assert sum(self.fetch(IN_SYNC, 0)) > LIMIT


def test_over_the_quota_a_late_replica_is_sent_nothing_and_counts_all_the_same() -> None:
    leader = Leader()
    leader.exceed()
    assert leader.fetch(LATE, 1) == [0]
    assert leader.path.partition().state.followers[cast("Any", LATE)].log_end_offset == 1


def test_it_goes_on_once_the_rate_has_fallen() -> None:
    leader = Leader()
    leader.exceed()
    leader.path.clock.advance(1_000)
    assert leader.fetch(LATE, 0) == [0]
    leader.path.clock.advance(1_000)
    assert sum(leader.fetch(LATE, 0)) > 2_000


def test_a_replica_in_sync_is_never_throttled() -> None:
    leader = Leader()
    leader.exceed()
    for _ in range(5):
        assert sum(leader.fetch(IN_SYNC, 0)) > 2_000


def test_consumers_are_not_throttled_and_count_for_nothing() -> None:
    leader = Leader()
    leader.exceed()
    leader.fetch(IN_SYNC, 2)
    before = leader.throttles.leader.rate(leader.path.clock.now_ms)
    request = leader.request(-1, 0)
    request.replica_state = ReplicaState()
    answer = leader.path.answer(request, 17)
    assert answer.responses[0].partitions[0].records
    assert leader.throttles.leader.rate(leader.path.clock.now_ms) == before


def test_one_answer_may_exceed_the_quota() -> None:
    leader = Leader()
    for _ in range(10):
        leader.path.append(VALUE)
    assert sum(leader.fetch(LATE, 0)) > 10_000
    assert leader.fetch(LATE, 9) == [0]


@pytest.mark.parametrize(
    ("throttled", "brings"),
    [
        ("*", [False, False]),
        ("0:1", [False, True]),
        ("0:2,1:1", [True, False]),
        ("0:2,1:3", [True, True]),
        ("", [True, True]),
    ],
)
def test_what_the_topic_names_is_held_back_and_the_rest_is_not(
    throttled: str, brings: list[bool]
) -> None:
    """Pairs of partition and leading broker; this one is 1."""
    leader = Leader(throttled, partitions=2)
    for index in (0, 1):
        leader.path.append(VALUE, index=index)
    leader.throttles.sent(10_000)
    assert [size > 0 for size in leader.fetch(LATE, 0, 0, 1)] == brings


def test_only_what_is_throttled_counts() -> None:
    leader = Leader("0:1", partitions=2)
    leader.path.append(VALUE, index=1)
    leader.path.append(VALUE, index=1)
    assert sum(leader.fetch(IN_SYNC, 0, 1)) > LIMIT
    assert leader.throttles.leader.rate(leader.path.clock.now_ms) == 0


def test_without_a_rate_nothing_is_held_back_and_a_lowered_one_looks_back() -> None:
    leader = Leader()
    leader.limit(None)
    leader.exceed()
    assert sum(leader.fetch(LATE, 0)) > 2_000
    leader.limit(LIMIT)
    assert leader.fetch(LATE, 0) == [0]
    leader.limit(None)
    assert sum(leader.fetch(LATE, 0)) > 2_000


def test_the_topic_may_change_its_mind() -> None:
    leader = Leader("")
    leader.throttles.sent(10_000)
    leader.path.append(VALUE)
    assert sum(leader.fetch(LATE, 0)) > 1_000
    leader.path.configure("t", **{"leader.replication.throttled.replicas": "0:1"})
    leader.throttles.sent(10_000)
    assert leader.fetch(LATE, 0) == [0]
    leader.path.configure("t")
    assert sum(leader.fetch(LATE, 0)) > 1_000


def test_what_is_held_back_wakes_no_fetch_that_waits() -> None:
    leader = Leader()
    leader.exceed()
    waiting = leader.wait(LATE, 0)
    leader.path.append(VALUE)
    assert waiting.answers == []
    leader.path.clock.advance(500)
    [partition] = waiting.answer.responses[0].partitions
    assert not partition.records
    assert partition.high_watermark == 0


def test_a_fetch_that_waits_brings_what_may_be_sent_by_then() -> None:
    leader = Leader()
    leader.exceed()
    leader.path.clock.advance(1_000)
    waiting = leader.wait(LATE, 0)
    leader.path.clock.advance(500)
    [partition] = waiting.answer.responses[0].partitions
    assert len(partition.records) > 2_000


def test_an_append_wakes_it_when_the_rate_has_fallen() -> None:
    leader = Leader()
    leader.exceed()
    leader.path.clock.advance(1_000)
    waiting = leader.wait(LATE, 0)
    leader.path.clock.advance(450)
    leader.path.append(VALUE)
    assert len(waiting.answer.responses[0].partitions[0].records) > 3_000


def test_windows_are_those_that_are_set() -> None:
    leader = Leader(replication_quota_window_num=2, replication_quota_window_size_seconds=5)
    leader.throttles.sent(5 * LIMIT + 1)
    assert leader.throttles.leader.is_exceeded(leader.path.clock.now_ms)
    leader.path.clock.advance(5_001)
    assert not leader.throttles.leader.is_exceeded(leader.path.clock.now_ms)
    leader.throttles.sent(100 * LIMIT)
    leader.path.clock.advance(9_999)
    assert leader.throttles.leader.is_exceeded(leader.path.clock.now_ms)
    leader.path.clock.advance(1)
    assert not leader.throttles.leader.is_exceeded(leader.path.clock.now_ms)
