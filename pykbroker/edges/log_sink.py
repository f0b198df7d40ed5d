"""Log lines on a stream: text for a person, JSON for a machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pykbroker.log import LEVEL_NAMES

if TYPE_CHECKING:
    from typing import TextIO


def timestamp(now: float) -> str:
    """Kafka's layout, in local time: 2026-01-31 12:00:00,000."""
    whole = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    return f"{whole},{int(now * 1000) % 1000:03d}"


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
        parts = [f"[{timestamp(time.time())}] {LEVEL_NAMES[level]} {event}"]
        trace = ""
        for key, value in fields.items():
            if isinstance(value, BaseException):
                trace = _traceback(value)
                value = f"{type(value).__name__}: {value}"
            text = str(value).replace("\n", "\\n")
            parts.append(f"{key}={text!r}" if " " in text else f"{key}={text}")
        node = "" if self.node_id is None else f" node={self.node_id}"
        return " ".join(parts) + f" ({name}{node})\n" + trace

    def _as_json(self, level: int, name: str, event: str, fields: dict[str, Any]) -> str:
        import json

        line: dict[str, Any] = {"time": timestamp(time.time()), "level": LEVEL_NAMES[level]}
        line |= {"logger": name, "event": event}
        if self.node_id is not None:
            line["node_id"] = self.node_id
        for key, value in fields.items():
            if isinstance(value, BaseException):
                line["traceback"] = _traceback(value)
                value = f"{type(value).__name__}: {value}"
            line[key] = value if isinstance(value, int | float | str | None) else str(value)
        return json.dumps(line) + "\n"


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
