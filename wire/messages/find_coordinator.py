"""FindCoordinator: which broker coordinates a group, a transactional id or a share partition.

v1 key types (KIP-98) - v3 flexible - v4 several keys (KIP-699) - v5 TRANSACTION_ABORTABLE (KIP-890)
v6 share partitions (KIP-932)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string


class FindCoordinatorRequest(Request, api_key=10, versions="0-6", flexible="3+"):
    key: string = at("0-3", default="")
    key_type: int8 = at("1+", default=0)
    coordinator_keys: list[string] = at("4+", default=[])


class Coordinator(Struct):
    key: string = ""
    node_id: int32 = 0
    host: string = ""
    port: int32 = 0
    error_code: int16 = 0
    error_message: string | None = at("0+", default="", ignorable=True)


class FindCoordinatorResponse(Response, api_key=10, versions="0-6", flexible="3+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    error_code: int16 = at("0-3", default=0)
    error_message: string | None = at("1-3", default="", ignorable=True)
    node_id: int32 = at("0-3", default=0)
    host: string = at("0-3", default="")
    port: int32 = at("0-3", default=0)
    coordinators: list[Coordinator] = at("4+", default=[])


def upgrade(request: FindCoordinatorRequest, version: int) -> FindCoordinatorRequest:
    """Before v4 there is one key."""
    if version >= 4:
        return request
    return FindCoordinatorRequest(key_type=request.key_type, coordinator_keys=[request.key])


def downgrade(response: FindCoordinatorResponse, version: int) -> FindCoordinatorResponse:
    if version >= 4 or not response.coordinators:
        return response
    only = response.coordinators[0]
    return FindCoordinatorResponse(
        throttle_time_ms=response.throttle_time_ms,
        error_code=only.error_code,
        error_message=only.error_message,
        node_id=only.node_id,
        host=only.host,
        port=only.port,
    )
