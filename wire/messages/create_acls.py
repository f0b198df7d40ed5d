"""CreateAcls (KIP-140).

v1 pattern types (KIP-290) - v2 flexible - v3 users as resources (KIP-373)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string


class AclCreation(Struct):
    resource_type: int8 = 0
    resource_name: string = ""
    resource_pattern_type: int8 = at("1+", default=3)
    principal: string = ""
    host: string = ""
    operation: int8 = 0
    permission_type: int8 = 0


class CreateAclsRequest(Request, api_key=30, versions="0-3", flexible="2+"):
    creations: list[AclCreation] = []


class AclCreationResult(Struct):
    error_code: int16 = 0
    error_message: string | None = ""


class CreateAclsResponse(Response, api_key=30, versions="0-3", flexible="2+"):
    throttle_time_ms: int32 = 0
    results: list[AclCreationResult] = []
