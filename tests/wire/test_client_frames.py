"""The client's half of a connection: what a broker reads is what was sent, and the way back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from wire.apis import API_BY_KEY, ApiKey
from wire.client import request_data, request_frame, response_body, response_head
from wire.codec import decode_request, encode_request
from wire.errors import DecodeError, EncodeError
from wire.frame import FrameReader, request_header
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.messages.heartbeat import HeartbeatRequest
from wire.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest

if TYPE_CHECKING:
    from wire.schema import Request


@pytest.mark.parametrize("client_id", ["a-client", "", "ü", None])
@pytest.mark.parametrize("version", [0, 4])
def test_a_frame_is_read_as_it_was_written(client_id: str | None, version: int) -> None:
    request = HeartbeatRequest(group_id="g")
    data = b"".join(request_frame(request, version, 7, client_id))
    [frame] = FrameReader(1 << 20).feed(data)
    assert bytes(frame) == b"".join(request_data(request, version, 7, client_id))
    header, offset = request_header(frame)
    found = (header.api_key, header.api_version, header.correlation_id, header.client_id)
    assert found == (ApiKey.HEARTBEAT, version, 7, client_id)
    assert decode_request(API_BY_KEY[ApiKey.HEARTBEAT], version, frame, offset) == request


def test_the_header_of_a_response() -> None:
    assert response_head(b"\x00\x00\x00\x07rest") == 7
    assert response_body(b"\x00\x00\x00\x07rest", ApiKey.HEARTBEAT, 3) == 4
    assert response_body(b"\x00\x00\x00\x07\x00rest", ApiKey.HEARTBEAT, 4) == 5
    assert response_body(b"\x00\x00\x00\x07\x01\x05\x02abrest", ApiKey.HEARTBEAT, 4) == 9
    assert response_body(b"\x00\x00\x00\x07\x00", ApiKey.API_VERSIONS, 3) == 4


@pytest.mark.parametrize(
    "frame", [b"", b"\x00\x00\x07", b"\x00\x00\x00\x07", b"\x00\x00\x00\x07\x01"]
)
def test_a_response_that_ends_too_soon(frame: bytes) -> None:
    function = response_head if len(frame) < 4 else partial(response_body, api_key=12, version=4)
    with pytest.raises(DecodeError):
        function(frame)


ROUND_TRIPS: list[tuple[Request, range]] = [
    (
        DeleteTopicsRequest(
            topics=[DeleteTopicState(name="t"), DeleteTopicState(name="u")], timeout_ms=5
        ),
        range(7),
    ),
    (
        UpdateFeaturesRequest(
            feature_updates=[
                FeatureUpdateKey(feature="f", max_version_level=2),
                FeatureUpdateKey(feature="g", max_version_level=1, upgrade_type=2),
            ]
        ),
        range(3),
    ),
]


@pytest.mark.parametrize(
    ("request_", "version"), [(request, v) for request, versions in ROUND_TRIPS for v in versions]
)
def test_the_newest_shape_survives_an_older_version(request_: Request, version: int) -> None:
    api = API_BY_KEY[request_.api_key]
    before = repr(request_)
    data = b"".join(encode_request(request_, version))
    assert decode_request(api, version, data) == request_
    assert repr(request_) == before, "writing does not change it"


def test_what_an_older_version_cannot_say_is_refused() -> None:
    by_id = DeleteTopicsRequest(topics=[DeleteTopicState(name=None, topic_id=bytes(range(16)))])
    with pytest.raises(EncodeError):
        encode_request(by_id, 5)
