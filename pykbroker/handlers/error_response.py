"""The answer to a request that failed as a whole, for any API.

Kafka answers a failed request in the shape of its success: a top-level error code where the
response has one, and otherwise the same code for every topic, partition or group asked about.
The shapes are read from the definitions, so that a new API needs nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wire.apis import API_BY_KEY, ApiKey
from wire.schema import Field, Request, Response, Struct, fields_of

if TYPE_CHECKING:
    from wire.errors import ErrorCode

_CODES = frozenset(("error_code", "partition_error_code"))
_SAME_THING = {
    "partition_index": ("partition_index", "partition", "index"),
    "partition": ("partition", "partition_index", "index"),
    "partition_id": ("partition_id", "partition", "partition_index"),
    "index": ("index", "partition", "partition_index"),
    "name": ("name", "topic", "topic_name"),
    "topic": ("topic", "name", "topic_name"),
    "topic_name": ("topic_name", "name", "topic"),
    "key": ("key",),
    "group_id": ("group_id", "group"),
}


def error_response(
    request: Request, code: ErrorCode, message: str | None, version: int
) -> Response:
    """``message`` goes where the response has a place for it; None leaves Kafka's null there."""
    response_class = API_BY_KEY[request.api_key].response
    response = _mirror(request, response_class, code, message)
    for field in fields_of(response_class):
        if field.name in _CODES and version not in field.versions:
            setattr(response, field.name, 0)  # it stands further down in this version
    if request.api_key == ApiKey.FETCH:
        _as_fetch_says_it(response, version)
    assert isinstance(response, Response)
    return response


def _as_fetch_says_it(response: Any, version: int) -> None:
    """No offsets and no records; nothing of partitions whose topics have ids for names."""
    if version >= 13:
        response.responses = []
    for topic in response.responses:
        for partition in topic.partitions:
            partition.high_watermark = -1
            partition.records = b""


def _mirror(
    source: Any, target_class: type[Struct], code: ErrorCode, message: str | None
) -> Struct:
    values: dict[str, Any] = {}
    for field in fields_of(target_class):
        if field.name in _CODES:
            values[field.name] = int(code)
        elif field.name == "error_message":
            values[field.name] = message
        elif field.is_array:
            if isinstance(field.type, type) and _has_code(field.type):
                items = _matching_list(source, field)
                values[field.name] = [_mirror(i, field.type, code, message) for i in items]
        elif isinstance(field.type, str):
            found, value = _matching_value(source, field)
            if found:
                values[field.name] = value
                if not isinstance(source, Struct):
                    source = None  # a bare id is one field's value, the first of its type
    return target_class(**values)


def _has_code(struct: type[Struct]) -> bool:
    for field in fields_of(struct):
        if field.name in _CODES:
            return True
        if isinstance(field.type, type) and field.is_array and _has_code(field.type):
            return True
    return False


def _matching_list(source: Any, field: Field) -> list[Any]:
    """The request's list that this response list answers: same name, or else the only one."""
    if not isinstance(source, Struct):
        return []
    lists = [f for f in fields_of(type(source)) if f.is_array]
    same = [f for f in lists if f.name == field.name]
    structs = [f for f in lists if isinstance(f.type, type)]
    for choice in (same, structs, lists):
        for candidate in choice:
            items = getattr(source, candidate.name)
            if items:
                return list(items)
    return []


def _matching_value(source: Any, field: Field) -> tuple[bool, Any]:
    if not isinstance(source, Struct):
        # A bare id from a list of ids: it belongs to whatever field has its type.
        kind = {str: "string", int: "int32", bytes: "uuid"}.get(type(source))
        return field.type == kind, source
    for name in _SAME_THING.get(field.name, (field.name,)):
        definition = next((f for f in fields_of(type(source)) if f.name == name), None)
        if definition is not None and definition.type == field.type and not definition.is_array:
            return True, getattr(source, name)
    return False, None
