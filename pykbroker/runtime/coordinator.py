"""What carries a coordinator's decisions: append, replay, wait for the high watermark, reply.

A shard lives as long as this broker leads its partition. On election its state is made by reading
the log; until then requests are refused with COORDINATOR_LOAD_IN_PROGRESS. On resignation the
state is dropped and everybody who waits is told NOT_COORDINATOR. Live traffic, restart and
failover take the same path: only replay changes hard state.

No answer leaves before the high watermark has passed everything that the shard had written when
the answer was decided, reads included: what a client was told cannot be undone by a failover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pykbroker.log import get_logger
from pykbroker.runtime.waiters import Deferral
from pykbroker.state.coordinator import Decision, Instant, Reply, Shard
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pykbroker.ports import Clock, TimerHandle
    from pykbroker.runtime.coordinator_log import LoggedMarker, LoggedRecord
    from pykbroker.state.coordinator import CoordinatorRecord

logger = get_logger("pykbroker.runtime.coordinator")

S = TypeVar("S", bound=Shard)

LOAD_DELAY_MS = 100
"""Between election and loading, if nobody asks sooner: a broker that starts is elected many times
over, and opening the logs can wait until it serves."""
TICKS_PER_TURN = 256

_FOR_CLIENTS = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}


def error_for_clients(code: ErrorCode) -> ErrorCode:
    """What a failed write to the coordinator's log means to a client of the coordinator."""
    return _FOR_CLIENTS.get(code, code)


class Waiter(Deferral[Any]):
    """A Deferral that knows how its API says that it failed."""

    __slots__ = ("_failure",)

    def __init__(self, failure: Callable[[ErrorCode], Any]) -> None:
        super().__init__()
        self._failure = failure

    def fail(self, code: ErrorCode) -> None:
        if not self.done:
            self.complete(self._failure(code))


class CoordinatorLog(Protocol):
    """A led partition as a coordinator uses it; ``runtime.coordinator_log`` makes one."""

    @property
    def start_offset(self) -> int: ...

    @property
    def end_offset(self) -> int: ...

    @property
    def high_watermark(self) -> int: ...

    def read(self, offset: int) -> tuple[list[LoggedRecord | LoggedMarker], int]:
        """Some records from ``offset`` on, and the offset after them."""
        ...

    def append(self, records: list[CoordinatorRecord]) -> int:
        """One batch, whole or not at all; the offset of its first record."""
        ...

    def when_committed(
        self, offset: int, callback: Callable[[ErrorCode], None]
    ) -> Callable[[], None]:
        """Once the high watermark has reached ``offset``, or this leadership is over."""
        ...


class Unanswered:
    """Replies that the high watermark still holds back."""

    __slots__ = ("cancel", "replies", "timer")

    def __init__(self, replies: list[Reply], timer: TimerHandle) -> None:
        self.replies = replies
        self.timer = timer
        self.cancel: Callable[[], None] | None = None


class LoadTimes:
    """How long shards took to load, in milliseconds, since the start."""

    __slots__ = ("count", "longest_ms", "total_ms")

    def __init__(self) -> None:
        self.count = self.total_ms = self.longest_ms = 0

    def add(self, took_ms: int) -> None:
        self.count += 1
        self.total_ms += took_ms
        self.longest_ms = max(self.longest_ms, took_ms)

    @property
    def mean_ms(self) -> float:
        return self.total_ms / self.count if self.count else 0.0


class LedShard(Generic[S]):
    """One shard while its partition is led. ``log`` and ``shard`` are there once loading began;
    offsets below ``position`` are replayed."""

    log: CoordinatorLog
    shard: S

    def __init__(self, index: int, open_log: Callable[[], CoordinatorLog]) -> None:
        self.index = index
        self.open_log = open_log
        self.position = 0
        self.has_begun = False
        """To be loaded."""
        self.begun_ms = 0
        self.is_active = False
        self.has_failed = False
        self.after_load: list[Callable[[S, Instant], Decision]] = []
        self.waiting: dict[Waiter, None] = {}
        """Everybody who has not been answered, parked in the shard or held back by the log."""
        self.unanswered: dict[Unanswered, None] = {}
        self.timer: TimerHandle | None = None
        self.timer_ms = 0


class CoordinatorRuntime(Generic[S]):
    def __init__(
        self,
        name: str,
        clock: Clock,
        make_shard: Callable[[], S],
        commit_timeout_ms: Callable[[], int],
    ) -> None:
        self._name = name
        self._clock = clock
        self._make_shard = make_shard
        self._commit_timeout_ms = commit_timeout_ms
        self._led: dict[int, LedShard[S]] = {}
        self.loads = LoadTimes()

    # Leadership.

    def elected(self, index: int, open_log: Callable[[], CoordinatorLog]) -> None:
        """The state is read from the log as soon as somebody asks, or in a moment."""
        self.resigned(index)
        led: LedShard[S] = LedShard(index, open_log)
        self._led[index] = led
        self._load_later(led, LOAD_DELAY_MS)

    def _load_later(self, led: LedShard[S], delay_ms: int) -> None:
        when_ms = self._clock.monotonic_ms() + delay_ms
        led.timer = self._clock.call_at(when_ms, lambda: self._load(led))

    def resigned(self, index: int) -> None:
        led = self._led.pop(index, None)
        if led is not None:
            self._drop(led)

    def stop(self) -> None:
        for index in list(self._led):
            self.resigned(index)

    def _drop(self, led: LedShard[S]) -> None:
        led.is_active = False
        if led.timer is not None:
            led.timer.cancel()
        for unanswered in led.unanswered:
            unanswered.timer.cancel()
            if unanswered.cancel is not None:
                unanswered.cancel()
        led.unanswered.clear()
        self._fail(led, list(led.waiting), ErrorCode.NOT_COORDINATOR)

    def _is_current(self, led: LedShard[S]) -> bool:
        return self._led.get(led.index) is led

    def _load(self, led: LedShard[S]) -> None:
        if led.timer is not None:
            led.timer.cancel()
            led.timer = None
        if not self._is_current(led):
            return
        try:
            if not led.has_begun:
                led.has_begun = True
                led.begun_ms = self._clock.monotonic_ms()
                led.log, led.shard = led.open_log(), self._make_shard()
                led.position = led.log.start_offset
            if led.position < led.log.end_offset:
                self._read_on(led)
        except Exception as error:
            led.has_failed = True
            logger.error("coordinator not loaded", shard=self._label(led), error=error)
            return
        if led.position < led.log.end_offset:
            self._load_later(led, 0)
        else:
            self._activate(led)

    @staticmethod
    def _read_on(led: LedShard[S]) -> None:
        """A turn's worth; others get theirs in between."""
        records, next_offset = led.log.read(led.position)
        if next_offset <= led.position:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the log cannot be read on")
        for record in records:
            record.replay(led.shard)
        led.position = next_offset

    def _activate(self, led: LedShard[S]) -> None:
        led.is_active = True
        now = self._now()
        self.loads.add(now.monotonic_ms - led.begun_ms)
        self._carry_out(led, led.shard.loaded(now), now)
        for operation in led.after_load:
            self._carry_out(led, operation(led.shard, now), now)
        led.after_load.clear()
        self._arm(led)

    # Requests.

    def active(self) -> Iterable[S]:
        return [led.shard for led in self._led.values() if led.is_active]

    def indexes(self) -> list[int]:
        """The partitions that this broker leads."""
        return list(self._led)

    def submit(
        self, index: int, waiter: Waiter, operation: Callable[[S, Instant], Decision]
    ) -> Waiter:
        """Have the shard decide; ``waiter`` is answered then, or later, or is parked in it.

        A KafkaError of the operation is the waiter's failure and has changed nothing."""
        led = self._led.get(index)
        if led is not None and not led.is_active and not led.has_begun:
            self._load(led)
        if led is None or led.has_failed:
            waiter.fail(ErrorCode.NOT_COORDINATOR)
        elif not led.is_active:
            waiter.fail(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        else:
            self._decide(led, waiter, operation)
        return waiter

    def submit_all(self, operation: Callable[[S, Instant], Decision]) -> None:
        """To every shard; to those that are still being loaded, as soon as they are."""
        for led in list(self._led.values()):
            if led.is_active:
                now = self._now()
                self._carry_out(led, operation(led.shard, now), now)
                self._arm(led)
            elif not led.has_failed:
                led.after_load.append(operation)

    def _decide(
        self, led: LedShard[S], waiter: Waiter, operation: Callable[[S, Instant], Decision]
    ) -> None:
        now = self._now()
        try:
            decision = operation(led.shard, now)
        except KafkaError as error:
            waiter.fail(error.code)
            return
        led.waiting[waiter] = None
        waiter.on_abandon = lambda: led.waiting.pop(waiter, None)
        self._carry_out(led, decision, now)
        self._arm(led)

    def _carry_out(self, led: LedShard[S], decision: Decision, now: Instant) -> None:
        records = decision.records
        if records:
            try:
                offset = led.log.append(records)
            except KafkaError as error:
                self._append_failed(led, decision, error, now)
                return
            for record in records:
                led.shard.replay(record, offset, -1)
                offset += 1
            led.position = offset
        if not decision.replies:
            return
        if led.log.high_watermark >= led.position:
            self._answer(led, decision.replies)
        else:
            self._hold_back(led, decision.replies, now)

    def _append_failed(
        self, led: LedShard[S], decision: Decision, error: KafkaError, now: Instant
    ) -> None:
        logger.warning("coordinator could not write", shard=self._label(led), reason=str(error))
        waiters = [reply.waiter for reply in decision.replies]
        if decision.assumed_by is not None:
            waiters += led.shard.revert(decision.assumed_by, now)
        self._fail(led, waiters, error_for_clients(error.code))

    # Answers.

    def _hold_back(self, led: LedShard[S], replies: list[Reply], now: Instant) -> None:
        deadline_ms = now.monotonic_ms + self._commit_timeout_ms()
        timer = self._clock.call_at(
            deadline_ms, lambda: self._committed(led, unanswered, ErrorCode.REQUEST_TIMED_OUT)
        )
        unanswered = Unanswered(replies, timer)
        led.unanswered[unanswered] = None
        cancel = led.log.when_committed(
            led.position, lambda code: self._committed(led, unanswered, code)
        )
        if unanswered in led.unanswered:
            unanswered.cancel = cancel

    def _committed(self, led: LedShard[S], unanswered: Unanswered, code: ErrorCode) -> None:
        if unanswered not in led.unanswered:
            return
        del led.unanswered[unanswered]
        unanswered.timer.cancel()
        if code is ErrorCode.NONE:
            self._answer(led, unanswered.replies)
            return
        if code is ErrorCode.REQUEST_TIMED_OUT and unanswered.cancel is not None:
            unanswered.cancel()
        waiters = [reply.waiter for reply in unanswered.replies]
        self._fail(led, waiters, error_for_clients(code))

    @staticmethod
    def _answer(led: LedShard[S], replies: list[Reply]) -> None:
        for waiter, response in replies:
            led.waiting.pop(waiter, None)
            waiter.complete(response)

    @staticmethod
    def _fail(led: LedShard[S], waiters: list[Waiter], code: ErrorCode) -> None:
        for waiter in waiters:
            led.waiting.pop(waiter, None)
            waiter.fail(code)

    # Time.

    def _now(self) -> Instant:
        return Instant(self._clock.monotonic_ms(), self._clock.wall_ms())

    def _arm(self, led: LedShard[S]) -> None:
        """One timer per shard, at its earliest deadline or before."""
        when_ms = led.shard.next_deadline()
        if when_ms is None or not led.is_active:
            return
        if led.timer is not None:
            if led.timer_ms <= when_ms:
                return
            led.timer.cancel()
        led.timer_ms = when_ms
        led.timer = self._clock.call_at(when_ms, lambda: self._tick(led))

    def _tick(self, led: LedShard[S]) -> None:
        led.timer = None
        for _ in range(TICKS_PER_TURN):
            now = self._now()
            when_ms = led.shard.next_deadline()
            if not led.is_active or when_ms is None or when_ms > now.monotonic_ms:
                break
            self._carry_out(led, led.shard.tick(now), now)
        self._arm(led)

    def _label(self, led: LedShard[S]) -> str:
        return f"{self._name}-{led.index}"
