"""A driver's process, seen from the suite: commands go in, results come out by their ids."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PATIENCE_SECONDS = 60.0
"""How long anything may take that must come in the end."""

Json = dict[str, Any]


class DriverError(Exception):
    """What the client reported; ``code`` is Kafka's name of it, or one of PROTOCOL.md's."""

    def __init__(self, error: Json, op: str = "") -> None:
        self.code: str = error.get("code") or "UNKNOWN"
        self.retriable: bool = bool(error.get("retriable"))
        self.fatal: bool = bool(error.get("fatal"))
        self.text: str = error.get("message") or ""
        super().__init__(f"{op}: {self.code} {self.text}".strip(": "))


class DriverGone(Exception):
    """The driver's process ended, or does not answer; with the end of what it said."""


class Driver:
    """One process. Commands may overlap; each waits for its own result."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str] = {}) -> None:
        self.name = name
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Json]] = {}
        self._lock = threading.Lock()
        self._hello: Future[Json] = Future()
        self._said: deque[str] = deque(maxlen=40)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env),
            start_new_session=True,
        )
        self._errors = self._reader(self._read_errors, self._process.stderr)
        self._results = self._reader(self._read_results, self._process.stdout)

    def _reader(
        self, read: Callable[[IO[bytes]], None], stream: IO[bytes] | None
    ) -> threading.Thread:
        thread = threading.Thread(target=read, args=(stream,), daemon=True)
        thread.start()
        return thread

    def hello(self, timeout: float = PATIENCE_SECONDS) -> Json:
        try:
            return self._hello.result(timeout)
        except FutureTimeout:
            raise DriverGone(f"{self.name} did not say hello\n{self.said()}") from None

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset(self.hello()["capabilities"])

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        return "\n".join(self._said)

    def begin(self, op: str, **fields: Any) -> Future[Json]:
        """Sends a command; its result, or DriverError, comes with the future."""
        number = next(self._ids)
        future: Future[Json] = Future()
        line = json.dumps({"id": number, "op": op, **fields}) + "\n"
        with self._lock:
            if self._process.poll() is not None:
                raise DriverGone(f"{self.name} has ended\n{self.said()}")
            self._waiting[number] = future
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError) as error:
                raise DriverGone(f"{self.name} has ended\n{self.said()}") from error
        return future

    def call(self, op: str, *, patience: float = PATIENCE_SECONDS, **fields: Any) -> Json:
        future = self.begin(op, **fields)
        try:
            answer = future.result(patience)
        except FutureTimeout:
            raise DriverGone(
                f"{self.name}: no result of {op} within {patience:g} s\n{self.said()}"
            ) from None
        if not answer.get("ok"):
            raise DriverError(answer.get("error") or {}, op)
        result: Json = answer["result"]
        return result

    def crash(self) -> None:
        """kill -9: nobody leaves, nothing is flushed."""
        self._signal(signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process.poll() is None:
            self.crash()
        for thread in (
            self._results,
            self._errors,
        ):  # who reads from a stream that is closed meanwhile, fails
            thread.join(PATIENCE_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # what stdin still held has nobody to read it

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # ended, as another thread has seen
                os.killpg(self._process.pid, number)

    def _read_results(self, stream: IO[bytes]) -> None:
        for line in stream:
            try:
                message = json.loads(line)
            except ValueError:
                self._said.append("not JSON: " + line.decode(errors="replace").rstrip())
                continue
            if "hello" in message:
                self._hello.set_result(message["hello"])
                continue
            with self._lock:
                future = self._waiting.pop(message.get("id"), None)
            if future is not None:
                future.set_result(message)
        self._errors.join(PATIENCE_SECONDS)  # what it said last is why
        gone = DriverGone(f"{self.name} has ended\n{self.said()}")
        with self._lock:
            waiting, self._waiting = list(self._waiting.values()), {}
        for future in waiting:
            future.set_exception(gone)
        if not self._hello.done():
            self._hello.set_exception(gone)

    def _read_errors(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._said.append(line.decode(errors="replace").rstrip())
