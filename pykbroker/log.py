"""Structured log lines: one event, its fields, one line.

A logger is a name; where its lines go belongs to the broker that runs, not to the process: the
sink is found through a context variable, which tasks and timers of a broker inherit. Levels can
change at run time, for one logger or for a whole prefix (Kafka's BROKER_LOGGER resource).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from wire.tuples import Protocol

DEBUG, INFO, WARNING, ERROR, OFF = 10, 20, 30, 40, 60
LEVEL_NAMES = {DEBUG: "DEBUG", INFO: "INFO", WARNING: "WARN", ERROR: "ERROR"}


class Sink(Protocol):
    def emit(self, level: int, name: str, event: str, fields: dict[str, Any]) -> None: ...


class Log:
    """Levels and a sink. ``root`` is the level of every logger not set apart."""

    def __init__(self, sink: Sink | None = None, level: int = INFO) -> None:
        self.sink = sink
        self.root = level
        self._levels: dict[str, int] = {}
        self._effective: dict[str, int] = {}

    def level(self, name: str) -> int:
        level = self._effective.get(name)
        if level is None:
            level = self._effective[name] = self._resolve(name)
        return level

    def set_level(self, name: str, level: int | None) -> None:
        """None goes back to the level of the nearest parent; ``root`` is the root logger."""
        if name == "root":
            self.root = INFO if level is None else level
        elif level is None:
            self._levels.pop(name, None)
        else:
            self._levels[name] = level
        self._effective.clear()

    def levels(self) -> dict[str, int]:
        """Every logger that has spoken or was set apart, with its effective level."""
        names = LOGGERS.keys() | self._levels.keys()
        return {"root": self.root} | {name: self.level(name) for name in sorted(names)}

    def is_set(self, name: str) -> bool:
        return name in self._levels

    def _resolve(self, name: str) -> int:
        prefix = name
        while prefix:
            if prefix in self._levels:
                return self._levels[prefix]
            prefix = prefix.rpartition(".")[0]
        return self.root


CURRENT: ContextVar[Log] = ContextVar("pykbroker_log", default=Log())  # noqa: B039
"""The default has no sink: a library is silent until a broker gives it a voice."""


class Logger:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def debug(self, event: str, **fields: Any) -> None:
        self._log(DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log(INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log(WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """``error=exception`` prints its traceback below the line."""
        self._log(ERROR, event, fields)

    def is_enabled(self, level: int) -> bool:
        log = CURRENT.get()
        return log.sink is not None and level >= log.level(self.name)

    def _log(self, level: int, event: str, fields: dict[str, Any]) -> None:
        log = CURRENT.get()
        if log.sink is not None and level >= log.level(self.name):
            log.sink.emit(level, self.name, event, fields)


class Trouble:
    """What fails again and again: a warning when it begins and now and then, DEBUG between, and a
    line when it is over."""

    REMINDER = 100
    """Failures from one warning to the next."""

    def __init__(self, logger: Logger, event: str, over: str) -> None:
        self._logger = logger
        self._event = event
        self._over = over
        self._failures = 0

    def failed(self, **fields: Any) -> None:
        again = self._failures % self.REMINDER
        self._failures += 1
        if again:
            self._logger.debug(self._event, **fields)
        else:
            self._logger.warning(self._event, **fields)

    def passed(self) -> None:
        if self._failures:
            self._failures = 0
            self._logger.info(self._over)


LOGGERS: dict[str, Logger] = {}


def get_logger(name: str) -> Logger:
    logger = LOGGERS.get(name)
    if logger is None:
        logger = LOGGERS[name] = Logger(name)
    return logger
