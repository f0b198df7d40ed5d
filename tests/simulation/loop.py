"""An asyncio event loop whose time is virtual: nobody waits, nothing real is touched.

When nothing is ready, time jumps to the next timer. Callbacks run in the order in which they
became ready, so that one seed is one history. Every callback belongs to a ``Life`` (one run of one
process), found through its context; a frozen life's callbacks wait, a buried life's are dropped.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
from collections import deque
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

import anyio._backends._asyncio as anyio_asyncio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

LIFE: ContextVar[Life | None] = ContextVar("simulated_life", default=None)
CALLBACKS_PER_INSTANT = 200_000
_COMPACT_TIMERS_FROM = 256


class Stuck(Exception):
    """Nothing is ready and nobody has set a timer; or time does not get on."""


class ForbiddenInSimulation(Exception):
    """Real I/O, or a thread."""


class Life:
    """One run of one simulated process: what its callbacks are known by."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_frozen = False
        self.is_dead = False
        """Its effects reach the world no longer; its tasks are being unwound."""
        self.is_buried = False
        self.ran = False
        """Since somebody last looked."""
        self.announced = b""
        """How a broker's life registered itself, last."""
        self._held: deque[asyncio.Handle] = deque()
        self.context: Context = copy_context()
        self.context.run(LIFE.set, self)
        _name_library(self.context)

    def __repr__(self) -> str:
        return f"Life({self.name})"


class OrderedTask(asyncio.Task[Any]):
    """Tasks stand in sets; sets are iterated by hash; hashes must not come from addresses."""

    _numbers = itertools.count(1)

    def __init__(self, *args: Any, **options: Any) -> None:
        self._number = next(OrderedTask._numbers)
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class OrderedCancelScope(anyio_asyncio.CancelScope):
    """As for tasks: nested scopes are cancelled in the order of their hashes."""

    __slots__ = ("_number",)
    _numbers = itertools.count(1)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._number = next(OrderedCancelScope._numbers)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self, start_s: float = 1_000.0) -> None:
        self._now_s = start_s
        super().__init__()
        self.set_debug(False)
        self.set_task_factory(_make_task)
        self.callbacks = 0
        self.after_turn: Callable[[], None] | None = None
        """Called between the batches of callbacks; what it raises ends the run."""
        self._at_instant = 0

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        raise ForbiddenInSimulation(f"a thread for {func}")

    def _write_to_self(self) -> None:
        """There is no other thread that could have called, only a generator's finalizer."""

    def _process_events(self, event_list: Any) -> None:
        raise ForbiddenInSimulation("events of a selector")

    def _run_once(self) -> None:
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not ready:
            self._jump(scheduled)
        now = self._now_s
        while scheduled and scheduled[0].when() <= now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            if not timer.cancelled():
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:  # type: ignore[attr-defined]
                continue
            life = handle._context.get(LIFE)  # type: ignore[attr-defined]
            if life is not None:
                if life.is_frozen:
                    life._held.append(handle)
                    continue
                if life.is_buried:
                    continue
                life.ran = True
            self.callbacks += 1
            handle._run()
        self._at_instant += 1
        if self._at_instant > CALLBACKS_PER_INSTANT:
            raise Stuck(f"no end to the callbacks at {now}")
        if self.after_turn is not None:
            self.after_turn()

    def _jump(self, scheduled: list[asyncio.TimerHandle]) -> None:
        if len(scheduled) > _COMPACT_TIMERS_FROM:
            self._drop_cancelled(scheduled)
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        if not scheduled:
            raise Stuck("everybody waits for somebody else")
        when = scheduled[0].when()
        if when > self._now_s:
            self._now_s = when
            self._at_instant = 0

    def _drop_cancelled(self, scheduled: list[asyncio.TimerHandle]) -> None:
        """A heap is no faster for timers that nobody waits for; ties keep the heap's order."""
        if self._timer_cancelled_count * 2 < len(scheduled):  # type: ignore[attr-defined]
            return
        self._timer_cancelled_count = 0
        kept = [timer for timer in scheduled if not timer.cancelled()]
        scheduled[:] = kept
        heapq.heapify(scheduled)

    # What the simulation asks.

    def spawn(self, life: Life, coroutine: Coroutine[Any, Any, Any]) -> OrderedTask:
        return life.context.copy().run(self.create_task, coroutine)  # type: ignore[return-value]

    def at(self, life: Life, delay_s: float, callback: Callable[..., Any], *args: Any) -> None:
        """Have a life do something ``delay_s`` from now."""
        self.call_at(self._now_s + delay_s, callback, *args, context=life.context)

    def freeze(self, life: Life) -> None:
        life.is_frozen = True

    def thaw(self, life: Life) -> None:
        """What became due meanwhile happens now, in order."""
        life.is_frozen = False
        self._ready.extend(life._held)  # type: ignore[attr-defined]
        life._held.clear()


def _name_library(context: Context) -> None:
    """As anyio.run does: callbacks outside of tasks are on asyncio as well."""
    try:
        from sniffio import current_async_library_cvar
    except ImportError:
        return
    context.run(current_async_library_cvar.set, "asyncio")


def _make_task(loop: Any, coroutine: Any, **options: Any) -> Any:
    return OrderedTask(coroutine, loop=loop, **options)


@contextmanager
def simulated() -> Iterator[VirtualLoop]:
    """A loop, and nothing else that could make two runs differ: no collector at odd moments."""
    scope_class = anyio_asyncio.CancelScope
    anyio_asyncio.CancelScope = OrderedCancelScope  # type: ignore[misc]
    OrderedTask._numbers = itertools.count(1)
    OrderedCancelScope._numbers = itertools.count(1)
    was_enabled = gc.isenabled()
    gc.disable()
    loop = VirtualLoop()
    try:
        yield loop
    finally:
        _cancel_all(loop)
        loop.close()
        anyio_asyncio.CancelScope = scope_class  # type: ignore[misc]
        if was_enabled:
            gc.enable()


def _cancel_all(loop: VirtualLoop) -> None:
    """Let every task that is left unwind, whatever state the run ended in."""
    loop.after_turn = None
    loop.set_exception_handler(lambda *_: None)
    # The run may have ended just before it would have been stopped.
    loop.call_soon(loop.stop)
    loop.run_forever()
    tasks = sorted(asyncio.all_tasks(loop), key=hash)
    for task in tasks:
        life = task.get_context().get(LIFE) if hasattr(task, "get_context") else None
        if life is not None and life.is_frozen:
            loop.thaw(life)
        task.cancel()
    if not tasks:
        return

    async def unwind() -> None:
        for _ in range(3):
            _, left = await asyncio.wait(tasks, timeout=60)
            if not left:
                return
            for task in left:
                task.cancel()

    loop.run_until_complete(unwind())
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
