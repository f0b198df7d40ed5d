"""LeaveGroup: members go of their own accord.

v1 throttle time - v3 several members, static ones too (KIP-345) - v4 flexible
v5 reasons (KIP-800)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, string


class MemberIdentity(Struct):
    member_id: string = ""
    group_instance_id: string | None = None
    reason: string | None = at("5+", default=None, ignorable=True)


class LeaveGroupRequest(Request, api_key=13, versions="0-5", flexible="4+"):
    group_id: string = ""
    member_id: string = at("0-2", default="")
    members: list[MemberIdentity] = at("3+", default=[])


class MemberResponse(Struct):
    member_id: string = ""
    group_instance_id: string | None = ""
    error_code: int16 = 0


class LeaveGroupResponse(Response, api_key=13, versions="0-5", flexible="4+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    error_code: int16 = 0
    members: list[MemberResponse] = at("3+", default=[])


def upgrade(request: LeaveGroupRequest, version: int) -> LeaveGroupRequest:
    """Before v3 a member speaks for itself."""
    if version >= 3:
        return request
    member = MemberIdentity(member_id=request.member_id)
    return LeaveGroupRequest(group_id=request.group_id, members=[member])


def downgrade(response: LeaveGroupResponse, version: int) -> LeaveGroupResponse:
    """The error of the one member is that of the response."""
    if version >= 3:
        return response
    code = response.error_code
    if not code and response.members:
        code = response.members[0].error_code
    return LeaveGroupResponse(throttle_time_ms=response.throttle_time_ms, error_code=code)
