"""The controller's queue and what it makes of it: requests, decided together, written together,
and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.runtime.distribution import Timings
from pykbroker.state.controller.decision import Decision, Note, View
from pykbroker.state.controller.elections import is_unclean
from pykbroker.state.controller.replay import partition_image
from pykbroker.state.types import NO_LEADER, TopicId
from wire.messages.metadata_records import PartitionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Random
    from pykbroker.state.controller.facts import Change
    from pykbroker.state.controller.image import MetadataImage
    from pykbroker.state.controller.replay import Replay
    from pykbroker.state.errors import KafkaError
    from wire.schema import Request


class NotController(Exception):
    """The office is somebody else's, or nobody's."""


class OutcomeUnknown(NotController):
    """It is now, and what was asked may have been done before that."""


class Pending:
    """A request in the controller's queue. Completed once, with a response or an error."""

    __slots__ = ("_done", "_error", "_response", "charge", "deadline_ms", "request", "since_ns")

    def __init__(
        self,
        request: Request,
        deadline_ms: int,
        charge: Callable[[int], None] | None,
        since_ns: int = 0,
    ) -> None:
        """``since_ns``: when it came."""
        self.request = request
        self.since_ns = since_ns
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


class Elected:
    """The leaders that some changes replace, and how many of these may not have had everything."""

    __slots__ = ("leaders", "unclean")

    def __init__(self, changes: Iterable[Change], image: MetadataImage) -> None:
        self.leaders = self.unclean = 0
        for change in changes:
            record = change.value
            if not isinstance(record, PartitionRecord):
                continue
            topic = image.topic_by_id(TopicId(record.topic_id))
            if topic is None or record.partition_id >= len(topic.partitions):
                continue  # It has just been created: nobody led it.
            before = topic.partitions[record.partition_id]
            if record.leader not in (before.leader, NO_LEADER):
                self.leaders += 1
                self.unclean += is_unclean(before, partition_image(record))


class ControllerCounts:
    """What the controller of this process has done since its start."""

    def __init__(self) -> None:
        self.elections = Timings()
        """From the decision until it was written."""
        self.unclean_elections = 0
        self.waited = Timings()
        """Requests in the queue."""
        self.turns = Timings()
        """In which something was decided or written."""
        self.started = 0
        """Requests that were looked at."""
        self.errors = 0
        """Decisions that failed unexpectedly."""

    def written(self, elected: Elected, took_ns: int, now_ns: int) -> None:
        self.unclean_elections += elected.unclean
        if elected.leaders:
            self.elections.add(took_ns, now_ns, elected.leaders)
