"""Administration through the stock clients: topics, partitions, settings, groups, the cluster."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.support.clients import KafkaPython, Message
from tests.support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.process import BrokerProcess

NAMES = count()
WAIT_SECONDS = 60


def new_topic() -> str:
    return f"admin-{next(NAMES)}"


def fill(broker: BrokerProcess, topic: str, records: int, partition: int = 0) -> None:
    KafkaPython().produce(
        broker.bootstrap, topic, [Message(b"%d" % i, partition=partition) for i in range(records)]
    )


def commit(broker: BrokerProcess, group: str, topic: str, offset: int, partition: int = 0) -> None:
    """An empty group with one committed offset."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    done = consumer.commit(
        offsets=[TopicPartition(topic, partition, offset, "noted")], asynchronous=False
    )
    assert done is not None
    assert done[0].error is None
    consumer.close()


@pytest.fixture
def confluent(memory_broker: BrokerProcess) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": memory_broker.bootstrap})


@pytest.fixture
def python(memory_broker: BrokerProcess) -> Iterator[Any]:
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=memory_broker.bootstrap)
    yield admin
    admin.close()


def with_aiokafka(broker: BrokerProcess, use: Callable[[Any], Any]) -> Any:
    """The result of ``use(admin)``, a coroutine."""

    async def run() -> Any:
        from aiokafka.admin import AIOKafkaAdminClient

        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        try:
            return await asyncio.wait_for(use(admin), WAIT_SECONDS)
        finally:
            await admin.close()

    return asyncio.run(run())


def refused(future: Any) -> str:
    """The name of the error with which confluent-kafka's future ends."""
    from confluent_kafka import KafkaException

    with pytest.raises(KafkaException) as caught:
        future.result(WAIT_SECONDS)
    name: str = caught.value.args[0].name()
    return name


def confluent_configs(admin: Any, kind: Any, name: str) -> dict[str, Any]:
    from confluent_kafka.admin import ConfigResource

    resource = ConfigResource(kind, name)
    entries: dict[str, Any] = admin.describe_configs([resource])[resource].result(WAIT_SECONDS)
    return entries


def replace_configs(admin: Any, resource: Any) -> Any:
    """The old request, which sets the whole of a resource's settings."""
    with pytest.warns(DeprecationWarning, match="alter_configs"):
        return admin.alter_configs([resource])[resource]


class TestConfluentTopics:
    def test_create_describe_list_and_delete(self, confluent: Any) -> None:
        from confluent_kafka import TopicCollection
        from confluent_kafka.admin import NewTopic

        topic = new_topic()
        made = NewTopic(topic, 3, 1, config={"retention.ms": "12345", "cleanup.policy": "compact"})
        confluent.create_topics([made])[topic].result(WAIT_SECONDS)
        assert len(confluent.list_topics(timeout=WAIT_SECONDS).topics[topic].partitions) == 3
        described = confluent.describe_topics(TopicCollection([topic]))[topic].result(WAIT_SECONDS)
        assert [p.id for p in described.partitions] == [0, 1, 2]
        assert all([r.id for r in p.replicas] == [p.leader.id] for p in described.partitions)
        assert not described.is_internal
        assert str(described.topic_id) != "AAAAAAAAAAAAAAAAAAAAAA"
        confluent.delete_topics([topic])[topic].result(WAIT_SECONDS)
        assert topic not in confluent.list_topics(timeout=WAIT_SECONDS).topics
        gone = confluent.describe_topics(TopicCollection([topic]))[topic]
        assert refused(gone) == "UNKNOWN_TOPIC_OR_PART"

    def test_replicas_may_be_placed_by_hand(self, confluent: Any) -> None:
        from confluent_kafka.admin import NewTopic

        node = next(iter(confluent.list_topics(timeout=WAIT_SECONDS).brokers))
        topic, astray = new_topic(), new_topic()
        made = confluent.create_topics(
            [
                NewTopic(topic, 2, replica_assignment=[[node], [node]]),
                NewTopic(astray, 1, replica_assignment=[[node + 70]]),
            ]
        )
        made[topic].result(WAIT_SECONDS)
        assert refused(made[astray]) == "INVALID_REPLICA_ASSIGNMENT"
        partitions = confluent.list_topics(timeout=WAIT_SECONDS).topics[topic].partitions
        assert {p: m.replicas for p, m in partitions.items()} == {0: [node], 1: [node]}

    def test_validating_creates_nothing(self, confluent: Any) -> None:
        from confluent_kafka.admin import NewTopic

        topic = new_topic()
        confluent.create_topics([NewTopic(topic, 1, 1)], validate_only=True)[topic].result(
            WAIT_SECONDS
        )
        bad = NewTopic(topic, 1, 1, config={"retention.ms": "soon"})
        tried = confluent.create_topics([bad], validate_only=True)[topic]
        assert refused(tried) == "INVALID_CONFIG"
        assert topic not in confluent.list_topics(timeout=WAIT_SECONDS).topics

    @pytest.mark.parametrize(
        ("name", "partitions", "replicas", "config", "error"),
        [
            ("bad name", 1, 1, {}, "TOPIC_EXCEPTION"),
            ("..", 1, 1, {}, "TOPIC_EXCEPTION"),
            ("x" * 250, 1, 1, {}, "TOPIC_EXCEPTION"),
            ("admin-no-partitions", 0, 1, {}, "INVALID_PARTITIONS"),
            ("admin-replicas", 1, 2, {}, "INVALID_REPLICATION_FACTOR"),
            ("admin-config", 1, 1, {"no.such.thing": "1"}, "INVALID_CONFIG"),
            ("admin-config", 1, 1, {"cleanup.policy": "shred"}, "INVALID_CONFIG"),
        ],
    )
    def test_refusals_leave_no_topic(
        self,
        confluent: Any,
        name: str,
        partitions: int,
        replicas: int,
        config: dict[str, str],
        error: str,
    ) -> None:
        from confluent_kafka.admin import NewTopic

        tried = confluent.create_topics([NewTopic(name, partitions, replicas, config=config)])
        assert refused(tried[name]) == error
        assert name not in confluent.list_topics(timeout=WAIT_SECONDS).topics

    def test_duplicates_and_names_that_collide(self, confluent: Any) -> None:
        from confluent_kafka.admin import NewTopic

        topic = f"{new_topic()}.x"
        confluent.create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT_SECONDS)
        assert refused(confluent.create_topics([NewTopic(topic, 1, 1)])[topic]) == (
            "TOPIC_ALREADY_EXISTS"
        )
        twin = topic.replace(".", "_")
        assert refused(confluent.create_topics([NewTopic(twin, 1, 1)])[twin]) == "TOPIC_EXCEPTION"
        unknown = new_topic()
        assert refused(confluent.delete_topics([unknown])[unknown]) == "UNKNOWN_TOPIC_OR_PART"

    def test_partitions_grow_and_never_shrink(self, confluent: Any) -> None:
        from confluent_kafka.admin import NewPartitions, NewTopic

        topic = new_topic()
        confluent.create_topics([NewTopic(topic, 2, 1)])[topic].result(WAIT_SECONDS)

        def grow(total: int, **options: Any) -> Any:
            return confluent.create_partitions([NewPartitions(topic, total)], **options)[topic]

        def partitions() -> int:
            return len(confluent.list_topics(timeout=WAIT_SECONDS).topics[topic].partitions)

        grow(5, validate_only=True).result(WAIT_SECONDS)
        assert partitions() == 2
        grow(4).result(WAIT_SECONDS)
        assert partitions() == 4
        assert refused(grow(4)) == "INVALID_PARTITIONS"
        assert refused(grow(1)) == "INVALID_PARTITIONS"
        missing = new_topic()
        tried = confluent.create_partitions([NewPartitions(missing, 3)])[missing]
        assert refused(tried) == "UNKNOWN_TOPIC_OR_PART"


class TestConfluentSettings:
    def test_a_topic_setting_is_altered_whole_or_one_by_one(self, confluent: Any) -> None:
        from confluent_kafka.admin import (
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
            ConfigSource,
            NewTopic,
        )

        topic = new_topic()
        kind = ConfigResource.Type.TOPIC
        confluent.create_topics([NewTopic(topic, 1, 1, config={"segment.ms": "600000"})])[
            topic
        ].result(WAIT_SECONDS)

        def change(*entries: tuple[str, str | None, Any], **options: Any) -> Any:
            resource = ConfigResource(
                kind,
                topic,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=operation)
                    for name, value, operation in entries
                ],
            )
            return confluent.incremental_alter_configs([resource], **options)[resource]

        op = AlterConfigOpType
        change(("retention.ms", "777", op.SET), ("cleanup.policy", "compact", op.APPEND)).result(
            WAIT_SECONDS
        )
        now = confluent_configs(confluent, kind, topic)
        assert (now["retention.ms"].value, now["segment.ms"].value) == ("777", "600000")
        assert set(now["cleanup.policy"].value.split(",")) == {"delete", "compact"}
        assert now["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        change(("cleanup.policy", "delete", op.SUBTRACT), ("retention.ms", None, op.DELETE)).result(
            WAIT_SECONDS
        )
        now = confluent_configs(confluent, kind, topic)
        assert (now["cleanup.policy"].value, now["retention.ms"].value) == ("compact", "604800000")
        assert now["retention.ms"].is_default
        change(("retention.ms", "1", op.SET), validate_only=True).result(WAIT_SECONDS)
        assert confluent_configs(confluent, kind, topic)["retention.ms"].value == "604800000"
        assert refused(change(("retention.ms", "soon", op.SET))) == "INVALID_CONFIG"
        assert refused(change(("retention.ms", "1", op.APPEND))) == "INVALID_CONFIG"
        whole = ConfigResource(kind, topic, set_config={"max.message.bytes": "2048"})
        replace_configs(confluent, whole).result(WAIT_SECONDS)
        now = confluent_configs(confluent, kind, topic)
        assert now["max.message.bytes"].value == "2048"
        assert (now["segment.ms"].value, now["cleanup.policy"].value) == ("604800000", "delete")

    def test_settings_of_what_is_not_there(self, confluent: Any) -> None:
        from confluent_kafka.admin import ConfigResource

        for kind, name, error in (
            (ConfigResource.Type.TOPIC, new_topic(), "UNKNOWN_TOPIC_OR_PART"),
            (ConfigResource.Type.TOPIC, "bad name", "TOPIC_EXCEPTION"),
        ):
            resource = ConfigResource(kind, name)
            assert refused(confluent.describe_configs([resource])[resource]) == error
            change = ConfigResource(kind, name, set_config={"retention.ms": "1"})
            assert refused(replace_configs(confluent, change)) == error

    def test_broker_settings_are_shown_and_the_dynamic_ones_altered(self, confluent: Any) -> None:
        from confluent_kafka.admin import (
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
            ConfigSource,
        )

        kind = ConfigResource.Type.BROKER
        node = str(next(iter(confluent.list_topics(timeout=WAIT_SECONDS).brokers)))
        before = confluent_configs(confluent, kind, node)
        assert before["log.retention.hours"].value == "168"
        assert before["node.id"].is_read_only
        assert not before["message.max.bytes"].is_read_only

        def change(name: str, value: str | None, operation: Any) -> Any:
            resource = ConfigResource(
                kind,
                node,
                incremental_configs=[ConfigEntry(name, value, incremental_operation=operation)],
            )
            return confluent.incremental_alter_configs([resource])[resource]

        change("message.max.bytes", "1048599", AlterConfigOpType.SET).result(WAIT_SECONDS)
        entry = eventually(
            lambda: next(
                (
                    e
                    for e in [confluent_configs(confluent, kind, node)["message.max.bytes"]]
                    if e.value == "1048599"
                ),
                None,
            )
        )
        assert entry.source == ConfigSource.DYNAMIC_BROKER_CONFIG.value  # type: ignore[attr-defined]
        change("message.max.bytes", None, AlterConfigOpType.DELETE).result(WAIT_SECONDS)
        assert refused(change("node.id", "5", AlterConfigOpType.SET)) == "INVALID_REQUEST"
        eventually(
            lambda: confluent_configs(confluent, kind, node)["message.max.bytes"].value == "1048588"
        )


class TestConfluentRecordsAndGroups:
    def test_records_are_deleted_up_to_an_offset(
        self, confluent: Any, memory_broker: BrokerProcess
    ) -> None:
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import OffsetSpec

        topic = new_topic()
        fill(memory_broker, topic, 20)

        def delete(offset: int, partition: int = 0) -> Any:
            [future] = confluent.delete_records([TopicPartition(topic, partition, offset)]).values()
            return future

        assert delete(7).result(WAIT_SECONDS).low_watermark == 7
        assert delete(3).result(WAIT_SECONDS).low_watermark == 7
        assert refused(delete(21)) == "OFFSET_OUT_OF_RANGE"
        earliest = {TopicPartition(topic, 0): OffsetSpec.earliest()}
        [found] = confluent.list_offsets(earliest).values()
        assert found.result(WAIT_SECONDS).offset == 7
        assert delete(-1).result(WAIT_SECONDS).low_watermark == 20

    def test_offsets_are_listed_by_every_spec(
        self, confluent: Any, memory_broker: BrokerProcess
    ) -> None:
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import OffsetSpec

        topic = new_topic()
        start = 1_790_000_000_000
        KafkaPython().produce(
            memory_broker.bootstrap,
            topic,
            [Message(b"x", timestamp_ms=start + t) for t in (0, 10, 30, 20)],
        )
        specs = [
            (OffsetSpec.earliest(), 0, -1),
            (OffsetSpec.latest(), 4, -1),
            (OffsetSpec.max_timestamp(), 2, start + 30),
            (OffsetSpec.for_timestamp(start + 11), 2, start + 30),
            (OffsetSpec.for_timestamp(start + 31), -1, -1),
        ]
        for spec, offset, timestamp in specs:
            [future] = confluent.list_offsets({TopicPartition(topic, 0): spec}).values()
            found = future.result(WAIT_SECONDS)
            assert (found.offset, found.timestamp) == (offset, timestamp)
        [future] = confluent.list_offsets(
            {TopicPartition(topic, 9): OffsetSpec.latest()}, request_timeout=5
        ).values()
        assert refused(future) == "_NOENT"  # librdkafka looks for a leader first

    def test_groups_are_listed_described_and_deleted(
        self, confluent: Any, memory_broker: BrokerProcess
    ) -> None:
        from confluent_kafka import ConsumerGroupState

        topic = new_topic()
        group = f"group-of-{topic}"
        fill(memory_broker, topic, 5)
        commit(memory_broker, group, topic, 3)
        listed = confluent.list_consumer_groups().result(WAIT_SECONDS)
        assert listed.errors == []
        assert group in [g.group_id for g in listed.valid]
        stable = confluent.list_consumer_groups(states={ConsumerGroupState.STABLE})
        assert group not in [g.group_id for g in stable.result(WAIT_SECONDS).valid]
        described = confluent.describe_consumer_groups([group])[group].result(WAIT_SECONDS)
        assert (described.state, described.members) == (ConsumerGroupState.EMPTY, [])
        confluent.delete_consumer_groups([group])[group].result(WAIT_SECONDS)
        assert refused(confluent.delete_consumer_groups([group])[group]) == "GROUP_ID_NOT_FOUND"

    def test_a_group_with_members_is_described_and_not_deleted(
        self, confluent: Any, memory_broker: BrokerProcess
    ) -> None:
        from confluent_kafka import Consumer, ConsumerGroupState
        from confluent_kafka.admin import NewTopic

        topic = new_topic()
        group = f"group-of-{topic}"
        confluent.create_topics([NewTopic(topic, 2, 1)])[topic].result(WAIT_SECONDS)
        consumer = Consumer(
            {
                "bootstrap.servers": memory_broker.bootstrap,
                "group.id": group,
                "client.id": "the-member",
            }
        )
        consumer.subscribe([topic])
        eventually(lambda: consumer.poll(0.1) or len(consumer.assignment()) == 2)
        described = confluent.describe_consumer_groups([group])[group].result(WAIT_SECONDS)
        assert described.state is ConsumerGroupState.STABLE
        [member] = described.members
        assert member.client_id == "the-member"
        assert {p.partition for p in member.assignment.topic_partitions} == {0, 1}
        assert refused(confluent.delete_consumer_groups([group])[group]) == "NON_EMPTY_GROUP"
        consumer.close()
        confluent.delete_consumer_groups([group])[group].result(WAIT_SECONDS)

    def test_committed_offsets_are_listed_and_altered(
        self, confluent: Any, memory_broker: BrokerProcess
    ) -> None:
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        topic = new_topic()
        group = f"group-of-{topic}"
        fill(memory_broker, topic, 9)
        commit(memory_broker, group, topic, 4)

        def listed() -> list[tuple[str, int, int, str | None]]:
            asked = [ConsumerGroupTopicPartitions(group)]
            found = confluent.list_consumer_group_offsets(asked)[group].result(WAIT_SECONDS)
            return [(p.topic, p.partition, p.offset, p.metadata) for p in found.topic_partitions]

        assert listed() == [(topic, 0, 4, "noted")]
        moved = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 8)])
        confluent.alter_consumer_group_offsets([moved])[group].result(WAIT_SECONDS)
        assert [o for _, _, o, _ in listed()] == [8]


class TestConfluentCluster:
    def test_the_cluster_is_described(self, confluent: Any, memory_broker: BrokerProcess) -> None:
        found = confluent.describe_cluster(include_authorized_operations=True).result(WAIT_SECONDS)
        [node] = found.nodes
        assert f"{node.host}:{node.port}" == memory_broker.bootstrap
        assert found.controller.id == node.id
        assert len(found.cluster_id) == 22
        assert confluent.list_topics(timeout=WAIT_SECONDS).cluster_id == found.cluster_id

    def test_electing_the_preferred_leader_changes_nothing_where_it_leads(
        self, confluent: Any
    ) -> None:
        from confluent_kafka import ElectionType, TopicPartition
        from confluent_kafka.admin import NewTopic

        topic = new_topic()
        confluent.create_topics([NewTopic(topic, 1, 1)])[topic].result(WAIT_SECONDS)
        partitions = [TopicPartition(topic, 0), TopicPartition(topic, 5)]
        for kind in (ElectionType.PREFERRED, ElectionType.UNCLEAN):
            errors = confluent.elect_leaders(kind, partitions).result(WAIT_SECONDS)
            named = {p.partition: e.name() for p, e in errors.items() if e is not None}
            assert named == {0: "ELECTION_NOT_NEEDED", 5: "UNKNOWN_TOPIC_OR_PART"}


class TestKafkaPython:
    def test_topics_from_creation_to_deletion(self, python: Any) -> None:
        from kafka.errors import (
            InvalidTopicError,
            TopicAlreadyExistsError,
            UnknownTopicOrPartitionError,
        )

        topic, placed = new_topic(), new_topic()
        node = python.describe_cluster()["brokers"][0]["broker_id"]
        made = python.create_topics(
            {
                topic: {"num_partitions": 2, "configs": {"retention.ms": "99"}},
                placed: {"assignments": {0: [node], 1: [node], 2: [node]}},
            }
        )
        by_name = {t["name"]: t for t in made["topics"]}
        assert by_name[topic]["num_partitions"] == 2
        assert by_name[topic]["configs"]["retention.ms"]["value"] == "99"
        assert by_name[placed]["num_partitions"] == 3
        assert {topic, placed} <= set(python.list_topics())
        [described] = python.describe_topics([topic])
        assert len(described["partitions"]) == 2
        [by_id] = python.describe_topics([UUID(described["topic_id"])])
        assert by_id["name"] == topic
        paged = python.describe_topic_partitions([topic])
        assert [len(t["partitions"]) for t in paged["topics"]] == [2]
        with pytest.raises(TopicAlreadyExistsError):
            python.create_topics([topic])
        with pytest.raises(InvalidTopicError):
            python.create_topics(["no good"])
        absent = new_topic()
        python.create_topics([absent], validate_only=True)
        assert absent not in python.list_topics()
        python.delete_topics([topic])
        with pytest.raises(UnknownTopicOrPartitionError):
            python.delete_topics([topic])
        assert topic not in python.list_topics()
        [other] = python.describe_topics([placed])
        python.delete_topics([UUID(other["topic_id"])])
        assert placed not in python.list_topics()

    def test_partitions_records_and_offsets(
        self, python: Any, memory_broker: BrokerProcess
    ) -> None:
        from kafka import TopicPartition
        from kafka.errors import InvalidPartitionsError, OffsetOutOfRangeError
        from kafka.protocol.consumer import OffsetSpec

        topic = new_topic()
        python.create_topics({topic: {"num_partitions": 1}})
        python.create_partitions({topic: 3})
        with pytest.raises(InvalidPartitionsError):
            python.create_partitions({topic: 2})
        assert len(python.describe_topics([topic])[0]["partitions"]) == 3
        fill(memory_broker, topic, 12, partition=2)
        partition = TopicPartition(topic, 2)
        assert python.delete_records({partition: 5})[partition]["low_watermark"] == 5
        with pytest.raises(OffsetOutOfRangeError):
            python.delete_records({partition: 13})
        for spec, offset in ((OffsetSpec.EARLIEST, 5), (OffsetSpec.LATEST, 12)):
            assert python.list_partition_offsets({partition: spec})[partition].offset == offset
        python.elect_leaders(0, {topic: [0, 1, 2]})
        assert python.list_partition_reassignments() == {}

    def test_settings(self, python: Any) -> None:
        from kafka.admin import ConfigResource, ConfigResourceType

        topic = new_topic()
        python.create_topics([topic])
        of_topic = ConfigResourceType.TOPIC

        def now(only: str = "modified", **options: Any) -> dict[str, Any]:
            found = python.describe_configs(
                [ConfigResource(of_topic, topic)], config_filter=only, **options
            )
            entries: dict[str, Any] = found["topic"][topic]
            return entries

        everything = now("all", include_synonyms=True)
        assert everything["segment.bytes"]["value"] == "1073741824"
        assert [s["name"] for s in everything["segment.bytes"]["synonyms"]] == ["log.segment.bytes"]
        change = {"cleanup.policy": ("APPEND", "compact"), "retention.ms": "5"}
        done = python.alter_configs([ConfigResource(of_topic, topic, change)])
        assert done == {"topic": {topic: "OK"}}
        assert now()["retention.ms"]["value"] == "5"
        assert set(now()["cleanup.policy"]["value"].split(",")) == {"delete", "compact"}
        python.alter_configs([ConfigResource(of_topic, topic, {"retention.ms": "6"})], True)
        assert now()["retention.ms"]["value"] == "5"
        python.alter_configs(
            [ConfigResource(of_topic, topic, {"flush.ms": "1000"})], incremental=False
        )
        assert now()["retention.ms"]["value"] == "5"
        python.reset_configs([ConfigResource(of_topic, topic, ["retention.ms", "cleanup.policy"])])
        assert "retention.ms" not in now()
        unknown = python.alter_configs(
            [ConfigResource(of_topic, topic, {"no.such": "1"})], raise_on_unknown=False
        )
        assert "InvalidConfig" in unknown["topic"][topic]
        listed = python.list_config_resources(["TOPIC"])
        assert topic in listed["topic"]

    def test_groups(self, python: Any, memory_broker: BrokerProcess) -> None:
        from kafka import TopicPartition
        from kafka.structs import OffsetAndMetadata

        topic = new_topic()
        group = f"group-of-{topic}"
        fill(memory_broker, topic, 9)
        commit(memory_broker, group, topic, 4)
        partition = TopicPartition(topic, 0)
        assert group in [g["group_id"] for g in python.list_groups()]
        assert group not in [g["group_id"] for g in python.list_groups(states_filter=["Stable"])]
        assert python.describe_groups([group])[group]["group_state"] == "Empty"
        assert python.list_group_offsets(group)[group][partition].offset == 4
        python.alter_group_offsets(group, {partition: OffsetAndMetadata(7, "", -1)})
        assert python.list_group_offsets({group: [partition]})[group][partition].offset == 7
        python.delete_group_offsets(group, [partition])
        assert python.list_group_offsets(group)[group] == {}
        assert dict(python.delete_groups([group])) == {group: "OK"}
        assert group not in [g["group_id"] for g in python.list_groups()]

    def test_cluster_log_dirs_features_and_quorum(
        self, python: Any, memory_broker: BrokerProcess
    ) -> None:
        topic = new_topic()
        fill(memory_broker, topic, 10)
        cluster = python.describe_cluster()
        [broker] = cluster["brokers"]
        assert f"{broker['host']}:{broker['port']}" == memory_broker.bootstrap
        assert cluster["controller_id"] == broker["broker_id"]
        described = python.describe_log_dirs()
        sizes = {
            t["name"]: sum(p["partition_size"] for p in t["partitions"])
            for d in flat(described)
            for t in d["topics"]
        }
        assert sizes[topic] > 0
        assert "finalized" in python.describe_features()["metadata.version"]


def flat(described: Any) -> list[Any]:
    """The log directories in kafka-python's answer, whatever they are nested in."""
    if isinstance(described, dict):
        if "topics" in described:
            return [described]
        described = list(described.values())
    if isinstance(described, list):
        return [d for part in described for d in flat(part)]
    return []


class TestAiokafka:
    def test_topics_partitions_and_settings(self, memory_broker: BrokerProcess) -> None:
        from aiokafka.admin import NewPartitions, NewTopic
        from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

        topic, absent = new_topic(), new_topic()

        async def use(admin: Any) -> None:
            made = await admin.create_topics(
                [NewTopic(topic, 1, 1, topic_configs={"retention.ms": "4711"})]
            )
            assert [(t[0], t[1]) for t in made.topic_errors] == [(topic, 0)]
            again = await admin.create_topics(
                [NewTopic(topic, 1, 1), NewTopic("no good", 1, 1), NewTopic(absent, 0, 1)]
            )
            assert [(t[0], t[1]) for t in again.topic_errors] == [
                (topic, 36),
                ("no good", 17),
                (absent, 37),
            ]
            await admin.create_topics([NewTopic(absent, 1, 1)], validate_only=True)
            listed = await admin.list_topics()
            assert topic in listed
            assert absent not in listed
            grown = await admin.create_partitions({topic: NewPartitions(3)})
            assert [e[1] for e in grown.topic_errors] == [0]
            [described] = await admin.describe_topics([topic])
            assert sorted(p["partition"] for p in described["partitions"]) == [0, 1, 2]
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            [found] = await admin.describe_configs([resource])
            entries = {e[0]: e[1] for e in found.resources[0][4]}
            assert entries["retention.ms"] == "4711"
            change = ConfigResource(ConfigResourceType.TOPIC, topic, {"flush.ms": "12"})
            [altered] = await admin.alter_configs([change])
            assert altered.resources[0][0] == 0
            [found] = await admin.describe_configs([resource])
            entries = {e[0]: e[1] for e in found.resources[0][4]}
            assert (entries["flush.ms"], entries["retention.ms"]) == ("12", "604800000")
            gone = await admin.delete_topics([topic, absent])
            assert {t: e for t, e, *_ in gone.topic_error_codes} == {topic: 0, absent: 3}
            assert topic not in await admin.list_topics()

        with_aiokafka(memory_broker, use)

    def test_records_groups_and_the_cluster(self, memory_broker: BrokerProcess) -> None:
        from aiokafka import TopicPartition
        from aiokafka.admin import RecordsToDelete

        topic = new_topic()
        group = f"group-of-{topic}"
        fill(memory_broker, topic, 9)
        commit(memory_broker, group, topic, 4)
        partition = TopicPartition(topic, 0)

        async def use(admin: Any) -> None:
            assert await admin.delete_records({partition: RecordsToDelete(6)}) == {partition: 6}
            assert group in [g[0] for g in await admin.list_consumer_groups()]
            [described] = await admin.describe_consumer_groups([group])
            assert [(g[0], g[1], g[2]) for g in described.groups] == [(0, group, "Empty")]
            offsets = await admin.list_consumer_group_offsets(group)
            assert offsets[partition].offset == 4
            asked = await admin.list_consumer_group_offsets(group, partitions=[partition])
            # confluent-kafka counts the C string's end into what it commits.
            assert asked[partition].metadata.rstrip("\0") == "noted"
            cluster = await admin.describe_cluster()
            [broker] = cluster["brokers"]
            assert f"{broker['host']}:{broker['port']}" == memory_broker.bootstrap
            assert await admin.find_coordinator(group) == broker["node_id"]

        with_aiokafka(memory_broker, use)
