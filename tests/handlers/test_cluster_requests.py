"""DescribeCluster, DescribeQuorum, features and forgotten brokers."""

from __future__ import annotations

import pytest

from pykbroker.handlers import cluster as _registered  # noqa: F401
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import CLUSTER_ID, CONTROLLER, CONTROLLER_EPOCH
from pykbroker.state.operations import NOT_ASKED, ON_CLUSTER
from tests.support.cluster_broker import ClusterBroker
from tests.support.cluster_images import Cluster
from wire.errors import ErrorCode
from wire.messages.describe_cluster import DescribeClusterRequest
from wire.messages.describe_quorum import DescribeQuorumRequest, PartitionData, TopicData
from wire.messages.metadata_records import RegisterControllerRecord
from wire.messages.unregister_broker import UnregisterBrokerRequest
from wire.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest

pytestmark = pytest.mark.anyio
E = ErrorCode


def broker() -> ClusterBroker:
    cluster = Cluster(1, 2)
    cluster.broker(3, fenced=True)
    cluster.replay.assume(
        [
            Change(CLUSTER_ID, "cluster"),
            Change(CONTROLLER, RegisterControllerRecord(controller_id=2)),
            Change(CONTROLLER_EPOCH, "7"),
        ]
    )
    return ClusterBroker(cluster)


async def test_the_cluster_is_its_living_brokers() -> None:
    answer = await broker().ask(DescribeClusterRequest())
    assert (answer.cluster_id, answer.controller_id, answer.endpoint_type) == ("cluster", 2, 1)
    assert [(b.broker_id, b.port, b.is_fenced) for b in answer.brokers] == [
        (1, 9093, False),
        (2, 9094, False),
    ]
    assert answer.cluster_authorized_operations == NOT_ASKED


async def test_fenced_brokers_and_operations_are_told_when_asked_for() -> None:
    request = DescribeClusterRequest(
        include_fenced_brokers=True, include_cluster_authorized_operations=True
    )
    answer = await broker().ask(request)
    assert [(b.broker_id, b.is_fenced) for b in answer.brokers] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert answer.cluster_authorized_operations == ON_CLUSTER


@pytest.mark.parametrize(
    ("endpoint_type", "version", "code"),
    [
        (2, 1, E.MISMATCHED_ENDPOINT_TYPE),
        (9, 1, E.UNSUPPORTED_ENDPOINT_TYPE),
        (2, 0, E.INVALID_REQUEST),
    ],
)
async def test_controllers_are_not_found_here(
    endpoint_type: int, version: int, code: ErrorCode
) -> None:
    answer = await broker().ask(
        DescribeClusterRequest(endpoint_type=endpoint_type), version=version
    )
    assert answer.error_code == code
    assert answer.error_message


def quorum(topic: str = "__cluster_metadata", *partitions: int) -> DescribeQuorumRequest:
    wanted = [PartitionData(partition_index=index) for index in partitions or (0,)]
    return DescribeQuorumRequest(topics=[TopicData(topic_name=topic, partitions=wanted)])


async def test_the_quorum_is_the_controller_and_the_others_observe() -> None:
    cluster_broker = broker()
    answer = await cluster_broker.ask(quorum())
    (partition,) = answer.topics[0].partitions
    revision = cluster_broker.images.current.revision
    assert (partition.leader_id, partition.leader_epoch, partition.high_watermark) == (
        2,
        7,
        revision,
    )
    assert [v.replica_id for v in partition.current_voters] == [2]
    assert [o.replica_id for o in partition.observers] == [1]
    now_ms = cluster_broker.clock.wall_ms()
    for state in (*partition.current_voters, *partition.observers):
        assert state.log_end_offset == revision
        assert state.last_fetch_timestamp == state.last_caught_up_timestamp == now_ms
    assert [(n.node_id, [x.name for x in n.listeners]) for n in answer.nodes] == [
        (2, ["PLAINTEXT"])
    ]


@pytest.mark.parametrize("request_", [quorum("t"), quorum("__cluster_metadata", 0, 1)])
async def test_other_partitions_have_no_quorum(request_: DescribeQuorumRequest) -> None:
    answer = await broker().ask(request_)
    assert answer.error_code == E.NONE
    assert {p.error_code for t in answer.topics for p in t.partitions} == {
        E.UNKNOWN_TOPIC_OR_PARTITION
    }


async def test_features_and_registrations_are_the_controllers_business() -> None:
    cluster_broker = broker()
    update = FeatureUpdateKey(feature="metadata.version", max_version_level=30)
    answer = await cluster_broker.ask(UpdateFeaturesRequest(feature_updates=[update]))
    assert answer.error_code == E.NONE
    assert cluster_broker.images.current.features == {
        "metadata.version": 30,
        "eligible.leader.replicas.version": 1,
    }
    await cluster_broker.ask(UnregisterBrokerRequest(broker_id=3))
    assert list(cluster_broker.images.current.brokers) == [1, 2]
