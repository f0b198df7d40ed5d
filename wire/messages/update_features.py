"""UpdateFeatures: finalized features go up or down (KIP-584).

v1 types of upgrade, validation alone (KIP-778) - v2 no results of single features
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string

UPGRADE = 1
SAFE_DOWNGRADE = 2
UNSAFE_DOWNGRADE = 3
"""Values of ``upgrade_type``."""


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


def upgrade(request: UpdateFeaturesRequest, version: int) -> UpdateFeaturesRequest:
    """v0 says only whether a level may go down."""
    if version == 0:
        for update in request.feature_updates:
            update.upgrade_type = SAFE_DOWNGRADE if update.allow_downgrade else UPGRADE
            update.allow_downgrade = False
    return request


def restore(request: UpdateFeaturesRequest, version: int) -> UpdateFeaturesRequest:
    if version > 0:
        return request
    return UpdateFeaturesRequest(
        timeout_ms=request.timeout_ms,
        feature_updates=[
            FeatureUpdateKey(
                feature=update.feature,
                max_version_level=update.max_version_level,
                allow_downgrade=update.upgrade_type != UPGRADE,
            )
            for update in request.feature_updates
        ],
        validate_only=request.validate_only,
    )
