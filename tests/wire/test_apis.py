"""The table of APIs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.fact_tables import rows
from wire.apis import (
    API_BY_KEY,
    NEVER,
    Api,
    ApiKey,
    request_header_version,
    response_header_version,
)
from wire.schema import parse_versions

NOT_SERVED = {"StreamsGroupTopologyDescriptionUpdate"}
"""Of the tables, but of a release to come."""

each_api = pytest.mark.parametrize("api", API_BY_KEY.values(), ids=lambda api: api.name)


@pytest.mark.parametrize("what", ["keys", "versions", "where"])
def test_the_apis_are_those_of_the_table(what: str) -> None:
    table = {int(row["api_key"]): row for row in rows("api_keys.tsv")}
    expected = {key for key, row in table.items() if row["name"] not in NOT_SERVED}
    assert set(API_BY_KEY) == expected
    for key, api in API_BY_KEY.items():
        row = table[key]
        if what == "keys":
            assert (api.name, api.constant) == (row["name"], row["constant"])
            assert getattr(ApiKey, row["constant"]) == key
        elif what == "versions":
            newest = row["advertised_max"] or row["max_version"]
            if newest:  # else it is gone, and only its definition says what it had
                assert api.max_version == int(newest)
                assert api.min_version == int(row["kafka_3_9_min"] or row["min_version"])
            flexible = row["first_flexible_version"]
            assert api.flexible_since == (int(flexible) if flexible else NEVER)
        else:
            listeners = row["listeners"].split(",")
            assert api.is_client_facing == ("broker" in listeners)
            assert api.is_on_controller == ("controller" in listeners)
            assert api.is_forwarded == (row["forwarded_to_controller"] == "yes")
            assert api.is_cluster_action == (row["cluster_action"] == "yes")
            assert api.needs_telemetry_receiver == (row["client_facing"] == "telemetry")


@each_api
def test_the_messages_have_the_key_and_the_versions(api: Api) -> None:
    for cls in (api.request, api.response):
        assert cls.api_key == api.key
        low, high = parse_versions(cls.versions)
        assert low <= api.min_version <= api.max_version <= high
        flexible = parse_versions(cls.flexible)
        for version in range(api.min_version, api.max_version + 1):
            assert (version in flexible) == (version >= api.flexible_since)
    assert api.request.__name__ == api.name + "Request"
    assert api.response.__name__ == api.name + "Response"


@each_api
def test_headers_follow_flexibility(api: Api) -> None:
    for version in range(api.min_version, api.max_version + 1):
        flexible = version >= api.flexible_since
        if (api.key, version) != (ApiKey.CONTROLLED_SHUTDOWN, 0):
            assert request_header_version(api.key, version) == (2 if flexible else 1)
        if api.key != ApiKey.API_VERSIONS:
            assert response_header_version(api.key, version) == (1 if flexible else 0)


def test_the_exceptions_among_headers() -> None:
    assert request_header_version(ApiKey.CONTROLLED_SHUTDOWN, 0) == 0
    assert request_header_version(ApiKey.CONTROLLED_SHUTDOWN, 1) == 1
    for version in (0, 3, 4, 99):
        assert response_header_version(ApiKey.API_VERSIONS, version) == 0
    assert request_header_version(ApiKey.API_VERSIONS, 99) == 2


@pytest.mark.parametrize("key", [-1, 93, 9999])
def test_an_unknown_api_has_the_oldest_usual_headers(key: int) -> None:
    assert request_header_version(key, 5) == 1
    assert response_header_version(key, 5) == 0


def test_what_is_unstable_is_not_served() -> None:
    api = API_BY_KEY[ApiKey.INIT_PRODUCER_ID]
    assert api.max_version == 5
    assert parse_versions(api.request.versions).high == 6


def test_an_api_loads_its_messages_when_it_is_asked() -> None:
    api = Api("HEARTBEAT", ApiKey.HEARTBEAT, 0, 4, 4, 0)
    assert api.response is API_BY_KEY[ApiKey.HEARTBEAT].response
    assert api.request is API_BY_KEY[ApiKey.HEARTBEAT].request
    assert repr(api) == "<Api 12 Heartbeat 0-4>"


def test_the_table_loads_no_messages() -> None:
    """Start-up pays for the APIs that are used, not for those that exist."""
    code = (
        "import sys, wire.apis, wire.codec, wire.frame; "
        "print([m for m in sys.modules if m.startswith('wire.messages')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
