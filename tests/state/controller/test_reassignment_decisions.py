"""Reassignments: started, replaced, called off, listed; what is refused changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.controller.elections import Electorate, Target, elect
from pykbroker.state.controller.reassignments import (
    alter_partition_reassignments,
    list_partition_reassignments,
)
from tests.support.cluster_images import Cluster, nodes, partition
from wire.errors import ErrorCode
from wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)

if TYPE_CHECKING:
    from pykbroker.state.controller.image import PartitionImage

E = ErrorCode
Wanted = dict[int, list[int] | None]
Listed = dict[tuple[str, int], tuple[list[int], list[int], list[int]]]


def cluster_of(*partitions: PartitionImage) -> Cluster:
    cluster = Cluster(1, 2, 3, 4, 5)
    cluster.topic("t", *partitions)
    return cluster


def alter(
    cluster: Cluster, wanted: Wanted, *, topic: str = "t", factor_may_change: bool = True
) -> dict[int, tuple[int, str | None]]:
    asked = [ReassignablePartition(partition_index=i, replicas=r) for i, r in wanted.items()]
    request = AlterPartitionReassignmentsRequest(
        topics=[ReassignableTopic(name=topic, partitions=asked)],
        allow_replication_factor_change=factor_may_change,
    )
    response = cluster.apply(alter_partition_reassignments(request, cluster.view)).response
    assert (response.error_code, response.error_message) == (E.NONE, None)
    assert response.allow_replication_factor_change is factor_may_change
    [result] = response.responses
    assert result.name == topic
    return {p.partition_index: (p.error_code, p.error_message) for p in result.partitions}


def code(cluster: Cluster, wanted: list[int] | None, index: int = 0, topic: str = "t") -> int:
    return alter(cluster, {index: wanted}, topic=topic)[index][0]


def listed(cluster: Cluster, asked: dict[str, list[int]] | None = None) -> Listed:
    topics = None
    if asked is not None:
        topics = [
            ListPartitionReassignmentsTopics(name=n, partition_indexes=i) for n, i in asked.items()
        ]
    request = ListPartitionReassignmentsRequest(topics=topics)
    decision = list_partition_reassignments(request, cluster.view)
    assert decision.changes == []
    return {
        (topic.name, p.partition_index): (p.replicas, p.adding_replicas, p.removing_replicas)
        for topic in decision.response.topics
        for p in topic.partitions
    }


def of(cluster: Cluster, index: int = 0) -> PartitionImage:
    return cluster.image.topics["t"].partitions[index]


def test_the_assignment_that_is_there_changes_nothing() -> None:
    cluster = cluster_of(partition([1]))
    before = of(cluster)
    assert code(cluster, [1]) == E.NONE
    assert of(cluster) == before
    assert listed(cluster) == {}


def test_another_order_is_there_at_once_and_the_leader_stays() -> None:
    cluster = cluster_of(partition([1, 2, 3]))
    assert code(cluster, [3, 1, 2]) == E.NONE
    assert of(cluster) == partition([3, 1, 2], leader=1, isr=[1, 2, 3], partition_epoch=10)


def test_replicas_in_sync_are_dropped_at_once() -> None:
    cluster = cluster_of(partition([1, 2, 3]))
    assert code(cluster, [2, 3]) == E.NONE
    assert of(cluster) == partition([2, 3], leader_epoch=6, partition_epoch=10)


def test_new_replicas_are_waited_for_and_the_old_ones_are_kept_till_then() -> None:
    cluster = cluster_of(partition([1, 2]))
    assert code(cluster, [4, 3]) == E.NONE
    assert of(cluster) == partition(
        [4, 3, 1, 2], leader=1, isr=[1, 2], adding=[3, 4], removing=[1, 2], partition_epoch=10
    )
    assert listed(cluster) == {("t", 0): ([4, 3, 1, 2], [3, 4], [1, 2])}


def test_a_wanted_replica_that_is_out_of_sync_is_waited_for() -> None:
    cluster = cluster_of(partition([1, 2, 3], isr=[1, 3]))
    assert code(cluster, [2, 3]) == E.NONE
    assert of(cluster).removing == nodes(1)
    assert of(cluster).leader == 1


def test_calling_off_brings_back_the_replicas_of_before() -> None:
    cluster = cluster_of(
        partition([3, 4, 1, 2], leader=3, isr=[1, 3], adding=[3, 4], removing=[1, 2])
    )
    assert code(cluster, None) == E.NONE
    after = of(cluster)
    assert (after.replicas, after.isr, after.leader) == (nodes(1, 2), nodes(1), 1)
    assert (after.adding, after.removing) == ((), ())
    assert after.leader_epoch == 6
    assert listed(cluster) == {}
    assert code(cluster, None) == E.NO_REASSIGNMENT_IN_PROGRESS


def test_calling_off_needs_an_unclean_election_when_only_new_replicas_are_in_sync() -> None:
    cluster = cluster_of(partition([3, 1], leader=3, isr=[3], adding=[3], removing=[1]))
    before = of(cluster)
    error, message = alter(cluster, {0: None})[0]
    assert error == E.INVALID_REPLICA_ASSIGNMENT
    assert message is not None
    assert "unclean leader election" in message
    assert of(cluster) == before
    cluster.config("t", "unclean.leader.election.enable", "true")
    assert code(cluster, None) == E.NONE
    assert (of(cluster).replicas, of(cluster).isr, of(cluster).leader) == (nodes(1), nodes(1), 1)


def test_a_new_request_takes_the_place_of_the_one_under_way() -> None:
    cluster = cluster_of(partition([3, 1], leader=1, isr=[1], adding=[3], removing=[1]))
    assert code(cluster, [4]) == E.NONE
    after = of(cluster)
    assert (after.replicas, after.adding, after.removing) == (
        nodes(4, 1, 3),
        nodes(4),
        nodes(1, 3),
    )
    assert code(cluster, [1]) == E.NONE
    assert (of(cluster).replicas, of(cluster).adding, of(cluster).removing) == (nodes(1), (), ())


@pytest.mark.parametrize(
    ("under_way", "wanted", "expected"),
    [
        (partition([1, 2, 3], removing=[3], isr=[1]), [3, 1, 2], ([3, 1, 2], [], [])),
        (partition([4, 1], leader=1, isr=[1], adding=[4], removing=[1]), [1, 4], ([1, 4], [4], [])),
        (partition([1, 2], removing=[2], isr=[1]), [1, 2, 3], ([1, 2, 3], [3], [])),
    ],
)
def test_a_replica_that_was_to_leave_stays_where_it_is_wanted_again(
    under_way: PartitionImage, wanted: list[int], expected: tuple[list[int], ...]
) -> None:
    cluster = cluster_of(under_way)
    assert code(cluster, wanted) == E.NONE
    now = of(cluster)
    assert (list(now.replicas), list(now.adding), list(now.removing)) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [([], "empty replica list"), ([1, 9], "broker 9"), ([2, 2], "broker 2 more than once")],
)
def test_assignments_that_cannot_be_are_refused(wanted: list[int], expected: str) -> None:
    cluster = cluster_of(partition([1]), partition([1]))
    before = cluster.image
    error, message = alter(cluster, {0: wanted, 1: [1]})[0]
    assert error == E.INVALID_REPLICA_ASSIGNMENT
    assert message is not None
    assert expected in message
    assert cluster.image.topics == before.topics


def test_unknown_partitions_are_named_and_the_others_move() -> None:
    cluster = cluster_of(partition([1]))
    assert code(cluster, [1], topic="none") == E.UNKNOWN_TOPIC_OR_PARTITION
    results = alter(cluster, {-1: [1], 0: [2], 1: [1]})
    assert {index: error for index, (error, _) in results.items()} == {
        -1: E.UNKNOWN_TOPIC_OR_PARTITION,
        0: E.NONE,
        1: E.UNKNOWN_TOPIC_OR_PARTITION,
    }
    assert of(cluster).adding == nodes(2)


def test_a_partition_named_twice_moves_once() -> None:
    cluster = cluster_of(partition([1]))
    twice = [ReassignablePartition(partition_index=0, replicas=[node]) for node in (2, 3)]
    request = AlterPartitionReassignmentsRequest(
        topics=[ReassignableTopic(name="t", partitions=twice)]
    )
    response = cluster.apply(alter_partition_reassignments(request, cluster.view)).response
    assert [p.error_code for p in response.responses[0].partitions] == [E.NONE, E.INVALID_REQUEST]
    assert of(cluster).adding == nodes(2)


def test_the_factor_is_kept_where_it_must_be() -> None:
    cluster = cluster_of(
        partition([1, 2]), partition([3, 1, 2], isr=[1, 2], leader=1, adding=[3], removing=[1])
    )
    results = alter(cluster, {0: [1], 1: [1, 2, 3]}, factor_may_change=False)
    assert results == {
        0: (E.INVALID_REPLICATION_FACTOR, "The replication factor is changed from 2 to 1"),
        1: (E.INVALID_REPLICATION_FACTOR, "The replication factor is changed from 2 to 3"),
    }
    assert alter(cluster, {0: [2, 3], 1: [4, 2]}, factor_may_change=False) == {
        0: (E.NONE, None),
        1: (E.NONE, None),
    }


def test_what_is_listed_can_be_narrowed_down() -> None:
    cluster = cluster_of(partition([1]), partition([1]), partition([1]))
    alter(cluster, {0: [2], 2: [3]})
    first, third = ([2, 1], [2], [1]), ([3, 1], [3], [1])
    assert listed(cluster) == {("t", 0): first, ("t", 2): third}
    assert listed(cluster, {"t": [1, 2, 9, -1], "none": [0]}) == {("t", 2): third}
    assert listed(cluster, {"t": [1]}) == {}


BROKERS = st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True)


@given(start=BROKERS, requests=st.lists(BROKERS | st.none(), max_size=4), last=BROKERS)
def test_every_reassignment_ends_as_asked_once_all_are_in_sync(
    start: list[int], requests: list[list[int] | None], last: list[int]
) -> None:
    cluster = cluster_of(partition(start))
    for wanted in requests:
        code(cluster, wanted)
        now = of(cluster)
        assert {*now.adding, *now.removing, *now.isr, now.leader} <= set(now.replicas)
    assert code(cluster, last) == E.NONE
    now = of(cluster)
    everyone = Electorate(lambda node: True, min_isr=1)
    ended = elect(now, everyone, Target(isr=now.replicas)) or now
    assert ended.replicas == nodes(*last)
    assert (ended.adding, ended.removing) == ((), ())
    assert ended.leader in last


def test_replicas_that_cannot_be_are_refused_before_their_number_is() -> None:
    cluster = cluster_of(partition([1, 2]))
    for replicas in ([], [1, 1, 2], [1, 2, 9]):
        [error, _] = alter(cluster, {0: replicas}, factor_may_change=False)[0]
        assert error == E.INVALID_REPLICA_ASSIGNMENT, replicas


def test_nothing_to_reassign_is_answered_as_kafka_does() -> None:
    cluster = cluster_of(partition([1, 2]))
    request = AlterPartitionReassignmentsRequest(topics=[])
    response = alter_partition_reassignments(request, cluster.view).response
    assert (response.error_code, response.error_message, response.responses) == (E.NONE, "", [])
