"""The records of groups and offsets, byte for byte as Apache Kafka 4.4 wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pykbroker.state.group.classic_group import ClassicGroup, State
from pykbroker.state.group.member import Member
from pykbroker.state.group.offsets import CommittedOffset, OffsetKey
from pykbroker.state.group.records import (
    group_record,
    group_tombstone,
    new_group_value,
    offset_record,
    offset_tombstone,
)
from tests.support.group_scenario import subscription
from wire.messages.group_records import GroupMetadataValue
from wire.persisted import decode_record, encode_record

if TYPE_CHECKING:
    from pykbroker.state.coordinator import CoordinatorRecord

MEMBER = "i1-5efb2e75-16d9-431a-b0a5-1c3bcd7feb57"


def stable_group() -> CoordinatorRecord:
    group = ClassicGroup("s", 1795472232935)
    member = Member(
        MEMBER, "i1", "cid", "/127.0.0.1", 30_000, 10_000, (("range", subscription("t")),)
    )
    group.add(member, "consumer")
    group.generation_id, group.protocol_name, group.state = 1, "range", State.STABLE
    return group_record("s", group.to_record({MEMBER: b"Z"}))


def committed(**fields: object) -> CoordinatorRecord:
    topic_id = bytes.fromhex("fca1b6efcbfa4dc6bf286e35788d88dd")
    offset = CommittedOffset(5, -1, "", 1795472233868, topic_id=topic_id)
    return offset_record("d", OffsetKey("u", 0), offset._replace(**fields))


AS_KAFKA_WROTE_THEM = {
    "a new group": (
        group_record("p", new_group_value(1795472233471)),
        "0002000170",
        "0003000000000000ffffffff000001a20a7c13ff00000000",
    ),
    "a stable group": (
        stable_group(),
        "0002000173",
        "00030008636f6e73756d657200000001000572616e6765002769312d35656662326537352d3136643"
        "92d343331612d623061352d316333626364376665623537000001a20a7c11e700000001002769312d"
        "35656662326537352d313664392d343331612d623061352d31633362636437666562353700026931"
        "0003636964000a2f3132372e302e302e3100007530000027100000000d000000000001000174ffffff"
        "ff000000015a",
    ),
    "a group that is no more": (group_tombstone("p"), "0002000170", None),
    "an offset": (
        committed(),
        "000100016400017500000000",
        "00040000000000000005ffffffff01000001a20a7c158c010010fca1b6efcbfa4dc6bf286e35788d88dd",
    ),
    "an offset that is no more": (
        offset_tombstone("d", OffsetKey("u", 0)),
        "000100016400017500000000",
        None,
    ),
}


@pytest.mark.parametrize("name", AS_KAFKA_WROTE_THEM)
def test_record_bytes(name: str) -> None:
    record, key, value = AS_KAFKA_WROTE_THEM[name]
    expected = bytes.fromhex(key), None if value is None else bytes.fromhex(value)
    assert encode_record(*record) == expected
    decoded = decode_record(*expected)
    assert decoded is not None
    assert tuple(decoded)[:2] == (record.key, record.value)


def test_an_offset_with_an_expiry_of_its_own_is_version_1() -> None:
    record = committed(expire_timestamp_ms=1795472233869, metadata="ab", topic_id=bytes(16))
    _, value = encode_record(*record)
    assert value is not None
    parts = ["0001", "0000000000000005", "00026162", "000001a20a7c158c", "000001a20a7c158d"]
    assert value.hex() == "".join(parts)


def test_a_group_and_its_record_are_the_same_thing() -> None:
    value = stable_group().value
    assert isinstance(value, GroupMetadataValue)
    group = ClassicGroup.from_record("s", value)
    assert group.to_record({MEMBER: b"Z"}) == value
    assert group.members[MEMBER].assignment == b"Z"
    assert group.static_members == {"i1": MEMBER}
    assert group.subscribed_topics == {"t"}
