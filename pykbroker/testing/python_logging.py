"""The brokers' log lines as records of Python's logging, where test runners look for them."""

from __future__ import annotations

import logging
from typing import Any


class LoggingSink:
    """``logging.getLogger("pykbroker...")``; the fields stand in the message, as in text logs."""

    def emit(self, level: int, name: str, event: str, fields: dict[str, Any]) -> None:
        error = next((v for v in fields.values() if isinstance(v, BaseException)), None)
        text = " ".join([event, *(f"{key}={value}" for key, value in fields.items())])
        logging.getLogger(name).log(level, "%s", text, exc_info=error)
