"""Log lines on a stream: text for a person, JSON for a machine.

``take_over`` brings in what is not ours: records of Python's logging, warnings, and exceptions that
nobody caught. Nothing else is written to the stream then.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from pykbroker.log import ERROR, LEVEL_NAMES, WARNING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from pykbroker.log import Log

RESERVED = ("time", "level", "logger", "event", "node_id", "traceback")
"""What every JSON line means by these; a field of such a name gets a ``_``."""


def timestamp(now: float) -> str:
    """Kafka's layout, in local time: 2026-01-31 12:00:00,000."""
    whole = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    return f"{whole},{int(now * 1000) % 1000:03d}"


def utc(now: float) -> str:
    """2026-01-31T12:00:00.000Z."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{whole}.{int(now * 1000) % 1000:03d}Z"


class StreamSink:
    """One line per event, written whole. Exceptions follow their line in the text form."""

    def __init__(self, stream: TextIO, *, json: bool = False, node_id: int | None = None) -> None:
        self._stream = stream
        self._json = json
        self.node_id = node_id

    def emit(self, level: int, name: str, event: str, fields: dict[str, Any]) -> None:
        render = self._as_json if self._json else self._as_text
        try:
            self._stream.write(render(level, name, event, fields))
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads our log any more; that is no reason to stop serving.
            return

    def _as_text(self, level: int, name: str, event: str, fields: dict[str, Any]) -> str:
        said = event.replace("\n", "\\n")
        parts = [f"[{timestamp(time.time())}] {LEVEL_NAMES[level]} {said}"]
        trace = ""
        for key, value in fields.items():
            if isinstance(value, BaseException):
                trace = _traceback(value)
                value = f"{type(value).__name__}: {value}"
            text = str(value)
            plain = text.isprintable() and " " not in text
            parts.append(f"{key}={text}" if plain else f"{key}={text!r}")
        node = "" if self.node_id is None else f" node={self.node_id}"
        return " ".join(parts) + f" ({name}{node})\n" + trace

    def _as_json(self, level: int, name: str, event: str, fields: dict[str, Any]) -> str:
        import json

        line: dict[str, Any] = {"time": utc(time.time()), "level": LEVEL_NAMES[level]}
        line |= {"logger": name, "event": event}
        if self.node_id is not None:
            line["node_id"] = self.node_id
        for key, value in fields.items():
            if isinstance(value, BaseException):
                line["traceback"] = _traceback(value)
                value = f"{type(value).__name__}: {value}"
            if not isinstance(value, int | float | str | None):
                value = str(value)
            taken = key in RESERVED and line.get(key, value) != value
            line[f"{key}_" if taken else key] = value
        return json.dumps(line) + "\n"


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


class _Records(logging.Handler):
    """Records of Python's logging as lines of ours, under their loggers' names."""

    def __init__(self, log: Log) -> None:
        super().__init__(WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = ERROR if record.levelno >= ERROR else WARNING
        fields: dict[str, Any] = {}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = record.exc_info[1]
        _say(self._log, level, record.name, record.getMessage(), fields)


def _say(log: Log, level: int, name: str, event: str, fields: dict[str, Any]) -> None:
    """From any thread: the context variable need not be set there."""
    if log.sink is not None and level >= log.level(name):
        log.sink.emit(level, name, event, fields)


def take_over(log: Log) -> None:
    """For the whole process. Libraries are heard from warnings up, whatever our own level is."""
    logging.getLogger().handlers = [_Records(log)]

    def warned(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        fields = {"category": category.__name__, "place": f"{filename}:{lineno}"}
        _say(log, WARNING, "python", str(message), fields)

    def uncaught(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            _say(log, ERROR, "python", "uncaught exception", {"error": error})

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread else ""
            fields = {"thread": name, "error": args.exc_value}
            _say(log, ERROR, "python", "uncaught exception in a thread", fields)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        fields = {"where": repr(args.object), "error": args.exc_value}
        _say(log, ERROR, "python", args.err_msg or "exception ignored", fields)

    warnings.showwarning = warned
    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
