"""DescribeClientQuotas (KIP-546).

v1 flexible
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, float64, int8, int16, int32, string


class ComponentData(Struct):
    entity_type: string = ""
    match_type: int8 = 0
    match: string | None = ""


class DescribeClientQuotasRequest(Request, api_key=48, versions="0-1", flexible="1+"):
    components: list[ComponentData] = []
    strict: bool = False


class EntityData(Struct):
    entity_type: string = ""
    entity_name: string | None = ""


class ValueData(Struct):
    key: string = ""
    value: float64 = 0.0


class EntryData(Struct):
    entity: list[EntityData] = []
    values: list[ValueData] = []


class DescribeClientQuotasResponse(Response, api_key=48, versions="0-1", flexible="1+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: string | None = ""
    entries: list[EntryData] | None = []
