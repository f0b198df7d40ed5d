"""ListGroups: what this broker coordinates.

v1 throttle time - v3 flexible - v4 states (KIP-518) - v5 types (KIP-848)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, string


class ListGroupsRequest(Request, api_key=16, versions="0-5", flexible="3+"):
    states_filter: list[string] = at("4+", default=[])
    types_filter: list[string] = at("5+", default=[])


class ListedGroup(Struct):
    group_id: string = ""
    protocol_type: string = ""
    group_state: string = at("4+", default="", ignorable=True)
    group_type: string = at("5+", default="", ignorable=True)


class ListGroupsResponse(Response, api_key=16, versions="0-5", flexible="3+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    error_code: int16 = 0
    groups: list[ListedGroup] = []
