"""Describe and list; replay, restart, revert."""

from __future__ import annotations

import pytest

from pykbroker.state.coordinator import CoordinatorRecord
from pykbroker.state.group.classic_group import State
from pykbroker.state.group.joining import Joiner
from tests.support.group_scenario import GROUP, WALL_MS, GroupScenario, subscription
from wire.errors import ErrorCode
from wire.messages.group_records import GroupMetadataKey, GroupMetadataValue, MemberMetadata
from wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment


@pytest.fixture
def s() -> GroupScenario:
    return GroupScenario()


def test_a_stable_group_is_described_with_metadata_and_assignments(s: GroupScenario) -> None:
    s.stable("a", "b", static={"b": "i2"})
    group = s.shard.describe(GROUP)
    assert (group.error_code, group.group_state) == (ErrorCode.NONE, "Stable")
    assert (group.protocol_type, group.protocol_data) == ("consumer", "range")
    a, b = group.members
    assert (a.member_id, a.client_id, a.client_host) == (s.member_ids["a"], "a", "/127.0.0.1")
    assert (a.member_metadata, a.member_assignment) == (subscription("t"), b"a")
    assert (a.group_instance_id, b.group_instance_id) == (None, "i2")


def test_a_rebalancing_group_is_described_without_protocol(s: GroupScenario) -> None:
    s.stable("a").join("b")
    group = s.shard.describe(GROUP)
    assert (group.group_state, group.protocol_data) == ("PreparingRebalance", "")
    assert {m.member_metadata for m in group.members} == {b""}


def test_a_missing_group_is_dead(s: GroupScenario) -> None:
    group = s.shard.describe("missing")
    assert (group.group_state, group.error_code) == ("Dead", ErrorCode.GROUP_ID_NOT_FOUND)
    assert group.error_message == "Group missing not found."


def test_groups_are_listed_by_state_and_type(s: GroupScenario) -> None:
    s.stable("a").commit("x", 1, group="simple")

    def ids(states: list[str], types: list[str]) -> set[str]:
        return {g.group_id for g in s.shard.list_groups(states, types)}

    assert ids([], []) == {GROUP, "simple"}
    assert ids(["stable"], []) == {GROUP}
    assert ids([" EMPTY ", "Dead"], []) == {"simple"}
    assert ids([], ["Classic"]) == {GROUP, "simple"}
    assert ids([], ["consumer"]) == set()
    assert ids([], ["nonsense"]) == set()
    by_id = {g.group_id: g for g in s.shard.list_groups([], [])}
    assert (by_id[GROUP].protocol_type, by_id[GROUP].group_type) == ("consumer", "classic")
    assert (by_id["simple"].protocol_type, by_id["simple"].group_state) == ("", "Empty")


# The log.


def test_the_log_of_a_rebalance_has_one_record_for_the_new_group_and_one_for_the_generation(
    s: GroupScenario,
) -> None:
    s.stable("a")
    new, stable = s.records
    assert new == CoordinatorRecord(
        GroupMetadataKey(group=GROUP),
        GroupMetadataValue(protocol=None, leader=None, current_state_timestamp=WALL_MS),
        3,
    )
    assert stable == CoordinatorRecord(
        GroupMetadataKey(group=GROUP),
        GroupMetadataValue(
            protocol_type="consumer",
            generation=1,
            protocol="range",
            leader=s.member_ids["a"],
            current_state_timestamp=WALL_MS,
            members=[
                MemberMetadata(
                    member_id=s.member_ids["a"],
                    group_instance_id=None,
                    client_id="a",
                    client_host="/127.0.0.1",
                    rebalance_timeout=30_000,
                    session_timeout=10_000,
                    subscription=subscription("t"),
                    assignment=b"a",
                )
            ],
        ),
        3,
    )


def test_heartbeats_and_rejoins_without_change_write_nothing(s: GroupScenario) -> None:
    s.stable("a", "b")
    written = len(s.log)
    s.heartbeat("a").join("b").sync("b")
    assert len(s.log) == written


def test_members_go_on_after_a_restart(s: GroupScenario) -> None:
    s.stable("a", "b", session_ms=10_000).commit("a", 5).later(9_000)
    s.restart().inbox.clear()
    assert s.group.state is State.STABLE
    s.later(9_000)
    assert s.heartbeat("a").code("a") == ErrorCode.NONE, "its session began anew"
    s.sync("b")
    assert s.assigned("b") == b"b"
    assert s.committed() == 5
    s.later(1_000)
    assert list(s.group.members) == [s.member_ids["a"]], "b did not come back"


def test_a_rebalance_under_way_is_forgotten_by_a_restart(s: GroupScenario) -> None:
    s.stable("a").join("b")
    s.join("a")
    s.restart().inbox.clear()
    assert (s.group.state, s.group.generation_id) == (State.STABLE, 1)
    assert s.sync("b", generation=2).code("b") == ErrorCode.UNKNOWN_MEMBER_ID
    assert s.heartbeat("a", generation=2).code("a") == ErrorCode.ILLEGAL_GENERATION
    assert s.heartbeat("a", generation=1).code("a") == ErrorCode.NONE


def test_old_records_without_timeouts_and_times_are_read(s: GroupScenario) -> None:
    value = GroupMetadataValue(
        protocol_type="consumer",
        generation=4,
        protocol="range",
        leader="m",
        members=[MemberMetadata(member_id="m", session_timeout=9_000)],
    )
    s.shard.replay(CoordinatorRecord(GroupMetadataKey(group=GROUP), value, 0), 0, -1)
    assert s.group.members["m"].rebalance_timeout_ms == 9_000
    assert s.group.state_timestamp_ms == -1


def test_a_tombstone_removes_the_group_and_its_deadlines(s: GroupScenario) -> None:
    s.stable("a")
    s.shard.replay(CoordinatorRecord(GroupMetadataKey(group=GROUP), None), 9, -1)
    assert s.shard.groups == {}
    s.later(60_000)
    assert s.heartbeat("a").code("a") == ErrorCode.UNKNOWN_MEMBER_ID


# Records that could not be written.


def test_a_new_group_that_cannot_be_written_is_not_there(s: GroupScenario) -> None:
    request = JoinGroupRequest(
        group_id=GROUP,
        session_timeout_ms=10_000,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range")],
    )
    joiner = Joiner("a", "/127.0.0.1", must_know_member_id=False)
    decision = s.shard.join(request, joiner, "waiter", s.now)
    assert decision.assumed_by == GROUP
    assert decision.replies == []
    assert s.shard.revert(GROUP, s.now) == ["waiter"]
    assert s.shard.groups == {}
    assert s.shard.next_deadline() == s.config.offsets_retention_check_interval_ms


def test_an_assignment_that_cannot_be_written_brings_the_old_generation_back(
    s: GroupScenario,
) -> None:
    s.stable("a").join("b")
    s.join("a")
    generation = s.group.generation_id
    request = SyncGroupRequest(
        group_id=GROUP,
        generation_id=generation,
        member_id=s.member_ids["a"],
        assignments=[SyncGroupRequestAssignment(member_id=s.member_ids["a"], assignment=b"new")],
    )
    s.inbox.clear()
    s.sync("b")
    decision = s.shard.sync(request, "leader", s.now)
    assert decision.assumed_by == GROUP
    assert len(decision.replies) == 2
    assert s.shard.revert(GROUP, s.now) == [], "nobody is parked: the replies are with the decision"
    assert (s.group.state, s.group.generation_id) == (State.STABLE, generation - 1)
    assert s.group.members[s.member_ids["a"]].assignment == b"a"
    s.later(10_000)
    assert s.group.state is State.EMPTY, "sessions count on"


def test_a_group_that_cannot_be_written_empty_has_its_members_until_it_can(
    s: GroupScenario,
) -> None:
    s.stable("a", session_ms=10_000)
    s.refuse_appends = True
    assert s.leave("a").code("a") == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert s.group.state is State.STABLE
    s.later(25_000)
    assert s.group.state is State.STABLE
    s.refuse_appends = False
    s.later(10_000)
    assert s.group.state is State.EMPTY
    assert s.restart().group.state is State.EMPTY


def test_a_simple_group_survives_a_join_that_cannot_be_written(s: GroupScenario) -> None:
    s.commit("x", 1)
    s.join("a")
    assert len(s.group.members) == 1
    s.shard.revert(GROUP, s.now)
    assert s.group.members == {}
    assert s.committed() == 1
    assert s.shard.revert("missing", s.now) == []
