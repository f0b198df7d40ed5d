"""Creating and deleting topics: what is refused, with which error, and what is written."""

from __future__ import annotations

import pytest

from pykbroker.state.controller.image import ConfigResource
from pykbroker.state.controller.keys import config_key, partition_key, topic_key
from pykbroker.state.controller.topics import create_topics, delete_topics, random_topic_id
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_TOPIC_ID
from tests.support.cluster_images import Cluster, partition
from wire.errors import ErrorCode
from wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

E = ErrorCode


def topic(name: str, partitions: int = 1, factor: int = 1, **fields: object) -> CreatableTopic:
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=factor,
        **fields,  # type: ignore[arg-type]
    )


def assigned(name: str, *replicas: list[int], **fields: object) -> CreatableTopic:
    assignments = [
        CreatableReplicaAssignment(partition_index=i, broker_ids=b) for i, b in enumerate(replicas)
    ]
    values = {"partitions": -1, "factor": -1, "assignments": assignments} | fields
    return topic(name, **values)  # type: ignore[arg-type]


def create(cluster: Cluster, *topics: CreatableTopic, validate_only: bool = False) -> list:
    request = CreateTopicsRequest(topics=list(topics), validate_only=validate_only)
    return cluster.apply(create_topics(request, cluster.view)).response.topics


def test_a_created_topic_is_there_with_its_partitions_led() -> None:
    cluster = Cluster(1, 2, 3)
    (result,) = create(cluster, topic("t", 4, 2))
    assert (result.error_code, result.error_message) == (E.NONE, None)
    assert (result.num_partitions, result.replication_factor) == (4, 2)
    made = cluster.image.topics["t"]
    assert made.topic_id == result.topic_id
    assert len(made.partitions) == 4
    for p in made.partitions:
        assert (p.leader, p.isr, p.leader_epoch, p.partition_epoch) == (
            p.replicas[0],
            p.replicas,
            0,
            0,
        )


def test_the_topic_record_is_written_last() -> None:
    cluster = Cluster(1)
    request = CreateTopicsRequest(
        topics=[topic("t", 2, configs=[CreatableTopicConfig(name="retention.ms", value="5")])]
    )
    changes = create_topics(request, cluster.view).changes
    assert changes[-1].key == topic_key("t")
    assert len(changes) == 4


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        (topic(""), E.INVALID_TOPIC_EXCEPTION, "the empty string is not allowed"),
        (topic("a b"), E.INVALID_TOPIC_EXCEPTION, "one or more characters other than"),
        (topic("x" * 250), E.INVALID_TOPIC_EXCEPTION, "longer than the max allowed length 249"),
        (topic(".."), E.INVALID_TOPIC_EXCEPTION, "is not allowed"),
        (topic("old"), E.TOPIC_ALREADY_EXISTS, "Topic 'old' already exists."),
        (
            topic("a.b_c"),
            E.INVALID_TOPIC_EXCEPTION,
            "Topic 'a.b_c' collides with existing topic: a_b.c",
        ),
        (topic("__cluster_metadata"), E.INVALID_REQUEST, "prohibited"),
        (topic("t", 0), E.INVALID_PARTITIONS, "invalid non-positive value"),
        (topic("t", -2), E.INVALID_PARTITIONS, "invalid non-positive value"),
        (topic("t", 1, 0), E.INVALID_REPLICATION_FACTOR, "must be larger than 0, or -1"),
        (topic("t", 1, -2), E.INVALID_REPLICATION_FACTOR, "must be larger than 0, or -1"),
        (
            topic("t", 1, 4),
            E.INVALID_REPLICATION_FACTOR,
            "Unable to replicate the partition 4 time(s): The target replication factor of 4 "
            "cannot be reached because only 3 broker(s) are registered.",
        ),
        (assigned("t", [1], partitions=1), E.INVALID_REQUEST, "numPartitions was not set to -1"),
        (assigned("t", [1], factor=1), E.INVALID_REQUEST, "replication factor was not set to -1"),
        (assigned("t", []), E.INVALID_REPLICA_ASSIGNMENT, "an empty replica list"),
        (assigned("t", [1, 1]), E.INVALID_REPLICA_ASSIGNMENT, "the broker 1 more than once"),
        (assigned("t", [9]), E.INVALID_REPLICA_ASSIGNMENT, "broker 9, but no such broker"),
        (assigned("t", [1], [1, 2]), E.INVALID_REPLICA_ASSIGNMENT, "not consistent with previous"),
        (assigned("t", [4]), E.INVALID_REPLICA_ASSIGNMENT, "fenced or in controlled shutdown"),
        (
            topic(
                "t",
                -1,
                -1,
                assignments=[CreatableReplicaAssignment(partition_index=1, broker_ids=[1])],
            ),
            E.INVALID_REPLICA_ASSIGNMENT,
            "consecutive 0-based integer sequence",
        ),
        (
            topic("t", -1, -1, assignments=[CreatableReplicaAssignment(broker_ids=[1])] * 2),
            E.INVALID_REPLICA_ASSIGNMENT,
            "multiple manual partition assignments for partition 0",
        ),
        (
            topic("t", configs=[CreatableTopicConfig(name="no.such", value="1")]),
            E.INVALID_CONFIG,
            "Unknown topic config name: no.such",
        ),
        (
            topic("t", configs=[CreatableTopicConfig(name="retention.ms", value="soon")]),
            E.INVALID_CONFIG,
            "retention.ms",
        ),
        (
            topic("t", configs=[CreatableTopicConfig(name="retention.ms", value=None)]),
            E.INVALID_CONFIG,
            "Null value not supported for topic configs: retention.ms",
        ),
    ],
)
def test_what_is_refused_changes_nothing(
    wanted: CreatableTopic, code: ErrorCode, message: str
) -> None:
    cluster = Cluster(1, 2, 3)
    cluster.topic("old", partition([1]))
    cluster.topic("a_b.c", partition([1]))
    if wanted.assignments and wanted.assignments[0].broker_ids == [4]:
        cluster.broker(4, fenced=True)
    before = cluster.image
    (result,) = create(cluster, wanted)
    assert result.error_code == code
    assert message in result.error_message
    assert (result.num_partitions, result.replication_factor) == (-1, -1)
    assert cluster.image.topics == before.topics


def test_brokers_that_are_all_fenced_take_nothing() -> None:
    cluster = Cluster()
    cluster.broker(1, fenced=True)
    (result,) = create(cluster, topic("t"))
    assert result.error_code == E.INVALID_REPLICATION_FACTOR


def test_fenced_replicas_start_outside_the_isr() -> None:
    cluster = Cluster(1, 2)
    cluster.broker(3, fenced=True)
    create(cluster, assigned("t", [3, 1, 2]))
    (made,) = cluster.image.topics["t"].partitions
    assert (made.leader, made.replicas, made.isr) == (1, (3, 1, 2), (1, 2))


def test_defaults_come_from_the_settings() -> None:
    cluster = Cluster(1, 2, settings={"num.partitions": "3", "default.replication.factor": "2"})
    (result,) = create(cluster, topic("t", -1, -1))
    assert (result.num_partitions, result.replication_factor) == (3, 2)


def test_one_bad_topic_does_not_hurt_the_others() -> None:
    cluster = Cluster(1)
    results = create(cluster, topic("a"), topic("b", 0), topic("c"))
    assert [(r.name, r.error_code) for r in results] == [
        ("a", E.NONE),
        ("b", E.INVALID_PARTITIONS),
        ("c", E.NONE),
    ]
    assert set(cluster.image.topics) == {"a", "c"}


def test_a_name_that_appears_twice_is_refused_once() -> None:
    cluster = Cluster(1)
    results = create(cluster, topic("a"), topic("b"), topic("a"))
    assert [(r.name, r.error_code) for r in results] == [
        ("b", E.NONE),
        ("a", E.INVALID_REQUEST),
    ]
    assert set(cluster.image.topics) == {"b"}


def test_names_that_collide_within_one_request() -> None:
    cluster = Cluster(1)
    results = create(cluster, topic("a.b"), topic("a_b"))
    assert [r.error_code for r in results] == [E.NONE, E.INVALID_TOPIC_EXCEPTION]


def test_validate_only_answers_and_writes_nothing() -> None:
    cluster = Cluster(1)
    results = create(cluster, topic("a", 2), topic("b", 0), validate_only=True)
    assert [r.error_code for r in results] == [E.NONE, E.INVALID_PARTITIONS]
    assert results[0].num_partitions == 2
    assert not cluster.image.topics


def test_configs_are_stored_and_leftovers_of_the_name_removed() -> None:
    cluster = Cluster(1)
    cluster.config("t", "segment.ms", "1")
    cluster.config("t", "retention.ms", "2")
    create(cluster, topic("t", configs=[CreatableTopicConfig(name="retention.ms", value="9")]))
    assert cluster.image.config_of(2, "t") == {"retention.ms": "9"}


def test_too_many_partitions_are_refused_as_a_whole() -> None:
    cluster = Cluster(1)
    with pytest.raises(KafkaError) as refused:
        create(cluster, topic("a", 9_999), topic("b", 2))
    assert refused.value.code == E.POLICY_VIOLATION


def test_a_quota_that_is_used_up_refuses_topic_by_topic() -> None:
    cluster = Cluster(1)
    charged: list[int] = []

    def charge(partitions: int) -> None:
        if sum(charged) >= 2:
            raise KafkaError(E.THROTTLING_QUOTA_EXCEEDED)
        charged.append(partitions)

    request = CreateTopicsRequest(topics=[topic("a", 2), topic("b", 0), topic("c", 1)])
    decision = create_topics(request, cluster.view._replace(charge=charge))
    assert [r.error_code for r in decision.response.topics] == [
        E.NONE,
        E.INVALID_PARTITIONS,
        E.THROTTLING_QUOTA_EXCEEDED,
    ]
    assert charged == [2]


def test_topic_ids_are_random_uuids_that_no_tool_takes_for_an_option() -> None:
    cluster = Cluster(1)
    ids = {random_topic_id(cluster.rng, ()) for _ in range(500)}
    assert len(ids) == 500
    for id_ in ids:
        assert (id_[6] >> 4, id_[8] >> 6) == (4, 2)
        assert id_[0] >> 2 != 62


def delete(cluster: Cluster, *asked: DeleteTopicState) -> list:
    request = DeleteTopicsRequest(topics=list(asked))
    return cluster.apply(delete_topics(request, cluster.view)).response.responses


def test_topics_are_deleted_by_name_and_by_id() -> None:
    cluster = Cluster(1)
    a, b = cluster.topic("a", partition([1])), cluster.topic("b", partition([1]))
    results = delete(cluster, DeleteTopicState(name="a"), DeleteTopicState(topic_id=b))
    assert [(r.name, r.topic_id, r.error_code) for r in results] == [
        ("a", a, E.NONE),
        ("b", b, E.NONE),
    ]
    assert not cluster.image.topics


def test_the_topic_record_goes_first_and_nothing_is_left() -> None:
    cluster = Cluster(1)
    id_ = cluster.topic("t", partition([1]), partition([1]))
    cluster.config("t", "retention.ms", "2")
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name="t")])
    changes = delete_topics(request, cluster.view).changes
    assert [change.key for change in changes] == [
        topic_key("t"),
        config_key(ConfigResource(2, "t"), "retention.ms"),
        partition_key(id_, 0),
        partition_key(id_, 1),
    ]
    cluster.replay.assume(changes)
    assert not cluster.replay.orphans
    assert not cluster.image.configs


def test_what_cannot_be_deleted_is_named_and_the_rest_is() -> None:
    cluster = Cluster(1)
    a, b = cluster.topic("a", partition([1])), cluster.topic("b", partition([1]))
    unknown = b"?" * 16
    results = delete(
        cluster,
        DeleteTopicState(name="none"),
        DeleteTopicState(topic_id=unknown),
        DeleteTopicState(name=None, topic_id=NO_TOPIC_ID),
        DeleteTopicState(name="a", topic_id=a),
        DeleteTopicState(name="b"),
    )
    assert [(r.name, r.topic_id, r.error_code) for r in results] == [
        ("none", NO_TOPIC_ID, E.UNKNOWN_TOPIC_OR_PARTITION),
        (None, unknown, E.UNKNOWN_TOPIC_ID),
        (None, NO_TOPIC_ID, E.INVALID_REQUEST),
        ("a", a, E.INVALID_REQUEST),
        ("b", b, E.NONE),
    ]
    assert set(cluster.image.topics) == {"a"}


def test_a_topic_asked_for_twice_stays() -> None:
    cluster = Cluster(1)
    a, b = cluster.topic("a", partition([1])), cluster.topic("b", partition([1]))
    c = cluster.topic("c", partition([1]))
    results = delete(
        cluster,
        *[DeleteTopicState(name="a")] * 2,
        *[DeleteTopicState(topic_id=b)] * 2,
        DeleteTopicState(name="c"),
        DeleteTopicState(topic_id=c),
    )
    assert [(r.name, r.topic_id, r.error_code, r.error_message) for r in results] == [
        ("a", NO_TOPIC_ID, E.INVALID_REQUEST, "Duplicate topic name."),
        (None, b, E.INVALID_REQUEST, "Duplicate topic id."),
        (
            "c",
            c,
            E.INVALID_REQUEST,
            "The provided topic name maps to an ID that was already supplied.",
        ),
    ]
    assert set(cluster.image.topics) == {"a", "b", "c"}
    assert a in cluster.image.topic_names


def test_deletion_can_be_switched_off() -> None:
    cluster = Cluster(1, settings={"delete.topic.enable": "false"})
    cluster.topic("a", partition([1]))
    with pytest.raises(KafkaError) as refused:
        delete(cluster, DeleteTopicState(name="a"))
    assert refused.value.code == E.TOPIC_DELETION_DISABLED
