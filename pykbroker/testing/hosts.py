"""Where the brokers of a test run: on a thread of this process, or in a child process.

A host takes the actions of ``pykbroker.testing.actions`` by name. Both end without a trace: the
thread is joined, the child is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextvars import copy_context
from typing import IO, TYPE_CHECKING, Any

from pykbroker.log import CURRENT, Log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Context

    from pykbroker.log import Sink

PATIENCE_S = 60.0
_LENGTH_BYTES = 4


def _backend_options() -> dict[str, bool]:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return {}
    return {"use_uvloop": True}


class ThreadHost:
    """An event loop on a thread of its own, with the brokers on it."""

    def __init__(
        self, brokers: int, settings: Mapping[str, object], sink: Sink | None, level: int
    ) -> None:
        """Raises ConfigError."""
        from pykbroker.testing.engine import Engine

        self._engine = Engine(brokers, settings)
        self._log = Log(sink, level)
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._context: Context
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="pykbroker", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self._thread.join(PATIENCE_S)
            raise

    def _run(self) -> None:
        import anyio

        CURRENT.set(self._log)
        try:
            anyio.run(self._main, backend="asyncio", backend_options=_backend_options())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
            else:
                raise

    async def _main(self) -> None:
        from pykbroker.testing.actions import save_clean

        self._loop = asyncio.get_running_loop()
        self._context = copy_context()

        def started() -> None:
            save_clean(self._engine)
            self._started.set_result(None)

        await self._engine.run(started)

    def call(self, action: str, *arguments: Any, **named: Any) -> Any:
        """What the action returns. Raises what it raises."""
        from pykbroker.testing.actions import ACTIONS

        result: Future[Any] = Future()

        def begin() -> None:
            task = self._loop.create_task(ACTIONS[action](self._engine, *arguments, **named))
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._hand_over(done, result))

        # In the context of the brokers, not of the caller: what they start inherits it.
        self._loop.call_soon_threadsafe(begin, context=self._context)
        return result.result()

    def _hand_over(self, task: asyncio.Task[Any], result: Future[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            result.set_exception(RuntimeError("the brokers have stopped"))
        elif (error := task.exception()) is not None:
            result.set_exception(error)
        else:
            result.set_result(task.result())

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._engine.stop)
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                raise RuntimeError("the brokers do not stop")


class ProcessHost:
    """A child process, told what to do over its standard input; it ends when that ends."""

    def __init__(self, brokers: int, settings: Mapping[str, object], level: int) -> None:
        """Raises ConfigError."""
        command = [sys.executable, "-m", "pykbroker.testing.child"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=True
        )
        self._lock = threading.Lock()
        try:
            self._exchange((brokers, dict(settings), level))
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, action: str, *arguments: Any, **named: Any) -> Any:
        return self._exchange((action, arguments, named))

    def _exchange(self, message: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            try:
                write_message(self._process.stdin, message)
                answer = read_message(self._process.stdout)
            except BrokenPipeError:
                answer = None
        if answer is None:
            code = self._process.wait(PATIENCE_S)
            raise RuntimeError(f"the broker's process ended with exit code {code}")
        result, error = answer
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            with contextlib.suppress(BrokenPipeError):  # it may have ended already
                self._process.stdin.close()
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise RuntimeError("the broker's process did not stop") from None
            finally:
                self._process.stdout.close()


def write_message(stream: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message)
    stream.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    stream.flush()


def read_message(stream: IO[bytes]) -> Any:
    """None at the end."""
    size = stream.read(_LENGTH_BYTES)
    if len(size) < _LENGTH_BYTES:
        return None
    return pickle.loads(stream.read(int.from_bytes(size, "big")))


Host = ThreadHost | ProcessHost
