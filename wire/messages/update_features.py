"""UpdateFeatures: the messages."""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string


class FeatureUpdateKey(Struct):
    feature: string = ""
    max_version_level: int16 = 0
    allow_downgrade: bool = at("0", default=False)
    upgrade_type: int8 = at("1+", default=1)


class UpdateFeaturesRequest(Request, api_key=57, versions="0-2", flexible="0+"):
    timeout_ms: int32 = 60000
    feature_updates: list[FeatureUpdateKey] = []
    validate_only: bool = at("1+", default=False)


class UpdatableFeatureResult(Struct):
    feature: string = ""
    error_code: int16 = 0
    error_message: string | None = ""


class UpdateFeaturesResponse(Response, api_key=57, versions="0-2", flexible="0+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = 0
    error_message: string | None = ""
    results: list[UpdatableFeatureResult] = at("0-1", default=[], ignorable=True)
