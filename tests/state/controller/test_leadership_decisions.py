"""ElectLeaders, preferred rebalancing, and the settings that elections read."""

from __future__ import annotations

import pytest

from pykbroker.state.controller.election_requests import elect_leaders
from pykbroker.state.controller.leadership import elect_uncleanly, rebalance_leaders
from pykbroker.state.errors import KafkaError
from tests.support.cluster_images import Cluster, partition
from wire.errors import ErrorCode
from wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions

E = ErrorCode
PREFERRED, UNCLEAN = 0, 1


def imbalanced() -> Cluster:
    cluster = Cluster(1, 2)
    cluster.broker(3, fenced=True)
    cluster.topic(
        "t",
        partition([1, 2]),
        partition([1, 2], leader=2),
        partition([1, 2], leader=2, isr=[2]),
        partition([3, 2], leader=2, isr=[2]),
        partition([3, 1], leader=-1, isr=[3]),
    )
    return cluster


def elect(cluster: Cluster, kind: int, asked: dict[str, list[int]] | None) -> dict:
    topics = None
    if asked is not None:
        topics = [TopicPartitions(topic=name, partitions=p) for name, p in asked.items()]
    request = ElectLeadersRequest(election_type=kind, topic_partitions=topics)
    response = cluster.apply(elect_leaders(request, cluster.view)).response
    assert response.error_code == E.NONE
    return {
        (result.topic, p.partition_id): p.error_code
        for result in response.replica_election_results
        for p in result.partition_result
    }


def leaders(cluster: Cluster) -> list[int]:
    return [p.leader for p in cluster.image.topics["t"].partitions]


def test_preferred_election_by_name_answers_for_everything_asked() -> None:
    cluster = imbalanced()
    assert elect(cluster, PREFERRED, {"t": [0, 1, 2, 3, 9], "none": [0]}) == {
        ("t", 0): E.ELECTION_NOT_NEEDED,
        ("t", 1): E.NONE,
        ("t", 2): E.PREFERRED_LEADER_NOT_AVAILABLE,
        ("t", 3): E.PREFERRED_LEADER_NOT_AVAILABLE,
        ("t", 9): E.UNKNOWN_TOPIC_OR_PARTITION,
        ("none", 0): E.UNKNOWN_TOPIC_OR_PARTITION,
    }
    assert leaders(cluster) == [1, 1, 2, 2, -1]


def test_election_of_everything_leaves_out_what_needed_none() -> None:
    cluster = imbalanced()
    assert elect(cluster, PREFERRED, None) == {
        ("t", 1): E.NONE,
        ("t", 2): E.PREFERRED_LEADER_NOT_AVAILABLE,
        ("t", 3): E.PREFERRED_LEADER_NOT_AVAILABLE,
        ("t", 4): E.PREFERRED_LEADER_NOT_AVAILABLE,
    }


def test_unclean_election_is_for_partitions_without_a_leader() -> None:
    cluster = imbalanced()
    assert elect(cluster, UNCLEAN, {"t": [0, 4]}) == {
        ("t", 0): E.ELECTION_NOT_NEEDED,
        ("t", 4): E.NONE,
    }
    last = cluster.image.topics["t"].partitions[4]
    assert (last.leader, last.isr, last.recovering) == (1, (1,), True)


def test_unclean_election_with_nobody_alive_fails() -> None:
    cluster = Cluster()
    cluster.broker(1, fenced=True)
    cluster.topic("t", partition([1], leader=-1, isr=[], elr=[1]))
    assert elect(cluster, UNCLEAN, {"t": [0]}) == {("t", 0): E.ELIGIBLE_LEADERS_NOT_AVAILABLE}


def test_a_partition_asked_for_twice_is_elected_once() -> None:
    cluster = imbalanced()
    request = ElectLeadersRequest(topic_partitions=[TopicPartitions(topic="t", partitions=[1, 1])])
    decision = elect_leaders(request, cluster.view)
    (result,) = decision.response.replica_election_results
    assert [p.error_code for p in result.partition_result] == [E.NONE, E.ELECTION_NOT_NEEDED]
    assert len(decision.changes) == 1


def test_an_unknown_kind_of_election_is_refused() -> None:
    with pytest.raises(KafkaError) as refused:
        elect(imbalanced(), 2, None)
    assert refused.value.code == E.INVALID_REQUEST


def test_rebalancing_moves_what_can_move_up_to_a_limit() -> None:
    cluster = Cluster(1, 2)
    cluster.topic("t", *[partition([1, 2], leader=2)] * 3, partition([1, 2], leader=2, isr=[2]))
    cluster.replay.assume(rebalance_leaders(cluster.view, limit=2).changes)
    assert leaders(cluster) == [1, 1, 2, 2]
    cluster.replay.assume(rebalance_leaders(cluster.view, limit=2).changes)
    assert leaders(cluster) == [1, 1, 1, 2]
    assert not rebalance_leaders(cluster.view, limit=2).changes


def test_unclean_elections_follow_the_topics_own_setting() -> None:
    cluster = Cluster(2)
    for name in ("yes", "no"):
        cluster.topic(name, partition([1, 2], leader=-1, isr=[], elr=[1]))
    cluster.config("yes", "unclean.leader.election.enable", "true")
    cluster.replay.assume(elect_uncleanly(cluster.view, limit=9).changes)
    assert cluster.image.topics["yes"].partitions[0].leader == 2
    assert cluster.image.topics["no"].partitions[0].leader == -1
