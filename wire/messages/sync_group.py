"""SyncGroup: the leader hands in the assignment, everybody gets theirs.

v1 throttle time - v3 static members (KIP-345) - v4 flexible - v5 protocol (KIP-559)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, string


class SyncGroupRequestAssignment(Struct):
    member_id: string = ""
    assignment: bytes = b""


class SyncGroupRequest(Request, api_key=14, versions="0-5", flexible="4+"):
    group_id: string = ""
    generation_id: int32 = 0
    member_id: string = ""
    group_instance_id: string | None = at("3+", default=None)
    protocol_type: string | None = at("5+", default=None, ignorable=True)
    protocol_name: string | None = at("5+", default=None, ignorable=True)
    assignments: list[SyncGroupRequestAssignment] = []


class SyncGroupResponse(Response, api_key=14, versions="0-5", flexible="4+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    error_code: int16 = 0
    protocol_type: string | None = at("5+", default=None, ignorable=True)
    protocol_name: string | None = at("5+", default=None, ignorable=True)
    assignment: bytes = b""
