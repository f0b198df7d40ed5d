"""Classic groups: JoinGroup, SyncGroup, Heartbeat, LeaveGroup; DescribeGroups, ListGroups,
DeleteGroups.

JoinGroup: v1 rebalance timeout - v4 member id required (KIP-394) - v5 group.instance.id (KIP-345) -
v7 protocol type, null protocol - v8 reason (KIP-800) - v9 skip assignment (KIP-814)
SyncGroup: v3 group.instance.id - v5 protocol type and name (KIP-559)
LeaveGroup: v3 several members - v5 reason
DescribeGroups: v3 authorized operations - v4 group.instance.id - v6 GROUP_ID_NOT_FOUND (KIP-1043)
ListGroups: v4 states (KIP-518) - v5 types (KIP-848)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import Context, handles
from pykbroker.state.operations import ON_GROUP
from wire.errors import ErrorCode
from wire.messages.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from wire.messages.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse
from wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from wire.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

if TYPE_CHECKING:
    from pykbroker.runtime.waiters import Deferral
    from wire.messages.describe_groups import DescribedGroup


@handles(JoinGroupRequest)
def join_group(request: JoinGroupRequest, ctx: Context) -> Deferral[JoinGroupResponse]:
    from pykbroker.state.group.joining import Joiner

    joiner = Joiner(
        ctx.client_id or "",
        f"/{ctx.connection.peer.host}",
        must_know_member_id=ctx.api_version >= 4,
        can_skip_assignment=ctx.api_version >= 9,
    )

    def failure(code: ErrorCode) -> JoinGroupResponse:
        member_id = request.member_id
        return JoinGroupResponse(error_code=code, member_id=member_id, protocol_name=None)

    return ctx.broker.groups.join(request, joiner, failure)


@handles(SyncGroupRequest)
def sync_group(
    request: SyncGroupRequest, ctx: Context
) -> SyncGroupResponse | Deferral[SyncGroupResponse]:
    if ctx.api_version >= 5 and (request.protocol_type is None or request.protocol_name is None):
        return SyncGroupResponse(error_code=ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    return ctx.broker.groups.sync(request, lambda code: SyncGroupResponse(error_code=code))


@handles(HeartbeatRequest)
def heartbeat(request: HeartbeatRequest, ctx: Context) -> Deferral[HeartbeatResponse]:
    def failure(code: ErrorCode) -> HeartbeatResponse:
        if code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            code = ErrorCode.NONE  # sessions start anew after loading: nobody is late
        return HeartbeatResponse(error_code=code)

    return ctx.broker.groups.heartbeat(request, failure)


@handles(LeaveGroupRequest)
def leave_group(request: LeaveGroupRequest, ctx: Context) -> Deferral[LeaveGroupResponse]:
    return ctx.broker.groups.leave(request, lambda code: LeaveGroupResponse(error_code=code))


@handles(DescribeGroupsRequest)
def describe_groups(
    request: DescribeGroupsRequest, ctx: Context
) -> Deferral[DescribeGroupsResponse]:
    def told(groups: list[DescribedGroup]) -> DescribeGroupsResponse:
        for group in groups:
            if ctx.api_version < 6:
                group.error_message = None
                if group.error_code == ErrorCode.GROUP_ID_NOT_FOUND:
                    group.error_code = ErrorCode.NONE  # its state, Dead, says it
            if request.include_authorized_operations and group.error_code == ErrorCode.NONE:
                group.authorized_operations = ON_GROUP
        return DescribeGroupsResponse(groups=groups)

    return ctx.broker.groups.describe_groups(request.groups).then(told)


@handles(ListGroupsRequest)
def list_groups(request: ListGroupsRequest, ctx: Context) -> Deferral[ListGroupsResponse]:
    return ctx.broker.groups.list_groups(request.states_filter, request.types_filter)


@handles(DeleteGroupsRequest)
def delete_groups(request: DeleteGroupsRequest, ctx: Context) -> Deferral[DeleteGroupsResponse]:
    names = dict.fromkeys(request.groups_names)
    results = ctx.broker.groups.delete_groups(names)
    return results.then(lambda found: DeleteGroupsResponse(results=found))
