"""Where produce and fetch requests wait: for the high watermark, for bytes, for time to run out.

A wait is completed exactly once, by the first of what it waits for, its timer and its client's
end; then nothing holds it any more: no partition, no timer. It is woken by the append (the sync,
the election) that makes it complete, never by looking again after a while.

What was woken does not run inside the change that woke it: it goes to ``Wakeups``, which runs it
when that change is whole. So a waiter's answer may lead to the next append on the same stack
without either seeing the other half-done, and without the stack growing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from pykbroker.log import get_logger
from pykbroker.runtime.waiters import Deferral
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pykbroker.ports import Clock, TimerHandle
    from pykbroker.runtime.partition import Partition
    from pykbroker.state.fetch_session import FetchEntry
    from pykbroker.state.types import NodeId

logger = get_logger("pykbroker.runtime.purgatory")

PRODUCE, FETCH, FOLLOWER_FETCH, DELETE_RECORDS = (
    "Produce",
    "Fetch",
    "FollowerFetch",
    "DeleteRecords",
)

Part = TypeVar("Part")
R = TypeVar("R")


class Wakeups:
    __slots__ = ("_held", "_ready", "_running")

    def __init__(self) -> None:
        self._held = 0
        self._ready: deque[Callable[[], None]] = deque()
        self._running = False

    def add(self, action: Callable[[], None]) -> None:
        self._ready.append(action)

    def run(self) -> None:
        """To be called when a change is whole. What that leads to runs before this returns,
        unless this is called from such an action itself: then its caller's caller runs it. While
        it is held nothing runs."""
        if self._running or self._held or not self._ready:
            return
        self._running = True
        try:
            while self._ready:
                action = self._ready.popleft()
                try:
                    action()
                except Exception as error:
                    # One client's failure must not be taken for that of the one who woke it.
                    logger.error("waiting request failed", error=error)
        finally:
            self._running = False

    def hold(self) -> None:
        """Until ``release``: whoever makes the changes has something to do first."""
        self._held += 1

    def release(self) -> None:
        self._held -= 1
        self.run()


class Counts:
    """How many requests wait, by kind, and how many did so in vain; for metrics."""

    __slots__ = ("expired", "waiting")

    def __init__(self) -> None:
        self.waiting = dict.fromkeys((PRODUCE, FETCH, DELETE_RECORDS), 0)
        self.expired = dict.fromkeys((PRODUCE, FETCH, FOLLOWER_FETCH, DELETE_RECORDS), 0)


Outcome = Callable[[ErrorCode], None]
Arm = Callable[[Outcome], Callable[[], None]]
"""Asks to be told an outcome, perhaps at once; what it returns takes that back."""


class OffsetWaits:
    """Who waits for one of a partition's offsets to be passed. Each is told once, through the
    wakeups, and can take that back until then."""

    __slots__ = ("_wakeups", "waiting")

    def __init__(self, wakeups: Wakeups) -> None:
        self._wakeups = wakeups
        self.waiting: dict[object, tuple[int, Outcome]] = {}
        """By token: until which offset."""

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, offset: int, outcome: Outcome) -> Callable[[], None]:
        """What it returns ends the wait."""
        token = object()
        self.waiting[token] = (offset, outcome)
        return partial(self._cancel, token)

    def reached(self, offset: int) -> None:
        for token, (wanted, _) in self.waiting.items():
            if wanted <= offset:
                self._wakeups.add(partial(self._tell, token, ErrorCode.NONE))

    def interrupt(self, code: ErrorCode) -> None:
        for token in self.waiting:
            self._wakeups.add(partial(self._tell, token, code))

    def _tell(self, token: object, code: ErrorCode) -> None:
        waiting = self.waiting.pop(token, None)
        if waiting is not None:
            waiting[1](code)

    def _cancel(self, token: object) -> None:
        self.waiting.pop(token, None)


class AckWait(Generic[Part, R]):
    """Until each part has its outcome: a partition's high watermark has passed what was appended
    to it, its replicas have deleted records, or neither will come to pass any more.

    ``settle(part, code)`` is called once for each part, REQUEST_TIMED_OUT when time runs out;
    then the Deferral is completed with ``answer()``.
    """

    __slots__ = ("_answer", "_cancels", "_counts", "_kind", "_settle", "_timer", "deferral")

    def __init__(
        self,
        clock: Clock,
        counts: Counts,
        kind: str,
        timeout_ms: int,
        parts: Sequence[tuple[Part, Arm]],
        settle: Callable[[Part, ErrorCode], None],
        answer: Callable[[], R],
    ) -> None:
        self._counts = counts
        self._kind = kind
        self._settle = settle
        self._answer = answer
        self._timer: TimerHandle | None = None
        self.deferral: Deferral[R] = Deferral(self._abandoned)
        counts.waiting[kind] += 1
        waiting = [part for part, _ in parts]
        self._cancels: dict[int, Callable[[], None]] = dict.fromkeys(range(len(parts)), _nothing)
        for index, (part, arm) in enumerate(parts):
            cancel = arm(partial(self._reached, index, part))
            if index in self._cancels:
                self._cancels[index] = cancel
        if self._cancels:
            deadline_ms = clock.monotonic_ms() + timeout_ms
            self._timer = clock.call_at(deadline_ms, partial(self._expired, waiting))

    def _reached(self, index: int, part: Part, code: ErrorCode) -> None:
        if self._cancels.pop(index, None) is None:
            return
        self._settle(part, code)
        if not self._cancels:
            self._finish()

    def _expired(self, parts: list[Part]) -> None:
        self._timer = None
        self._counts.expired[self._kind] += 1
        cancels, self._cancels = self._cancels, {}
        for index, cancel in cancels.items():
            cancel()
            self._settle(parts[index], ErrorCode.REQUEST_TIMED_OUT)
        self._finish()

    def _finish(self) -> None:
        self._free()
        self.deferral.complete(self._answer())

    def _abandoned(self) -> None:
        for cancel in self._cancels.values():
            cancel()
        self._cancels.clear()
        self._free()

    def _free(self) -> None:
        self._counts.waiting[self._kind] -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class FetchWait(Generic[R]):
    """A fetch that found too little: until ``min_bytes`` have come together in its partitions,
    or something happened to one of them that its client must hear of.

    ``answer`` reads again and makes the response; it runs once, from ``Wakeups`` or the timer.
    """

    __slots__ = (
        "_answer",
        "_available",
        "_counts",
        "_is_done",
        "_partitions",
        "_timer",
        "_total",
        "_wakeups",
        "deferral",
        "isolation",
        "min_bytes",
        "replica_id",
    )

    def __init__(
        self,
        clock: Clock,
        wakeups: Wakeups,
        counts: Counts,
        *,
        max_wait_ms: int,
        min_bytes: int,
        replica_id: NodeId,
        isolation: int,
        watched: list[tuple[Partition, FetchEntry]],
        found: Mapping[FetchEntry, int],
        answer: Callable[[], R],
    ) -> None:
        """``found``: bytes that are there already."""
        self._wakeups = wakeups
        self._counts = counts
        self._answer = answer
        self._is_done = False
        self._available: dict[Partition, int] = {}
        self._total = 0
        self._partitions = watched
        self._timer: TimerHandle | None = None
        self.min_bytes = min_bytes
        self.replica_id = replica_id
        """Negative for a consumer."""
        self.isolation = isolation
        self.deferral: Deferral[R] = Deferral(self._abandoned)
        counts.waiting[FETCH] += 1
        for partition, entry in watched:
            partition.watch(self, entry)
            if entry in found:
                self._available[partition] = found[entry]
                self._total += found[entry]
        self._timer = clock.call_at(clock.monotonic_ms() + max_wait_ms, self._expired)

    def offer(self, partition: Partition, size: int) -> None:
        """``size`` bytes lie ready at that partition now."""
        if self._is_done:
            return
        self._total += size - self._available.get(partition, 0)
        self._available[partition] = size
        if self._total >= self.min_bytes:
            self.wake()

    def wake(self) -> None:
        """There is something to tell, however little."""
        if not self._is_done:
            self._release()
            self._wakeups.add(self._complete)

    def _expired(self) -> None:
        if self._is_done:
            return
        self._timer = None
        self._counts.expired[FOLLOWER_FETCH if self.replica_id >= 0 else FETCH] += 1
        self._release()
        self._complete()

    def _complete(self) -> None:
        if not self.deferral.done:
            self.deferral.complete(self._answer())

    def _abandoned(self) -> None:
        if not self._is_done:
            self._release()

    def _release(self) -> None:
        self._is_done = True
        self._counts.waiting[FETCH] -= 1
        for partition, _ in self._partitions:
            partition.unwatch(self)
        self._partitions = []
        self._available.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing() -> None:
    pass
