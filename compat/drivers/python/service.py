"""The process of a Python driver: commands to the methods of handles, results to lines.

A handle is one object, made by ``producer.open`` and its like, with a thread of its own, which does
that handle's commands in order. A command ``producer.send`` is the method ``send`` of the handle's
object, with the command's fields as keywords.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import queue
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from compat.drivers.python.words import OPS, CommandError, Json, bad_command, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Handle:
    """What a handle names. ``idle`` is called again and again while no command waits."""

    idle_seconds: float | None = None
    """How long a command is waited for before ``idle``; None is for ever."""

    def idle(self) -> None:
        raise NotImplementedError

    def close(self) -> Json:
        return {}

    @staticmethod
    def explain(error: Exception) -> CommandError:
        """What an exception of the client says."""
        raise NotImplementedError

    @classmethod
    def explained(cls, error: Exception) -> CommandError:
        return error if isinstance(error, CommandError) else cls.explain(error)


class Service:
    """Reads commands until standard input ends, and then ends at once."""

    def __init__(
        self,
        *,
        client: str,
        version: str,
        language: str = "python",
        partitioner: str | None,
        capabilities: Iterable[str],
        kinds: Mapping[str, type[Handle]],
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        offered = [f"admin.{op}" for op in offered_by(kinds.get("admin"), "admin")]
        self._hello: Json = {
            "client": client,
            "version": version,
            "language": language,
            "partitioner": partitioner,
            "capabilities": [*capabilities, *offered],
        }
        self._kinds = kinds
        self._at_end = at_end
        self._open: dict[str, _HandleThread] = {}
        self._writing = threading.Lock()
        # What a client prints is not for the suite.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)
        logging.basicConfig(level=logging.WARNING)

    def run(self) -> None:
        self._write({"hello": self._hello})
        for line in sys.stdin:
            try:
                command = json.loads(line)
            except ValueError as error:
                self.fail({}, bad_command(f"not JSON: {error}"))
                continue
            try:
                self._dispatch(command)
            except CommandError as error:
                self.fail(command, error)
        self._at_end()
        os._exit(0)

    def _dispatch(self, command: Any) -> None:
        if not isinstance(command, dict) or not isinstance(command.get("op"), str):
            raise bad_command("a command is an object with an op")
        kind, _, method = command["op"].partition(".")
        if method not in OPS.get(kind, ()):
            raise bad_command(f"no op {command['op']!r}")
        handle_type = self._kinds.get(kind)
        if handle_type is None or (method != "open" and not hasattr(handle_type, method)):
            raise unsupported(command["op"])
        name = command.get("handle")
        if not isinstance(name, str):
            raise bad_command("a command has a handle")
        thread = self._open.get(name)
        if method == "open":
            if thread is not None and not thread.has_ended:
                raise bad_command(f"handle {name!r} is open")
            self._open[name] = _HandleThread(self, handle_type, command, thread)
            self._open[name].start()
        elif thread is None or thread.kind is not handle_type or not thread.accepts(command):
            raise bad_command(f"no {kind} {name!r}")

    def answer(
        self,
        command: Json,
        work: Callable[[], Json],
        explained: Callable[[Exception], CommandError],
    ) -> None:
        try:
            result = work()
        except Exception as error:
            said = explained(error)
            if said.code == "CLIENT":
                traceback.print_exception(error)
            self.fail(command, said)
        else:
            self._write({"id": command.get("id"), "ok": True, "result": result})

    def fail(self, command: Any, error: CommandError) -> None:
        number = command.get("id") if isinstance(command, dict) else None
        self._write({"id": number, "ok": False, "error": error.line})

    def _write(self, message: Json) -> None:
        with self._writing:
            self._out.write(json.dumps(message) + "\n")


def offered_by(handle_type: type[Handle] | None, kind: str) -> list[str]:
    """The commands of a kind that its handles have, beside opening and closing."""
    return [op for op in OPS[kind] if op not in ("open", "close") and hasattr(handle_type, op)]


class _HandleThread(threading.Thread):
    """One handle's commands, one after another, and its background work between them."""

    def __init__(
        self,
        service: Service,
        kind: type[Handle],
        opening: Json,
        before: _HandleThread | None,
    ) -> None:
        super().__init__(daemon=True)
        self.kind = kind
        self.has_ended = False
        """It takes no more commands: it was told to close, or could not be opened."""
        self._gate = threading.Lock()
        self._commands: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._service = service
        self._opening = opening
        self._before = before
        self._handle: Handle | None = None

    def accepts(self, command: Json) -> bool:
        """Whether it will be done."""
        with self._gate:
            if self.has_ended:
                return False
            self.has_ended = command["op"].endswith(".close")
            self._commands.put(command)
            return True

    def run(self) -> None:
        if self._before is not None:
            self._before.join()
        self._service.answer(self._opening, self._make, self.kind.explained)
        while not (self.has_ended and self._commands.empty()):
            handle = self._handle
            try:
                command = self._commands.get(
                    timeout=None if handle is None else handle.idle_seconds
                )
            except queue.Empty:
                assert handle is not None
                handle.idle()
                continue
            self._service.answer(command, lambda: self._do(command), self.kind.explained)  # noqa: B023

    def _make(self) -> Json:
        try:
            self._handle = call(self.kind, self._opening)
        except Exception:
            with self._gate:
                self.has_ended = True
            raise
        return {}

    def _do(self, command: Json) -> Json:
        if self._handle is None:
            raise bad_command(f"handle {command['handle']!r} could not be opened")
        result: Json = call(getattr(self._handle, command["op"].partition(".")[2]), command)
        return result


def call(work: Callable[..., Any], command: Json) -> Any:
    """Calls with the fields of a command. Raises BAD_COMMAND where they do not fit."""
    fields = {k: v for k, v in command.items() if k not in ("id", "op", "handle")}
    try:
        inspect.signature(work).bind(**fields)
    except TypeError as error:
        raise bad_command(f"{command['op']}: {error}") from error
    return work(**fields)
