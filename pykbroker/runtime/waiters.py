"""Answers that come later: long polls, acks=all, group joins.

A Deferral is completed exactly once by whoever it was left with, or abandoned exactly once when
its client is gone; the first of the two wins and the other does nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykbroker.ports import Clock

T = TypeVar("T")
U = TypeVar("U")


class Deferral(Generic[T]):
    """Returned by a handler in place of its response."""

    __slots__ = ("_abandoned", "_callback", "_value", "done", "on_abandon")

    def __init__(self, on_abandon: Callable[[], None] | None = None) -> None:
        self.done = False
        self.on_abandon = on_abandon
        self._abandoned = False
        self._callback: Callable[[T], None] | None = None
        self._value: T | None = None

    def complete(self, value: T) -> bool:
        """False when it was completed or abandoned before: the value goes nowhere."""
        if self.done:
            return False
        self.done = True
        self.on_abandon = None
        if self._callback is not None:
            self._callback(value)
        else:
            self._value = value
        return True

    def abandon(self) -> None:
        """Nobody waits any more; the owner frees what it holds for it."""
        if self.done:
            return
        self.done = self._abandoned = True
        hook, self.on_abandon = self.on_abandon, None
        if hook is not None:
            hook()

    def when_done(self, callback: Callable[[T], None]) -> None:
        """Called once with the value, at once if it is there already; one callback only."""
        if self.done:
            if not self._abandoned:
                callback(self._value)  # type: ignore[arg-type]
            return
        self._callback = callback

    def then(self, convert: Callable[[T], U]) -> Deferral[U]:
        """The same wait with its value converted; abandoning the result abandons this one."""
        result: Deferral[U] = Deferral(self.abandon)
        self.when_done(lambda value: _forward(result, convert, value))
        return result


def _forward(result: Deferral[U], convert: Callable[[T], U], value: T) -> None:
    result.complete(convert(value))


def gather(parts: Sequence[Deferral[T]]) -> Deferral[list[T]]:
    """All the answers, in the order of ``parts``; abandoning the result abandons every part."""
    values: dict[int, T] = {}

    def abandon() -> None:
        for part in parts:
            part.abandon()

    result: Deferral[list[T]] = Deferral(abandon)

    def arrived(index: int, value: T) -> None:
        values[index] = value
        if len(values) == len(parts):
            result.complete([values[i] for i in range(len(parts))])

    if not parts:
        result.complete([])
    for index, part in enumerate(parts):
        part.when_done(partial(arrived, index))
    return result


class Bell:
    """Wakes everybody who waits for something to change; what has changed they see themselves."""

    def __init__(self, clock: Clock) -> None:
        self.rung = 0
        """Take this before looking, and hand it to ``wait``: then nothing is missed."""
        self._clock = clock
        self._waiting: dict[anyio.Event, None] = {}
        """In the order in which they came: so they go on."""

    def ring(self) -> None:
        self.rung += 1
        for event in self._waiting:
            event.set()

    async def wait(self, rung: int, until_ms: int) -> None:
        """Until it has rung since ``rung`` was taken, or the time has come."""
        if self.rung != rung:
            return
        event = anyio.Event()
        self._waiting[event] = None
        timer = self._clock.call_at(until_ms, event.set)
        try:
            await event.wait()
        finally:
            timer.cancel()
            del self._waiting[event]
