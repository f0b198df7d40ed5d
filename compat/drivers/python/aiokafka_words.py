"""What aiokafka calls settings and errors, and the loop on which it runs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka import errors

from compat.drivers.python.kafka_errors import error_name
from compat.drivers.python.words import CommandError, Json

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

CLIENT_SETTINGS = {
    "bootstrap": "bootstrap_servers",
    "client_id": "client_id",
    "request_timeout_ms": "request_timeout_ms",
    "metadata_max_age_ms": "metadata_max_age_ms",
}

_TIMEOUTS = (errors.KafkaTimeoutError, TimeoutError)
_DISCONNECTED = (
    errors.KafkaConnectionError,
    errors.NodeNotReadyError,
    errors.NoBrokersAvailable,
    errors.Cancelled,
)


class Loop:
    """An event loop in a thread of its own; handles' threads wait for what they ask of it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


LOOP = Loop()


def explain(error: Exception) -> CommandError:
    retriable = bool(getattr(error, "retriable", False))
    if isinstance(error, errors.BrokerResponseError):
        return broker_error(error.errno, str(error), retriable=retriable)
    # Its own errors say their names themselves.
    text = (
        str(error) if isinstance(error, errors.KafkaError) else f"{type(error).__name__}: {error}"
    )
    if isinstance(error, errors.ProducerFenced):
        return CommandError("FENCED", text, fatal=True)
    code = "CLIENT"
    if isinstance(error, _TIMEOUTS):
        code = "TIMEOUT"
    elif isinstance(error, _DISCONNECTED):
        code = "DISCONNECTED"
    return CommandError(code, text, retriable=retriable)


def broker_error(
    number: int, message: str | None = None, *, retriable: bool | None = None
) -> CommandError:
    if retriable is None:
        retriable = errors.for_code(number).retriable
    return CommandError(error_name(number), message or "", number=number, retriable=retriable)


def outcome(number: int, message: str | None = None) -> Json:
    """``{}`` or ``{"error"}``, from an error code in a response."""
    return {} if number == 0 else {"error": broker_error(number, message).line}
