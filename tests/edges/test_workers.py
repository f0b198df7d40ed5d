from __future__ import annotations

import threading

import anyio
import pytest

from pykbroker.edges.workers import InlineWorkers, ThreadWorkers

pytestmark = pytest.mark.anyio


async def test_work_is_done_in_another_thread() -> None:
    workers = ThreadWorkers()
    assert await workers.run(threading.get_ident) != threading.get_ident()
    assert await workers.run(divmod, 7, 2) == (3, 1)


async def test_errors_come_back() -> None:
    with pytest.raises(ZeroDivisionError):
        await ThreadWorkers().run(divmod, 1, 0)


async def test_no_more_than_the_limit_run_at_once() -> None:
    workers = ThreadWorkers(2)
    running = most = 0
    lock = threading.Lock()
    full = threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                full.set()
        full.wait(30)
        with lock:
            running -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(workers.run, work)
    assert most == 2


async def test_what_has_begun_is_waited_for_when_cancelled() -> None:
    """A write must not go on behind the back of whoever believes it has stopped."""
    started, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        may_end.wait(30)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ThreadWorkers().run, work)
        while not started.is_set():
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
        may_end.set()
    assert ended.is_set()


async def test_inline_work_is_done_when_the_call_returns() -> None:
    assert await InlineWorkers().run(threading.get_ident) == threading.get_ident()
