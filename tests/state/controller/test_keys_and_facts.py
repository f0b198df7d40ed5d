"""Keys have one meaning, values come back as they were, and what is newer is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import decode_value, encode_value
from pykbroker.state.controller.image import ConfigResource, QuotaEntity
from pykbroker.state.types import NodeId, TopicId
from wire.errors import DecodeError
from wire.messages.metadata_records import (
    BrokerEndpoint,
    ClientQuotaRecord,
    ConfigRecord,
    EntityData,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    TopicRecord,
)

TEXT = st.text(max_size=12)
ENTITIES = st.dictionaries(
    st.sampled_from(["client-id", "ip", "user"]), st.none() | TEXT, min_size=1
).map(lambda parts: QuotaEntity(tuple(sorted(parts.items()))))


@given(TEXT)
def test_quoting_comes_back_and_leaves_no_separator(text: str) -> None:
    quoted = keys.quote(text)
    assert keys.unquote(quoted) == text
    assert not set("/,=") & set(quoted)


@given(st.integers(0, 127), TEXT, TEXT)
def test_config_keys_come_back(type_: int, resource: str, name: str) -> None:
    key = keys.config_key(ConfigResource(type_, resource), name)
    kind, rest = keys.split_key(key)
    assert (kind, keys.config_of(rest)) == ("configs", (ConfigResource(type_, resource), name))


@given(ENTITIES, TEXT)
def test_quota_keys_come_back_with_the_default_told_from_the_empty_name(
    entity: QuotaEntity, name: str
) -> None:
    kind, rest = keys.split_key(keys.quota_key(entity, name))
    assert (kind, keys.quota_of(rest)) == ("quotas", (entity, name))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 1 << 31))
def test_partition_keys_come_back(topic_id: bytes, index: int) -> None:
    kind, rest = keys.split_key(keys.partition_key(TopicId(topic_id), index))
    assert (kind, keys.partition_of(rest)) == ("partitions", (topic_id, index))


def test_broker_keys_come_back_and_the_two_kinds_are_apart() -> None:
    for key, kind in ((keys.broker_key(7), "brokers"), (keys.registration_key(7), "registrations")):
        found, rest = keys.split_key(key)
        assert (found, keys.node_of(rest)) == (kind, NodeId(7))


RECORDS = [
    TopicRecord(name="t", topic_id=b"x" * 16),
    PartitionRecord(
        partition_id=3,
        topic_id=b"x" * 16,
        replicas=[1, 2, 3],
        isr=[1],
        leader=1,
        leader_recovery_state=1,
        leader_epoch=4,
        partition_epoch=7,
        directories=[b"d" * 16],
        eligible_leader_replicas=[2],
        last_known_elr=[3],
    ),
    ConfigRecord(resource_type=2, resource_name="t", name="retention.ms", value="5"),
    ClientQuotaRecord(entity=[EntityData(entity_type="user")], key="producer_byte_rate", value=1.5),
    FeatureLevelRecord(name="metadata.version", feature_level=30),
    ProducerIdsRecord(broker_id=1, broker_epoch=2, next_producer_id=3000),
    RegisterControllerRecord(controller_id=1, incarnation_id=b"i" * 16),
    RegisterBrokerRecord(
        broker_id=1, end_points=[BrokerEndpoint(name="PLAINTEXT", host="h", port=9)], rack="r"
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_come_back_whole(record: object) -> None:
    assert decode_value("/key", encode_value(record)) == record


@pytest.mark.parametrize("key", [keys.CLUSTER_ID, keys.CONTROLLER_EPOCH])
def test_single_values_are_plain_text(key: str) -> None:
    assert encode_value("12") == b"12"
    assert decode_value(key, b"12") == "12"


def test_the_frame_names_version_record_and_record_version() -> None:
    assert encode_value(RECORDS[0])[:3] == bytes((1, 2, 0))
    assert encode_value(RECORDS[1])[:3] == bytes((1, 3, 2))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:2],
        lambda data: b"\x02" + data[1:],
        lambda data: data[:1] + b"\x7f" + data[2:],
        lambda data: data[:2] + b"\x05" + data[3:],
        lambda data: data[:-1],
        lambda data: data + b"\x00",
    ],
    ids=["empty", "no version", "newer frame", "unknown record", "newer record", "cut", "longer"],
)
def test_what_cannot_be_read_is_an_error(damage: object) -> None:
    with pytest.raises(DecodeError):
        decode_value("/topics/t", damage(encode_value(RECORDS[0])))  # type: ignore[operator]
