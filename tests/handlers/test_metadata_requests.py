"""Metadata and DescribeTopicPartitions, version by version."""

from __future__ import annotations

import pytest

from pykbroker.handlers import metadata as _registered  # noqa: F401
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import CLUSTER_ID, CONTROLLER, registration_key
from pykbroker.state.errors import KafkaError
from pykbroker.state.operations import NOT_ASKED, ON_CLUSTER, ON_TOPIC
from pykbroker.state.types import NO_TOPIC_ID
from tests.support.cluster_broker import ClusterBroker
from tests.support.cluster_images import Cluster, partition
from wire.errors import ErrorCode
from wire.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    TopicRequest,
)
from wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from wire.messages.metadata_records import (
    BrokerEndpoint,
    RegisterBrokerRecord,
    RegisterControllerRecord,
)

pytestmark = pytest.mark.anyio
E = ErrorCode


def some_cluster() -> Cluster:
    cluster = Cluster()
    for node in (2, 1):
        record = RegisterBrokerRecord(
            broker_id=node,
            broker_epoch=node,
            end_points=[
                BrokerEndpoint(name="PLAINTEXT", host="inside", port=9000 + node),
                BrokerEndpoint(name="OUTSIDE", host="outside", port=19000 + node),
            ][: 3 - node],
            rack=f"rack{node}",
            fenced=False,
        )
        cluster.replay.assume([Change(registration_key(node), record)])
    cluster.broker(3, fenced=True)
    cluster.replay.assume(
        [
            Change(CLUSTER_ID, "cluster"),
            Change(CONTROLLER, RegisterControllerRecord(controller_id=2)),
        ]
    )
    cluster.topic("t", partition([1, 2]), partition([2, 1], isr=[2]))
    cluster.topic("__consumer_offsets", partition([3, 1], leader=1, isr=[1]))
    cluster.topic("dead", partition([3], leader=-1, isr=[], elr=[3]))
    return cluster


def broker(**settings: str) -> ClusterBroker:
    return ClusterBroker(some_cluster(), default_replication_factor="1", **settings)


def asking(*names: str, **options: object) -> MetadataRequest:
    topics = [MetadataRequestTopic(name=name) for name in names]
    return MetadataRequest(topics=topics, **options)  # type: ignore[arg-type]


async def test_living_brokers_are_named_by_the_listener_the_client_came_in_on() -> None:
    answer = await broker().ask(asking())
    assert [(b.node_id, b.host, b.port, b.rack) for b in answer.brokers] == [
        (1, "inside", 9001, "rack1"),
        (2, "inside", 9002, "rack2"),
    ]
    answer = await broker().ask(asking(), listener="OUTSIDE")
    assert [(b.node_id, b.host, b.port) for b in answer.brokers] == [(1, "outside", 19001)]


async def test_the_controller_is_one_that_the_client_can_reach() -> None:
    assert (await broker().ask(asking())).controller_id == 2
    assert (await broker().ask(asking(), listener="OUTSIDE")).controller_id == 1
    assert (await broker().ask(asking(), listener="NOWHERE")).controller_id == -1


async def test_null_asks_for_all_topics_and_nothing_for_none() -> None:
    answer = await broker().ask(MetadataRequest(topics=None))
    assert [t.name for t in answer.topics] == ["t", "__consumer_offsets", "dead"]
    assert answer.cluster_id == "cluster"
    assert (await broker().ask(asking())).topics == []


async def test_a_topic_is_described_whole() -> None:
    cluster_broker = broker()
    (topic,) = (await cluster_broker.ask(asking("t"))).topics
    assert (topic.error_code, topic.name, topic.is_internal) == (E.NONE, "t", False)
    assert topic.topic_id == cluster_broker.cluster.image.topics["t"].topic_id
    assert [
        (p.error_code, p.partition_index, p.leader_id, p.leader_epoch, p.replica_nodes, p.isr_nodes)
        for p in topic.partitions
    ] == [(E.NONE, 0, 1, 5, [1, 2], [1, 2]), (E.NONE, 1, 2, 5, [2, 1], [2])]


async def test_internal_topics_are_marked() -> None:
    (topic,) = (await broker().ask(asking("__consumer_offsets"))).topics
    assert topic.is_internal
    assert topic.partitions[0].offline_replicas == [3]


async def test_a_partition_without_a_leader_says_so() -> None:
    (topic,) = (await broker().ask(asking("dead"))).topics
    (p,) = topic.partitions
    assert (p.error_code, p.leader_id, p.offline_replicas) == (E.LEADER_NOT_AVAILABLE, -1, [3])


@pytest.mark.parametrize(
    ("version", "code"), [(5, E.LEADER_NOT_AVAILABLE), (6, E.LISTENER_NOT_FOUND)]
)
async def test_a_leader_without_the_clients_listener(version: int, code: ErrorCode) -> None:
    (topic,) = (await broker().ask(asking("t"), version=version, listener="OUTSIDE")).topics
    assert [p.error_code for p in topic.partitions] == [E.NONE, code]
    assert [p.leader_id for p in topic.partitions] == [1, -1]


async def test_version_0_names_no_broker_that_is_away() -> None:
    (topic,) = (await broker().ask(asking("__consumer_offsets"), version=0)).topics
    (p,) = topic.partitions
    assert (p.error_code, p.replica_nodes, p.isr_nodes) == (E.REPLICA_NOT_AVAILABLE, [1], [1])


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("unknown", E.UNKNOWN_TOPIC_OR_PARTITION),
        ("", E.INVALID_TOPIC_EXCEPTION),
        ("not legal", E.INVALID_TOPIC_EXCEPTION),
    ],
)
async def test_topics_that_are_not_there(name: str, code: ErrorCode) -> None:
    cluster_broker = broker()
    (topic,) = (await cluster_broker.ask(asking(name, allow_auto_topic_creation=False))).topics
    assert (topic.error_code, topic.name, topic.partitions) == (code, name, [])
    assert not cluster_broker.asked


async def test_topics_are_asked_for_by_id() -> None:
    cluster_broker = broker()
    known = cluster_broker.cluster.image.topics["t"].topic_id
    request = MetadataRequest(
        topics=[
            MetadataRequestTopic(name=None, topic_id=b"?" * 16),
            MetadataRequestTopic(name=None, topic_id=known),
        ]
    )
    answer = await cluster_broker.ask(request, version=12)
    assert [(t.error_code, t.name, t.topic_id) for t in answer.topics] == [
        (E.UNKNOWN_TOPIC_ID, None, b"?" * 16),
        (E.NONE, "t", known),
    ]
    assert not cluster_broker.asked, "an id creates nothing"


@pytest.mark.parametrize(
    "topic", [MetadataRequestTopic(name=None), MetadataRequestTopic(name="t", topic_id=b"?" * 16)]
)
async def test_ids_and_null_names_are_refused_before_version_12(
    topic: MetadataRequestTopic,
) -> None:
    request = MetadataRequest(topics=[topic])
    assert await broker().refusal(request, version=11) == E.INVALID_REQUEST


async def test_a_name_asked_for_twice_is_answered_once() -> None:
    assert [t.name for t in (await broker().ask(asking("t", "dead", "t"))).topics] == ["t", "dead"]


async def test_operations_are_told_when_asked_for() -> None:
    answer = await broker().ask(asking("t"))
    assert answer.cluster_authorized_operations == NOT_ASKED
    assert answer.topics[0].topic_authorized_operations == NOT_ASKED
    request = asking(
        "t",
        include_cluster_authorized_operations=True,
        include_topic_authorized_operations=True,
    )
    answer = await broker().ask(request)
    assert answer.cluster_authorized_operations == ON_CLUSTER == 0b1_1111_1010_0000
    assert answer.topics[0].topic_authorized_operations == ON_TOPIC == 0b1101_1111_1000


async def test_asking_for_a_topic_creates_it_and_answers_with_its_leader() -> None:
    cluster_broker = broker(num_partitions="2")
    answer = await cluster_broker.ask(asking("new", "t"))
    assert [(t.name, t.error_code, len(t.partitions)) for t in answer.topics] == [
        ("new", E.NONE, 2),
        ("t", E.NONE, 2),
    ]
    assert all(p.leader_id in (1, 2) for p in answer.topics[0].partitions)
    (created,) = cluster_broker.asked
    assert [t.name for t in created.topics] == ["new"]
    assert cluster_broker.strict_since[0] > 100, "clients of Metadata are never refused by quota"


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [({"auto_create_topics_enable": "false"}, True), ({}, False)],
)
async def test_nothing_is_created_unless_broker_and_client_agree(
    settings: dict[str, str], allowed: bool
) -> None:
    cluster_broker = broker(**settings)
    answer = await cluster_broker.ask(asking("new", allow_auto_topic_creation=allowed))
    assert [t.error_code for t in answer.topics] == [E.UNKNOWN_TOPIC_OR_PARTITION]
    assert not cluster_broker.asked


async def test_asking_for_everything_creates_nothing() -> None:
    cluster_broker = broker()
    await cluster_broker.ask(MetadataRequest(topics=None))
    assert not cluster_broker.asked


async def test_illegal_and_colliding_names_are_refused_for_good() -> None:
    cluster_broker = broker()
    cluster_broker.cluster.topic("a.b", partition([1]))
    cluster_broker.publish()
    answer = await cluster_broker.ask(asking("no way", "a_b"))
    assert [t.error_code for t in answer.topics] == [E.INVALID_TOPIC_EXCEPTION] * 2


async def test_a_topic_that_cannot_be_created_stays_unknown() -> None:
    cluster_broker = ClusterBroker(some_cluster(), default_replication_factor="5")
    for _ in range(3):
        (topic,) = (await cluster_broker.ask(asking("new"))).topics
        assert topic.error_code == E.UNKNOWN_TOPIC_OR_PARTITION
    assert list(cluster_broker.images.derived["creation failures"]) == ["new"]


async def test_without_a_controller_the_topic_stays_unknown() -> None:
    cluster_broker = broker()
    cluster_broker.fails_with = KafkaError(E.NOT_CONTROLLER)
    (topic,) = (await cluster_broker.ask(asking("new"))).topics
    assert topic.error_code == E.UNKNOWN_TOPIC_OR_PARTITION


async def test_the_offsets_topic_is_created_by_its_coordinator_others_by_nobody() -> None:
    cluster_broker = ClusterBroker(Cluster(1))
    answer = await cluster_broker.ask(asking("__consumer_offsets", "__transaction_state"))
    assert [t.error_code for t in answer.topics] == [E.UNKNOWN_TOPIC_OR_PARTITION] * 2
    assert cluster_broker.offsets_created == 1
    assert not cluster_broker.asked


async def test_an_answer_is_made_anew_when_topics_or_brokers_change() -> None:
    cluster_broker = broker()
    (first,) = (await cluster_broker.ask(asking("t"))).topics
    (again,) = (await cluster_broker.ask(asking("t"))).topics
    assert again is first, "nothing has changed"
    cluster_broker.cluster.broker(2, fenced=True)
    cluster_broker.publish()
    (after,) = (await cluster_broker.ask(asking("t"))).topics
    assert after.partitions[0].offline_replicas == [2]
    await cluster_broker.ask(asking("another"))
    (kept,) = (await cluster_broker.ask(asking("t"))).topics
    assert kept is after
    everything = await cluster_broker.ask(MetadataRequest(topics=None))
    assert {t.name for t in everything.topics} == set(cluster_broker.images.current.topics)


def pages(*names: str, limit: int = 2000, cursor: tuple[str, int] | None = None):
    return DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name=name) for name in names],
        response_partition_limit=limit,
        cursor=cursor and Cursor(topic_name=cursor[0], partition_index=cursor[1]),
    )


def shown(answer) -> list[tuple[str, list[int]]]:
    return [(t.name, [p.partition_index for p in t.partitions]) for t in answer.topics]


async def test_partitions_are_described_with_their_eligible_leaders() -> None:
    (topic,) = (await broker().ask(pages("dead"))).topics
    (p,) = topic.partitions
    assert (p.leader_id, p.eligible_leader_replicas, p.last_known_elr, p.offline_replicas) == (
        -1,
        [3],
        [],
        [3],
    )
    assert topic.topic_authorized_operations == ON_TOPIC
    assert topic.topic_id != NO_TOPIC_ID


async def test_pages_follow_each_other_by_name_and_partition() -> None:
    cluster_broker = broker()
    cluster_broker.cluster.topic("big", *[partition([1])] * 3)
    cluster_broker.publish()
    seen: list[tuple[str, int]] = []
    cursor = None
    for _ in range(20):
        answer = await cluster_broker.ask(pages(limit=2, cursor=cursor))
        assert sum(len(t.partitions) for t in answer.topics) <= 2
        seen += [(name, index) for name, indexes in shown(answer) for index in indexes]
        if answer.next_cursor is None:
            break
        cursor = (answer.next_cursor.topic_name, answer.next_cursor.partition_index)
    assert seen == sorted(
        (t.name, i)
        for t in cluster_broker.images.current.topics.values()
        for i in range(len(t.partitions))
    )


async def test_the_brokers_limit_counts_too() -> None:
    answer = await broker(max_request_partition_size_limit="1").ask(pages("t"))
    assert shown(answer) == [("t", [0])]
    assert (answer.next_cursor.topic_name, answer.next_cursor.partition_index) == ("t", 1)


async def test_unknown_topics_are_errors_only_when_they_were_named() -> None:
    answer = await broker().ask(pages("none", "no way", "t"))
    assert [(t.name, t.error_code) for t in answer.topics] == [
        ("no way", E.INVALID_TOPIC_EXCEPTION),
        ("none", E.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", E.NONE),
    ]


@pytest.mark.parametrize(
    "request_", [pages("t", cursor=("other", 0)), pages("t", cursor=("t", -1))]
)
async def test_bad_cursors_are_refused(request_: DescribeTopicPartitionsRequest) -> None:
    assert await broker().refusal(request_) == E.INVALID_REQUEST


async def test_a_cursor_behind_a_deleted_topic_goes_on_with_the_next() -> None:
    answer = await broker().ask(pages(cursor=("e", 5)))
    assert shown(answer) == [("t", [0, 1])]
