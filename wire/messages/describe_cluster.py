"""DescribeCluster: brokers or controllers, without topics (KIP-700).

v1 endpoint type (KIP-919) - v2 fenced brokers (KIP-1073)
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string


class DescribeClusterRequest(Request, api_key=60, versions="0-2", flexible="0+"):
    include_cluster_authorized_operations: bool = False
    endpoint_type: int8 = at("1+", default=1)
    include_fenced_brokers: bool = at("2+", default=False)


class DescribeClusterBroker(Struct):
    broker_id: int32 = 0
    host: string = ""
    port: int32 = 0
    rack: string | None = None
    is_fenced: bool = at("2+", default=False)


class DescribeClusterResponse(Response, api_key=60, versions="0-2", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: string | None = None
    endpoint_type: int8 = at("1+", default=1)
    cluster_id: string = ""
    controller_id: int32 = -1
    brokers: list[DescribeClusterBroker] = []
    cluster_authorized_operations: int32 = -2147483648


def downgrade(response: DescribeClusterResponse, version: int) -> DescribeClusterResponse:
    if version == 0:
        response.endpoint_type = 1
    if version < 2:
        response.brokers = [broker for broker in response.brokers if not broker.is_fenced]
    return response
