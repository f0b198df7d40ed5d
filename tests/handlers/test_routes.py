"""What is found once for requests that are alike does as if it were found anew for each."""

from __future__ import annotations

import pytest

from pykbroker.handlers.registry import REMEMBERED_BYTES, SERVED, Heading, Routes
from pykbroker.runtime.request_counts import RequestCounts
from wire.apis import API_BY_KEY, ApiKey, response_header_version
from wire.codec import decode_request, encode_bytes, encode_response
from wire.errors import DecodeError
from wire.frame import request_header

SOME_ID = 7
SIZE = REMEMBERED_BYTES


def head(key: int, version: int, client_id: bytes, tags: bytes = b"\0", number: int = 1) -> bytes:
    fields = (key, 2), (version, 2), (number, 4), (len(client_id), 2)
    return b"".join(value.to_bytes(size, "big") for value, size in fields) + client_id + tags


def heading_of(frame: bytes, routes: Routes) -> Heading:
    header, body_at = request_header(frame)
    route = routes.find(header.api_key, header.api_version, is_privileged=True)
    assert route is not None
    return Heading(route, header, memoryview(frame), body_at)


FIRST = head(ApiKey.PRODUCE, 9, b"one")


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1])
def test_a_header_is_known_whatever_its_correlation_id(number: int) -> None:
    heading = heading_of(FIRST, Routes(RequestCounts()))
    frame = head(ApiKey.PRODUCE, 9, b"one", number=number) + b"body"
    assert heading.correlation_id(memoryview(frame)) == number
    assert (heading.client_id, heading.body_at) == ("one", len(FIRST))


@pytest.mark.parametrize(
    "frame",
    [
        head(ApiKey.PRODUCE, 10, b"one"),
        head(ApiKey.FETCH, 9, b"one"),
        head(ApiKey.PRODUCE, 9, b"two"),
        head(ApiKey.PRODUCE, 9, b"ones"),
        head(ApiKey.PRODUCE, 9, b"on"),
        head(ApiKey.PRODUCE, 9, b"one", tags=b"\1\0\0"),
        FIRST[:-1],
        b"",
    ],
)
def test_another_header_is_not_taken_for_it(frame: bytes) -> None:
    heading = heading_of(FIRST, Routes(RequestCounts()))
    assert heading.correlation_id(memoryview(frame)) is None


@pytest.mark.parametrize(("size", "known"), [(SIZE - 3, True), (SIZE - 2, False)])
def test_a_long_header_is_read_each_time(size: int, known: bool) -> None:
    frame = head(ApiKey.PRODUCE, 9, b"x" * size)
    heading = heading_of(frame, Routes(RequestCounts()))
    assert heading.client_id == "x" * size
    assert (heading.correlation_id(memoryview(frame)) == 1) is known


def test_what_brokers_ask_stays_among_brokers() -> None:
    routes = Routes(RequestCounts())
    assert routes.find(ApiKey.ALTER_PARTITION, 3, is_privileged=True)
    with pytest.raises(DecodeError):
        routes.find(ApiKey.ALTER_PARTITION, 3, is_privileged=False)


@pytest.mark.parametrize("key", sorted(SERVED))
def test_requests_are_read_and_responses_written_as_by_the_codec(key: int) -> None:
    api = API_BY_KEY[key]
    routes = Routes(RequestCounts())
    for version in range(api.min_version, api.max_version + 1):
        route = routes.find(key, version, is_privileged=True)
        assert route is not None
        data = memoryview(b"head" + encode_bytes(api.request(), version))
        assert route.read(data, 4) == decode_request(api, version, data, 4)
        if len(data) > 4:
            with pytest.raises(DecodeError):
                route.read(data[:-1], 4)
        tags = b"\0" * response_header_version(key, version)
        body = b"".join(
            (SOME_ID.to_bytes(4, "big"), tags, *encode_response(api.response(), version))
        )
        framed = b"".join(route.write(api.response(), SOME_ID))
        assert framed == len(body).to_bytes(4, "big") + body
