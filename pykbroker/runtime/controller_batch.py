"""The controller's queue and what it makes of it: requests, decided together, written together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.state.controller.decision import Decision, Note, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Random
    from pykbroker.state.controller.facts import Change
    from pykbroker.state.controller.replay import Replay
    from pykbroker.state.errors import KafkaError
    from wire.schema import Request


class NotController(Exception):
    """The office is somebody else's, or nobody's."""


class OutcomeUnknown(NotController):
    """It is now, and what was asked may have been done before that."""


class Pending:
    """A request in the controller's queue. Completed once, with a response or an error."""

    __slots__ = ("_done", "_error", "_response", "charge", "deadline_ms", "request")

    def __init__(
        self, request: Request, deadline_ms: int, charge: Callable[[int], None] | None
    ) -> None:
        self.request = request
        self.deadline_ms = deadline_ms
        self.charge = charge
        self._done = anyio.Event()
        self._response: Any = None
        self._error: KafkaError | NotController | None = None

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    async def result(self) -> Any:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._response

    def answer(self, response: Any) -> None:
        self._response = response
        self._done.set()

    def refuse(self, error: KafkaError) -> None:
        self._error = error
        self._done.set()

    def give_back(self) -> None:
        """It was not looked at, and may be asked again elsewhere."""
        self._error = NotController()
        self._done.set()


class Batch:
    """Decisions made on top of each other, to be written together."""

    def __init__(self, replay: Replay, settings: DynamicSettings, rng: Random) -> None:
        self._replay = replay
        self._settings = settings
        self._rng = rng
        self._assumed: Replay | None = None
        self._unassumed: list[Change] = []
        self.changes: dict[str, Change] = {}
        self.in_order: list[Change] = []
        self.notes: list[Note] = []
        self.answers: list[tuple[Pending, Any]] = []
        self.decisions = 0

    @property
    def replay(self) -> Replay:
        """The state as if everything decided so far had been written."""
        if self._unassumed:
            if self._assumed is None:
                self._assumed = self._replay.fork()
            self._assumed.assume(self._unassumed)
            self._unassumed = []
        return self._assumed or self._replay

    def view(self, pending: Pending | None = None) -> View:
        view = View(self.replay.image, self._settings.current, self._rng)
        if pending is not None and pending.charge is not None:
            return view._replace(charge=pending.charge)
        return view

    def add(self, decision: Decision[Any], pending: Pending | None = None) -> None:
        if decision.changes:
            self._unassumed = list(decision.changes)
            self.decisions += 1
            self.in_order = decision.changes
            for change in decision.changes:
                self.changes[change.key] = change
        self.notes += decision.notes
        if pending is not None:
            self.answers.append((pending, decision.response))

    def fits(self, decision: Decision[Any], limit: int) -> bool:
        return not self.changes or len(self.changes) + len(decision.changes) <= limit

    def parts(self, limit: int) -> Iterator[list[Change]]:
        """One transaction each. Only a decision that is too large alone makes several."""
        if len(self.changes) <= limit:
            yield list(self.changes.values())
            return
        assert self.decisions == 1
        for start in range(0, len(self.in_order), limit):
            yield self.in_order[start : start + limit]
