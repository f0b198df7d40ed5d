"""Heartbeat: a member of a classic group is alive.

v1 throttle time - v3 static members (KIP-345) - v4 flexible
"""

from __future__ import annotations

from wire.schema import Request, Response, at, int16, int32, string


class HeartbeatRequest(Request, api_key=12, versions="0-4", flexible="4+"):
    group_id: string = ""
    generation_id: int32 = 0
    member_id: string = ""
    group_instance_id: string | None = at("3+", default=None)


class HeartbeatResponse(Response, api_key=12, versions="0-4", flexible="4+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    error_code: int16 = 0
