"""Adding partitions to topics."""

from __future__ import annotations

import pytest

from pykbroker.state.controller.partitions import create_partitions
from pykbroker.state.errors import KafkaError
from tests.support.cluster_images import Cluster, partition
from wire.errors import ErrorCode
from wire.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)

E = ErrorCode


def grow(
    cluster: Cluster, *topics: tuple[str, int, list[list[int]] | None], validate_only: bool = False
) -> list:
    request = CreatePartitionsRequest(
        topics=[
            CreatePartitionsTopic(
                name=name,
                count=count,
                assignments=None
                if replicas is None
                else [CreatePartitionsAssignment(broker_ids=b) for b in replicas],
            )
            for name, count, replicas in topics
        ],
        validate_only=validate_only,
    )
    return cluster.apply(create_partitions(request, cluster.view)).response.results


def two_replicas() -> Cluster:
    cluster = Cluster(1, 2, 3)
    cluster.topic("t", partition([1, 2]), partition([2, 3]))
    return cluster


def test_partitions_are_added_behind_the_others_with_the_same_factor() -> None:
    cluster = two_replicas()
    before = cluster.image.topics["t"].partitions
    (result,) = grow(cluster, ("t", 5, None))
    assert (result.name, result.error_code, result.error_message) == ("t", E.NONE, None)
    after = cluster.image.topics["t"].partitions
    assert after[:2] == before
    assert [len(p.replicas) for p in after] == [2] * 5


def test_partitions_can_be_assigned_by_hand() -> None:
    cluster = two_replicas()
    (result,) = grow(cluster, ("t", 3, [[3, 1]]))
    assert result.error_code == E.NONE
    assert cluster.image.topics["t"].partitions[2].replicas == (3, 1)


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (("none", 3, None), E.UNKNOWN_TOPIC_OR_PARTITION, None),
        (("t", 2, None), E.INVALID_PARTITIONS, "Topic already has 2 partition(s)."),
        (("t", 1, None), E.INVALID_PARTITIONS, "1 would not be an increase."),
        (("t", 0, None), E.INVALID_PARTITIONS, "0 would not be an increase."),
        (("t", 4, [[1, 2]]), E.INVALID_REPLICA_ASSIGNMENT, "Attempted to add 2 additional"),
        (("t", 3, [[1]]), E.INVALID_REPLICA_ASSIGNMENT, "not consistent"),
        (("t", 3, [[1, 9]]), E.INVALID_REPLICA_ASSIGNMENT, "no such broker is registered"),
        (("t", 3, [[1, 1]]), E.INVALID_REPLICA_ASSIGNMENT, "more than once"),
        (("t", 3, [[]]), E.INVALID_REPLICA_ASSIGNMENT, "empty replica list"),
        (("t", 20_000, None), E.POLICY_VIOLATION, "Excessively large"),
    ],
)
def test_what_is_refused_changes_nothing(
    asked: tuple[str, int, list[list[int]] | None], code: ErrorCode, message: str | None
) -> None:
    cluster = two_replicas()
    before = cluster.image.topics
    (result,) = grow(cluster, asked)
    assert result.error_code == code
    if message is None:
        assert result.error_message is None
    else:
        assert message in result.error_message
    assert cluster.image.topics == before


def test_a_topic_named_twice_is_refused_once() -> None:
    cluster = two_replicas()
    results = grow(cluster, ("t", 3, None), ("t", 4, None))
    assert [(r.error_code, r.error_message) for r in results] == [
        (E.INVALID_REQUEST, "Duplicate topic name.")
    ]


def test_too_few_brokers_refuse_by_the_factor() -> None:
    cluster = two_replicas()
    cluster.broker(2, stopping=True)
    cluster.broker(3, stopping=True)
    (result,) = grow(cluster, ("t", 3, None))
    assert result.error_code == E.INVALID_REPLICATION_FACTOR


def test_validate_only_writes_nothing() -> None:
    cluster = two_replicas()
    (result,) = grow(cluster, ("t", 3, None), validate_only=True)
    assert result.error_code == E.NONE
    assert len(cluster.image.topics["t"].partitions) == 2


def test_a_quota_that_is_used_up_refuses() -> None:
    cluster = two_replicas()

    def charge(partitions: int) -> None:
        assert partitions == 3
        raise KafkaError(E.THROTTLING_QUOTA_EXCEEDED)

    request = CreatePartitionsRequest(
        topics=[CreatePartitionsTopic(name="t", count=5, assignments=None)]
    )
    decision = create_partitions(request, cluster.view._replace(charge=charge))
    assert decision.response.results[0].error_code == E.THROTTLING_QUOTA_EXCEEDED
    assert not decision.changes
