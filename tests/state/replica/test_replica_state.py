"""ISR, high watermark and epochs of one partition, by the rules of KIP-101, 497, 903 and 966."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pykbroker.state.controller.image import BrokerImage, PartitionImage
from pykbroker.state.errors import KafkaError
from pykbroker.state.replica import Follower, ReplicaState
from pykbroker.state.types import NodeId
from wire.errors import ErrorCode

LAG_MS = 30_000
N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)


def broker(node: int, epoch: int | None = None, **options: Any) -> BrokerImage:
    return BrokerImage(NodeId(node), epoch or 100 + node, bytes(16), (), **options)


BROKERS = {node: broker(node) for node in (N1, N2, N3)}


def image(
    leader: int = 1,
    *,
    epoch: int = 0,
    version: int = 0,
    replicas: tuple[int, ...] = (1, 2, 3),
    isr: tuple[int, ...] = (1, 2, 3),
) -> PartitionImage:
    nodes = tuple(NodeId(node) for node in replicas)
    in_sync = tuple(NodeId(node) for node in isr)
    return PartitionImage(NodeId(leader), epoch, version, nodes, in_sync)


class Leader:
    """A leader with a log of which only the ends matter; the high watermark kept beside."""

    def __init__(self, min_isr: int = 2, start: int = 0, **image_options: Any) -> None:
        self.state = ReplicaState(N1)
        self.end = start
        self.high_watermark = 0
        self.min_isr = min_isr
        self.now_ms = 0
        self.brokers = dict(BROKERS)
        self.state.lead(image(**image_options), self.end, self.now_ms)

    def append(self, count: int = 1) -> int:
        self.end += count
        self.advance()
        return self.high_watermark

    def fetch(self, node: int, offset: int, broker_epoch: int | None = None) -> int:
        follower = self.state.follower(NodeId(node), self.state.leader_epoch)
        epoch = 100 + node if broker_epoch is None else broker_epoch
        follower.fetched(offset, 0, self.end, self.now_ms, epoch)
        self.advance()
        return self.high_watermark

    def advance(self) -> None:
        offset = self.state.committed_offset(
            self.end, self.end, self.min_isr, self.now_ms, LAG_MS, self.brokers
        )
        if offset is not None:
            self.high_watermark = max(self.high_watermark, offset)

    def expand(self, node: int) -> Any:
        return self.state.propose_expansion(NodeId(node), self.high_watermark, self.brokers, 101)

    def shrink(self) -> Any:
        return self.state.propose_shrink(self.end, self.now_ms, LAG_MS, 101)


def committed(*nodes: int) -> frozenset[NodeId]:
    return frozenset(NodeId(node) for node in nodes)


# The high watermark


def test_it_waits_for_every_member_of_the_isr() -> None:
    leader = Leader()
    assert leader.append(5) == 0
    assert leader.fetch(2, 5) == 0
    assert leader.fetch(3, 3) == 3
    assert leader.fetch(3, 5) == 5


def test_a_single_replica_commits_what_it_holds() -> None:
    leader = Leader(min_isr=1, replicas=(1,), isr=(1,))
    assert leader.append(7) == 7


def test_min_isr_is_never_more_than_there_are_replicas() -> None:
    leader = Leader(min_isr=3, replicas=(1,), isr=(1,))
    assert leader.append() == 1


def test_it_stands_still_below_min_isr() -> None:
    leader = Leader(min_isr=2, isr=(1,))
    assert leader.append(4) == 0
    assert leader.state.is_under_min_isr(2)
    # Even if everybody has fetched everything: they are not committed members.
    leader.fetch(2, 4)
    assert leader.fetch(3, 4) == 0


def test_it_waits_for_an_eligible_follower_about_to_join() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.append(10)
    assert leader.high_watermark == 10
    leader.fetch(2, 10)
    assert leader.append(5) == 10  # Broker 2 is caught up and may join: it is waited for.
    assert leader.fetch(2, 13) == 13


@pytest.mark.parametrize(
    "blocked",
    [broker(2, fenced=True), broker(2, in_controlled_shutdown=True), broker(2, epoch=999)],
    ids=["fenced", "shutting down", "another life of it"],
)
def test_it_does_not_wait_for_one_that_may_not_join(blocked: BrokerImage) -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.append(10)
    leader.fetch(2, 10)
    leader.brokers[N2] = blocked
    assert leader.append(5) == 15


def test_what_is_not_synced_is_not_held() -> None:
    leader = Leader(min_isr=1, replicas=(1,), isr=(1,))
    assert leader.state.committed_offset(3, 10, 1, 0, LAG_MS, BROKERS) == 3


def test_a_new_epoch_forgets_how_far_followers_were() -> None:
    leader = Leader()
    leader.append(5)
    leader.fetch(2, 5)
    leader.fetch(3, 5)
    assert leader.state.lead(image(epoch=1, version=1), leader.end, 0)
    leader.append(1)
    assert leader.high_watermark == 5
    leader.fetch(2, 6)
    assert leader.high_watermark == 5  # Broker 3 has said nothing in this epoch.
    assert leader.fetch(3, 6) == 6


# Shrinking and expanding


def test_a_follower_that_does_not_fetch_is_dropped_after_the_lag_time() -> None:
    leader = Leader()
    leader.append(5)
    leader.fetch(2, 5)
    leader.now_ms = LAG_MS
    leader.fetch(2, 5)
    assert leader.shrink() is None
    leader.now_ms = LAG_MS + 1
    change = leader.shrink()
    assert change.nodes == committed(1, 2)
    assert not change.is_expansion
    assert change.isr == {N1: 101, N2: 102}


def test_a_follower_at_the_end_is_in_sync_however_long_ago_it_fetched() -> None:
    leader = Leader()
    leader.fetch(2, 0)
    leader.fetch(3, 0)
    leader.now_ms = 10 * LAG_MS
    assert leader.shrink() is None


def test_a_follower_that_always_reaches_the_end_of_its_last_fetch_is_in_sync() -> None:
    leader = Leader()
    for _ in range(20):
        leader.now_ms += LAG_MS // 2
        before = leader.end
        leader.append(1)
        leader.fetch(2, before)
        leader.fetch(3, leader.end)
        assert leader.shrink() is None


def test_a_slow_follower_is_dropped_though_it_fetches() -> None:
    leader = Leader()
    for _ in range(5):
        leader.now_ms += LAG_MS // 2
        leader.append(10)
        leader.fetch(2, leader.end)
        leader.fetch(3, 1)
    assert leader.shrink().nodes == committed(1, 2)


def test_a_pending_shrink_counts_the_old_isr() -> None:
    leader = Leader()
    leader.append(5)
    leader.fetch(2, 5)
    leader.now_ms = LAG_MS + 1
    leader.fetch(2, 5)
    change = leader.shrink()
    leader.advance()
    assert leader.high_watermark == 0
    assert leader.state.isr_changed(change, committed(1, 2), 0, 1)
    leader.advance()
    assert leader.high_watermark == 5


def test_a_pending_expansion_counts_at_once() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.append(5)
    leader.fetch(2, 5)
    assert leader.expand(2).nodes == committed(1, 2)
    leader.brokers[N2] = broker(2, fenced=True)  # Not waited for as one about to join any more.
    assert leader.append(1) == 5
    assert leader.fetch(2, 6) == 6


def test_expansion_needs_the_high_watermark_and_this_epochs_start() -> None:
    leader = Leader(min_isr=1, start=8, isr=(1,))
    leader.high_watermark = 4  # As checkpointed; what is between was committed before.
    leader.fetch(2, 7)
    assert leader.expand(2) is None
    leader.fetch(2, 8)
    assert leader.expand(2) is not None


def test_expansion_needs_all_that_is_committed() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.append(5)
    leader.fetch(2, 4)
    assert leader.expand(2) is None
    leader.fetch(2, 5)
    assert leader.expand(2) is not None


def test_expansion_is_refused_to_the_fenced_and_to_earlier_lives() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0, broker_epoch=50)
    assert leader.expand(2) is None
    leader.fetch(2, 0)
    leader.brokers[N2] = broker(2, fenced=True)
    assert leader.expand(2) is None
    leader.brokers[N2] = broker(2)
    assert leader.expand(2) is not None


def test_one_change_is_in_flight_at_most() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0)
    leader.fetch(3, 0)
    assert leader.expand(2) is not None
    assert leader.expand(3) is None
    leader.now_ms = 10 * LAG_MS
    assert leader.shrink() is None


@pytest.mark.parametrize("code", [ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED])
def test_a_sure_refusal_restores_what_was_committed(code: ErrorCode) -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0)
    change = leader.expand(2)
    assert not leader.state.isr_refused(change, code)
    assert leader.state.maximal_isr == committed(1)
    assert leader.state.pending is None


@pytest.mark.parametrize("code", [ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.INVALID_UPDATE_VERSION])
def test_an_outdated_change_stays_pending_until_the_metadata_comes(code: ErrorCode) -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0)
    change = leader.expand(2)
    assert not leader.state.isr_refused(change, code)
    assert leader.state.maximal_isr == committed(1, 2)
    assert leader.state.pending is change
    leader.state.lead(image(version=1, isr=(1,)), leader.end, 0)
    assert leader.state.pending is None
    assert leader.state.maximal_isr == committed(1)


@pytest.mark.parametrize("code", [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_CONTROLLER])
def test_an_unknown_outcome_is_asked_again_and_kept_meanwhile(code: ErrorCode) -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0)
    change = leader.expand(2)
    assert leader.state.isr_refused(change, code)
    assert leader.state.maximal_isr == committed(1, 2)


def test_answers_to_an_older_change_say_nothing() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0)
    old = leader.expand(2)
    leader.state.lead(image(version=1, isr=(1,)), leader.end, 0)
    assert not leader.state.isr_changed(old, committed(1, 2), 0, 1)
    assert not leader.state.isr_refused(old, ErrorCode.REQUEST_TIMED_OUT)
    assert leader.state.isr == committed(1)


def test_an_answer_of_another_epoch_says_nothing() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0)
    change = leader.expand(2)
    assert not leader.state.isr_changed(change, committed(1, 2), 1, 5)
    assert leader.state.pending is change


# Elections


def test_metadata_with_a_lower_or_equal_partition_epoch_is_ignored() -> None:
    leader = Leader(version=5)
    assert not leader.state.lead(image(epoch=7, version=4, isr=(1,)), 0, 0)
    assert not leader.state.follow(image(leader=2, epoch=7, version=5))
    assert leader.state.is_leader
    assert leader.state.isr == committed(1, 2, 3)


def test_metadata_known_from_an_answer_already_leaves_a_later_change_pending() -> None:
    leader = Leader(min_isr=1, isr=(1,))
    leader.fetch(2, 0)
    leader.fetch(3, 0)
    first = leader.expand(2)
    leader.state.isr_changed(first, committed(1, 2), 0, 1)
    second = leader.expand(3)
    assert not leader.state.lead(image(version=1, isr=(1, 2)), leader.end, 0)
    assert leader.state.pending is second
    assert leader.state.maximal_isr == committed(1, 2, 3)


def test_the_same_epoch_changes_the_isr_only() -> None:
    leader = Leader(start=3)
    leader.append(4)
    leader.fetch(2, 7)
    assert not leader.state.lead(image(version=1, isr=(1, 2)), leader.end, 0)
    assert leader.state.epoch_start_offset == 3
    assert leader.state.followers[N2].log_end_offset == 7
    leader.advance()
    assert leader.high_watermark == 7


def test_followers_that_come_and_go() -> None:
    leader = Leader()
    leader.fetch(2, 0)
    leader.state.lead(image(version=1, replicas=(1, 2, 4), isr=(1, 2)), 0, 0)
    assert set(leader.state.followers) == {2, 4}
    assert leader.state.followers[N2].log_end_offset == 0
    with pytest.raises(KafkaError) as refusal:
        leader.state.follower(N3, 0)
    assert refusal.value.code is ErrorCode.UNKNOWN_LEADER_EPOCH
    with pytest.raises(KafkaError) as refusal:
        leader.state.follower(N3, -1)
    assert refusal.value.code is ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_a_log_that_is_opened_later_tells_where_the_epoch_began() -> None:
    state = ReplicaState(N1)
    state.lead(image(), None, 0)
    assert state.epoch_start_offset is None
    state.log_opened(42)
    assert state.epoch_start_offset == 42
    state.log_opened(50)
    assert state.epoch_start_offset == 42


def test_who_follows_knows_no_isr() -> None:
    leader = Leader()
    assert leader.state.follow(image(leader=2, epoch=1, version=1))
    assert not leader.state.is_leader
    assert leader.state.isr == frozenset()
    assert leader.state.epoch_start_offset is None
    assert not leader.state.follow(image(leader=2, epoch=1, version=2))
    assert leader.state.lead(image(epoch=2, version=3), 9, 0)
    assert leader.state.epoch_start_offset == 9


def test_epochs_of_requests() -> None:
    state = ReplicaState(N1)
    state.lead(image(epoch=4), 0, 0)
    state.check_epoch(4)
    state.check_epoch(-1)
    for epoch, code in ((3, ErrorCode.FENCED_LEADER_EPOCH), (5, ErrorCode.UNKNOWN_LEADER_EPOCH)):
        with pytest.raises(KafkaError) as refusal:
            state.check_epoch(epoch)
        assert refusal.value.code is code


def test_a_fetch_of_an_earlier_life_is_refused() -> None:
    state = ReplicaState(N1)
    state.check_broker_epoch(N2, 102, BROKERS)
    state.check_broker_epoch(N2, -1, BROKERS)
    with pytest.raises(KafkaError) as refusal:
        state.check_broker_epoch(N2, 101, BROKERS)
    assert refusal.value.code is ErrorCode.NOT_LEADER_OR_FOLLOWER
    # Our own view may be the older one.
    state.check_broker_epoch(N2, 103, BROKERS)


# The low watermark, and who may be read from


def test_the_low_watermark_is_that_of_the_live_replicas() -> None:
    leader = Leader()
    leader.state.followers[N2].fetched(10, 4, 10, 0, 102)
    leader.state.followers[N3].fetched(10, 2, 10, 0, 103)
    assert leader.state.low_watermark(5, BROKERS) == 2
    fenced = {**BROKERS, N3: broker(3, fenced=True)}
    assert leader.state.low_watermark(5, fenced) == 4


def test_consumers_are_sent_to_members_of_the_isr_that_hold_the_offset() -> None:
    leader = Leader(isr=(1, 2))
    leader.state.followers[N2].fetched(10, 4, 10, 0, 102)
    leader.state.followers[N3].fetched(10, 4, 10, 0, 103)
    assert leader.state.is_readable_from(N2, 4)
    assert leader.state.is_readable_from(N2, 10)
    assert not leader.state.is_readable_from(N2, 3)
    assert not leader.state.is_readable_from(N2, 11)
    assert not leader.state.is_readable_from(N3, 5)


def test_a_follower_never_heard_of_is_not_caught_up() -> None:
    assert not Follower().is_caught_up(10, 0, LAG_MS)


class ClusterOfThree(RuleBasedStateMachine):
    """A leader, two followers, and a controller whose answers may be late, lost or refusals.

    ``true_isr`` is what the controller decided. Whatever the leader believes, everything below
    its high watermark must be on every true member, or on so few that none can be elected.
    """

    @initialize(min_isr=st.integers(1, 3))
    def start(self, min_isr: int) -> None:
        self.leader = Leader(min_isr=min_isr)
        self.held = {N2: 0, N3: 0}
        self.true_isr = committed(1, 2, 3)
        self.version = 0
        self.sent: list[Any] = []
        self.answers: list[tuple[Any, frozenset[NodeId] | None, int]] = []
        self.highest = 0

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        self.leader.append(count)

    @rule(node=st.sampled_from([N2, N3]), short=st.integers(0, 2))
    def fetch(self, node: NodeId, short: int) -> None:
        # A fetch says what is held; its answer brings more, of which the next fetch will tell.
        self.leader.fetch(node, self.held[node])
        self.held[node] = max(self.held[node], self.leader.end - short)
        change = self.leader.expand(node)
        if change is not None:
            self.sent.append(change)

    @rule(by=st.sampled_from([1_000, LAG_MS // 2, LAG_MS + 1]))
    def time_passes(self, by: int) -> None:
        self.leader.now_ms += by
        change = self.leader.shrink()
        if change is not None:
            self.sent.append(change)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def controller_decides(self, data: Any) -> None:
        change = data.draw(st.sampled_from(self.sent))
        if change.partition_epoch != self.version:
            self.answers.append((change, None, self.version))
            return
        self.version += 1
        self.true_isr = change.nodes
        self.answers.append((change, change.nodes, self.version))

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), lost=st.booleans())
    def an_answer_arrives(self, data: Any, lost: bool) -> None:
        index = data.draw(st.integers(0, len(self.answers) - 1))
        change, isr, version = self.answers.pop(index)
        if lost:
            self.leader.state.isr_refused(change, ErrorCode.REQUEST_TIMED_OUT)
        elif isr is None:
            self.leader.state.isr_refused(change, ErrorCode.INVALID_UPDATE_VERSION)
        else:
            self.leader.state.isr_changed(change, isr, 0, version)
        self.leader.advance()

    @rule()
    def metadata_arrives(self) -> None:
        isr = tuple(sorted(self.true_isr))
        self.leader.state.lead(image(version=self.version, isr=isr), self.leader.end, 0)
        self.leader.advance()

    @invariant()
    def committed_data_is_on_every_member(self) -> None:
        if not hasattr(self, "leader"):
            return
        high_watermark = self.leader.high_watermark
        assert high_watermark >= self.highest
        self.highest = high_watermark
        for node in self.true_isr - {N1}:
            assert self.held[node] >= high_watermark

    @invariant()
    def the_maximal_isr_covers_the_true_one(self) -> None:
        if hasattr(self, "leader"):
            assert self.true_isr <= self.leader.state.maximal_isr


TestClusterOfThree = ClusterOfThree.TestCase
TestClusterOfThree.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
