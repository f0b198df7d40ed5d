"""Who stays eligible (KIP-966): not under another minimum ISR, and nobody where there is no ELR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pykbroker.state.controller.decide import decide
from pykbroker.state.controller.elections import Election, Electorate, Target, elect
from pykbroker.state.controller.leadership import broker_joins, broker_leaves
from pykbroker.state.types import NO_LEADER, NodeId
from tests.support.cluster_images import Cluster, nodes, partition
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)

if TYPE_CHECKING:
    from pykbroker.state.controller.image import PartitionImage

TOPIC, BROKER = 2, 4
SHRUNK = partition([1, 2, 3], isr=[1], elr=[2, 3])
LEADERLESS = partition([1, 2, 3], leader=NO_LEADER, isr=[], elr=[2, 3], last_known=[1])


def without_elr(*alive: int, election: Election = Election.ONLINE) -> Electorate:
    return Electorate(lambda node: node in alive, 2, election, has_elr=False)


def alter(cluster: Cluster, type_: int, name: str, value: str, *, only: bool = False) -> list[str]:
    config = AlterableConfig(name="min.insync.replicas", value=value)
    request = IncrementalAlterConfigsRequest(
        resources=[AlterConfigsResource(resource_type=type_, resource_name=name, configs=[config])],
        validate_only=only,
    )
    decision = cluster.apply(decide(request, cluster.view))
    assert decision.response.responses[0].error_code == 0
    return [change.key.split("/")[1] for change in decision.changes]


def elrs(cluster: Cluster, topic: str) -> list[tuple[int, ...]]:
    return [p.elr for p in cluster.image.topics[topic].partitions]


def two_topics(*, elr: bool = True) -> Cluster:
    cluster = Cluster(1, 2, 3, elr=elr, settings={"min.insync.replicas": "2"})
    cluster.topic("t", SHRUNK, partition([1, 2]), LEADERLESS)
    cluster.topic("u", SHRUNK)
    return cluster


def test_under_another_minimum_isr_of_its_topic_nobody_is_eligible_any_more() -> None:
    cluster = two_topics()
    before = cluster.image.topics["t"].partitions
    written = alter(cluster, TOPIC, "t", "1")
    assert written == ["partitions", "configs"], "before the new minimum holds, not after"
    assert elrs(cluster, "t") == [(), (), (2, 3)], "without a leader nothing can be committed"
    assert elrs(cluster, "u") == [(2, 3)]
    after = cluster.image.topics["t"].partitions[0]
    assert after.partition_epoch == before[0].partition_epoch + 1
    assert (after.isr, after.leader_epoch) == (before[0].isr, before[0].leader_epoch)


def test_under_another_minimum_isr_of_the_cluster_it_is_so_for_every_topic() -> None:
    cluster = two_topics()
    alter(cluster, BROKER, "", "3")
    assert elrs(cluster, "t") == [(), (), (2, 3)]
    assert elrs(cluster, "u") == [()]


def test_what_is_only_validated_or_changes_nothing_leaves_them_eligible() -> None:
    cluster = two_topics()
    assert alter(cluster, TOPIC, "t", "1", only=True) == []
    cluster.config("t", "min.insync.replicas", "3")
    assert alter(cluster, TOPIC, "t", "3") == []
    assert elrs(cluster, "t") == [(2, 3), (), (2, 3)]


CASES: list[tuple[str, PartitionImage, Electorate, Target | None, dict[str, object]]] = [
    (
        "who leaves is not eligible",
        partition([1, 2, 3]),
        without_elr(1),
        Target(isr=nodes(1)),
        {"isr": (1,), "elr": (), "leader": 1},
    ),
    (
        "the last member stays in the ISR, without a leader",
        partition([1, 2], isr=[1]),
        without_elr(2),
        Target(isr=()),
        {"isr": (1,), "elr": (), "last_known_elr": (), "leader": NO_LEADER},
    ),
    (
        "and leads again when it is back",
        partition([1, 2], leader=NO_LEADER, isr=[1]),
        without_elr(1, 2),
        None,
        {"isr": (1,), "leader": 1, "recovering": False},
    ),
    (
        "whoever was eligible when there were such replicas may still lead",
        LEADERLESS,
        without_elr(3),
        None,
        {"isr": (3,), "elr": (), "last_known_elr": (), "leader": 3},
    ),
    (
        "any replica may lead uncleanly",
        partition([1, 2], isr=[1]),
        without_elr(2, election=Election.UNCLEAN),
        Target(isr=()),
        {"isr": (2,), "leader": 2, "recovering": True},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_without_eligible_replicas(
    case: tuple[str, PartitionImage, Electorate, Target | None, dict[str, object]],
) -> None:
    _, before, electorate, target, expected = case
    after = elect(before, electorate, target)
    assert after is not None
    assert {name: getattr(after, name) for name in expected} == expected
    assert after.partition_epoch == before.partition_epoch + 1


@pytest.mark.parametrize("elr", [True, False])
def test_the_clusters_level_says_which_it_is(elr: bool) -> None:
    cluster = Cluster(1, 2, elr=elr, settings={"min.insync.replicas": "2"})
    cluster.topic("t", partition([1, 2], isr=[1]))
    cluster.replay.assume(broker_leaves(cluster.view, NodeId(1), lost_tail=False).changes)
    [gone] = cluster.image.topics["t"].partitions
    assert (gone.isr, gone.elr) == (((), (1,)) if elr else ((1,), ()))
    cluster.replay.assume(broker_joins(cluster.view, NodeId(1)).changes)
    [back] = cluster.image.topics["t"].partitions
    assert (back.leader, back.isr, back.elr) == (1, (1,), ())
