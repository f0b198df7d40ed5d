"""Replaying Kafka's metadata log, and what is made of it."""

from __future__ import annotations

import pytest

from pykbroker.state.controller.facts import decode_value, encode_value
from pykbroker.state.controller.takeover import KafkaMetadata, Refused
from pykbroker.state.types import NodeId
from wire.messages.metadata_records import (
    AbortTransactionRecord,
    AccessControlEntryRecord,
    BeginTransactionRecord,
    ClearElrRecord,
    ClientQuotaRecord,
    ConfigRecord,
    EndTransactionRecord,
    EntityData,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveAccessControlEntryRecord,
    RemoveTopicRecord,
    TopicRecord,
    UserScramCredentialRecord,
)
from wire.schema import Record

A, B = b"a" * 16, b"b" * 16
DIRECTORY = b"d" * 16
NODE = NodeId(7)


def replayed(*records: Record) -> KafkaMetadata:
    metadata = KafkaMetadata()
    for record in records:
        metadata.apply(record)
    return metadata


def topic(name: str, topic_id: bytes, partitions: int = 1) -> list[Record]:
    made: list[Record] = [TopicRecord(name=name, topic_id=topic_id)]
    made += [
        PartitionRecord(
            partition_id=index,
            topic_id=topic_id,
            replicas=[7, 8],
            isr=[7, 8],
            leader=8,
            leader_epoch=4,
            partition_epoch=9,
        )
        for index in range(partitions)
    ]
    return made


def setting(kind: int, name: str, key: str, value: str | None) -> ConfigRecord:
    return ConfigRecord(resource_type=kind, resource_name=name, name=key, value=value)


def changes(metadata: KafkaMetadata) -> dict[str, object]:
    made: dict[str, object] = {c.key: c.value for c in metadata.changes("cluster", NODE, DIRECTORY)}
    for key, value in made.items():
        assert isinstance(value, Record | str)
        assert decode_value(key, encode_value(value)) == value
    return made


def partition_of(metadata: KafkaMetadata, topic_id: bytes, index: int = 0) -> PartitionRecord:
    record = changes(metadata)[f"/partitions/{topic_id.hex()}/{index}"]
    assert isinstance(record, PartitionRecord)
    return record


def test_every_partition_is_on_the_one_broker_and_keeps_its_epochs() -> None:
    metadata = replayed(*topic("t", A, 2))
    for index in (0, 1):
        record = partition_of(metadata, A, index)
        assert (record.replicas, record.isr, record.leader) == ([7], [7], 7)
        assert (record.leader_epoch, record.partition_epoch) == (4, 10)
        assert record.directories == [DIRECTORY]
    assert changes(metadata)["/topics/t"] == TopicRecord(name="t", topic_id=A)
    assert changes(metadata)["/cluster_id"] == "cluster"


def test_the_broker_stands_there_as_one_that_is_gone() -> None:
    record = changes(replayed())["/registrations/7"]
    assert isinstance(record, RegisterBrokerRecord)
    assert (record.broker_epoch, record.fenced) == (1, False)


def test_a_change_of_leader_raises_the_leader_epoch_and_every_change_the_partitions() -> None:
    metadata = replayed(
        *topic("t", A),
        PartitionChangeRecord(partition_id=0, topic_id=A, isr=[7]),
        PartitionChangeRecord(partition_id=0, topic_id=A, leader=-1),
    )
    record = partition_of(metadata, A)
    assert (record.leader_epoch, record.partition_epoch) == (5, 12)


def test_a_deleted_topic_is_gone_with_its_settings_and_its_name_is_free() -> None:
    metadata = replayed(
        *topic("t", A),
        setting(2, "t", "retention.ms", "1"),
        RemoveTopicRecord(topic_id=A),
        *topic("t", B),
    )
    made = changes(metadata)
    assert made["/topics/t"] == TopicRecord(name="t", topic_id=B)
    assert not [key for key in made if key.startswith("/configs") or A.hex() in key]


def test_settings_of_topics_groups_and_this_broker_are_kept() -> None:
    metadata = replayed(
        *topic("t", A),
        setting(2, "t", "retention.ms", "1"),
        setting(2, "t", "retention.ms", "-1"),
        setting(2, "t", "segment.ms", "5"),
        setting(2, "t", "segment.ms", None),
        setting(2, "nowhere", "segment.ms", "5"),
        setting(4, "", "min.insync.replicas", "1"),
        setting(4, "7", "message.max.bytes", "9"),
        setting(4, "8", "message.max.bytes", "10"),
        setting(32, "g", "consumer.session.timeout.ms", "50000"),
    )
    made = {key: value for key, value in changes(metadata).items() if key.startswith("/configs")}
    assert {key: value.value for key, value in made.items() if isinstance(value, ConfigRecord)} == {
        "/configs/2/t/retention.ms": "-1",
        "/configs/4//min.insync.replicas": "1",
        "/configs/4/7/message.max.bytes": "9",
        "/configs/32/g/consumer.session.timeout.ms": "50000",
    }


def test_quotas_and_the_next_producer_id_are_kept() -> None:
    def quota(user: str | None, *, remove: bool = False) -> ClientQuotaRecord:
        entity = [EntityData(entity_type="user", entity_name=user)]
        return ClientQuotaRecord(entity=entity, key="producer_byte_rate", value=5.0, remove=remove)

    made = changes(
        replayed(
            quota("ann"),
            quota("bob"),
            quota("bob", remove=True),
            quota(None),
            ProducerIdsRecord(broker_id=1, broker_epoch=3, next_producer_id=1000),
            ProducerIdsRecord(broker_id=1, broker_epoch=3, next_producer_id=2000),
        )
    )
    assert sorted(key for key in made if key.startswith("/quotas")) == [
        "/quotas/user/producer_byte_rate",
        "/quotas/user=ann/producer_byte_rate",
    ]
    record = made["/producer_ids"]
    assert isinstance(record, ProducerIdsRecord)
    assert record.next_producer_id == 2000


def test_a_transaction_counts_once_it_has_ended() -> None:
    begin, made = BeginTransactionRecord(), topic("t", A)
    assert replayed(begin, *made).topics == {}
    assert replayed(begin, *made, AbortTransactionRecord()).topics == {}
    assert replayed(begin, *made, EndTransactionRecord()).topics == {"t": A}
    assert replayed(begin, AbortTransactionRecord(), *made).topics == {"t": A}


def test_what_has_no_place_is_counted() -> None:
    metadata = replayed(
        NoOpRecord(),
        AccessControlEntryRecord(id=A),
        AccessControlEntryRecord(id=B),
        RemoveAccessControlEntryRecord(id=A),
        UserScramCredentialRecord(name="ann", mechanism=1),
    )
    assert metadata.left_out == {"access control entries": 1, "SCRAM credentials": 1}


def test_a_replica_that_is_whole_here_is_accepted() -> None:
    replayed(*topic("t", A)).check(7)
    eligible = PartitionChangeRecord(
        topic_id=A, partition_id=0, isr=[8], eligible_leader_replicas=[7]
    )
    replayed(*topic("t", A), eligible).check(7)
    with pytest.raises(Refused, match="not in sync"):
        replayed(*topic("t", A), eligible, ClearElrRecord(topic_name="")).check(7)


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([PartitionChangeRecord(topic_id=A, partition_id=0, isr=[8])], "t-0 here is not in sync"),
        ([PartitionChangeRecord(topic_id=A, partition_id=0, replicas=[8])], "no replica on node 7"),
        ([setting(2, "t", "remote.storage.enable", "true")], "remote storage"),
        ([TopicRecord(name="empty", topic_id=B)], "every partition of topic empty"),
    ],
)
def test_what_would_lose_records_is_refused(records: list[Record], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        replayed(*topic("t", A), *records).check(7)


def test_a_change_of_an_unknown_partition_is_refused() -> None:
    with pytest.raises(Refused):
        replayed(PartitionChangeRecord(topic_id=A, partition_id=0, isr=[8]))


def test_the_facts_make_an_image() -> None:
    from pykbroker.state.controller.replay import Replay

    metadata = replayed(*topic("t", A, 3), setting(2, "t", "retention.ms", "-1"))
    replay = Replay()
    replay.assume(metadata.changes("c", NODE, DIRECTORY))
    image = replay.image
    assert image.cluster_id == "c"
    assert [p.leader for p in image.topics["t"].partitions] == [7, 7, 7]
    assert image.config_of(2, "t") == {"retention.ms": "-1"}
