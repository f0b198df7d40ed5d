"""BrokerHeartbeat: a broker is alive, and what it wants (KIP-631).

v1 offline log directories (KIP-858) - v2 cordoned ones (KIP-1066)
"""

from __future__ import annotations

from wire.schema import Request, Response, at, int16, int32, int64, uuid


class BrokerHeartbeatRequest(Request, api_key=63, versions="0-2", flexible="0+"):
    broker_id: int32 = 0
    broker_epoch: int64 = -1
    current_metadata_offset: int64 = 0
    want_fence: bool = False
    want_shut_down: bool = False
    offline_log_dirs: list[uuid] = at("1+", default=[], tag=0)
    cordoned_log_dirs: list[uuid] | None = at("2+", default=None, tag=1, ignorable=True)


class BrokerHeartbeatResponse(Response, api_key=63, versions="0-2", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    is_caught_up: bool = False
    is_fenced: bool = True
    should_shut_down: bool = False
