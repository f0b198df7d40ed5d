"""DescribeConfigs: settings, and where each value comes from (KIP-133).

v1 sources and synonyms (KIP-226) - v3 types and documentation (KIP-569) - v4 flexible
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string


class DescribeConfigsResource(Struct):
    resource_type: int8 = 0
    resource_name: string = ""
    configuration_keys: list[string] | None = []


class DescribeConfigsRequest(Request, api_key=32, versions="0-4", flexible="4+"):
    resources: list[DescribeConfigsResource] = []
    include_synonyms: bool = at("1+", default=False)
    include_documentation: bool = at("3+", default=False)


class DescribeConfigsSynonym(Struct):
    name: string = ""
    value: string | None = ""
    source: int8 = 0


class DescribeConfigsResourceResult(Struct):
    name: string = ""
    value: string | None = ""
    read_only: bool = False
    is_default: bool = at("0", default=False)
    config_source: int8 = at("1+", default=-1, ignorable=True)
    is_sensitive: bool = False
    synonyms: list[DescribeConfigsSynonym] = at("1+", default=[], ignorable=True)
    config_type: int8 = at("3+", default=0, ignorable=True)
    documentation: string | None = at("3+", default="", ignorable=True)


class DescribeConfigsResult(Struct):
    error_code: int16 = 0
    error_message: string | None = ""
    resource_type: int8 = 0
    resource_name: string = ""
    configs: list[DescribeConfigsResourceResult] = []


class DescribeConfigsResponse(Response, api_key=32, versions="0-4", flexible="4+"):
    throttle_time_ms: int32 = 0
    results: list[DescribeConfigsResult] = []


DEFAULT_CONFIG = 5
"""The ``config_source`` of a value that nobody has set."""


def downgrade(response: DescribeConfigsResponse, version: int) -> DescribeConfigsResponse:
    """v0 says only whether a value is the default."""
    if version == 0:
        for result in response.results:
            for config in result.configs:
                config.is_default = config.config_source == DEFAULT_CONFIG
    return response
