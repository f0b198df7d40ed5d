"""ApiVersions: what the broker serves (KIP-35).

v1 throttle time - v3 flexible, client software (KIP-511), features (KIP-584)
v4 features with a minimum of 0
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int16, int32, int64, string


class ApiVersionsRequest(Request, api_key=18, versions="0-4", flexible="3+"):
    client_software_name: string = at("3+", default="", ignorable=True)
    client_software_version: string = at("3+", default="", ignorable=True)


class ApiVersion(Struct):
    api_key: int16 = 0
    min_version: int16 = 0
    max_version: int16 = 0


class SupportedFeatureKey(Struct):
    name: string = ""
    min_version: int16 = 0
    max_version: int16 = 0


class FinalizedFeatureKey(Struct):
    name: string = ""
    max_version_level: int16 = 0
    min_version_level: int16 = 0


class ApiVersionsResponse(Response, api_key=18, versions="0-4", flexible="3+"):
    error_code: int16 = 0
    api_keys: list[ApiVersion] = []
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    supported_features: list[SupportedFeatureKey] = at("3+", default=[], tag=0, ignorable=True)
    finalized_features_epoch: int64 = at("3+", default=-1, tag=1, ignorable=True)
    finalized_features: list[FinalizedFeatureKey] = at("3+", default=[], tag=2, ignorable=True)
    zk_migration_ready: bool = at("3+", default=False, tag=3, ignorable=True)
