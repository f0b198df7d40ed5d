"""DeleteTopics: by name, and since v6 by id.

v1 throttle time - v3 TOPIC_DELETION_DISABLED (KIP-322) - v4 flexible
v5 error messages, THROTTLING_QUOTA_EXCEEDED (KIP-599) - v6 topic ids (KIP-516)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import ZERO_UUID, Request, Response, Struct, at, int16, int32, string, uuid


class DeleteTopicState(Struct):
    name: string | None = None
    topic_id: uuid = ZERO_UUID


class DeleteTopicsRequest(Request, api_key=20, versions="0-6", flexible="4+"):
    topics: list[DeleteTopicState] = at("6+", default=[])
    topic_names: list[string] = at("0-5", default=[], ignorable=True)
    timeout_ms: int32 = 0


class DeletableTopicResult(Struct):
    name: string | None = at("0+", default="", nullable="6+")
    topic_id: uuid = at("6+", default=ZERO_UUID, ignorable=True)
    error_code: int16 = 0
    error_message: string | None = at("5+", default=None, ignorable=True)


class DeleteTopicsResponse(Response, api_key=20, versions="0-6", flexible="4+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    responses: list[DeletableTopicResult] = []


def upgrade(request: DeleteTopicsRequest, version: int) -> DeleteTopicsRequest:
    """Before v6 there are names alone."""
    if version >= 6:
        return request
    return DeleteTopicsRequest(
        topics=[DeleteTopicState(name=name) for name in request.topic_names],
        timeout_ms=request.timeout_ms,
    )


def restore(request: DeleteTopicsRequest, version: int) -> DeleteTopicsRequest:
    """An id has no place before v6: it is left for the codec to refuse."""
    if version >= 6 or any(topic.name is None for topic in request.topics):
        return request
    return DeleteTopicsRequest(
        topic_names=[
            *request.topic_names,
            *(topic.name for topic in request.topics if topic.name is not None),
        ],
        timeout_ms=request.timeout_ms,
    )


def downgrade(response: DeleteTopicsResponse, version: int) -> DeleteTopicsResponse:
    if version < 3:
        for topic in response.responses:
            if topic.error_code == ErrorCode.TOPIC_DELETION_DISABLED:
                topic.error_code = ErrorCode.INVALID_REQUEST
    return response
