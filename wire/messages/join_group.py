"""JoinGroup: a member of a classic group asks to be in the next generation.

v1 rebalance timeout (KIP-62) - v2 throttle time - v4 the member id comes first (KIP-394)
v5 static members (KIP-345) - v6 flexible - v7 protocol type (KIP-559) - v8 reason (KIP-800)
v9 the leader may skip assigning (KIP-814)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, string


class JoinGroupRequestProtocol(Struct):
    name: string = ""
    metadata: bytes = b""


class JoinGroupRequest(Request, api_key=11, versions="0-9", flexible="6+"):
    group_id: string = ""
    session_timeout_ms: int32 = 0
    rebalance_timeout_ms: int32 = at("1+", default=-1, ignorable=True)
    member_id: string = ""
    group_instance_id: string | None = at("5+", default=None)
    protocol_type: string = ""
    protocols: list[JoinGroupRequestProtocol] = []
    reason: string | None = at("8+", default=None, ignorable=True)


class JoinGroupResponseMember(Struct):
    member_id: string = ""
    group_instance_id: string | None = at("5+", default=None, ignorable=True)
    metadata: bytes = b""


class JoinGroupResponse(Response, api_key=11, versions="0-9", flexible="6+"):
    throttle_time_ms: int32 = at("2+", default=0, ignorable=True)
    error_code: int16 = 0
    generation_id: int32 = -1
    protocol_type: string | None = at("7+", default=None, ignorable=True)
    protocol_name: string | None = at("0+", default="", nullable="7+")
    leader: string = ""
    skip_assignment: bool = at("9+", default=False)
    member_id: string = ""
    members: list[JoinGroupResponseMember] = []


def upgrade(request: JoinGroupRequest, version: int) -> JoinGroupRequest:
    """v0 has one timeout for both: being silent and being late."""
    if version == 0:
        request.rebalance_timeout_ms = request.session_timeout_ms
    return request


def downgrade(response: JoinGroupResponse, version: int) -> JoinGroupResponse:
    """No protocol is null since v7, and empty before."""
    if version < 9:
        response.skip_assignment = False
    if version < 7:
        response.protocol_name = response.protocol_name or ""
    elif not response.protocol_name:
        response.protocol_name = None
    return response
