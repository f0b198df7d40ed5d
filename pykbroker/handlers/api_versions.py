"""ApiVersions: what this broker serves. Every client's first request.

v1 throttle time - v2 throttled answers leave at once - v3 flexible, client software (KIP-511),
features (KIP-584) - v4 features of minimum level 0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import Context, handles
from pykbroker.handlers.registry import SERVED
from pykbroker.state.features import SUPPORTED_FEATURES
from wire.apis import API_BY_KEY, ApiKey
from wire.errors import ErrorCode
from wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

if TYPE_CHECKING:
    from collections.abc import Collection

_SOFTWARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")


def served_ranges(hidden: Collection[int] = ()) -> list[ApiVersion]:
    """wire's ranges for exactly the APIs that have a handler and are not hidden for now."""
    return [
        ApiVersion(
            api_key=key, min_version=API_BY_KEY[key].min_version, max_version=api_max_version(key)
        )
        for key in sorted(SERVED)
        if API_BY_KEY[key].is_client_facing and key not in hidden
    ]


def api_max_version(key: int) -> int:
    return API_BY_KEY[key].max_version


def is_software_name(text: str) -> bool:
    """KIP-511: letters, digits, dots and dashes; it begins and ends with a letter or digit."""
    return (
        bool(text) and _SOFTWARE.issuperset(text) and text[0] not in "-." and text[-1] not in "-."
    )


def unsupported_version_response() -> ApiVersionsResponse:
    api = API_BY_KEY[ApiKey.API_VERSIONS]
    own = ApiVersion(
        api_key=ApiKey.API_VERSIONS, min_version=api.min_version, max_version=api.max_version
    )
    return ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[own])


@handles(ApiVersionsRequest)
def api_versions(request: ApiVersionsRequest, ctx: Context) -> ApiVersionsResponse:
    if ctx.api_version >= 3:
        name, version = request.client_software_name, request.client_software_version
        if not (is_software_name(name) and is_software_name(version)):
            return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
        ctx.connection.client_software_name = name
        ctx.connection.client_software_version = version
    image = ctx.broker.images.current
    return ApiVersionsResponse(
        api_keys=served_ranges(ctx.broker.telemetry.hidden_apis),
        supported_features=[
            SupportedFeatureKey(name=name, min_version=low, max_version=high)
            for name, (low, high) in SUPPORTED_FEATURES.items()
            if low > 0 or ctx.api_version >= 4  # older clients cannot read a minimum of zero
        ],
        finalized_features_epoch=image.revision,
        finalized_features=[
            FinalizedFeatureKey(name=name, max_version_level=level, min_version_level=level)
            for name, level in image.features.items()
            if level > 0
        ],
    )
