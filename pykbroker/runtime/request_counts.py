"""How many requests of each API and version were answered, and with which error codes.

Counted for every answer, so it has to be cheap: one dictionary for the request, and for each class
of response a walk over those of its parts that have an error code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wire.schema import Struct, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Response


class RequestCounts:
    def __init__(self) -> None:
        self.requests: dict[tuple[int, int, bool], int] = {}
        """By API key, version, and whether it was another broker's fetch."""
        self.errors: dict[tuple[int, bool], dict[int, int]] = {}
        """How often each code was told, NONE included: a response may tell many."""
        self._walks: dict[type[Struct], Callable[[Any, dict[int, int]], None]] = {}

    def asked(self, api_key: int, version: int, is_broker: bool) -> None:
        key = (api_key, version, is_broker)
        requests = self.requests
        requests[key] = requests.get(key, 0) + 1

    def answered(self, api_key: int, version: int, is_broker: bool, response: Response) -> None:
        self.asked(api_key, version, is_broker)
        cls = type(response)
        walk = self._walks.get(cls)
        if walk is None:
            walk = self._walks[cls] = _walk(cls) or _nothing
        key = (api_key, is_broker)
        errors = self.errors.get(key)
        if errors is None:
            errors = self.errors[key] = {}
        walk(response, errors)


def _walk(cls: type[Struct]) -> Callable[[Any, dict[int, int]], None] | None:
    """None where nothing in it has an error code."""
    has_code = False
    nested: list[tuple[str, Callable[[Any, dict[int, int]], None]]] = []
    for field in fields_of(cls):
        if field.name == "error_code":
            has_code = True
        elif field.is_array and not isinstance(field.type, str):
            walk = _walk(field.type)
            if walk is not None:
                nested.append((field.name, walk))
    if not has_code and not nested:
        return None

    def count(part: Any, errors: dict[int, int]) -> None:
        if has_code:
            code = part.error_code
            errors[code] = errors.get(code, 0) + 1
        for name, walk in nested:
            for inner in getattr(part, name) or ():
                walk(inner, errors)

    return count


def _nothing(_part: Any, _errors: dict[int, int]) -> None:
    pass
