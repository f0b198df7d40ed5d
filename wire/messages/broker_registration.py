"""BrokerRegistration: a broker comes up (KIP-631).

v1 ZooKeeper migration - v2 log directories (KIP-858) - v3 previous epoch (KIP-966)
v4 features with a minimum of 0
"""

from __future__ import annotations

from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    at,
    int16,
    int32,
    int64,
    string,
    uint16,
    uuid,
)


class Listener(Struct):
    name: string = ""
    host: string = ""
    port: uint16 = 0
    security_protocol: int16 = 0


class Feature(Struct):
    name: string = ""
    min_supported_version: int16 = 0
    max_supported_version: int16 = 0


class BrokerRegistrationRequest(Request, api_key=62, versions="0-4", flexible="0+"):
    broker_id: int32 = 0
    cluster_id: string = ""
    incarnation_id: uuid = ZERO_UUID
    listeners: list[Listener] = []
    features: list[Feature] = []
    rack: string | None = ""
    is_migrating_zk_broker: bool = at("1+", default=False)
    log_dirs: list[uuid] = at("2+", default=[], ignorable=True)
    previous_broker_epoch: int64 = at("3+", default=-1, ignorable=True)


class BrokerRegistrationResponse(Response, api_key=62, versions="0-4", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    broker_epoch: int64 = -1
