"""ListConfigResources: what has settings of its own (KIP-1000).

v0 client metrics alone - v1 any type (KIP-1142)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string


class ListConfigResourcesRequest(Request, api_key=74, versions="0-1", flexible="0+"):
    resource_types: list[int8] = at("1+", default=[])


class ConfigResource(Struct):
    resource_name: string = ""
    resource_type: int8 = at("1+", default=16, ignorable=True)


class ListConfigResourcesResponse(Response, api_key=74, versions="0-1", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    config_resources: list[ConfigResource] = []


CLIENT_METRICS = 16


def upgrade(request: ListConfigResourcesRequest, version: int) -> ListConfigResourcesRequest:
    """v0 had another name, ListClientMetricsResources, and asked for no other type (KIP-714)."""
    if version == 0:
        request.resource_types = [CLIENT_METRICS]
    return request
