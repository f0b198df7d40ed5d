"""The Python drivers' half of the line protocol: commands to methods, results to lines.

A driver is a ``Service``: one object for each handle, made by ``producer.open`` and its like, each
with a thread of its own, which does that handle's commands in order. A command ``producer.send`` on
handle ``p`` is the method ``send`` of the object that ``p`` names, with the command's fields.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Json = dict[str, Any]
MOST_HELD = 10_000
"""Records that wait to be taken before a consumer stops polling."""


class CommandError(Exception):
    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        number: int | None = None,
        retriable: bool = False,
        fatal: bool = False,
    ) -> None:
        super().__init__(message)
        self.error = {
            "code": code,
            "number": number,
            "message": message,
            "retriable": retriable,
            "fatal": fatal,
        }


def unsupported(what: str) -> CommandError:
    return CommandError("UNSUPPORTED", what)


def encode(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def name_of(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


def split_name(name: str) -> tuple[str, int]:
    topic, _, partition = name.rpartition("-")
    return topic, int(partition)


def pairs(partitions: Sequence[Json]) -> list[tuple[str, int]]:
    return [(p["topic"], p["partition"]) for p in partitions]


def renamed(config: Json, names: dict[str, str]) -> Json:
    """The settings under the client's own names. Raises UNSUPPORTED for one it does not have."""
    for name in config:
        if name not in names:
            raise unsupported(f"setting {name}")
    return {names[name]: value for name, value in config.items()}


def fill_values(prefix: str, size: int, count: int) -> list[bytes]:
    return [f"{prefix}-{number}".encode().ljust(size, b".") for number in range(count)]


class Tally:
    """The result of ``producer.fill``."""

    def __init__(self) -> None:
        self.acked = self.failed = 0
        self.errors: dict[str, int] = {}
        self.offsets: dict[str, list[int]] = {}
        self._began = time.monotonic()

    def succeeded(self, partition: int, offset: int) -> None:
        self.acked += 1
        span = self.offsets.setdefault(str(partition), [offset, offset])
        span[0], span[1] = min(span[0], offset), max(span[1], offset)

    def refused(self, code: str) -> None:
        self.failed += 1
        self.errors[code] = self.errors.get(code, 0) + 1

    def result(self) -> Json:
        return {
            "acked": self.acked,
            "failed": self.failed,
            "errors": self.errors,
            "offsets": self.offsets,
            "elapsed_ms": (time.monotonic() - self._began) * 1000,
        }


class Handle:
    """What a handle names. ``idle`` is called again and again while no command waits."""

    idle_seconds: float | None = None

    def idle(self) -> None:
        raise NotImplementedError

    def close(self) -> Json:
        return {}


class Buffer:
    """Records between a background poll and ``take``, with what happened to the assignment."""

    def __init__(self) -> None:
        self.records: deque[Json] = deque()
        self.happened: list[Json] = []
        self.taken: dict[str, int] = {}
        """The next offset to take, by partition."""

    @property
    def is_full(self) -> bool:
        return len(self.records) >= MOST_HELD

    def take(self, count: int) -> list[Json]:
        records = [self.records.popleft() for _ in range(min(count, len(self.records)))]
        for record in records:
            self.taken[name_of(record["topic"], record["partition"])] = record["offset"] + 1
        return records

    def drop(self, topic: str, partition: int) -> None:
        """What was fetched before a seek, or before the partition was lost."""
        self.records = deque(
            r for r in self.records if (r["topic"], r["partition"]) != (topic, partition)
        )
        self.taken.pop(name_of(topic, partition), None)


class Summary:
    """The result of ``consumer.drain``."""

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self.in_order = True
        self.partitions: dict[str, Json] = {}
        self._began = time.monotonic()

    def add(self, record: Json) -> None:
        self.count += 1
        self.bytes += len(record["value"] or "") * 3 // 4
        at = self.partitions.setdefault(
            name_of(record["topic"], record["partition"]),
            {"first": record["offset"], "last": -1, "count": 0},
        )
        self.in_order = self.in_order and record["offset"] > at["last"]
        at["last"] = record["offset"]
        at["count"] += 1

    def result(self) -> Json:
        return {
            "count": self.count,
            "bytes": self.bytes,
            "elapsed_ms": (time.monotonic() - self._began) * 1000,
            "partitions": self.partitions,
            "in_order": self.in_order,
        }


class PollingConsumer(Handle):
    """A consumer whose poll is called in the background; subclasses have ``poll_once``."""

    idle_seconds = 0.0

    def __init__(self) -> None:
        self.buffer = Buffer()

    def poll_once(self, seconds: float) -> None:
        """Puts what comes into ``buffer``."""
        raise NotImplementedError

    def idle(self) -> None:
        self.poll_once(0.05)

    def _until(self, done: Callable[[], bool], timeout_ms: float) -> None:
        deadline = time.monotonic() + timeout_ms / 1000
        while not done() and time.monotonic() < deadline:
            self.poll_once(min(0.05, max(0.0, deadline - time.monotonic())))

    def take(self, count: int, timeout_ms: float) -> Json:
        self._until(lambda: len(self.buffer.records) >= count, timeout_ms)
        return {"records": self.buffer.take(count)}

    def drain(self, count: int, timeout_ms: float) -> Json:
        summary = Summary()

        def enough() -> bool:
            for record in self.buffer.take(count - summary.count):
                summary.add(record)
            return summary.count >= count

        self._until(enough, timeout_ms)
        enough()
        return summary.result()

    def events(self, timeout_ms: float = 0, wait_for: str | None = None) -> Json:
        def seen() -> bool:
            return any(e["event"] == wait_for for e in self.buffer.happened)

        if wait_for is not None:
            self._until(seen, timeout_ms)
        happened, self.buffer.happened = self.buffer.happened, []
        return {"events": happened, "assignment": self.assignment()}

    def assignment(self) -> list[Json]:
        raise NotImplementedError


class Service:
    """Reads commands until standard input ends, and then ends at once."""

    def __init__(
        self,
        hello: Json,
        kinds: dict[str, Callable[..., Handle]],
        explain: Callable[[BaseException], CommandError],
    ) -> None:
        self._hello = hello
        self._kinds = kinds
        self._explain = explain
        self._threads: dict[str, _HandleThread] = {}
        self._writing = threading.Lock()
        # What a client prints is not for the suite.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def run(self) -> None:
        self._write({"hello": self._hello})
        for line in sys.stdin:
            try:
                self._dispatch(json.loads(line))
            except ValueError as error:
                print(f"not a command: {error}", file=sys.stderr)
        os._exit(0)

    def _dispatch(self, command: Json) -> None:
        kind, _, method = command.get("op", "").partition(".")
        name = command.get("handle", "")
        if kind not in self._kinds or not method:
            self.fail(command, CommandError("BAD_COMMAND", f"no op {command.get('op')!r}"))
        elif method == "open":
            if name in self._threads and self._threads[name].is_alive():
                self.fail(command, CommandError("BAD_COMMAND", f"handle {name!r} is open"))
            else:
                self._threads[name] = _HandleThread(self, self._kinds[kind], command)
                self._threads[name].start()
        elif name in self._threads and self._threads[name].is_alive():
            self._threads[name].commands.put(command)
        else:
            self.fail(command, CommandError("BAD_COMMAND", f"no handle {name!r}"))

    def answer(self, command: Json, work: Callable[[], Json]) -> bool:
        """Whether it was done."""
        try:
            result = work()
        except CommandError as error:
            self.fail(command, error)
        except Exception as error:
            try:
                explained = self._explain(error)
            except Exception:
                traceback.print_exc()
                explained = CommandError("CLIENT", repr(error))
            self.fail(command, explained)
        else:
            self._write({"id": command["id"], "ok": True, "result": result})
            return True
        return False

    def explain(self, error: BaseException) -> Json:
        if isinstance(error, CommandError):
            return error.error
        return self._explain(error).error

    def fail(self, command: Json, error: CommandError) -> None:
        self._write({"id": command.get("id"), "ok": False, "error": error.error})

    def _write(self, message: Json) -> None:
        with self._writing:
            self._out.write(json.dumps(message) + "\n")


class _HandleThread(threading.Thread):
    """One handle's commands, one after another, and its background work between them."""

    def __init__(self, service: Service, make: Callable[..., Handle], command: Json) -> None:
        super().__init__(daemon=True)
        self.commands: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._service = service
        self._make = make
        self._opening = command
        self._handle: Handle

    def run(self) -> None:
        def open_it() -> Json:
            self._handle = self._make(**_fields(self._opening))
            return {}

        if not self._service.answer(self._opening, open_it):
            return
        while True:
            try:
                command = self.commands.get(timeout=self._handle.idle_seconds)
            except queue.Empty:
                self._idle()
                continue
            method = command["op"].partition(".")[2]
            work = getattr(self._handle, method, None)
            if work is None or method.startswith("_"):
                self._service.fail(command, unsupported(command["op"]))
                continue
            self._service.answer(command, lambda: work(**_fields(command)))  # noqa: B023
            if method == "close":
                return

    def _idle(self) -> None:
        try:
            self._handle.idle()
        except Exception as error:
            buffer = getattr(self._handle, "buffer", None)
            if buffer is None:
                raise
            buffer.happened.append({"event": "error", "error": self._service.explain(error)})
            with contextlib.suppress(queue.Empty):  # do not spin on an error that stays
                self.commands.put(self.commands.get(timeout=0.05))


def _fields(command: Json) -> Json:
    return {k: v for k, v in command.items() if k not in ("id", "op", "handle")}
