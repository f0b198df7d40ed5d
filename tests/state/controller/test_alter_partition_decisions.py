"""AlterPartition: compare and set of the ISR, and everything a leader may not do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.controller.alter_partition import alter_partition
from pykbroker.state.controller.decide import decide
from pykbroker.state.controller.elections import is_active
from pykbroker.state.errors import KafkaError
from tests.support.cluster_images import Cluster, partition, topic_id
from wire.codec import encode_response
from wire.errors import ErrorCode
from wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    AlterPartitionResponsePartitionData,
    BrokerState,
    PartitionData,
    TopicData,
    downgrade,
)

if TYPE_CHECKING:
    from pykbroker.state.controller.decision import Decision
    from pykbroker.state.controller.image import PartitionImage

E = ErrorCode
UNCHECKED = -1
LEADER_EPOCH, PARTITION_EPOCH = 5, 9
"""Those of ``partition`` in the support module."""


def cluster_of(*partitions: PartitionImage, min_isr: int = 1, brokers: int = 4) -> Cluster:
    cluster = Cluster(*range(1, brokers + 1), settings={"min.insync.replicas": str(min_isr)})
    cluster.topic("t", *partitions)
    return cluster


def request(
    *isr: int,
    sender: int = 1,
    sender_epoch: int | None = None,
    epochs: dict[int, int] | None = None,
    leader_epoch: int = LEADER_EPOCH,
    partition_epoch: int = PARTITION_EPOCH,
    index: int = 0,
    recovery_state: int = 0,
    topic: bytes | None = None,
) -> AlterPartitionRequest:
    known = epochs or {}
    return AlterPartitionRequest(
        broker_id=sender,
        broker_epoch=100 + sender if sender_epoch is None else sender_epoch,
        topics=[
            TopicData(
                topic_id=topic_id(1) if topic is None else topic,
                partitions=[
                    PartitionData(
                        partition_index=index,
                        leader_epoch=leader_epoch,
                        partition_epoch=partition_epoch,
                        leader_recovery_state=recovery_state,
                        new_isr_with_epochs=[
                            BrokerState(broker_id=node, broker_epoch=known.get(node, 100 + node))
                            for node in isr
                        ],
                    )
                ],
            )
        ],
    )


def only(response: AlterPartitionResponse) -> AlterPartitionResponsePartitionData:
    assert response.error_code == E.NONE
    [topic] = response.topics
    [result] = topic.partitions
    return result


def ask(cluster: Cluster, asked: AlterPartitionRequest) -> AlterPartitionResponsePartitionData:
    before = cluster.image
    decision: Decision[AlterPartitionResponse] = cluster.apply(decide(asked, cluster.view))
    result = only(decision.response)
    if result.error_code not in (E.NONE, E.NEW_LEADER_ELECTED):
        assert cluster.image.topics == before.topics, "what is refused changes nothing"
        assert not decision.changes
    return result


def state(cluster: Cluster, index: int = 0) -> PartitionImage:
    return cluster.image.topics["t"].partitions[index]


def test_a_follower_leaves_the_isr_and_the_answer_says_what_stands() -> None:
    cluster = cluster_of(partition([1, 2, 3]))
    result = ask(cluster, request(1, 2))
    assert result == AlterPartitionResponsePartitionData(
        leader_id=1, leader_epoch=LEADER_EPOCH, isr=[1, 2], partition_epoch=PARTITION_EPOCH + 1
    )
    after = state(cluster)
    assert (after.isr, after.leader, after.leader_epoch) == ((1, 2), 1, LEADER_EPOCH)
    assert after.partition_epoch == PARTITION_EPOCH + 1


def test_a_follower_comes_back() -> None:
    cluster = cluster_of(partition([1, 2, 3], isr=[1, 2]))
    assert ask(cluster, request(1, 2, 3)).isr == [1, 2, 3]
    assert state(cluster).leader_epoch == LEADER_EPOCH, "a change of the ISR alone keeps it"


def test_what_already_stands_changes_nothing_and_is_answered_the_same() -> None:
    cluster = cluster_of(partition([1, 2, 3], isr=[1, 2]))
    decision = alter_partition(request(1, 2), cluster.view)
    assert not decision.changes
    result = only(decision.response)
    assert (result.error_code, result.isr, result.partition_epoch) == (E.NONE, [1, 2], 9)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (request(1, leader_epoch=6), E.NOT_CONTROLLER),
        (request(1, partition_epoch=10), E.NOT_CONTROLLER),
        (request(1, leader_epoch=6, partition_epoch=8), E.NOT_CONTROLLER),
        (request(1, leader_epoch=4), E.FENCED_LEADER_EPOCH),
        (request(1, leader_epoch=4, partition_epoch=8), E.FENCED_LEADER_EPOCH),
        (request(2, sender=2), E.INVALID_REQUEST),
        (request(2, sender=2, partition_epoch=8), E.INVALID_REQUEST),
        (request(1, partition_epoch=8), E.INVALID_UPDATE_VERSION),
        (request(), E.INVALID_REQUEST),
        (request(2, 3), E.INVALID_REQUEST),
        (request(1, 4), E.INVALID_REQUEST),
        (request(1, 1), E.INVALID_REQUEST),
        (request(1, recovery_state=1), E.INVALID_REQUEST),
        (request(1, recovery_state=2), E.INVALID_REQUEST),
        (request(1, 2, recovery_state=1), E.INVALID_REQUEST),
        (request(1, index=1), E.UNKNOWN_TOPIC_OR_PARTITION),
        (request(1, index=-1), E.UNKNOWN_TOPIC_OR_PARTITION),
        (request(1, topic=topic_id(2)), E.UNKNOWN_TOPIC_ID),
        (request(1, topic=bytes(16)), E.UNKNOWN_TOPIC_ID),
        (request(1, 2, epochs={2: 101}), E.INELIGIBLE_REPLICA),
        (request(1, 2, epochs={1: 100}), E.INELIGIBLE_REPLICA),
    ],
)
def test_refusals(asked: AlterPartitionRequest, code: ErrorCode) -> None:
    assert ask(cluster_of(partition([1, 2, 3], isr=[1, 2])), asked).error_code == code


@pytest.mark.parametrize("epoch", [100, 102, -1])
def test_a_leader_of_another_incarnation_is_refused_as_a_whole(epoch: int) -> None:
    cluster = cluster_of(partition([1, 2]))
    with pytest.raises(KafkaError) as refused:
        alter_partition(request(1, sender_epoch=epoch), cluster.view)
    assert refused.value.code == E.STALE_BROKER_EPOCH


def test_who_is_not_registered_is_refused_as_a_whole() -> None:
    cluster = cluster_of(partition([1, 2]))
    with pytest.raises(KafkaError) as refused:
        alter_partition(request(9, sender=9), cluster.view)
    assert refused.value.code == E.STALE_BROKER_EPOCH


@pytest.mark.parametrize("how", ["fenced", "stopping"])
def test_brokers_that_are_not_active_do_not_join(how: str) -> None:
    cluster = cluster_of(partition([1, 2, 3], isr=[1]))
    cluster.broker(2, **{how: True})
    assert ask(cluster, request(1, 2)).error_code == E.INELIGIBLE_REPLICA
    assert ask(cluster, request(1, 3)).error_code == E.NONE


def test_a_replica_that_restarted_since_it_fetched_does_not_join() -> None:
    cluster = cluster_of(partition([1, 2], isr=[1]))
    cluster.broker(2, epoch=777)
    assert ask(cluster, request(1, 2)).error_code == E.INELIGIBLE_REPLICA
    assert ask(cluster, request(1, 2, epochs={2: 777})).error_code == E.NONE


def test_without_an_epoch_a_member_is_taken_as_it_is() -> None:
    cluster = cluster_of(partition([1, 2], isr=[1]))
    assert ask(cluster, request(1, 2, epochs={2: UNCHECKED})).error_code == E.NONE


def test_who_leaves_below_the_minimum_stays_eligible_until_it_is_reached_again() -> None:
    cluster = cluster_of(partition([1, 2, 3]), min_isr=2)
    ask(cluster, request(1))
    assert (state(cluster).isr, state(cluster).elr) == ((1,), (2, 3))
    ask(cluster, request(1, 3, partition_epoch=PARTITION_EPOCH + 1))
    assert (state(cluster).isr, state(cluster).elr) == ((1, 3), ())


def test_a_leader_that_recovered_says_so_before_others_join() -> None:
    cluster = cluster_of(partition([1, 2], isr=[1], recovering=True))
    still = ask(cluster, request(1, recovery_state=1))
    assert (still.error_code, still.leader_recovery_state, still.partition_epoch) == (E.NONE, 1, 9)
    result = ask(cluster, request(1))
    assert (result.leader_recovery_state, result.partition_epoch) == (0, 10)
    assert not state(cluster).recovering
    assert ask(cluster, request(1, 2, partition_epoch=10)).isr == [1, 2]


def test_the_last_replica_to_catch_up_completes_a_reassignment() -> None:
    moving = partition([1, 3, 2], isr=[1, 2], adding=[3], removing=[2])
    cluster = cluster_of(moving)
    result = ask(cluster, request(1, 2, 3))
    assert (result.error_code, result.isr) == (E.NONE, [1, 3])
    after = state(cluster)
    assert (after.replicas, after.adding, after.removing) == ((1, 3), (), ())
    assert (result.leader_epoch, after.leader_epoch) == (6, 6), "a replica was dropped"


def test_a_leader_whose_change_ends_its_leadership_is_told_so() -> None:
    moving = partition([3, 1], leader=1, isr=[1], adding=[3], removing=[1])
    cluster = cluster_of(moving)
    result = ask(cluster, request(1, 3))
    assert (result.error_code, result.leader_id) == (E.NEW_LEADER_ELECTED, 0)
    after = state(cluster)
    assert (after.leader, after.isr, after.replicas, after.leader_epoch) == (3, (3,), (3,), 6)


def test_partitions_are_decided_one_by_one_and_never_twice() -> None:
    cluster = cluster_of(partition([1, 2]), partition([2, 1]), partition([1, 2]))
    asked = request(1)
    asked.topics[0].partitions += [
        request(1, index=1).topics[0].partitions[0],
        request(1, index=2).topics[0].partitions[0],
        request(1, 2, index=2, partition_epoch=10).topics[0].partitions[0],
    ]
    decision = cluster.apply(alter_partition(asked, cluster.view))
    [topic] = decision.response.topics
    assert [p.partition_index for p in topic.partitions] == [0, 1, 2, 2]
    codes = [p.error_code for p in topic.partitions]
    assert codes == [E.NONE, E.INVALID_REQUEST, E.NONE, E.INVALID_REQUEST]
    assert [state(cluster, i).isr for i in range(3)] == [(1,), (2, 1), (1,)]


@pytest.mark.parametrize("version", [0, 1])
def test_before_version_2_topics_are_named_and_newer_errors_are_told_in_older_words(
    version: int,
) -> None:
    cluster = cluster_of(partition([1, 2]))
    asked = request(1)
    asked.topics[0].topic_id, asked.topics[0].topic_name = bytes(16), "t"
    decision = alter_partition(asked, cluster.view)
    assert only(decision.response).error_code == E.NONE
    assert encode_response(decision.response, version)
    for newer, older in (
        (E.UNKNOWN_TOPIC_ID, E.UNKNOWN_TOPIC_OR_PARTITION),
        (E.INELIGIBLE_REPLICA, E.OPERATION_NOT_ATTEMPTED),
        (E.NEW_LEADER_ELECTED, E.FENCED_LEADER_EPOCH),
        (E.NOT_CONTROLLER, E.NOT_CONTROLLER),
    ):
        only(decision.response).error_code = newer
        assert only(downgrade(decision.response, version)).error_code == older


@st.composite
def steps(draw: st.DrawFn) -> list[tuple]:
    """What leaders say, right or wrong, and brokers that go and come meanwhile."""
    node = st.integers(1, 4)
    say = st.tuples(
        st.just("alter"),
        node,
        st.lists(st.integers(1, 5), max_size=4),
        st.integers(-1, 1),
        st.integers(-1, 1),
        st.sampled_from((0, 0, 0, 1)),
        st.sampled_from((None, None, 777)),
    )
    own = st.tuples(st.just("leader alters"), st.lists(node, max_size=4))
    fence = st.tuples(st.just("fence"), node, st.booleans())
    return draw(st.lists(st.one_of(own, own, say, fence), max_size=25))


@given(steps(), st.integers(1, 3), st.permutations((1, 2, 3, 4)), st.integers(0, 2))
def test_whatever_leaders_ask_for_a_partition_stays_whole(
    steps: list[tuple], min_isr: int, order: list[int], removing: int
) -> None:
    replicas = order[: 2 + removing]
    moving = partition(
        replicas, isr=replicas[:1], adding=replicas[1:2], removing=replicas[2 : 2 + removing]
    )
    cluster = cluster_of(moving, min_isr=min_isr)
    for step in steps:
        before = state(cluster)
        if step[0] == "fence":
            cluster.broker(step[1], fenced=step[2])
            continue
        if step[0] == "leader alters":
            wanted = [before.leader, *(n for n in step[1] if n != before.leader)]
            asked = request(
                *wanted,
                sender=before.leader,
                leader_epoch=before.leader_epoch,
                partition_epoch=before.partition_epoch,
            )
        else:
            _, sender, isr, leader_step, partition_step, recovery, epoch = step
            asked = request(
                *isr,
                sender=sender,
                leader_epoch=before.leader_epoch + leader_step,
                partition_epoch=before.partition_epoch + partition_step,
                recovery_state=recovery,
                epochs={} if epoch is None else dict.fromkeys(range(1, 6), epoch),
            )
        result = ask(cluster, asked)
        check_step(cluster, before, asked, result)


def check_step(
    cluster: Cluster,
    before: PartitionImage,
    asked: AlterPartitionRequest,
    result: AlterPartitionResponsePartitionData,
) -> None:
    after = state(cluster)
    assert after.leader in after.isr
    assert set(after.isr) <= set(after.replicas)
    assert len(set(after.isr)) == len(after.isr)
    assert not set(after.elr) & set(after.isr)
    assert set(after.elr) <= set(after.replicas)
    if after == before:
        return
    data = asked.topics[0].partitions[0]
    assert result.error_code in (E.NONE, E.NEW_LEADER_ELECTED)
    assert after.partition_epoch == before.partition_epoch + 1
    assert data.partition_epoch == before.partition_epoch, "compare and set"
    assert data.leader_epoch == before.leader_epoch
    assert asked.broker_id == before.leader
    assert after.leader_epoch - before.leader_epoch in (0, 1)
    moved = after.leader != before.leader or not set(before.replicas) <= set(after.replicas)
    assert (after.leader_epoch > before.leader_epoch) == moved
    assert all(is_active(cluster.image, node) for node in after.isr)
    assert (result.error_code == E.NEW_LEADER_ELECTED) == (after.leader != before.leader)
    if result.error_code == E.NONE:
        assert (result.leader_id, result.leader_epoch, tuple(result.isr)) == (*after[:2], after.isr)
        assert result.partition_epoch == after.partition_epoch
