"""SyncGroup, Heartbeat and LeaveGroup of classic groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.coordinator import Decision, Instant, Waiter
from pykbroker.state.errors import KafkaError
from pykbroker.state.group.classic_group import ClassicGroup, State
from pykbroker.state.group.joining import validate_member
from wire.errors import ErrorCode
from wire.messages.heartbeat import HeartbeatResponse
from wire.messages.leave_group import LeaveGroupResponse, MemberResponse
from wire.messages.sync_group import SyncGroupResponse

if TYPE_CHECKING:
    from pykbroker.state.group.rebalance import Rebalance
    from wire.messages.heartbeat import HeartbeatRequest
    from wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
    from wire.messages.sync_group import SyncGroupRequest


class Membership:
    def __init__(self, rebalance: Rebalance) -> None:
        self._rebalance = rebalance

    def _group(self, group_id: str) -> ClassicGroup:
        if not group_id:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        group = self._rebalance.groups.get(group_id)
        if group is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        return group

    def sync(self, request: SyncGroupRequest, waiter: Waiter, now: Instant) -> Decision:
        group = self._group(request.group_id)
        member = validate_member(group, request.member_id, request.group_instance_id)
        if request.generation_id != group.generation_id:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        _check_same(request.protocol_type, group.protocol_type)
        _check_same(request.protocol_name, group.protocol_name)
        if group.state is State.PREPARING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        decision = Decision()
        self._rebalance.synced(group, member.member_id)
        if group.state is State.STABLE:
            decision.reply(waiter, _assigned(group, member.assignment))
            return decision
        self._rebalance.release_sync(member, ErrorCode.REBALANCE_IN_PROGRESS, decision)
        member.sync_waiter = waiter
        if group.leader_id == member.member_id:
            self._assign(group, request, decision, now)
        return decision

    def _assign(
        self, group: ClassicGroup, request: SyncGroupRequest, decision: Decision, now: Instant
    ) -> None:
        """The leader has spoken: everybody who waits is answered once it is in the log."""
        assignments = {a.member_id: bytes(a.assignment) for a in request.assignments}
        self._rebalance.propose(group, assignments, decision)
        for member in group.members.values():
            if member.sync_waiter is not None:
                assignment = assignments.get(member.member_id, b"")
                decision.reply(member.sync_waiter, _assigned(group, assignment))
                member.sync_waiter = None
                self._rebalance.restart_session(group, member, now)

    def heartbeat(self, request: HeartbeatRequest, waiter: Waiter, now: Instant) -> Decision:
        group = self._group(request.group_id)
        member = validate_member(group, request.member_id, request.group_instance_id)
        if request.generation_id != group.generation_id:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        self._rebalance.restart_session(group, member, now)
        preparing = group.state is State.PREPARING_REBALANCE
        code = ErrorCode.REBALANCE_IN_PROGRESS if preparing else ErrorCode.NONE
        decision = Decision()
        decision.reply(waiter, HeartbeatResponse(error_code=code))
        return decision

    def leave(self, request: LeaveGroupRequest, waiter: Waiter, now: Instant) -> Decision:
        if not request.group_id:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        group = self._rebalance.groups.get(request.group_id)
        decision = Decision()
        results = []
        member_left = False
        for identity in request.members:
            code = ErrorCode.NONE
            try:
                if group is None:
                    raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
                member_left |= self._leave_one(group, identity, decision)
            except KafkaError as error:
                code = error.code
            results.append(
                MemberResponse(
                    member_id=identity.member_id,
                    group_instance_id=identity.group_instance_id,
                    error_code=code,
                )
            )
        if group is not None and member_left and group.can_rebalance:
            self._rebalance.prepare(group, decision, now)
        elif group is not None and group.previous_state is not State.EMPTY:
            self._rebalance.complete_join_if_all_there(group, decision, now)
        decision.reply(waiter, LeaveGroupResponse(members=results))
        return decision

    def _leave_one(self, group: ClassicGroup, identity: MemberIdentity, decision: Decision) -> bool:
        """Whether it was a member, not only an id given out. Without a member id it is an
        administrator who removes a static member by its instance id."""
        member_id, instance_id = identity.member_id, identity.group_instance_id
        if not member_id:
            member_id = group.static_members.get(instance_id or "", "")
        is_pending = member_id in group.pending_join
        if not is_pending:
            validate_member(group, member_id, instance_id)
        self._rebalance.remove(group, member_id, ErrorCode.UNKNOWN_MEMBER_ID, decision)
        return not is_pending


def _check_same(asked: str | None, current: str | None) -> None:
    if asked is not None and current is not None and asked != current:
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)


def _assigned(group: ClassicGroup, assignment: bytes) -> SyncGroupResponse:
    return SyncGroupResponse(
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        assignment=assignment,
    )
