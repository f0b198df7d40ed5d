"""Followers under elections, lost answers and late metadata never differ from a leader that counts
them: whatever the order of events, a fetch that a leader accepts says the truth about a prefix.

Logs are lists here; sessions, plans, epochs and what is done with an answer are the broker's own.
"""

from __future__ import annotations

from random import Random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from pykbroker.runtime import following
from pykbroker.runtime.following import Outcome
from pykbroker.state.errors import KafkaError
from pykbroker.state.fetch_session import Answer, FetchEntry, FetchSessionCache
from pykbroker.state.follower import Ask, FetchPlan, Followed
from pykbroker.state.log.epochs import LeaderEpochCache
from pykbroker.state.replica import diverging_epoch
from pykbroker.state.types import TopicId
from wire.errors import ErrorCode
from wire.messages.fetch import EpochEndOffset, FetchPartition, PartitionData

TOPIC = TopicId(b"t" * 16)
PARTITIONS = 2
NODES = 3
Record = tuple[int, int]
"""(epoch, number)"""


class ModelLog:
    """What ``following`` uses of a PartitionLog."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.leader_epochs = LeaderEpochCache()
        self.high_watermark = self.log_start_offset = 0

    @property
    def log_end_offset(self) -> int:
        return len(self.records)

    durable_end_offset = log_end_offset

    def append(self, record: Record) -> None:
        self.leader_epochs.assign(record[0], len(self.records))
        self.records.append(record)

    def append_as_follower(self, records: Any, leader_epoch: int) -> None:
        for record in records.found:
            assert record[0] <= leader_epoch
            self.append(record)

    def truncate_to(self, offset: int) -> None:
        del self.records[offset:]
        self.leader_epochs.truncate_from_end(len(self.records))
        self.high_watermark = min(self.high_watermark, len(self.records))

    def update_high_watermark(self, offset: int) -> None:
        self.high_watermark = offset


class Found(bytes):
    found: list[Record]


class Replica:
    """One partition on one node; it stands in for a Partition."""

    def __init__(self, index: int) -> None:
        self.log = ModelLog()
        self.leader = self.leader_epoch = -1
        self.is_leader = False
        self.topic_partition = ("t", index)

    def __getattr__(self, name: str) -> Any:
        if name == "high_watermark_moved":
            return lambda: None
        raise AttributeError(name)


class Node:
    def __init__(self, number: int) -> None:
        self.number = number
        self.replicas = [Replica(index) for index in range(PARTITIONS)]
        self.plans = [FetchPlan() for _ in range(NODES)]
        """By leader."""
        self.sessions = FetchSessionCache(Random(number), lambda: 2, lambda topic, partitions: None)


class Sent:
    def __init__(self, ask: Ask, node: Node) -> None:
        self.ask = ask
        self.snapshots = {
            followed.key: list(node.replicas[followed.key[1]].log.records)
            for followed in ask.followed
        }
        self.partitions = [
            FetchPartition(
                partition=f.key[1],
                current_leader_epoch=f.leader_epoch,
                fetch_offset=f.position.fetch_offset,
                last_fetched_epoch=f.position.last_fetched_epoch,
            )
            for f in ask.followed
            if f.position is not None
        ]
        self.answer: tuple[int, ErrorCode, list[PartitionData]] | None = None


class World:
    def __init__(self) -> None:
        self.nodes = [Node(number) for number in range(NODES)]
        self.leaders = [(0, 0)] * PARTITIONS
        self.sent: dict[tuple[int, int], Sent] = {}
        self.ghosts: list[tuple[int, int, Sent]] = []
        self.said: dict[tuple[int, int, int], list[Record]] = {}
        """By (leader, follower, partition): what the follower held at the offset it said last."""
        self.count = 0
        self.now_ms = 0

    # Metadata

    def elect(self, partition: int, node: int) -> None:
        self.leaders[partition] = (node, self.leaders[partition][1] + 1)

    def learn(self, node: int, partition: int) -> None:
        leader, epoch = self.leaders[partition]
        here = self.nodes[node]
        replica = here.replicas[partition]
        if epoch <= replica.leader_epoch:
            return
        key = (TOPIC, partition)
        for plan in here.plans:
            plan.unfollow(key)
        replica.leader, replica.leader_epoch = leader, epoch
        replica.is_leader = leader == node
        if replica.is_leader:
            replica.log.leader_epochs.assign(epoch, replica.log.log_end_offset)
        else:
            here.plans[leader].follow(key, epoch)

    def append(self, node: int, partition: int) -> None:
        replica = self.nodes[node].replicas[partition]
        if replica.leader == node:
            self.count += 1
            replica.log.append((replica.leader_epoch, self.count))

    # A fetch: asked, answered, taken; or lost on the way

    def ask(self, node: int, leader: int) -> None:
        here = self.nodes[node]
        plan = here.plans[leader]
        if (node, leader) in self.sent or node == leader:
            return
        self.now_ms += 50
        plan.wake(self.now_ms)
        for followed in list(plan.unplaced.values()):
            self.stands(here, plan, followed)
        ask = plan.ask()
        if ask is not None:
            self.sent[node, leader] = Sent(ask, here)

    def stands(self, here: Node, plan: FetchPlan, followed: Followed) -> None:
        log = here.replicas[followed.key[1]].log
        plan.stands(followed, following.position(cast("Any", log)))

    def deliver(self, node: int, leader: int) -> None:
        sent = self.sent.get((node, leader))
        if sent is not None and sent.answer is None:
            sent.answer = self.serve(node, leader, sent)

    def lose(self, node: int, leader: int) -> None:
        sent = self.sent.pop((node, leader), None)
        if sent is not None:
            self.nodes[node].plans[leader].lost()
            if sent.answer is None:
                self.ghosts.append((node, leader, sent))

    def haunt(self) -> None:
        """What was given up for lost arrives after all."""
        if self.ghosts:
            node, leader, sent = self.ghosts.pop(0)
            self.serve(node, leader, sent)

    def serve(self, node: int, leader: int, sent: Sent) -> Any:
        there = self.nodes[leader]
        context = there.sessions.context(
            sent.ask.session_id,
            sent.ask.session_epoch,
            [FetchEntry(TOPIC, "t", partition) for partition in sent.partitions],
            sent.ask.forgotten,
            uses_topic_ids=True,
            is_follower=True,
            now_ms=self.now_ms,
            names=lambda _: "t",
        )
        if context.error is not ErrorCode.NONE:
            return 0, context.error, []
        for key, snapshot in sent.snapshots.items():
            self.said[leader, node, key[1]] = snapshot
        answers = [self.read(node, leader, entry) for entry in context.entries()]
        code, session_id, told = context.finish(answers, self.now_ms)
        return session_id, code, [answer.data for answer in told]

    def read(self, node: int, leader: int, entry: FetchEntry) -> Answer:
        replica = self.nodes[leader].replicas[entry.partition]
        request = entry.request
        data = PartitionData(partition_index=entry.partition, high_watermark=0, records=b"")
        data.log_start_offset = 0
        epoch = request.current_leader_epoch
        if epoch > replica.leader_epoch:
            data.error_code = ErrorCode.UNKNOWN_LEADER_EPOCH
        elif epoch < replica.leader_epoch:
            data.error_code = ErrorCode.FENCED_LEADER_EPOCH
        elif replica.leader != leader:
            data.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
        if data.error_code:
            return Answer(entry, data, 0)
        log = replica.log
        offset = request.fetch_offset
        try:
            end = None
            if request.last_fetched_epoch >= 0:
                end = diverging_epoch(
                    log.leader_epochs, request.last_fetched_epoch, offset, 0, log.log_end_offset
                )
        except KafkaError as error:
            data.error_code = error.code
            return Answer(entry, data, 0)
        if end is not None:
            data.diverging_epoch = EpochEndOffset(epoch=end.epoch, end_offset=end.end_offset)
            return Answer(entry, data, 0)
        # The leader counts it from here on.
        held = self.said[leader, node, entry.partition]
        assert held[:offset] == log.records[:offset]
        found = Found(b"x" * len(log.records[offset : offset + 2]))
        found.found = log.records[offset : offset + 2]
        data.records = found
        return Answer(entry, data, len(found))

    def take(self, node: int, leader: int) -> None:
        sent = self.sent.get((node, leader))
        if sent is None or sent.answer is None:
            return
        del self.sent[node, leader]
        here = self.nodes[node]
        plan = here.plans[leader]
        session_id, code, told = sent.answer
        if not plan.answered(session_id, code):
            return
        for data in told:
            followed = plan.answer_for((TOPIC, data.partition_index))
            if followed is not None:
                self.take_one(here, plan, followed, data)

    def take_one(self, here: Node, plan: FetchPlan, one: Followed, data: PartitionData) -> None:
        replica = cast("Any", here.replicas[one.key[1]])
        assert one.asked is not None
        outcome = following.take(replica, one.leader_epoch, one.asked, data)
        if outcome is Outcome.OUT_OF_RANGE:
            end = self.nodes[replica.leader].replicas[one.key[1]].log.log_end_offset
            outcome = following.settle_range(replica, one.asked, 0, end)
        if outcome is Outcome.RETRY:
            plan.retry_later(one, self.now_ms, 1_000)
        else:
            plan.succeeded(one)
            self.stands(here, plan, one)

    def settle(self) -> None:
        """Everybody hears of everything, and nothing is lost any more."""
        for partition in range(PARTITIONS):
            self.elect(partition, partition % NODES)
            for node in range(NODES):
                self.learn(node, partition)
        for _ in range(200):
            for node in range(NODES):
                for leader in range(NODES):
                    self.ask(node, leader)
                    self.deliver(node, leader)
                    self.take(node, leader)


nodes = st.integers(0, NODES - 1)
partitions = st.integers(0, PARTITIONS - 1)
events = st.one_of(
    st.tuples(st.just("elect"), partitions, nodes),
    st.tuples(st.just("learn"), nodes, partitions),
    st.tuples(st.just("append"), nodes, partitions),
    st.tuples(st.just("ask"), nodes, nodes),
    st.tuples(st.just("deliver"), nodes, nodes),
    st.tuples(st.just("take"), nodes, nodes),
    st.tuples(st.just("lose"), nodes, nodes),
    st.tuples(st.just("haunt")),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(events, min_size=20, max_size=120))
def test_a_fetch_that_counts_tells_the_truth_and_all_agree_in_the_end(
    steps: list[tuple[Any, ...]],
) -> None:
    run(steps)


def run(steps: list[tuple[Any, ...]]) -> World:
    world = World()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
    world.settle()
    for partition in range(PARTITIONS):
        logs = [node.replicas[partition].log.records for node in world.nodes]
        assert logs[0] == logs[1] == logs[2]
    return world


def test_long_histories_with_much_going_on() -> None:
    """Hypothesis prefers short ones; these have elections between full exchanges."""
    for seed in range(80):
        rng = Random(seed)
        steps: list[tuple[Any, ...]] = []
        for _ in range(400):
            node, leader, partition = rng.randrange(3), rng.randrange(3), rng.randrange(2)
            steps += rng.choice(
                (
                    [("elect", partition, node), ("learn", node, partition)],
                    [("learn", node, partition), ("learn", leader, partition)],
                    [("append", node, partition)] * 2,
                    [("ask", node, leader), ("deliver", node, leader), ("take", node, leader)],
                    [("ask", node, leader), ("deliver", node, leader), ("take", node, leader)],
                    [("ask", node, leader), ("lose", node, leader)],
                    [("deliver", node, leader), ("haunt",)],
                    [("take", node, leader)],
                )
            )
        run(steps)


def test_an_epoch_that_brought_nothing_is_no_reason_to_ask_for_ever() -> None:
    """A leader without an append, deposed: its epoch is not in the next leader's log."""
    world = World()
    for node in range(NODES):
        world.learn(node, 0)
    world.append(0, 0)
    world.elect(0, 1)
    world.learn(1, 0)
    world.elect(0, 2)
    world.settle()
    log = world.nodes[1].replicas[0].log
    assert log.leader_epochs.latest_epoch != 1
