"""What a client asks of any broker is decided by the controller, wherever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.support.broker_cluster import LossyNetwork, brokers, until
from wire.errors import ErrorCode
from wire.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from wire.messages.alter_configs import AlterableConfig as OldConfig
from wire.messages.alter_configs import AlterConfigsRequest
from wire.messages.alter_configs import AlterConfigsResource as OldResource
from wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.messages.describe_cluster import DescribeClusterRequest
from wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from wire.messages.describe_quorum import (
    DescribeQuorumRequest,
    PartitionData,
    TopicData,
)
from wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from wire.messages.find_coordinator import FindCoordinatorRequest
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.messages.init_producer_id import InitProducerIdRequest
from wire.messages.list_partition_reassignments import ListPartitionReassignmentsRequest
from wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from wire.messages.unregister_broker import UnregisterBrokerRequest
from wire.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest

if TYPE_CHECKING:
    from tests.support.broker_cluster import BrokerCluster, Node

pytestmark = pytest.mark.anyio
E = ErrorCode
TOPIC, BROKER = 2, 4
SHORT_SESSIONS = ("broker.session.timeout.ms=1500", "broker.heartbeat.interval.ms=300")


def creation(
    *names: str, factor: int = 1, partitions: int = 2, timeout_ms: int = 30_000
) -> CreateTopicsRequest:
    return CreateTopicsRequest(
        topics=[
            CreatableTopic(name=n, num_partitions=partitions, replication_factor=factor)
            for n in names
        ],
        timeout_ms=timeout_ms,
    )


def other_of(cluster: BrokerCluster) -> Node:
    return cluster.others[0]


async def created(node: Node, *names: str, **options: Any) -> list[int]:
    answer = await node.ask(creation(*names, **options))
    return [t.error_code for t in answer.topics]


@pytest.mark.parametrize("version", range(2, 8))
async def test_topics_come_and_go_through_any_broker_in_any_version(version: int) -> None:
    async with brokers(1, 2) as cluster:
        other = other_of(cluster)
        answer = await other.ask(creation("t", factor=2), version)
        assert [t.error_code for t in answer.topics] == [E.NONE]
        assert "t" in other.image.topics, "the broker that answers knows of it"
        assert bool(answer.topics[0].configs) == (version >= 5)
        again = await other.ask(creation("t"), version)
        assert [t.error_code for t in again.topics] == [E.TOPIC_ALREADY_EXISTS]
        deletion = DeleteTopicsRequest(topic_names=["t", "u"], timeout_ms=30_000)
        if version >= 6:
            deletion = DeleteTopicsRequest(
                topics=[
                    DeleteTopicState(name=None, topic_id=other.image.topics["t"].topic_id),
                    DeleteTopicState(name="u"),
                ],
                timeout_ms=30_000,
            )
        gone = await other.ask(deletion, min(version, 6))
        assert sorted(r.error_code for r in gone.responses) == [
            E.NONE,
            E.UNKNOWN_TOPIC_OR_PARTITION,
        ]
        assert "t" not in other.image.topics


async def test_a_topic_that_is_refused_is_refused_with_its_reason() -> None:
    async with brokers(1, 2) as cluster:
        answer = await other_of(cluster).ask(creation("t", factor=3))
        [result] = answer.topics
        assert result.error_code == E.INVALID_REPLICATION_FACTOR
        assert "only 2 broker(s) are registered" in result.error_message


async def test_partitions_leaders_and_reassignments() -> None:
    async with brokers(1, 2) as cluster:
        other = other_of(cluster)
        assert await created(other, "t") == [E.NONE]
        more = CreatePartitionsRequest(
            topics=[CreatePartitionsTopic(name="t", count=3, assignments=None)], timeout_ms=30_000
        )
        assert [r.error_code for r in (await other.ask(more)).results] == [E.NONE]
        assert len(other.image.topics["t"].partitions) == 3
        elect = ElectLeadersRequest(topic_partitions=[TopicPartitions(topic="t", partitions=[0])])
        [result] = (await other.ask(elect)).replica_election_results
        assert [p.error_code for p in result.partition_result] == [E.ELECTION_NOT_NEEDED]
        leader = other.image.topics["t"].partitions[0].leader
        move = AlterPartitionReassignmentsRequest(
            topics=[
                ReassignableTopic(
                    name="t",
                    partitions=[ReassignablePartition(partition_index=0, replicas=[3 - leader])],
                )
            ]
        )
        [moved] = (await other.ask(move)).responses
        assert [p.error_code for p in moved.partitions] == [E.NONE]
        listed = await other.ask(ListPartitionReassignmentsRequest(topics=None))
        assert listed.error_code == E.NONE
        await until(lambda: other.image.topics["t"].partitions[0].replicas == (3 - leader,))


def incremental(type_: int, name: str, **values: str) -> IncrementalAlterConfigsRequest:
    configs = [AlterableConfig(name=n.replace("_", "."), value=v) for n, v in values.items()]
    resource = AlterConfigsResource(resource_type=type_, resource_name=name, configs=configs)
    return IncrementalAlterConfigsRequest(resources=[resource])


async def described(node: Node, type_: int, name: str, key: str) -> str | None:
    resource = DescribeConfigsResource(
        resource_type=type_, resource_name=name, configuration_keys=[key]
    )
    answer = await node.ask(DescribeConfigsRequest(resources=[resource]))
    [result] = answer.results
    assert result.error_code == E.NONE, result.error_message
    [config] = result.configs
    value: str | None = config.value
    return value


async def test_settings_are_changed_through_any_broker_and_hold_there_at_once() -> None:
    async with brokers(1, 2) as cluster:
        other = other_of(cluster)
        assert await created(other, "t") == [E.NONE]
        answer = await other.ask(incremental(TOPIC, "t", retention_ms="5000"))
        assert [r.error_code for r in answer.responses] == [E.NONE]
        assert await described(other, TOPIC, "t", "retention.ms") == "5000"
        old = AlterConfigsRequest(
            resources=[
                OldResource(
                    resource_type=TOPIC,
                    resource_name="t",
                    configs=[OldConfig(name="segment.bytes", value="2000000")],
                )
            ]
        )
        assert [r.error_code for r in (await other.ask(old)).responses] == [E.NONE]
        assert await described(other, TOPIC, "t", "segment.bytes") == "2000000"
        assert await described(other, TOPIC, "t", "retention.ms") == "604800000"
        refused = await other.ask(incremental(TOPIC, "t", retention_ms="many"))
        assert [r.error_code for r in refused.responses] == [E.INVALID_CONFIG]


async def test_a_brokers_own_settings_are_changed_at_that_broker() -> None:
    async with brokers(1, 2) as cluster:
        other, controller = other_of(cluster), cluster.controller
        own = incremental(BROKER, str(other.node_id), log_retention_ms="7000")
        assert [r.error_code for r in (await other.ask(own)).responses] == [E.NONE]
        assert await described(other, BROKER, str(other.node_id), "log.retention.ms") == "7000"
        mine = controller.services.settings.current
        assert mine.source("log.retention.ms") != other.services.settings.current.source(
            "log.retention.ms"
        )
        [stray] = (await controller.ask(own)).responses
        assert stray.error_code == E.INVALID_REQUEST
        everybody = incremental(BROKER, "", log_cleaner_threads="2")
        assert [r.error_code for r in (await other.ask(everybody)).responses] == [E.NONE]
        await until(
            lambda: all(
                n.services.settings.current.int("log.cleaner.threads") == 2 for n in cluster.nodes
            )
        )


def quota(key: str, value: float, **entity: str) -> AlterClientQuotasRequest:
    parts = [
        EntityData(entity_type=kind.replace("_", "-"), entity_name=name)
        for kind, name in entity.items()
    ]
    entry = EntryData(entity=parts, ops=[OpData(key=key, value=value)])
    return AlterClientQuotasRequest(entries=[entry])


async def test_the_controller_charges_the_client_and_the_client_is_told_to_wait() -> None:
    async with brokers(1, 2) as cluster:
        other, controller = other_of(cluster), cluster.controller
        limit = quota("controller_mutation_rate", 1.0, client_id="a-client")
        assert [e.error_code for e in (await other.ask(limit)).entries] == [E.NONE]
        await until(lambda: controller.image.quotas)
        assert await created(other, "big", partitions=50) == [E.NONE]
        answer = await other.ask(creation("next"))
        [result] = answer.topics
        assert result.error_code == E.THROTTLING_QUOTA_EXCEEDED
        assert answer.throttle_time_ms > 0
        assert not other.services.quotas.mutation._buckets
        assert controller.services.quotas.mutation._buckets
        permissive = await other.ask(creation("old"), 5)
        assert [t.error_code for t in permissive.topics] == [E.NONE], "it knows no such error"
        assert permissive.throttle_time_ms > 0


async def test_a_topic_that_is_asked_for_is_created_through_any_broker() -> None:
    async with brokers(1, 2) as cluster:
        other = other_of(cluster)
        request = MetadataRequest(
            topics=[MetadataRequestTopic(name="auto")], allow_auto_topic_creation=True
        )
        [topic] = (await other.ask(request)).topics
        assert (topic.error_code, len(topic.partitions)) == (E.NONE, 1)


async def test_coordinators_and_producer_ids_through_any_broker() -> None:
    async with brokers(1, 2, options=("offsets.topic.num.partitions=3",)) as cluster:
        other = other_of(cluster)
        find = FindCoordinatorRequest(key_type=0, coordinator_keys=["g"])
        await other.ask(find)
        assert "__consumer_offsets" in other.image.topics
        [coordinator] = (await other.ask(find)).coordinators
        assert (coordinator.error_code, coordinator.node_id in (1, 2)) == (E.NONE, True)
        taken = [
            (await node.ask(InitProducerIdRequest(transactional_id=None))).producer_id
            for node in cluster.nodes
        ]
        assert len(set(taken)) == 2
        assert min(taken) >= 0
        assert abs(taken[0] - taken[1]) >= 1_000, "each from a block of its own"


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_features_are_updated_through_any_broker(version: int) -> None:
    async with brokers(1, 2) as cluster:
        update = FeatureUpdateKey(feature="metadata.version", max_version_level=1_000)
        answer = await other_of(cluster).ask(
            UpdateFeaturesRequest(feature_updates=[update]), version
        )
        assert answer.error_code == E.INVALID_UPDATE_VERSION
        assert "1000" in answer.error_message


async def test_a_broker_is_forgotten_through_any_broker() -> None:
    async with brokers(1, 2, 3, options=SHORT_SESSIONS) as cluster:
        gone, other = cluster.others
        gone.kill()
        await until(lambda: other.image.brokers[gone.node_id].fenced)
        answer = await other.ask(UnregisterBrokerRequest(broker_id=gone.node_id))
        assert answer.error_code == E.NONE
        assert gone.node_id not in other.image.brokers
        again = await other.ask(UnregisterBrokerRequest(broker_id=gone.node_id))
        assert again.error_code == E.BROKER_ID_NOT_REGISTERED


async def test_every_broker_tells_the_same_of_cluster_and_quorum() -> None:
    async with brokers(1, 2, 3) as cluster:
        controller = cluster.controller.node_id
        quorum = DescribeQuorumRequest(
            topics=[TopicData(topic_name="__cluster_metadata", partitions=[PartitionData()])]
        )
        for node in cluster.nodes:
            found = await node.ask(DescribeClusterRequest())
            assert [b.broker_id for b in found.brokers] == [1, 2, 3]
            assert found.controller_id == controller
            metadata = await node.ask(MetadataRequest(topics=[]))
            assert metadata.controller_id == controller
            [topic] = (await node.ask(quorum)).topics
            [partition] = topic.partitions
            assert partition.leader_id == controller
            assert [v.replica_id for v in partition.current_voters] == [controller]
            assert len(partition.observers) == 2


async def test_a_request_waits_for_the_next_controller() -> None:
    async with brokers(1, 2, 3, options=SHORT_SESSIONS) as cluster:
        lost = cluster.controller
        one, two = cluster.others
        lost.kill()
        async with anyio.create_task_group() as tasks:
            codes: dict[str, list[int]] = {}

            async def ask(node: Node, name: str) -> None:
                codes[name] = await created(node, name)

            for node, name in ((one, "a"), (two, "b")):
                tasks.start_soon(ask, node, name)
        assert codes == {"a": [E.NONE], "b": [E.NONE]}
        assert cluster.controller is not lost


@pytest.mark.parametrize("what", ["answers", "requests"])
async def test_what_nobody_knows_of_is_told_as_such_and_what_may_be_repeated_is(what: str) -> None:
    async with brokers(1, 2, network=LossyNetwork) as cluster:
        other = other_of(cluster)
        assert await created(other, "t") == [E.NONE]
        await other.ask(incremental(TOPIC, "t", retention_ms="5000"))
        other.network.loses = what
        assert await created(other, "u") == [E.REQUEST_TIMED_OUT]
        other.network.loses = ""
        done = "u" in cluster.controller.image.topics
        assert done == (what == "answers")
        assert await created(other, "u") == [E.TOPIC_ALREADY_EXISTS if done else E.NONE]
        other.network.loses_next = what
        answer = await other.ask(incremental(TOPIC, "t", retention_ms="6000"))
        assert [r.error_code for r in answer.responses] == [E.NONE]
        assert await described(other, TOPIC, "t", "retention.ms") == "6000"


async def test_a_controller_that_cannot_be_reached_is_told_when_the_time_is_up() -> None:
    async with brokers(1, 2, network=LossyNetwork) as cluster:
        other = other_of(cluster)
        other.network.refuses = True
        assert await created(other, "t", timeout_ms=400) == [E.NOT_CONTROLLER]
        other.network.refuses = False
        assert await created(other, "t") == [E.NONE]


async def test_a_broker_that_stops_has_handed_over_through_the_controller() -> None:
    async with brokers(1, 2) as cluster:
        other, controller = other_of(cluster), cluster.controller
        assert await created(controller, "t", factor=2, partitions=4) == [E.NONE]
        await until(lambda: all(len(p.isr) == 2 for p in controller.image.topics["t"].partitions))
        seen = []
        controller.services.images.subscribe(lambda delta: seen.append(delta.after))
        other.broker.stop()
        await until(lambda: controller.image.brokers[other.node_id].fenced)
        announced = [image for image in seen if image.brokers[other.node_id].in_controlled_shutdown]
        assert announced
        before = next(i for i, image in enumerate(seen) if image.brokers[other.node_id].fenced) - 1
        assert all(
            (p.leader, p.isr) == (controller.node_id, (controller.node_id,))
            for p in seen[before].topics["t"].partitions
        )
