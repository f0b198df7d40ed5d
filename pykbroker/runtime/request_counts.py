"""What requests of each API count: how many, with which error codes, how long, how large.

Errors are counted for every answer, so that has to be cheap: whoever answers keeps the counters of
an API and version at hand, and a response is walked where its class has error codes, nowhere else.

Timing a request costs a tenth of a small one, so of those that are asked often only some are timed:
of each API and version between 50 and 200 a second, each with the weight of those that it stands
for. Quantiles are over the last five minutes in which the API was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.runtime.distribution import Distribution
from wire.apis import API_BY_KEY
from wire.schema import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Response, Struct

    Note = Callable[[Any, "Answered"], None]

SOON_NS, LATE_NS = 5_000_000, 20_000_000
MAX_STRIDE = 256
TIMES = ("total", "requestqueue", "local", "remote", "responsequeue", "responsesend", "throttle")
"""In microseconds; behind them stands the size of the request, in bytes."""


class RequestTiming:
    """The moments of one request that is timed, in nanoseconds of the monotonic clock."""

    __slots__ = (
        "api_key",
        "arrived_ns",
        "begun_ns",
        "handled_ns",
        "ready_ns",
        "throttle_ms",
        "weight",
    )

    def __init__(self, api_key: int, weight: int, arrived_ns: int, begun_ns: int) -> None:
        self.api_key = api_key
        self.weight = weight
        self.arrived_ns = arrived_ns
        self.begun_ns = begun_ns
        self.handled_ns = 0
        """When its handler left it waiting; 0 where it was answered at once."""
        self.ready_ns = 0
        self.throttle_ms = 0


class RequestTimes:
    def __init__(self) -> None:
        self.distributions: dict[tuple[int, bool], Distribution] = {}
        """By API key and whether it was another broker's fetch: the times, and the size."""

    def done(
        self, timing: RequestTiming, size: int, begun_ns: int, sent_ns: int, *, is_broker: bool
    ) -> None:
        """Its response was handed on from ``begun_ns`` to ``sent_ns``."""
        key = (timing.api_key, is_broker)
        distribution = self.distributions.get(key)
        if distribution is None:
            distribution = self.distributions[key] = Distribution()
        handled_ns = timing.handled_ns or timing.ready_ns
        spans_ns = (
            sent_ns - timing.arrived_ns,
            timing.begun_ns - timing.arrived_ns,
            handled_ns - timing.begun_ns,
            timing.ready_ns - handled_ns,
            begun_ns - timing.ready_ns,
            sent_ns - begun_ns,
            timing.throttle_ms * 1_000_000,
        )
        values = [*(max(0, span_ns) // 1000 for span_ns in spans_ns), size]
        distribution.add(values, timing.weight, sent_ns)


class Answered:
    """The requests of one API and version; those of other brokers are told apart.

    One number counts them and says which of them are timed: every ``stride``-th, about.
    """

    __slots__ = (
        "_api_key",
        "_counted_to",
        "_last_ns",
        "_random",
        "_refused",
        "_stride",
        "left",
        "note",
        "told_none",
    )

    def __init__(self, api_key: int) -> None:
        self.left = 0
        """So many more are not timed: whoever has a request and finds none left calls ``begin``.
        With each request it is one less, and with that the request is counted."""
        self._counted_to = 0
        """How many there will be when none is left."""
        self.told_none = 0
        """How often a response told NONE; it may tell many."""
        self._refused: dict[int, int] = {}
        self.note = _note(API_BY_KEY[api_key].response)
        """Call it with a response and with this: it counts the codes."""
        self._api_key = api_key
        self._last_ns = -LATE_NS
        self._random = 1
        self._stride = 1

    @property
    def count(self) -> int:
        return self._counted_to - self.left

    @property
    def errors(self) -> dict[int, int]:
        """How often each code was told, NONE included."""
        return {0: self.told_none, **self._refused} if self.told_none else self._refused

    def passed_on(self) -> None:
        """One that was counted here counts elsewhere."""
        self._counted_to -= 1

    def begin(self, arrived_ns: int, now_ns: int) -> RequestTiming:
        weight = self._stride
        since_ns, self._last_ns = now_ns - self._last_ns, now_ns
        if since_ns < SOON_NS:
            self._stride = min(MAX_STRIDE, weight * 2)
        elif since_ns > LATE_NS:
            self._stride = max(1, weight // 2)
        # Not evenly, or of requests that come in turns always the same would be timed.
        self._random = self._random * 1_103_515_245 + 12_345 & 0x7FFF_FFFF
        left = 1 + (self._random >> 8) % (2 * self._stride - 1)
        self._counted_to += left - self.left
        self.left = left
        return RequestTiming(self._api_key, weight, arrived_ns, now_ns)


class RequestCounts:
    def __init__(self) -> None:
        self.answers: dict[tuple[int, int, bool], Answered] = {}
        """By API key, version, and whether it was another broker's fetch."""
        self.times = RequestTimes()

    def of(self, api_key: int, version: int, *, is_broker: bool = False) -> Answered:
        key = (api_key, version, is_broker)
        answered = self.answers.get(key)
        if answered is None:
            answered = self.answers[key] = Answered(api_key)
        return answered


_notes: dict[type[Response], Note] = {}


def _note(cls: type[Response]) -> Note:
    """Made as straight code, as codecs are: to ask each field whether there is an error code takes
    ten times as long. Nearly always the code is NONE, which is counted without a look-up."""
    made = _notes.get(cls)
    if made is None:
        lines = _lines(cls, "part", "")
        body = ["none = 0", *lines, "to.told_none += none"] if lines else ["pass"]
        scope: dict[str, Any] = {}
        exec("\n    ".join(["def note(part, to):", *body]), scope)
        made = _notes[cls] = scope["note"]
    return made


def _lines(cls: type[Struct], part: str, indent: str) -> list[str]:
    """What counts the error codes of ``part``, and of what is in it."""
    lines: list[str] = []
    for field in fields_of(cls):
        if field.name == "error_code":
            lines += [
                f"{indent}code = {part}.error_code",
                f"{indent}if code: to._refused[code] = to._refused.get(code, 0) + 1",
                f"{indent}else: none += 1",
            ]
        elif field.is_array and not isinstance(field.type, str):
            inner = f"{part}_{field.name}"
            nested = _lines(field.type, inner, f"{indent}    ")
            if nested:
                lines.append(f"{indent}for {inner} in {part}.{field.name} or ():")
                lines += nested
    return lines
