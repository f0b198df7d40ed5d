"""Committed offsets: who may commit, what is fetched, what transactions hold back, what expires."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.state.coordinator import CoordinatorRecord
from pykbroker.state.group.classic_group import State
from pykbroker.state.group.offsets import CommittedOffset, OffsetKey
from pykbroker.state.group.records import offset_record, offset_tombstone
from tests.support.group_scenario import GROUP, WALL_MS, GroupScenario, subscription
from wire.errors import ErrorCode
from wire.messages.group_records import (
    GroupMetadataKey,
    LegacyOffsetCommitKey,
    OffsetCommitKey,
    OffsetCommitValue,
)

HOUR_MS = 3_600_000
RETENTION_MS = 7 * HOUR_MS
SWEEP_MS = 600_000


@pytest.fixture
def s() -> GroupScenario:
    return GroupScenario()


# Committing.


def test_a_member_commits_and_fetches(s: GroupScenario) -> None:
    s.stable("a").commit("a", 42, metadata="note", leader_epoch=3)
    assert s.commit_code("a") == ErrorCode.NONE
    partition = s.fetch({"t": [0]}).topics[0].partitions[0]
    assert (partition.committed_offset, partition.committed_leader_epoch) == (42, 3)
    assert (partition.metadata, partition.error_code) == ("note", ErrorCode.NONE)


def test_a_consumer_without_a_group_commits_to_a_simple_group(s: GroupScenario) -> None:
    s.commit("x", 7, member_id="")
    assert s.commit_code("x") == ErrorCode.NONE
    assert s.committed() == 7
    assert s.group.state is State.EMPTY
    assert s.group.protocol_type is None
    assert s.restart().committed() == 7


def test_the_record_says_what_was_committed(s: GroupScenario) -> None:
    topic_id = bytes(range(16))
    s.at(5_000).commit("x", 7, leader_epoch=2, metadata=None, topic_id=topic_id)
    key, value, version = s.records[-1]
    assert key == OffsetCommitKey(group=GROUP, topic="t", partition=0)
    assert value == OffsetCommitValue(
        offset=7,
        leader_epoch=2,
        metadata="",
        commit_timestamp=WALL_MS + 5_000,
        topic_id=topic_id,
    )
    assert version == 4


def test_a_retention_of_its_own_needs_the_old_record(s: GroupScenario) -> None:
    s.commit("x", 7, retention_ms=1_000)
    _, value, version = s.records[-1]
    assert isinstance(value, OffsetCommitValue)
    assert (version, value.expire_timestamp) == (1, WALL_MS + 1_000)


def test_version_1_brings_its_own_timestamp(s: GroupScenario) -> None:
    s.commit("x", 7, timestamp=99)
    value = s.records[-1].value
    assert isinstance(value, OffsetCommitValue)
    assert value.commit_timestamp == 99


@pytest.mark.parametrize(
    ("commit", "code"),
    [
        ({"member_id": "x"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation": 9}, ErrorCode.ILLEGAL_GENERATION),
        ({"generation": 0}, ErrorCode.ILLEGAL_GENERATION),
        ({"generation": -1}, ErrorCode.ILLEGAL_GENERATION),
        ({"generation": -1, "member_id": ""}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"instance": "i9"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation": -1, "member_id": "", "instance": "i9"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_only_members_of_the_generation_commit(
    s: GroupScenario, commit: dict[str, Any], code: ErrorCode
) -> None:
    s.stable("a").commit("a", 1, **commit)
    assert s.commit_code("a") == code
    assert s.committed() == -1


def test_a_generation_of_a_group_that_is_not_there(s: GroupScenario) -> None:
    assert s.commit("a", 1, generation=3).commit_code("a") == ErrorCode.GROUP_ID_NOT_FOUND
    assert s.shard.groups == {}


def test_an_empty_group_takes_commits_from_outside_but_of_no_generation(s: GroupScenario) -> None:
    s.stable("a").leave("a")
    assert s.commit("x", 1).commit_code("x") == ErrorCode.NONE
    s.commit("x", 1, generation=2, member_id="gone")
    assert s.commit_code("x") == ErrorCode.UNKNOWN_MEMBER_ID


def test_commits_go_on_until_the_next_generation_begins(s: GroupScenario) -> None:
    s.stable("a", "b").join("c")
    assert s.group.state is State.PREPARING_REBALANCE
    assert s.commit("a", 5).commit_code("a") == ErrorCode.NONE
    s.join("a").join("b")
    s.inbox.clear()
    assert s.group.state is State.COMPLETING_REBALANCE
    assert s.commit("a", 6).commit_code("a") == ErrorCode.REBALANCE_IN_PROGRESS
    assert s.committed() == 5


def test_a_commit_counts_as_a_heartbeat(s: GroupScenario) -> None:
    s.stable("a", session_ms=10_000).later(9_000)
    s.commit("a", 1).later(9_000)
    assert len(s.group.members) == 1
    s.later(1_000)
    assert len(s.group.members) == 0


def test_metadata_has_a_limit_for_each_partition(s: GroupScenario) -> None:
    s = GroupScenario(offset_metadata_max_bytes=4)
    s.commit("x", 1, metadata="12345")
    assert s.commit_code("x") == ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert s.commit("x", 1, metadata="1234").commit_code("x") == ErrorCode.NONE


# Fetching.


def test_what_was_never_committed_is_minus_one(s: GroupScenario) -> None:
    found = s.fetch({"t": [0, 1]})
    assert found.error_code == ErrorCode.NONE
    for partition in found.topics[0].partitions:
        assert (partition.committed_offset, partition.committed_leader_epoch) == (-1, -1)
        assert (partition.metadata, partition.error_code) == ("", ErrorCode.NONE)


def test_all_topics_are_fetched_when_none_is_named(s: GroupScenario) -> None:
    s.commit("x", 1, topic="t").commit("x", 2, topic="t", partition=3).commit("x", 3, topic="u")
    s.commit("x", 9, topic="t", group="other")
    found = {
        (t.name, p.partition_index): p.committed_offset
        for t in s.fetch().topics
        for p in t.partitions
    }
    assert found == {("t", 0): 1, ("t", 3): 2, ("u", 0): 3}
    assert s.fetch(group="missing").topics == []


def test_offsets_of_a_topic_that_was_created_anew_do_not_count(s: GroupScenario) -> None:
    old, new = bytes(15) + b"\1", bytes(15) + b"\2"
    s.commit("x", 1, topic_id=old)
    assert s.fetch({"t": [0]}, topic_id=old).topics[0].partitions[0].committed_offset == 1
    assert s.fetch({"t": [0]}, topic_id=new).topics[0].partitions[0].committed_offset == -1
    assert s.committed() == 1, "who asks by name gets what there is"
    s.commit("x", 2)
    assert s.fetch({"t": [0]}, topic_id=new).topics[0].partitions[0].committed_offset == 2


# Transactions. They reach this state through the log only.


def offset(value: int, record_offset: int = -1) -> CommittedOffset:
    return CommittedOffset(value, -1, "", WALL_MS, record_offset=record_offset)


def replay(s: GroupScenario, value: int, at: int, producer_id: int, partition: int = 0) -> None:
    record = offset_record(GROUP, OffsetKey("t", partition), offset(value))
    s.shard.replay(record, at, producer_id)


def test_a_transactional_commit_counts_from_the_commit_marker_on(s: GroupScenario) -> None:
    replay(s, 5, at=0, producer_id=100)
    assert s.committed() == -1
    s.shard.replay_end_of_transaction(100, committed=True)
    assert s.committed() == 5


def test_an_aborted_transaction_leaves_no_trace(s: GroupScenario) -> None:
    replay(s, 1, at=0, producer_id=-1)
    replay(s, 5, at=1, producer_id=100)
    s.shard.replay_end_of_transaction(100, committed=False)
    assert s.committed() == 1
    assert not s.shard.offsets.has_pending(GROUP)


def test_pending_offsets_are_unstable_to_those_who_care(s: GroupScenario) -> None:
    replay(s, 1, at=0, producer_id=-1)
    replay(s, 5, at=1, producer_id=100)
    unstable = s.fetch({"t": [0]}, stable=True).topics[0].partitions[0]
    assert unstable.error_code == ErrorCode.UNSTABLE_OFFSET_COMMIT
    assert unstable.committed_offset == -1
    assert s.fetch(None, stable=True).topics[0].partitions[0] == unstable
    assert s.fetch({"t": [0]}).topics[0].partitions[0].committed_offset == 1
    s.shard.replay_end_of_transaction(100, committed=True)
    assert s.fetch({"t": [0]}, stable=True).topics[0].partitions[0].committed_offset == 5


def test_the_commit_later_in_the_log_wins_whenever_the_marker_comes(s: GroupScenario) -> None:
    replay(s, 5, at=1, producer_id=100)
    replay(s, 7, at=2, producer_id=-1)
    s.shard.replay_end_of_transaction(100, committed=True)
    assert s.committed() == 7
    replay(s, 8, at=4, producer_id=100)
    s.shard.replay_end_of_transaction(100, committed=True)
    assert s.committed() == 8


def test_two_producers_may_hold_one_partition(s: GroupScenario) -> None:
    replay(s, 5, at=1, producer_id=100)
    replay(s, 6, at=2, producer_id=200)
    s.shard.replay_end_of_transaction(100, committed=True)
    assert s.shard.offsets.is_pending(GROUP, OffsetKey("t", 0))
    s.shard.replay_end_of_transaction(200, committed=False)
    assert not s.shard.offsets.has_pending(GROUP)
    assert s.committed() == 5


def test_a_tombstone_ends_what_is_pending(s: GroupScenario) -> None:
    replay(s, 5, at=1, producer_id=100)
    s.shard.replay(offset_tombstone(GROUP, OffsetKey("t", 0)), 2, -1)
    s.shard.replay_end_of_transaction(100, committed=True)
    assert s.committed() == -1
    assert s.shard.offsets.snapshot() == ({}, {}, {})


def test_a_marker_without_offsets_changes_nothing(s: GroupScenario) -> None:
    s.shard.replay_end_of_transaction(100, committed=True)
    assert s.shard.offsets.snapshot() == ({}, {}, {})


def test_commits_of_the_oldest_format_are_read(s: GroupScenario) -> None:
    key = LegacyOffsetCommitKey(group=GROUP, topic="t", partition=0)
    s.shard.replay(CoordinatorRecord(key, OffsetCommitValue(offset=3), 0), 0, -1)
    assert s.committed() == 3
    s.shard.replay(CoordinatorRecord(key, None), 1, -1)
    assert s.committed() == -1


# Deleting (KIP-496, KIP-229).


def test_offsets_of_topics_that_nobody_consumes_can_be_deleted(s: GroupScenario) -> None:
    s.stable("a", protocols={"range": subscription("t")})
    s.commit("a", 1, topic="t").commit("a", 2, topic="u").commit("a", 3, topic="u", partition=1)
    s.delete_offsets("admin", "t", 0)
    refused = s.take("admin").topics[0].partitions[0]
    assert refused.error_code == ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
    s.delete_offsets("admin", "u", 0, 9)
    assert [p.error_code for p in s.take("admin").topics[0].partitions] == [0, 0]
    assert (s.committed("t"), s.committed("u"), s.committed("u", 1)) == (1, -1, 3)
    assert len(s.records[-1:]) == 1
    assert s.restart().committed("u") == -1


def test_offsets_of_other_groups_can_be_deleted_only_when_they_are_empty(
    s: GroupScenario,
) -> None:
    s.join("a", protocol_type="connect", protocols={"p": b""})
    assert s.delete_offsets("admin", "t", 0).code("admin") == ErrorCode.NON_EMPTY_GROUP
    s.leave("a").commit("x", 1)
    assert s.delete_offsets("admin", "t", 0).code("admin") == ErrorCode.NONE
    assert s.committed() == -1


def test_a_subscription_that_cannot_be_read_protects_every_topic(s: GroupScenario) -> None:
    s.stable("a", protocols={"range": b"\0\0\0\0\0\7nonsense"})
    s.delete_offsets("admin", "u", 0)
    code = s.take("admin").topics[0].partitions[0].error_code
    assert code == ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC


def test_offsets_of_a_missing_group_cannot_be_deleted(s: GroupScenario) -> None:
    assert s.delete_offsets("admin", "t", 0).code("admin") == ErrorCode.GROUP_ID_NOT_FOUND
    s.delete_offsets("admin", "t", 0, group="")
    assert s.code("admin") == ErrorCode.INVALID_GROUP_ID


def test_an_empty_group_can_be_deleted_with_all_its_offsets(s: GroupScenario) -> None:
    s.stable("a").commit("a", 1).commit("a", 2, topic="u")
    replay(s, 5, at=99, producer_id=100, partition=7)
    assert s.delete_group("admin").code("admin") == ErrorCode.NON_EMPTY_GROUP
    s.leave("a").delete_group("admin")
    assert s.code("admin") == ErrorCode.NONE
    assert s.shard.groups == {}
    assert s.shard.offsets.snapshot() == ({}, {}, {})
    assert s.delete_group("admin").code("admin") == ErrorCode.GROUP_ID_NOT_FOUND
    assert isinstance(s.records[-1].key, GroupMetadataKey)
    assert s.replayed().groups == {}


def test_offsets_of_a_deleted_topic_go_from_every_group(s: GroupScenario) -> None:
    s.commit("x", 1, topic="t").commit("x", 2, topic="u").commit("x", 3, topic="t", group="h")
    replay(s, 5, at=99, producer_id=100, partition=7)
    s.carry_out(s.shard.topics_deleted({"t"}))
    assert (s.committed("t"), s.committed("u"), s.committed("t", group="h")) == (-1, 2, -1)
    assert not s.shard.offsets.has_pending(GROUP)
    assert s.restart().committed("u") == 2


# Expiry (KIP-211).


def expiring(retention_ms: int = RETENTION_MS) -> GroupScenario:
    return GroupScenario(
        offsets_retention_ms=retention_ms,
        offsets_retention_check_interval_ms=SWEEP_MS,
        max_session_timeout_ms=100 * RETENTION_MS,
    )


def test_a_simple_groups_offsets_expire_by_their_commits_and_the_group_with_the_last() -> None:
    s = expiring()
    s.commit("x", 1, topic="t").at(HOUR_MS).commit("x", 2, topic="u")
    s.at(RETENTION_MS + SWEEP_MS)
    assert (s.committed("t"), s.committed("u")) == (-1, 2)
    s.at(RETENTION_MS + HOUR_MS + SWEEP_MS)
    assert s.shard.groups == {}
    assert s.replayed().groups == {}


def test_an_empty_groups_offsets_expire_a_retention_after_it_became_empty() -> None:
    s = expiring()
    s.stable("a", session_ms=50 * RETENTION_MS).commit("a", 1)
    s.at(10 * RETENTION_MS).leave("a")
    s.at(11 * RETENTION_MS - SWEEP_MS)
    assert s.committed() == 1
    s.restart()
    s.at(11 * RETENTION_MS + SWEEP_MS)
    assert s.shard.groups == {}


def test_a_stable_group_loses_only_offsets_of_topics_it_left() -> None:
    s = expiring()
    s.stable("a", session_ms=50 * RETENTION_MS, protocols={"range": subscription("t")})
    s.commit("a", 1, topic="t").commit("a", 2, topic="u")
    s.at(RETENTION_MS + SWEEP_MS)
    assert (s.committed("t"), s.committed("u")) == (1, -1)
    assert s.group.state is State.STABLE


def test_nothing_expires_in_a_rebalance_or_in_a_group_that_cannot_be_understood() -> None:
    s = expiring()
    s.stable("a", session_ms=50 * RETENTION_MS, rebalance_ms=50 * RETENTION_MS).commit(
        "a", 1, topic="u"
    )
    s.join("b", session_ms=50 * RETENTION_MS, rebalance_ms=50 * RETENTION_MS, follow=False)
    s.join("a", session_ms=50 * RETENTION_MS, rebalance_ms=50 * RETENTION_MS)
    s.at(2 * RETENTION_MS)
    assert s.group.state is State.PREPARING_REBALANCE
    assert s.committed("u") == 1
    other = expiring()
    other.join("w", protocol_type="connect", protocols={"p": b""}, session_ms=50 * RETENTION_MS)
    other.sync("w", protocol_type=None, protocol_name=None, w=b"x")
    other.commit("w", 1).at(2 * RETENTION_MS)
    assert other.committed() == 1


def test_an_expiry_of_its_own_is_kept_to_the_millisecond_of_the_sweep() -> None:
    s = expiring()
    s.commit("x", 1, retention_ms=SWEEP_MS)
    s.at(SWEEP_MS - 1)
    assert s.committed() == 1
    s.at(SWEEP_MS)
    assert s.committed() == -1


def test_pending_offsets_keep_the_offset_and_the_group() -> None:
    s = expiring()
    s.commit("x", 1)
    replay(s, 5, at=99, producer_id=100)
    s.at(2 * RETENTION_MS)
    assert s.committed() == 1
    s.carry_out(s.shard.topics_deleted({"t"}))
    s.later(SWEEP_MS)
    assert s.shard.groups == {}


def test_a_group_without_offsets_goes_with_the_next_sweep_unless_somebody_is_coming() -> None:
    s = expiring()
    s.join("a", follow=False, session_ms=2 * SWEEP_MS)
    s.at(SWEEP_MS)
    assert GROUP in s.shard.groups
    s.at(3 * SWEEP_MS)
    assert s.shard.groups == {}
