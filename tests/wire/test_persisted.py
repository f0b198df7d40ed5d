"""Records that outlive the process: how they are framed, and what a reader makes of the future."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.support.messages import all_messages, sample, versions_of
from wire.errors import DecodeError, EncodeError
from wire.messages.consumer_group_records import ConsumerGroupRegularExpressionKey
from wire.messages.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
)
from wire.messages.control_records import EndTxnMarker
from wire.messages.group_records import (
    GroupMetadataKey,
    GroupMetadataValue,
    LegacyOffsetCommitKey,
    LegacyOffsetCommitValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from wire.messages.metadata_records import NoOpRecord, TopicRecord
from wire.messages.transaction_records import TransactionLogKey, TransactionLogValue
from wire.persisted import (
    GROUP_RECORDS,
    SHARE_STATE_RECORDS,
    TRANSACTION_RECORDS,
    RecordTypes,
    decode_control_key,
    decode_embedded,
    decode_end_txn_marker,
    decode_metadata_record,
    decode_record,
    decode_versioned,
    encode_control_key,
    encode_end_txn_marker,
    encode_metadata_record,
    encode_record,
    encode_versioned,
)

OFFSET_KEY = OffsetCommitKey(group="g", topic="t", partition=2)
OFFSET_KEY_BYTES = bytes.fromhex("00010001 670001 7400000002")


def test_a_committed_offset_on_disk() -> None:
    value = OffsetCommitValue(offset=7, leader_epoch=3, metadata="m", commit_timestamp=9)
    key_bytes, value_bytes = encode_record(OFFSET_KEY, value, 3)
    assert key_bytes == OFFSET_KEY_BYTES
    assert value_bytes == bytes.fromhex("00030000000000000007000000030001 6d0000000000000009")
    assert decode_record(key_bytes, value_bytes) == (OFFSET_KEY, value, 3)


def test_a_tombstone_has_a_key_alone() -> None:
    assert encode_record(OFFSET_KEY, None, 0) == (OFFSET_KEY_BYTES, None)
    assert decode_record(OFFSET_KEY_BYTES, None) == (OFFSET_KEY, None, 0)


def test_a_type_of_record_that_is_not_known_is_passed_over() -> None:
    assert decode_record(b"\x7f\xffwhatever", b"\0\0whatever") is None
    assert decode_record(b"\xff\xff", None) is None


@pytest.mark.parametrize("key", [b"", b"\0", b"\0\x01", OFFSET_KEY_BYTES + b"x"])
def test_a_key_that_makes_no_sense_is_refused(key: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_record(key, None)


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\x05", b"\xff\xff", b"\0\x03abc"])
def test_a_value_that_makes_no_sense_is_refused(value: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_record(OFFSET_KEY_BYTES, value)


def coordinator_pairs() -> list[tuple[RecordTypes, int]]:
    tables = (GROUP_RECORDS, TRANSACTION_RECORDS, SHARE_STATE_RECORDS)
    return [(table, number) for table in tables for number in table._modules]


@pytest.mark.parametrize(("types", "number"), coordinator_pairs())
def test_every_coordinator_record_survives(types: RecordTypes, number: int) -> None:
    classes = types.classes(number)
    assert classes is not None
    key_class, value_class = classes
    assert key_class.__name__.removesuffix("Key") == value_class.__name__.removesuffix("Value")
    rng = Random(number)
    for version in versions_of(value_class):
        key, value = sample(key_class, 0, rng), sample(value_class, version, rng)
        assert decode_record(*encode_record(key, value, version), types) == (key, value, version)


def test_every_coordinator_record_is_found_by_its_type() -> None:
    found = {cls for pair in coordinator_pairs() for cls in pair[0].classes(pair[1]) or ()}
    defined = {
        cls
        for cls in all_messages()
        if cls.__module__.endswith("_records")
        and cls.__name__.endswith(("Key", "Value"))
        and "metadata_records" not in cls.__module__
    }
    assert found == defined


def test_types_that_share_a_number_are_told_apart_by_their_topic() -> None:
    assert GROUP_RECORDS.classes(0) == (LegacyOffsetCommitKey, LegacyOffsetCommitValue)
    assert GROUP_RECORDS.classes(2) == (GroupMetadataKey, GroupMetadataValue)
    assert TRANSACTION_RECORDS.classes(0) == (TransactionLogKey, TransactionLogValue)
    classes = GROUP_RECORDS.classes(16)
    assert classes is not None
    assert classes[0] is ConsumerGroupRegularExpressionKey
    assert TRANSACTION_RECORDS.classes(1) is None


def test_a_version_that_a_value_lacks_is_refused() -> None:
    with pytest.raises(EncodeError):
        encode_record(OFFSET_KEY, OffsetCommitValue(), 5)


# Control records.


@pytest.mark.parametrize(("kind", "data"), [(0, "0000 0000"), (1, "0000 0001"), (5, "0000 0005")])
def test_control_keys(kind: int, data: str) -> None:
    assert encode_control_key(kind) == bytes.fromhex(data)
    assert decode_control_key(bytes.fromhex(data)) == kind


def test_end_of_transaction_markers() -> None:
    data = bytes.fromhex("0000 00000007")
    assert encode_end_txn_marker(7) == data
    assert decode_end_txn_marker(data) == 7


def test_control_records_of_the_future_begin_as_ours_do() -> None:
    assert decode_control_key(bytes.fromhex("0009 0001 abcd")) == 1
    assert decode_end_txn_marker(bytes.fromhex("0009 00000007 abcd")) == 7


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"\0\0\0", b"\xff\xff\0\1"])
def test_control_records_that_make_no_sense_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_control_key(data)
    with pytest.raises(DecodeError):
        decode_end_txn_marker(data)


# The consumer protocol.


def test_a_subscription_of_the_future_is_read_as_the_newest_known() -> None:
    value = ConsumerProtocolSubscription(topics=["a", "b"], generation_id=4, rack_id="r")
    data = encode_versioned(value, 3)
    assert decode_versioned(ConsumerProtocolSubscription, data) == (value, 3)
    newer = b"\0\x63" + data[2:] + b"more"
    assert decode_embedded(ConsumerProtocolSubscription, newer) == (value, 99)
    with pytest.raises(DecodeError):
        decode_versioned(ConsumerProtocolSubscription, newer)


def test_an_assignment_is_read_in_its_version() -> None:
    value = ConsumerProtocolAssignment(
        assigned_partitions=[TopicPartition(topic="t", partitions=[0, 1])], user_data=b"x"
    )
    for version in (0, 3):
        data = encode_versioned(value, version)
        assert decode_embedded(ConsumerProtocolAssignment, data) == (value, version)


# Metadata records.


def test_a_metadata_record_on_disk() -> None:
    record = TopicRecord(name="t", topic_id=bytes(15) + b"\x01")
    data = bytes.fromhex("01 02 0002 74" + "00" * 15 + "0100")
    assert encode_metadata_record(record, 0) == data
    assert decode_metadata_record(data) == (record, 0)


def metadata_classes() -> list[Any]:
    return [cls for cls in all_messages() if cls.__module__ == TopicRecord.__module__]


@pytest.mark.parametrize("cls", metadata_classes(), ids=lambda cls: cls.__name__)
def test_every_metadata_record_survives(cls: Any) -> None:
    for version in versions_of(cls):
        record = sample(cls, version, Random(version))
        again = decode_metadata_record(encode_metadata_record(record, version))
        assert again == (record, version)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01\x02",
        b"\x02\x14\x00\x00",  # a frame of version 2
        b"\x01\x7f\x00\x00",  # no such record
        b"\x01\x14\x09\x00",  # no such version
        b"\x01\x14\x00\x00x",  # something left over
        b"\x80" * 20,
    ],
)
def test_a_metadata_record_that_makes_no_sense_is_refused(data: bytes) -> None:
    assert decode_metadata_record(encode_metadata_record(NoOpRecord(), 0)) == (NoOpRecord(), 0)
    with pytest.raises(DecodeError):
        decode_metadata_record(data)


def test_a_marker_is_a_record_like_others() -> None:
    assert decode_versioned(EndTxnMarker, encode_end_txn_marker(3))[0].coordinator_epoch == 3
