"""How many requests of each API and version were answered, and with which error codes.

Counted for every answer, so it has to be cheap: one dictionary for the request, and for each class
of response a walk over those of its parts that have an error code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.runtime.request_times import RequestTimes
from wire.schema import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Response, Struct


class Answered:
    """The requests of one API and version; those of other brokers are told apart."""

    __slots__ = ("count", "errors", "walk")

    def __init__(self) -> None:
        self.count = 0
        self.errors: dict[int, int] = {}
        """How often each code was told, NONE included: a response may tell many."""
        self.walk: Callable[[Any, dict[int, int]], None] | None = None


class RequestCounts:
    def __init__(self) -> None:
        self.answers: dict[tuple[int, int, bool], Answered] = {}
        """By API key, version, and whether it was another broker's fetch."""
        self.times = RequestTimes()

    def asked(self, api_key: int, version: int, is_broker: bool) -> Answered:
        """Without a response so far, nor ever if nothing else is called."""
        key = (api_key, version, is_broker)
        answered = self.answers.get(key)
        if answered is None:
            answered = self.answers[key] = Answered()
        answered.count += 1
        return answered

    def answered(self, api_key: int, version: int, is_broker: bool, response: Response) -> None:
        answered = self.asked(api_key, version, is_broker)
        walk = answered.walk
        if walk is None:
            walk = answered.walk = _walk(type(response)) or _nothing
        walk(response, answered.errors)


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
