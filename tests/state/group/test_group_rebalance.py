"""Joining, synchronising, leaving and falling silent: how generations follow each other."""

from __future__ import annotations

import pytest

from pykbroker.state.group.classic_group import LEGAL, State
from tests.support.group_scenario import GroupScenario, subscription
from wire.errors import ErrorCode
from wire.messages.leave_group import MemberIdentity


@pytest.fixture
def s() -> GroupScenario:
    return GroupScenario()


# The first rebalance.


def test_a_new_dynamic_member_must_come_back_with_its_id(s: GroupScenario) -> None:
    s.join("a", follow=False)
    answer = s.take("a")
    assert answer.error_code == ErrorCode.MEMBER_ID_REQUIRED
    assert answer.member_id.startswith("a-")
    assert len(answer.member_id) == len("a-") + 36
    assert s.group.members == {}
    s.join("a", member_id=answer.member_id)
    assert s.joined("a").member_id == answer.member_id


def test_before_version_4_a_member_is_taken_at_once(s: GroupScenario) -> None:
    s.join("a", must_know=False)
    assert s.joined("a").leader == s.member_ids["a"]


def test_the_first_member_leads_and_is_told_of_all(s: GroupScenario) -> None:
    s = GroupScenario(initial_delay_ms=3_000)
    s.join("a", protocols={"range": b"A"}).join("b", protocols={"range": b"B"})
    s.at(6_000)
    a, b = s.joined("a"), s.joined("b")
    assert a.generation_id == b.generation_id == 1
    assert a.leader == b.leader == a.member_id
    assert {m.member_id: m.metadata for m in a.members} == {a.member_id: b"A", b.member_id: b"B"}
    assert b.members == []
    assert (a.protocol_type, a.protocol_name) == ("consumer", "range")
    assert not a.skip_assignment


def test_the_initial_delay_grows_with_every_newcomer_up_to_the_rebalance_timeout() -> None:
    s = GroupScenario(initial_delay_ms=3_000)
    s.join("a", rebalance_ms=7_000)
    s.at(2_900).join("b", rebalance_ms=7_000)
    s.at(5_900).join("c", rebalance_ms=7_000)
    assert not s.inbox.get("a")
    s.at(6_900).join("d", rebalance_ms=7_000)
    s.at(6_999)
    assert not s.inbox.get("a")
    s.at(7_000)
    assert {s.joined(n).generation_id for n in "abcd"} == {1}


def test_without_an_initial_delay_the_first_join_is_answered_at_once(s: GroupScenario) -> None:
    s.join("a")
    assert s.now_ms == 0
    assert s.joined("a").generation_id == 1


# Synchronising.


def test_followers_wait_for_the_leaders_assignment() -> None:
    s = GroupScenario(initial_delay_ms=1_000).join("a").join("b").at(2_000)
    s.joined("a"), s.joined("b")
    s.sync("b")
    assert not s.inbox["b"]
    assert s.group.state is State.COMPLETING_REBALANCE
    s.sync("a", a=b"0", b=b"1")
    assert (s.assigned("a"), s.assigned("b")) == (b"0", b"1")
    assert s.group.state is State.STABLE


def test_a_late_follower_gets_its_assignment_from_the_stable_group() -> None:
    s = GroupScenario(initial_delay_ms=1_000).join("a").join("b").at(2_000)
    s.sync("a", a=b"0", b=b"1")
    s.sync("b")
    s.joined("b")
    assert s.assigned("b") == b"1"


def test_whom_the_leader_forgets_gets_an_empty_assignment() -> None:
    s = GroupScenario(initial_delay_ms=1_000).join("a").join("b").at(2_000)
    s.joined("a"), s.joined("b")
    s.sync("b").sync("a", a=b"0")
    assert s.assigned("b") == b""


def test_sync_is_refused_for_strangers_wrong_generations_and_other_protocols(
    s: GroupScenario,
) -> None:
    s.join("a")
    s.joined("a")
    assert s.sync("a", member_id="x").code("a") == ErrorCode.UNKNOWN_MEMBER_ID
    assert s.sync("a", generation=7).code("a") == ErrorCode.ILLEGAL_GENERATION
    other = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert s.sync("a", protocol_name="sticky").code("a") == other
    assert s.sync("a", protocol_type="connect").code("a") == other
    s.sync("a", protocol_name=None, protocol_type=None, a=b"0")
    assert s.assigned("a") == b"0"


def test_sync_during_the_next_join_phase_says_rebalance_in_progress(s: GroupScenario) -> None:
    s.stable("a").join("b")
    assert s.sync("a").code("a") == ErrorCode.REBALANCE_IN_PROGRESS


def test_a_member_that_joins_while_others_wait_to_sync_sends_them_back(s: GroupScenario) -> None:
    s = GroupScenario(initial_delay_ms=1_000).join("a").join("b").at(2_000)
    s.joined("a"), s.joined("b")
    s.sync("b")
    s.join("c")
    assert s.code("b") == ErrorCode.REBALANCE_IN_PROGRESS
    s.join("a").join("b")
    assert [s.joined(n).generation_id for n in "abc"] == [2, 2, 2]


def test_who_does_not_sync_within_the_rebalance_timeout_is_out() -> None:
    s = GroupScenario(initial_delay_ms=1_000)
    s.join("a", rebalance_ms=5_000, session_ms=60_000)
    s.join("b", rebalance_ms=5_000, session_ms=60_000).at(5_000)
    s.joined("a"), s.joined("b")
    s.sync("a", a=b"0", b=b"1")
    joined_ms = 2_000
    s.at(joined_ms + 4_999)
    assert len(s.group.members) == 2
    s.at(joined_ms + 5_000)
    assert list(s.group.members) == [s.member_ids["a"]]
    assert s.group.state is State.PREPARING_REBALANCE


def test_a_second_sync_of_one_member_answers_the_first(s: GroupScenario) -> None:
    s = GroupScenario(initial_delay_ms=1_000).join("a").join("b").at(2_000)
    s.joined("a"), s.joined("b")
    s.sync("b").sync("b")
    assert s.code("b") == ErrorCode.REBALANCE_IN_PROGRESS
    s.sync("a", b=b"1")
    assert s.assigned("b") == b"1"


# Rebalancing.


def test_a_newcomer_makes_everybody_join_again(s: GroupScenario) -> None:
    s.stable("a", "b").join("c")
    assert s.heartbeat("a").code("a") == ErrorCode.REBALANCE_IN_PROGRESS
    s.join("a")
    assert not s.inbox["a"]
    s.join("b")
    assert len({s.joined(n).generation_id for n in "abc"}) == 1
    assert s.group.leader_id == s.member_ids["a"]


def test_a_leader_that_joins_again_starts_a_rebalance_a_follower_does_not(
    s: GroupScenario,
) -> None:
    s.stable("a", "b")
    generation = s.group.generation_id
    s.join("b")
    again = s.joined("b")
    assert (again.generation_id, again.members) == (generation, [])
    assert s.group.state is State.STABLE
    s.join("a")
    assert s.group.state is State.PREPARING_REBALANCE


def test_a_follower_with_new_metadata_starts_a_rebalance(s: GroupScenario) -> None:
    s.stable("a", "b").join("b", protocols={"range": subscription("u")})
    assert s.group.state is State.PREPARING_REBALANCE


def test_a_join_repeated_before_the_sync_gets_the_same_answer(s: GroupScenario) -> None:
    s.join("a").join("a")
    first, second = s.joined("a"), s.joined("a")
    assert first == second
    s.join("a", protocols={"range": b"new"})
    assert s.joined("a").generation_id == 2


def test_a_join_repeated_while_it_waits_answers_the_first_one(s: GroupScenario) -> None:
    s.stable("a", "b").join("c").join("a").join("a")
    assert s.code("a") == ErrorCode.REBALANCE_IN_PROGRESS
    s.join("b")
    assert s.joined("a").generation_id == s.joined("c").generation_id


def test_the_rebalance_goes_on_without_members_that_do_not_join_again(s: GroupScenario) -> None:
    s.stable("a", "b", session_ms=60_000, rebalance_ms=20_000)
    s.join("c", rebalance_ms=20_000).join("b", session_ms=60_000, rebalance_ms=20_000)
    s.later(19_999)
    assert not s.inbox["b"]
    s.later(1)
    b = s.joined("b")
    assert b.leader == b.member_id, "the leader that stayed away is replaced"
    assert {m.member_id for m in b.members} == {s.member_ids["b"], s.member_ids["c"]}
    assert s.heartbeat("a").code("a") == ErrorCode.UNKNOWN_MEMBER_ID


def test_the_longest_rebalance_timeout_counts(s: GroupScenario) -> None:
    s.stable("a", "b", session_ms=60_000, rebalance_ms=20_000)
    s.join("c", rebalance_ms=40_000, session_ms=60_000)
    s.later(39_999)
    assert s.group.state is State.PREPARING_REBALANCE
    s.later(1)
    assert s.group.state is State.COMPLETING_REBALANCE


def test_without_a_rebalance_timeout_the_session_timeout_counts(s: GroupScenario) -> None:
    s.join("a", rebalance_ms=-1, session_ms=12_000)
    assert s.group.rebalance_timeout_ms == 12_000


def test_an_id_that_was_given_out_holds_up_the_rebalance_until_its_session_ends(
    s: GroupScenario,
) -> None:
    s.stable("a", session_ms=60_000, rebalance_ms=60_000)
    s.join("b", follow=False, session_ms=10_000)
    s.join("a", session_ms=60_000, rebalance_ms=60_000)
    s.later(9_999)
    assert s.group.state is State.PREPARING_REBALANCE
    s.later(1)
    assert s.joined("a").generation_id == 2
    assert s.group.pending_join == set()


def test_an_id_that_was_given_out_can_leave(s: GroupScenario) -> None:
    s.stable("a")
    s.join("b", follow=False)
    member_id = s.take("b").member_id
    s.join("a")
    s.leave("b", MemberIdentity(member_id=member_id))
    assert s.take("b").members[0].error_code == ErrorCode.NONE
    assert s.joined("a").generation_id == 2


# Heartbeats and sessions.


def test_a_silent_member_is_out_after_its_session_timeout(s: GroupScenario) -> None:
    s.stable("a", "b", session_ms=10_000)
    s.later(9_000).heartbeat("a")
    assert s.code("a") == ErrorCode.NONE
    s.later(999)
    assert len(s.group.members) == 2
    s.later(1)
    assert list(s.group.members) == [s.member_ids["a"]]
    assert s.heartbeat("a").code("a") == ErrorCode.REBALANCE_IN_PROGRESS
    assert s.heartbeat("b").code("b") == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_member_that_waits_for_others_needs_no_heartbeat(s: GroupScenario) -> None:
    s.stable("a", "b", session_ms=10_000, rebalance_ms=60_000)
    s.join("a", rebalance_ms=60_000).later(5_000)
    s.heartbeat("b").later(9_000)
    s.heartbeat("b").later(9_000)
    assert len(s.group.members) == 2
    s.join("b", rebalance_ms=60_000)
    assert s.joined("a").generation_id == s.group.generation_id


def test_a_new_member_that_never_hears_back_is_out_after_five_minutes(s: GroupScenario) -> None:
    s.stable("a", session_ms=1_800_000, rebalance_ms=1_800_000).join("b")
    s.later(299_999)
    assert len(s.group.members) == 2
    s.later(1)
    assert s.code("b") == ErrorCode.UNKNOWN_MEMBER_ID
    assert len(s.group.members) == 1


def test_heartbeats_are_refused_for_strangers_and_wrong_generations(s: GroupScenario) -> None:
    assert s.heartbeat("a").code("a") == ErrorCode.UNKNOWN_MEMBER_ID
    s.stable("a")
    assert s.heartbeat("a", member_id="x").code("a") == ErrorCode.UNKNOWN_MEMBER_ID
    assert s.heartbeat("a", generation=0).code("a") == ErrorCode.ILLEGAL_GENERATION
    assert s.heartbeat("a", group="").code("a") == ErrorCode.INVALID_GROUP_ID


def test_a_heartbeat_before_the_sync_is_welcome(s: GroupScenario) -> None:
    s.join("a")
    s.joined("a")
    assert s.heartbeat("a").code("a") == ErrorCode.NONE


# Leaving.


def test_the_last_member_leaves_an_empty_group_of_the_next_generation(s: GroupScenario) -> None:
    s.stable("a").leave("a")
    assert s.take("a").members[0].error_code == ErrorCode.NONE
    assert (s.group.state, s.group.generation_id) == (State.EMPTY, 2)
    assert s.group.protocol_type == "consumer"
    value = s.records[-1].value
    assert (value.generation, value.protocol, value.leader, value.members) == (2, None, None, [])


def test_when_one_leaves_the_others_rebalance(s: GroupScenario) -> None:
    s.stable("a", "b").leave("a")
    assert s.group.leader_id == s.member_ids["b"]
    assert s.heartbeat("b").code("b") == ErrorCode.REBALANCE_IN_PROGRESS
    s.join("b")
    assert s.joined("b").leader == s.member_ids["b"]


def test_when_the_one_that_all_wait_for_leaves_the_rebalance_is_over(s: GroupScenario) -> None:
    s.stable("a", "b").join("b", protocols={"range": b"new"})
    s.leave("a")
    assert s.joined("b").generation_id == s.group.generation_id


def test_several_leave_at_once_each_with_its_own_result(s: GroupScenario) -> None:
    s.stable("a", "b", "c")
    s.leave(
        "admin",
        MemberIdentity(member_id=s.member_ids["a"], reason="bye"),
        MemberIdentity(member_id="nobody"),
        MemberIdentity(member_id=s.member_ids["b"]),
    )
    codes = [m.error_code for m in s.take("admin").members]
    assert codes == [ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.NONE]
    assert list(s.group.members) == [s.member_ids["c"]]


def test_leaving_a_group_that_is_not_there_is_an_error_of_each_member(s: GroupScenario) -> None:
    s.leave("a", MemberIdentity(member_id="x"), group="missing")
    answer = s.take("a")
    assert answer.error_code == ErrorCode.NONE
    assert [m.error_code for m in answer.members] == [ErrorCode.UNKNOWN_MEMBER_ID]
    assert s.leave("a", group="").code("a") == ErrorCode.INVALID_GROUP_ID


def test_a_member_that_leaves_while_it_waits_gets_its_answers(s: GroupScenario) -> None:
    s.stable("a", "b").join("b", protocols={"range": b"new"})
    s.leave("admin", MemberIdentity(member_id=s.member_ids["b"]))
    assert s.code("b") == ErrorCode.UNKNOWN_MEMBER_ID


# Protocols and limits.


def test_the_protocol_that_most_want_and_all_know_is_chosen() -> None:
    s = GroupScenario(initial_delay_ms=1_000)
    s.join("a", protocols={"x": b"", "range": b"", "sticky": b""})
    s.join("b", protocols={"sticky": b"", "range": b""})
    s.join("c", protocols={"sticky": b"", "range": b""})
    s.at(5_000)
    assert {s.joined(n).protocol_name for n in "abc"} == {"sticky"}


@pytest.mark.parametrize(
    "join",
    [
        {"protocols": {}},
        {"protocols": {"sticky": b""}},
        {"protocol_type": "connect"},
        {"protocol_type": ""},
    ],
)
def test_who_shares_no_protocol_is_refused(s: GroupScenario, join: dict[str, object]) -> None:
    s.stable("a").join("b", **join)  # type: ignore[arg-type]
    assert s.code("b") == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert s.group.state is State.STABLE


@pytest.mark.parametrize("join", [{"protocols": {}}, {"protocol_type": ""}])
def test_no_group_begins_without_a_protocol(s: GroupScenario, join: dict[str, object]) -> None:
    s.join("a", **join)  # type: ignore[arg-type]
    assert s.code("a") == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert s.shard.groups == {}
    assert s.log == []


def test_connect_workers_are_a_group_like_any_other(s: GroupScenario) -> None:
    s.join("a", protocol_type="connect", protocols={"sessioned": b"url"})
    assert s.joined("a").protocol_type == "connect"
    s.sync("a", protocol_type="connect", protocol_name="sessioned", a=b"tasks")
    assert s.assigned("a") == b"tasks"
    assert s.group.subscribed_topics is None


def test_an_unknown_member_id_or_group_is_refused(s: GroupScenario) -> None:
    assert s.join("a", member_id="x").code("a") == ErrorCode.UNKNOWN_MEMBER_ID
    assert s.shard.groups == {}
    s.stable("a")
    assert s.join("b", member_id="x").code("b") == ErrorCode.UNKNOWN_MEMBER_ID
    assert s.join("b", group="").code("b") == ErrorCode.INVALID_GROUP_ID


@pytest.mark.parametrize(("session_ms", "fits"), [(5_999, 0), (6_000, 1), (30_000, 1), (30_001, 0)])
def test_session_timeouts_keep_within_the_brokers_limits(session_ms: int, fits: bool) -> None:
    s = GroupScenario(min_session_timeout_ms=6_000, max_session_timeout_ms=30_000)
    s.join("a", session_ms=session_ms)
    expected = ErrorCode.NONE if fits else ErrorCode.INVALID_SESSION_TIMEOUT
    assert s.code("a") == expected


def test_a_full_group_takes_nobody_in() -> None:
    s = GroupScenario(max_size=2).stable("a", "b")
    assert s.join("c").code("c") == ErrorCode.GROUP_MAX_SIZE_REACHED
    assert s.group.state is State.STABLE
    s.join("b")
    assert s.joined("b").error_code == ErrorCode.NONE


def test_an_overfull_group_sends_the_last_to_come_back_away() -> None:
    s = GroupScenario().stable("a", "b", "c")
    s.config = GroupScenario(max_size=2).config
    s.restart()
    assert s.group.state is State.PREPARING_REBALANCE
    s.join("c").join("b")
    assert not s.inbox["c"]
    assert s.join("a").code("a") == ErrorCode.GROUP_MAX_SIZE_REACHED
    assert s.joined("b").leader == s.joined("c").leader


@pytest.mark.parametrize("text", ["x" * 32_700, "\u20ac" * 11_000])
def test_what_a_record_cannot_hold_is_refused_at_the_door(s: GroupScenario, text: str) -> None:
    s.stable("a")
    assert s.join("b", group=text).code("b") == ErrorCode.INVALID_GROUP_ID
    invalid = ErrorCode.INVALID_REQUEST
    assert s.join("b", instance=text).code("b") == invalid
    assert s.join("b", protocol_type=text).code("b") == invalid
    assert s.join("b", protocols={text: b""}).code("b") == invalid
    assert s.join(text).code(text) == invalid
    assert s.group.state is State.STABLE


def test_texts_that_fit_are_written() -> None:
    long = "\u20ac" * 10_890
    s = GroupScenario()
    s.join("a", instance=long, protocols={long: b""})
    s.sync("a", instance=long, protocol_name=long, a=b"0")
    s.joined("a")
    assert s.assigned("a") == b"0"
    assert s.restart().group.static_members == {long: s.member_ids["a"]}


# Static members (KIP-345, KIP-814).


def test_a_static_member_that_restarts_takes_its_place_without_a_rebalance(
    s: GroupScenario,
) -> None:
    s.stable("a", "b", static={"a": "i1", "b": "i2"})
    generation, old_id = s.group.generation_id, s.member_ids["b"]
    s.join("b", member_id="", instance="i2")
    again = s.joined("b")
    assert again.generation_id == generation
    assert again.member_id not in ("", old_id)
    assert (again.leader, again.members) == (s.member_ids["a"], [])
    assert s.group.state is State.STABLE
    s.sync("b", instance="i2")
    assert s.assigned("b") == b"b"
    fenced = ErrorCode.FENCED_INSTANCE_ID
    assert s.heartbeat("b", member_id=old_id, instance="i2").code("b") == fenced
    assert s.heartbeat("b", member_id=old_id).code("b") == ErrorCode.UNKNOWN_MEMBER_ID
    assert s.restart().group.static_members["i2"] == s.member_ids["b"]


def test_a_static_leader_that_restarts_leads_on_and_skips_the_assignment(s: GroupScenario) -> None:
    s.stable("a", "b", static={"a": "i1", "b": "i2"})
    s.join("a", member_id="", instance="i1")
    again = s.joined("a")
    assert again.leader == again.member_id
    assert again.skip_assignment
    assert len(again.members) == 2


def test_before_version_9_a_static_leader_is_not_told_that_it_leads(s: GroupScenario) -> None:
    s.stable("a", static={"a": "i1"})
    old_id = s.member_ids["a"]
    s.join("a", member_id="", instance="i1", can_skip=False)
    again = s.joined("a")
    assert (again.leader, again.members, again.skip_assignment) == (old_id, [], False)


def test_a_static_member_that_changes_the_protocol_starts_a_rebalance(s: GroupScenario) -> None:
    both = {"range": subscription("t"), "sticky": subscription("t")}
    s.stable("a", static={"a": "i1"}, protocols=both)
    s.join("a", member_id="", instance="i1", protocols={"sticky": subscription("t")})
    assert s.joined("a").protocol_name == "sticky"


def test_a_static_member_that_restarts_before_the_assignment_starts_a_rebalance() -> None:
    s = GroupScenario(initial_delay_ms=1_000)
    s.join("a", instance="i1").join("b", instance="i2").at(2_000)
    s.joined("a"), s.joined("b")
    s.join("b", member_id="", instance="i2")
    assert s.group.state is State.PREPARING_REBALANCE
    s.join("a")
    assert s.joined("b").generation_id == 2


def test_a_parked_request_of_the_old_incarnation_is_fenced(s: GroupScenario) -> None:
    s.stable("a", "b", static={"a": "i1", "b": "i2"}).join("c")
    old_id = s.member_ids["b"]
    s.join("b")
    s.join("b", member_id="", instance="i2")
    fenced = s.take("b")
    assert (fenced.error_code, fenced.member_id) == (ErrorCode.FENCED_INSTANCE_ID, old_id)
    s.join("a")
    assert s.joined("b").generation_id == s.joined("c").generation_id


def test_static_members_outlast_a_rebalance_that_they_miss(s: GroupScenario) -> None:
    s.stable("a", "b", static={"a": "i1", "b": "i2"}, rebalance_ms=20_000, session_ms=60_000)
    s.join("c", rebalance_ms=20_000)
    s.join("b", rebalance_ms=20_000, session_ms=60_000).later(20_000)
    b = s.joined("b")
    assert b.leader == b.member_id
    assert s.member_ids["a"] in {m.member_id for m in b.members}


def test_a_rebalance_that_no_static_member_comes_to_waits_for_the_sessions(
    s: GroupScenario,
) -> None:
    s.stable("a", "b", static={"a": "i1", "b": "i2"}, rebalance_ms=5_000, session_ms=60_000)
    s.leave("admin", MemberIdentity(group_instance_id="i2"))
    s.later(30_000)
    assert s.group.state is State.PREPARING_REBALANCE
    assert list(s.group.static_members) == ["i1"]
    s.later(30_000)
    assert s.group.state is State.EMPTY


def test_a_rebalance_timeout_of_nothing_does_not_make_the_group_spin(s: GroupScenario) -> None:
    s.stable("a", "b", static={"a": "i1", "b": "i2"}, rebalance_ms=30_000, session_ms=60_000)
    for member in s.group.members.values():
        member.rebalance_timeout_ms = 0
    s.leave("admin", MemberIdentity(group_instance_id="i2"))
    s.later(0)
    assert s.shard.next_deadline() == s.now_ms + 1_000
    s.join("a", instance="i1")
    assert s.joined("a").generation_id == s.group.generation_id


def test_an_administrator_removes_static_members_by_instance_id(s: GroupScenario) -> None:
    s.stable("a", static={"a": "i1"})
    s.leave("admin", MemberIdentity(group_instance_id="i1"), MemberIdentity(group_instance_id="i9"))
    codes = [m.error_code for m in s.take("admin").members]
    assert codes == [ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID]
    assert s.group.state is State.EMPTY


def test_requests_under_the_wrong_instance_are_refused(s: GroupScenario) -> None:
    s.stable("a", "b", static={"a": "i1", "b": "i2"})
    assert s.heartbeat("a", instance="i2").code("a") == ErrorCode.FENCED_INSTANCE_ID
    assert s.heartbeat("a", instance="i9").code("a") == ErrorCode.UNKNOWN_MEMBER_ID
    assert s.sync("a", instance="i2").code("a") == ErrorCode.FENCED_INSTANCE_ID
    assert s.commit("a", 1, instance="i2").code("a") == ErrorCode.FENCED_INSTANCE_ID
    assert s.join("a", instance="i2").code("a") == ErrorCode.FENCED_INSTANCE_ID
    s.leave("a", MemberIdentity(member_id=s.member_ids["a"], group_instance_id="i2"))
    assert s.take("a").members[0].error_code == ErrorCode.FENCED_INSTANCE_ID


def test_static_members_need_no_second_join(s: GroupScenario) -> None:
    s.join("a", instance="i1", follow=False)
    assert s.joined("a").member_id.startswith("i1-")


# The state table.


def test_states_move_only_as_the_table_says(s: GroupScenario) -> None:
    s.join("a")
    assert s.group.state is State.COMPLETING_REBALANCE
    with pytest.raises(AssertionError):
        s.group.move_to(State.EMPTY, 0)
    assert LEGAL[State.DEAD] == frozenset()
    assert set(LEGAL) == set(State)
