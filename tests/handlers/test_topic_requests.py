"""CreateTopics, DeleteTopics, CreatePartitions, ElectLeaders: what the handlers add."""

from __future__ import annotations

import pytest

from pykbroker.handlers import topics as _registered  # noqa: F401
from tests.support.cluster_broker import ClusterBroker
from tests.support.cluster_images import Cluster, partition
from wire.errors import ErrorCode
from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.messages.elect_leaders import ElectLeadersRequest

pytestmark = pytest.mark.anyio
E = ErrorCode


def creation(**configs: str) -> CreateTopicsRequest:
    return CreateTopicsRequest(
        topics=[
            CreatableTopic(
                name="t",
                num_partitions=2,
                replication_factor=1,
                configs=[
                    CreatableTopicConfig(name=name.replace("_", "."), value=value)
                    for name, value in configs.items()
                ],
            ),
            CreatableTopic(name="bad name", num_partitions=1, replication_factor=1),
        ]
    )


async def test_the_answer_holds_the_new_topics_settings_since_version_5() -> None:
    broker = ClusterBroker(Cluster(1))
    good, bad = (await broker.ask(creation(retention_ms="5"), version=7)).topics
    assert (good.error_code, bad.error_code) == (E.NONE, E.INVALID_TOPIC_EXCEPTION)
    configs = {c.name: (c.value, c.config_source) for c in good.configs}
    assert configs["retention.ms"] == ("5", 1)
    assert configs["cleanup.policy"] == ("delete", 5)
    assert [c.name for c in good.configs] == sorted(configs)
    assert bad.configs == []
    assert (await ClusterBroker(Cluster(1)).ask(creation(), version=4)).topics[0].configs == []


async def test_created_topics_are_in_the_image_when_the_answer_comes() -> None:
    broker = ClusterBroker(Cluster(1))
    await broker.ask(creation())
    assert list(broker.images.current.topics) == ["t"]


async def test_a_request_that_is_refused_whole_says_so_for_each_topic() -> None:
    topics = [
        CreatableTopic(name=name, num_partitions=6_000, replication_factor=1) for name in "ab"
    ]
    answer = await ClusterBroker(Cluster(1)).ask(CreateTopicsRequest(topics=topics))
    assert [(t.name, t.error_code, t.num_partitions) for t in answer.topics] == [
        ("a", E.POLICY_VIOLATION, -1),
        ("b", E.POLICY_VIOLATION, -1),
    ]


async def test_a_client_over_its_quota_is_told_to_wait() -> None:
    broker = ClusterBroker(Cluster(1))
    broker.permits = 1
    answer = await broker.ask(creation(), version=7)
    assert [t.error_code for t in answer.topics] == [
        E.THROTTLING_QUOTA_EXCEEDED,
        E.INVALID_TOPIC_EXCEPTION,
    ]
    assert answer.throttle_time_ms == 777


async def test_each_api_is_strict_since_its_own_version() -> None:
    broker = ClusterBroker(Cluster(1))
    broker.cluster.topic("t", partition([1]))
    broker.publish()
    await broker.ask(creation())
    await broker.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name="none")]))
    await broker.ask(
        CreatePartitionsRequest(topics=[CreatePartitionsTopic(name="t", count=2, assignments=None)])
    )
    assert broker.strict_since == [6, 5, 3]


async def test_topics_are_deleted() -> None:
    broker = ClusterBroker(Cluster(1))
    broker.cluster.topic("t", partition([1]))
    broker.publish()
    answer = await broker.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name="t")]))
    assert [(r.name, r.error_code) for r in answer.responses] == [("t", E.NONE)]
    assert not broker.images.current.topics


@pytest.mark.parametrize(
    ("version", "code"), [(2, E.INVALID_REQUEST), (3, E.TOPIC_DELETION_DISABLED)]
)
async def test_deletion_that_is_switched_off(version: int, code: ErrorCode) -> None:
    broker = ClusterBroker(Cluster(1), delete_topic_enable="false")
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name="t")])
    assert await broker.refusal(request, version=version) == code


async def test_leaders_are_elected() -> None:
    broker = ClusterBroker(Cluster(1, 2))
    broker.cluster.topic("t", partition([1, 2], leader=2))
    broker.publish()
    await broker.ask(ElectLeadersRequest(topic_partitions=None))
    assert broker.images.current.topics["t"].partitions[0].leader == 1
