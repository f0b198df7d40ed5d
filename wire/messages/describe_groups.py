"""DescribeGroups: classic groups and their members.

v1 throttle time - v3 authorized operations (KIP-430) - v4 static members (KIP-345)
v5 flexible - v6 GROUP_ID_NOT_FOUND with a message (KIP-1043)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, string


class DescribeGroupsRequest(Request, api_key=15, versions="0-6", flexible="5+"):
    groups: list[string] = []
    include_authorized_operations: bool = at("3+", default=False)


class DescribedGroupMember(Struct):
    member_id: string = ""
    group_instance_id: string | None = at("4+", default=None, ignorable=True)
    client_id: string = ""
    client_host: string = ""
    member_metadata: bytes = b""
    member_assignment: bytes = b""


class DescribedGroup(Struct):
    error_code: int16 = 0
    error_message: string | None = at("6+", default=None)
    group_id: string = ""
    group_state: string = ""
    protocol_type: string = ""
    protocol_data: string = ""
    members: list[DescribedGroupMember] = []
    authorized_operations: int32 = at("3+", default=-2147483648)


class DescribeGroupsResponse(Response, api_key=15, versions="0-6", flexible="5+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    groups: list[DescribedGroup] = []


def downgrade(response: DescribeGroupsResponse, version: int) -> DescribeGroupsResponse:
    """Before v6 there is no place for a message."""
    if version < 6:
        for group in response.groups:
            group.error_message = None
    return response
