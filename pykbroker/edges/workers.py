"""Blocking work in threads of its own limit, so that a slow disk cannot starve other threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import CapacityLimiter

T = TypeVar("T")


class ThreadWorkers:
    def __init__(self, threads: int = 8) -> None:
        self._threads = threads
        self._limiter: CapacityLimiter | None = None

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Not abandoned on cancellation: a write that has begun is waited for."""
        from anyio import CapacityLimiter, to_thread  # costs more than most starts have to spare

        if self._limiter is None:
            self._limiter = CapacityLimiter(self._threads)
        return await to_thread.run_sync(function, *args, limiter=self._limiter)


class InlineWorkers:
    """For simulations and tests: the work is done before the call returns."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)
