"""Group APIs through their handlers, at every version, over the real log and replica manager."""

from __future__ import annotations

from typing import Any

import pytest

from pykbroker.runtime.group_coordinator import CONSUMER_OFFSETS
from pykbroker.state.operations import NOT_ASKED
from tests.support.group_path import (
    GROUP,
    Answer,
    GroupPath,
    join,
    join_request,
    stable,
    sync_request,
)
from tests.support.group_scenario import subscription
from wire.errors import ErrorCode
from wire.messages.delete_groups import DeleteGroupsRequest
from wire.messages.describe_groups import DescribeGroupsRequest
from wire.messages.find_coordinator import FindCoordinatorRequest
from wire.messages.group_records import GroupMetadataKey
from wire.messages.heartbeat import HeartbeatRequest
from wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from wire.messages.list_groups import ListGroupsRequest


@pytest.fixture
def p() -> GroupPath:
    return GroupPath().ready()


# FindCoordinator


@pytest.mark.parametrize("version", range(7))
def test_find_coordinator_names_the_broker_on_the_clients_listener(
    p: GroupPath, version: int
) -> None:
    found = _find(p, version, GROUP)
    assert found.error_code == ErrorCode.NONE
    assert (found.node_id, found.host, found.port) == (1, "host1", 9001)


def _find(p: GroupPath, version: int, key: str, key_type: int = 0, **options: Any) -> Any:
    request = FindCoordinatorRequest(key_type=key_type)
    if version >= 4:
        request.coordinator_keys = [key]
    else:
        request.key = key
    response = p.now(request, version, **options)
    return response.coordinators[0] if version >= 4 else response


def test_several_keys_are_found_at_once(p: GroupPath) -> None:
    request = FindCoordinatorRequest(coordinator_keys=["a", "b", "c"])
    assert [c.key for c in p.now(request, 4).coordinators] == ["a", "b", "c"]


def test_the_first_request_makes_the_topic_and_is_answered_when_it_is_there() -> None:
    p = GroupPath(offsets_topic_segment_bytes=1_048_576)
    assert _find(p, 4, GROUP).error_code == ErrorCode.NONE
    (request,) = p.controller.requests
    (topic,) = request.topics
    assert (topic.name, topic.num_partitions, topic.replication_factor) == (CONSUMER_OFFSETS, 4, 1)
    assert {c.name: c.value for c in topic.configs} == {
        "cleanup.policy": "compact",
        "compression.type": "producer",
        "segment.bytes": "1048576",
    }
    assert _find(p, 4, GROUP).error_code == ErrorCode.NONE
    assert len(p.controller.requests) == 1


def test_without_the_topic_there_is_no_coordinator() -> None:
    p = GroupPath()
    p.controller.refusal = ErrorCode.INVALID_REPLICATION_FACTOR
    found = _find(p, 4, GROUP)
    assert (found.error_code, found.node_id) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1)
    assert found.host == ""
    heartbeat = HeartbeatRequest(group_id=GROUP, member_id="m")
    assert p.now(heartbeat, 4).error_code == ErrorCode.NOT_COORDINATOR


def test_a_partition_without_a_leader_that_can_be_reached_has_no_coordinator() -> None:
    p = GroupPath(replicas=(1, 2)).ready()
    index = p.groups.topic.partition_for(GROUP)
    p.move(index, to=-1, epoch=1)
    assert _find(p, 4, GROUP).error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    p.move(index, to=2, epoch=2)
    assert _find(p, 4, GROUP).node_id == 2
    no_listener = _find(p, 4, GROUP, listener="OTHER")
    assert no_listener.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE


@pytest.mark.parametrize("version", range(1, 7))
def test_transactional_ids_get_a_final_error(p: GroupPath, version: int) -> None:
    found = _find(p, version, "txn", key_type=1)
    assert found.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    assert found.error_message == "This broker has no transactions."


@pytest.mark.parametrize("key_type", [2, 3, -1])
def test_other_coordinators_are_invalid_requests(p: GroupPath, key_type: int) -> None:
    assert _find(p, 6, "g:x:0", key_type).error_code == ErrorCode.INVALID_REQUEST


# JoinGroup, SyncGroup, Heartbeat, LeaveGroup


@pytest.mark.parametrize("version", range(10))
def test_a_group_forms_at_every_version_of_join(p: GroupPath, version: int) -> None:
    joined = join(p, version)
    assert joined.error_code == ErrorCode.NONE
    assert joined.generation_id == 1
    assert joined.leader == joined.member_id
    assert joined.protocol_name == "range"
    assert joined.protocol_type == ("consumer" if version >= 7 else None)
    assert [m.metadata for m in joined.members] == [subscription("t")]


@pytest.mark.parametrize("version", range(10))
def test_a_member_id_is_required_from_version_4_on(p: GroupPath, version: int) -> None:
    answer = p.ask(join_request(version), version)
    required = [r.error_code for r in answer.responses] == [ErrorCode.MEMBER_ID_REQUIRED]
    assert required == (version >= 4)
    if required:
        assert answer.response.protocol_name == (None if version >= 7 else "")
        assert answer.response.member_id.startswith("client-")


@pytest.mark.parametrize("version", range(10))
def test_a_refused_join_can_be_told_at_every_version(p: GroupPath, version: int) -> None:
    refused = p.now(join_request(version, session_timeout_ms=1), version)
    assert refused.error_code == ErrorCode.INVALID_SESSION_TIMEOUT
    assert refused.generation_id == -1


@pytest.mark.parametrize("version", [8, 9])
def test_a_static_leader_skips_the_assignment_from_version_9_on(p: GroupPath, version: int) -> None:
    first = join(p, version, group_instance_id="i1")
    synced = sync_request(5, first.member_id, 1, group_instance_id="i1")
    assert p.now(synced, 5).error_code == ErrorCode.NONE
    again = join(p, version, group_instance_id="i1")
    assert again.generation_id == 1
    assert again.member_id != first.member_id
    assert again.skip_assignment == (version == 9)
    assert again.leader == (again.member_id if version == 9 else first.member_id)


def test_the_client_is_remembered_as_kafka_writes_it(p: GroupPath) -> None:
    stable(p)
    (member,) = _describe(p, 6).members
    assert (member.client_id, member.client_host) == ("client", "/127.0.0.1")


@pytest.mark.parametrize("version", range(6))
def test_sync_at_every_version(p: GroupPath, version: int) -> None:
    joined = join(p, 9)
    synced = p.now(sync_request(version, joined.member_id, 1), version)
    assert (synced.error_code, synced.assignment) == (ErrorCode.NONE, b"mine")
    expected = ("consumer", "range") if version >= 5 else (None, None)
    assert (synced.protocol_type, synced.protocol_name) == expected


@pytest.mark.parametrize("field", ["protocol_type", "protocol_name"])
def test_sync_5_must_say_its_protocol(p: GroupPath, field: str) -> None:
    joined = join(p, 9)
    refused = p.now(sync_request(5, joined.member_id, 1, **{field: None}), 5)
    assert refused.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize("version", range(5))
def test_heartbeat_at_every_version(p: GroupPath, version: int) -> None:
    member_id = stable(p)
    request = HeartbeatRequest(group_id=GROUP, generation_id=1, member_id=member_id)
    assert p.now(request, version).error_code == ErrorCode.NONE
    request.generation_id = 2
    assert p.now(request, version).error_code == ErrorCode.ILLEGAL_GENERATION


@pytest.mark.parametrize("version", range(6))
def test_leave_at_every_version(p: GroupPath, version: int) -> None:
    member_id = stable(p)
    left = p.now(_leave(version, member_id), version)
    assert left.error_code == ErrorCode.NONE
    if version >= 3:
        assert [m.error_code for m in left.members] == [ErrorCode.NONE]
    again = p.now(_leave(version, member_id), version)
    codes = [m.error_code for m in again.members] if version >= 3 else [again.error_code]
    assert codes == [ErrorCode.UNKNOWN_MEMBER_ID]


def _leave(version: int, member_id: str) -> LeaveGroupRequest:
    if version < 3:
        return LeaveGroupRequest(group_id=GROUP, member_id=member_id)
    identity = MemberIdentity(member_id=member_id)
    return LeaveGroupRequest(group_id=GROUP, members=[identity])


@pytest.mark.parametrize(
    ("make", "version"),
    [
        (lambda: join_request(9, group_id=""), 9),
        (lambda: sync_request(5, "m", 1, group_id=""), 5),
        (lambda: HeartbeatRequest(member_id="m"), 4),
        (lambda: LeaveGroupRequest(), 5),
    ],
)
def test_the_empty_group_id_is_invalid(p: GroupPath, make: Any, version: int) -> None:
    assert p.now(make(), version).error_code == ErrorCode.INVALID_GROUP_ID


def test_a_member_that_disconnects_stays_until_its_session_ends(p: GroupPath) -> None:
    member_id = stable(p)
    joining = p.ask(join_request(9, member_id="nobody"), 9)
    assert joining.response.error_code == ErrorCode.UNKNOWN_MEMBER_ID
    waiting = p.ask(join_request(3), 3)
    assert waiting.waits
    assert waiting.deferral is not None
    waiting.deferral.abandon()
    assert len(_describe(p, 6).members) == 2
    p.clock.advance(10_000)
    assert member_id not in [m.member_id for m in _describe(p, 6).members]


# DescribeGroups, ListGroups, DeleteGroups


def _describe(p: GroupPath, version: int, group: str = GROUP, **fields: Any) -> Any:
    return p.now(DescribeGroupsRequest(groups=[group], **fields), version).groups[0]


@pytest.mark.parametrize("version", range(7))
def test_describe_at_every_version(p: GroupPath, version: int) -> None:
    member_id = stable(p)
    group = _describe(p, version)
    assert (group.error_code, group.group_state, group.protocol_data) == (0, "Stable", "range")
    assert [m.member_id for m in group.members] == [member_id]
    assert group.members[0].member_assignment == b"mine"
    assert group.authorized_operations == NOT_ASKED


@pytest.mark.parametrize("version", range(7))
def test_a_missing_group_is_dead_and_from_version_6_on_an_error(p: GroupPath, version: int) -> None:
    group = _describe(p, version, "missing")
    assert group.group_state == "Dead"
    if version >= 6:
        assert group.error_code == ErrorCode.GROUP_ID_NOT_FOUND
        assert group.error_message == "Group missing not found."
    else:
        assert group.error_code == ErrorCode.NONE


def test_operations_are_told_to_those_who_ask(p: GroupPath) -> None:
    stable(p)
    group = _describe(p, 3, include_authorized_operations=True)
    assert group.authorized_operations == 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11
    missing = _describe(p, 6, "missing", include_authorized_operations=True)
    assert missing.authorized_operations == NOT_ASKED


@pytest.mark.parametrize("version", range(6))
def test_list_at_every_version(p: GroupPath, version: int) -> None:
    stable(p)
    (group,) = p.now(ListGroupsRequest(), version).groups
    assert (group.group_id, group.protocol_type) == (GROUP, "consumer")
    assert group.group_state == ("Stable" if version >= 4 else "")
    assert group.group_type == ("classic" if version >= 5 else "")


def test_list_filters(p: GroupPath) -> None:
    stable(p)
    assert p.now(ListGroupsRequest(states_filter=["Empty"]), 4).groups == []
    assert len(p.now(ListGroupsRequest(states_filter=["stable"]), 4).groups) == 1
    assert p.now(ListGroupsRequest(types_filter=["consumer"]), 5).groups == []
    assert len(p.now(ListGroupsRequest(types_filter=["Classic"]), 5).groups) == 1


def test_list_without_the_topic_is_empty() -> None:
    listed = GroupPath().now(ListGroupsRequest(), 5)
    assert (listed.error_code, listed.groups) == (ErrorCode.NONE, [])


@pytest.mark.parametrize("version", range(3))
def test_delete_at_every_version(p: GroupPath, version: int) -> None:
    member_id = stable(p)
    request = DeleteGroupsRequest(groups_names=[GROUP, "missing", GROUP])
    results = {r.group_id: r.error_code for r in p.now(request, version).results}
    assert results == {GROUP: ErrorCode.NON_EMPTY_GROUP, "missing": ErrorCode.GROUP_ID_NOT_FOUND}
    p.now(_leave(5, member_id), 5)
    results = {r.group_id: r.error_code for r in p.now(request, version).results}
    assert results[GROUP] == ErrorCode.NONE
    assert _describe(p, 5).group_state == "Dead"


# The log, failures and failover


def test_what_is_written_is_kafkas_record(p: GroupPath) -> None:
    member_id = stable(p)
    new, full = p.logged()
    assert new[0] == full[0] == GroupMetadataKey(group=GROUP)
    assert new[1].members == []
    assert (full[1].generation, full[1].leader, full[2]) == (1, member_id, 3)


def test_an_assignment_is_told_when_the_replicas_have_it() -> None:
    p = GroupPath(replicas=(1, 2)).ready()
    p.commit()
    answers = [p.ask(join_request(3), 3)]
    p.clock.advance(0)
    p.commit()
    joined = answers[0].response
    synced = p.ask(sync_request(5, joined.member_id, joined.generation_id), 5)
    described = p.ask(DescribeGroupsRequest(groups=[GROUP]), 5)
    assert synced.waits
    assert described.waits, "nor is anybody else told of it"
    p.commit()
    assert synced.response.assignment == b"mine"
    assert described.response.groups[0].group_state == "Stable"


def test_what_is_not_replicated_in_time_is_coordinator_not_available() -> None:
    p = GroupPath(replicas=(1, 2)).ready()
    answer = p.ask(join_request(9), 9)
    p.clock.advance(4_999)
    assert answer.waits
    p.clock.advance(1)
    assert answer.response.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE


def test_too_few_replicas_refuse_the_group_and_leave_nothing() -> None:
    p = GroupPath(replicas=(1, 2)).ready()
    p.configure(CONSUMER_OFFSETS, min_insync_replicas=2)
    old = p.images.current.topics[CONSUMER_OFFSETS].partitions
    alone = [type(o)(o.leader, 0, 1, o.replicas, (o.leader,)) for o in old]
    p.elect(CONSUMER_OFFSETS, *alone)
    refused = p.now(join_request(3), 3)
    assert refused.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert p.ask(ListGroupsRequest(), 5).response.groups == []


def test_when_the_partition_moves_away_whoever_waits_is_told() -> None:
    p = GroupPath(replicas=(1, 2)).ready()
    index = p.groups.topic.partition_for(GROUP)
    parked, held = _parked_and_held(p)
    p.move(index, to=2, epoch=1)
    assert parked.response.error_code == ErrorCode.NOT_COORDINATOR
    assert held.response.error_code == ErrorCode.NOT_COORDINATOR
    heartbeat = HeartbeatRequest(group_id=GROUP, member_id="m")
    assert p.now(heartbeat, 4).error_code == ErrorCode.NOT_COORDINATOR
    assert p.now(ListGroupsRequest(), 5).error_code == ErrorCode.NONE


def _parked_and_held(p: GroupPath) -> tuple[Answer, Answer]:
    p.commit()
    first = p.ask(join_request(3), 3)
    p.clock.advance(0)
    p.commit()
    joined = first.response
    held = p.ask(sync_request(5, joined.member_id, 1), 5)
    parked = p.ask(join_request(3), 3)
    assert held.waits
    assert parked.waits
    return parked, held


def test_after_a_failover_and_back_the_group_is_there_again() -> None:
    p = GroupPath(replicas=(1, 2)).ready()
    p.commit()
    first = p.ask(join_request(3), 3)
    p.clock.advance(0)
    p.commit()
    member_id = first.response.member_id
    p.ask(sync_request(5, member_id, 1), 5)
    p.commit()
    index = p.groups.topic.partition_for(GROUP)
    p.move(index, to=2, epoch=1)
    p.move(index, to=1, epoch=2)
    request = HeartbeatRequest(group_id=GROUP, generation_id=1, member_id=member_id)
    assert p.now(request, 4).error_code == ErrorCode.NONE


def test_a_restarted_broker_has_the_groups_it_had(p: GroupPath) -> None:
    member_id = stable(p)
    again = _restarted(p)
    (group,) = again.now(ListGroupsRequest(), 5).groups
    assert (group.group_id, group.group_state) == (GROUP, "Stable")
    request = HeartbeatRequest(group_id=GROUP, generation_id=1, member_id=member_id)
    assert again.now(request, 4).error_code == ErrorCode.NONE


def _restarted(p: GroupPath) -> GroupPath:
    for partition in p.replicas.partitions():
        partition.stored_log.close()
    p.logs.release()
    return GroupPath(disk=p.disk).ready()


def test_a_heartbeat_while_groups_are_loaded_is_fine_others_have_to_wait(
    p: GroupPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    member_id = stable(p)
    monkeypatch.setattr("pykbroker.runtime.coordinator_log.READ_BYTES", 1)
    again = _restarted(p)
    request = HeartbeatRequest(group_id=GROUP, generation_id=1, member_id=member_id)
    assert again.now(request, 4).error_code == ErrorCode.NONE
    loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert again.now(join_request(9), 9).error_code == loading
    assert again.now(ListGroupsRequest(), 5).error_code == loading
    assert _describe(again, 6).error_code == loading
    again.clock.advance(10)
    assert _describe(again, 6).group_state == "Stable"
