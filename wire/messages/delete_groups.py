"""DeleteGroups (KIP-229).

v2 flexible
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, int16, int32, string


class DeleteGroupsRequest(Request, api_key=42, versions="0-2", flexible="2+"):
    groups_names: list[string] = []


class DeletableGroupResult(Struct):
    group_id: string = ""
    error_code: int16 = 0


class DeleteGroupsResponse(Response, api_key=42, versions="0-2", flexible="2+"):
    throttle_time_ms: int32 = 0
    results: list[DeletableGroupResult] = []
